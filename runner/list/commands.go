package list

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"screwtape/runner/pickle"
	"screwtape/runner/sys"
)

// What a command can be refused with; the list is then as it was.
var (
	ErrMember    = errors.New("Already a member")
	ErrNoMember  = errors.New("No such member")
	ErrNoRequest = errors.New("No such request")
)

// Do changes the state as a command says: add MEMBER, remove MEMBER, set KEY
// VALUE, hold MESSAGE, handle ID. It gives what the command prints, or the error
// with which it is refused.
func (l *List) Do(command []string) (string, error) {
	args := append(slices.Clone(command), "", "", "")
	switch members := l.State.Members(); args[0] {
	case "add":
		if slices.Contains(members, args[1]) {
			return "", ErrMember
		}
		l.State.setMembers(append(members, args[1]))
	case "remove":
		if !slices.Contains(members, args[1]) {
			return "", ErrNoMember
		}
		l.State.setMembers(slices.DeleteFunc(members, func(m string) bool { return m == args[1] }))
	case "set":
		l.State[args[1]] = args[2]
	case "hold":
		return l.hold(args[1])
	case "handle":
		return "", l.handle(args[1])
	default:
		return "", fmt.Errorf("no command %q; there are add, remove, set, hold, handle and show", args[0])
	}
	return "", nil
}

// Show is the state of config.pck on one line: each member, then each attribute.
func (l *List) Show() string {
	var b strings.Builder
	b.WriteString("state")
	for _, m := range l.State.Members() {
		b.WriteString(" " + m + "=in")
	}
	for _, key := range slices.Sorted(maps.Keys(l.State)) {
		if key != "members" {
			fmt.Fprintf(&b, " %s=%s", key, l.State.Attribute(key))
		}
	}
	return b.String()
}

// hold keeps a message for a person to decide on. Its number comes from the
// list's state.
func (l *List) hold(message string) (string, error) {
	if err := l.openRequests(); err != nil {
		return "", err
	}
	n, _ := l.State["next_request_id"].(int64)
	if !l.has("id-not-advanced") {
		l.State["next_request_id"] = n + 1
	}
	id := strconv.FormatInt(n, 10)
	l.requests[id] = message
	return id, nil
}

func (l *List) handle(id string) error {
	if err := l.openRequests(); err != nil {
		return err
	}
	if _, ok := l.requests[id]; !ok {
		return ErrNoRequest
	}
	delete(l.requests, id)
	return nil
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
	requests, err := Decode(data)
	for id := range requests {
		l.requests[id] = requests.Attribute(id)
	}
	return err
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
