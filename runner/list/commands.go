package list

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"screwtape/runner/pickle"
	"screwtape/runner/sys"
)

// What a command can be refused with; the list is then as it was.
var (
	ErrMember    = errors.New("Already a member")
	ErrNoMember  = errors.New("No such member")
	ErrNoRequest = errors.New("No such request")
)

// ErrRequests is that of a request.pck that cannot be read.
var ErrRequests = errors.New("request.pck is damaged")

// arguments are those of each command, with blanks.
var arguments = map[string]string{
	"new": "", "add": "MEMBER", "remove": "MEMBER", "set": "KEY VALUE", "hold": "MESSAGE", "handle": "NUMBER", "show": "", "requests": "",
}

// kept are the keys that are no attributes for set: the list keeps them itself.
var kept = []string{keyMembers, NextRequest}

// Check says what is wrong with a command, as far as that can be told without the
// list.
func Check(command []string) error {
	if len(command) == 0 {
		command = []string{""}
	}
	wants, known := arguments[command[0]]
	switch {
	case !known:
		return fmt.Errorf("no command %q; there are %s", command[0], strings.Join(slices.Sorted(maps.Keys(arguments)), ", "))
	case len(strings.Fields(wants)) != len(command)-1:
		return fmt.Errorf("write %s", strings.TrimSpace(command[0]+" "+wants))
	}
	for _, word := range command[1:] {
		if word == "" || strings.ContainsFunc(word, unicode.IsSpace) {
			return fmt.Errorf("%s: %q is no word", command[0], word)
		}
	}
	if command[0] == "set" && slices.Contains(kept, command[1]) {
		return fmt.Errorf("set: %s is no attribute; the list keeps it itself", command[1])
	}
	return nil
}

// Do changes the state as a command that changes something says, for which Check
// has found nothing. It gives what the command says of itself before it saves that,
// "" if it has nothing to say, or the error with which it is refused.
func (l *List) Do(command []string) (string, error) {
	switch members := l.State.Members(); command[0] {
	case "add":
		if slices.Contains(members, command[1]) {
			return "", ErrMember
		}
		l.State.setMembers(append(members, command[1]))
	case "remove":
		if !slices.Contains(members, command[1]) {
			return "", ErrNoMember
		}
		l.State.setMembers(slices.DeleteFunc(members, func(m string) bool { return m == command[1] }))
	case "set":
		l.State[command[1]] = command[2]
	case "hold":
		return l.hold(command[1])
	case "handle":
		return l.handle(command[1])
	}
	return "", nil
}

// Show is the state of config.pck on one line, after the word state.
func (l *List) Show() string { return stateLine(l.State.Words()) }

// Requests reads request.pck, and gives what is held on one line, after the word
// state. The list must be locked, as for every command that has to do with requests:
// that the original locks it also to look at them is assumed.
func (l *List) Requests() (string, error) {
	err := l.openRequests()
	return stateLine(RequestWords(l.requests)), err
}

func stateLine(words []string) string { return strings.Join(append([]string{"state"}, words...), " ") }

// hold keeps a message for a person to decide on. Its number comes from the
// list's state.
func (l *List) hold(message string) (string, error) {
	if err := l.openRequests(); err != nil {
		return "", err
	}
	n, _ := l.State[NextRequest].(int64)
	if !l.has("id-not-advanced") {
		l.State[NextRequest] = n + 1
	}
	id := strconv.FormatInt(n, 10)
	l.requests[id] = message
	return requestWord(id, message), nil
}

// handle has decided on the message with that number.
func (l *List) handle(id string) (string, error) {
	if err := l.openRequests(); err != nil {
		return "", err
	}
	message, ok := l.requests[id]
	if !ok {
		return "", ErrNoRequest
	}
	delete(l.requests, id)
	return requestWord(id, message), nil
}

// openRequests reads request.pck, which need not be there.
func (l *List) openRequests() error {
	l.requests = map[string]string{}
	data, err := sys.ReadFile(l.file("request.pck"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.requests, err = DecodeRequests(data); err != nil {
		return fmt.Errorf("%w: %w", ErrRequests, err)
	}
	return nil
}

// saveRequests writes request.pck. The name of what it writes first has nothing
// of the host or the process in it.
func (l *List) saveRequests() error {
	dict := pickle.Metadata{}
	for id, message := range l.requests {
		dict[id] = message
	}
	data, err := pickle.EncodeMetadata(dict)
	if err != nil {
		return err
	}
	if l.has("requests-in-place") {
		return write(l.file("request.pck"), data)
	}
	tmp := l.file("request.pck.tmp")
	if err := write(tmp, data); err != nil {
		return err
	}
	return sys.Rename(tmp, l.file("request.pck"))
}
