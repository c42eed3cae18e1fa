// Package bounce collects bounces as GNU Mailman 2.1's bounce runner does: each
// is an event in a file of the process's own, and from time to time all events of
// the file are counted in the states of their lists.
//
// It is known of the original (from its source, not from running it) that the file
// is data/bounce-events-PID.pck, that it is appended to, and at an interval read and
// removed, and what comes of two processes with one name: the second's removal
// fails, and events are counted twice or lost. The rest is what follows from
// that, or is assumed: the file stays open from its first event on (otherwise the
// second would fail when it opens it) and is removed when its events have been
// counted (otherwise none would be counted twice); each event is synced, so that no
// loss of power is held against it; the failed removal ends the process, as every
// error does that comes up outside of the handling of a message.
package bounce

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"screwtape/runner/list"
	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// Every is REGISTER_BOUNCES_EVERY: how long events are collected before they are
// counted. That it is 15 minutes is assumed.
const Every = 15 * time.Minute

// Bugs are the faults that can be planted in it.
var Bugs = []profile.Bug{
	{Name: "forgets-last", Does: "the last event of the file is not counted", Shows: "miscounted"},
	{Name: "no-lock", Does: "a list is changed without its lock", Shows: "miscounted", Needs: "two runners"},
	{Name: "no-pid", Does: "the file's name has no pid in it", Shows: "miscounted", Needs: "two runners of one host"},
}

// Events are the bounces that one process has collected.
type Events struct {
	bugs profile.Set
	path string
	file *sys.File // nil: none since the last time that they were counted
	next time.Time // when they are to be counted
}

// Open gives the process's events in the directory data. It touches no file.
func Open(data string, bugs profile.Set) *Events {
	e := &Events{bugs: bugs, path: data + "/bounce-events-" + strconv.Itoa(sys.Pid()) + ".pck", next: sys.Clock().Add(Every)}
	if bugs.Has("no-pid") {
		e.path = data + "/bounce-events.pck"
	}
	return e
}

// The keys of an event.
const (
	keyList    = "list"
	keyAddress = "address"
)

// Add notes that mail of this list to this address came back.
func (e *Events) Add(listName, address string) error {
	event, err := pickle.EncodeMetadata(pickle.Metadata{keyList: listName, keyAddress: address})
	if err != nil {
		return err
	}
	if e.file == nil {
		if e.file, err = sys.Open(e.path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_APPEND, 0o660); err != nil {
			return err
		}
	}
	if err := e.file.Write(event); err != nil {
		return err
	}
	return e.file.Sync()
}

// Due reports whether it is time to count the events. With none there is nothing
// to do until a further interval is over.
func (e *Events) Due() bool {
	now := sys.Clock()
	if now.Before(e.next) {
		return false
	}
	e.next = now.Add(Every)
	return e.file != nil
}

// Count counts all events of the file in the lists, which open gives, and removes
// the file. Without any it does nothing.
func (e *Events) Count(open func(name string) *list.List) error {
	if e.file == nil {
		return nil
	}
	byList, err := e.read()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(byList)) {
		if err := count(open(name), byList[name]); err != nil {
			return err
		}
	}
	e.file.Close()
	e.file = nil
	return sys.Unlink(e.path)
}

// read gives the addresses of all events of the file, whoever wrote them, by list.
func (e *Events) read() (map[string][]string, error) {
	if err := e.file.Seek(0); err != nil {
		return nil, err
	}
	data, err := e.file.ReadAll()
	if err != nil {
		return nil, err
	}
	byList := map[string][]string{}
	for len(data) > 0 {
		event, n, err := pickle.DecodeMetadata(data)
		if err != nil {
			return nil, err
		}
		data = data[n:]
		name, ok1 := event[keyList].(string)
		address, ok2 := event[keyAddress].(string)
		if !ok1 || !ok2 {
			return nil, errors.New("no event of a bounce")
		}
		if len(data) > 0 || !e.bugs.Has("forgets-last") {
			byList[name] = append(byList[name], address)
		}
	}
	return byList, nil
}

// count counts a bounce of each address in the list's state.
func count(l *list.List, addresses []string) error {
	if err := l.Lock(0); err != nil {
		return err
	}
	defer l.Unlock()
	for _, a := range addresses {
		l.State.CountBounce(a)
	}
	return l.Save()
}

// Header is the header by which Exim says in a bounce whom its message did not
// reach (Exim's specification, "Customizing bounce messages"). It stands here for
// all the ways in which Mailman finds that out.
const Header = "X-Failed-Recipients"

// Address is whom a bounce, headers and body, is about; "" if it does not say so.
func Address(bounce []byte) string {
	for line := range strings.Lines(string(bounce)) {
		if line == "\n" {
			break
		}
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, Header) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
