package bounce

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"screwtape/runner/list"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// A site is a directory of events and some lists, with the programs of one host.
type site struct {
	t    *testing.T
	dir  string
	bugs profile.Set
}

func newSite(t *testing.T, lists ...string) *site {
	s := &site{t: t, dir: t.TempDir()}
	t.Cleanup(func() { sys.Trace = nil })
	for _, name := range lists {
		data, err := list.NewState(name).Encode()
		if err == nil {
			err = os.Mkdir(s.dir+"/"+name, 0o777)
		}
		if err == nil {
			err = os.WriteFile(s.dir+"/"+name+"/config.pck", data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// collect notes events, each LIST:ADDRESS.
func (s *site) collect(events ...string) *Events {
	s.t.Helper()
	e := Open(s.dir, s.bugs)
	for _, event := range events {
		name, address, _ := strings.Cut(event, ":")
		if err := e.Add(name, address); err != nil {
			s.t.Fatal(err)
		}
	}
	return e
}

func (s *site) list(name string) *list.List {
	p, err := profile.Get("2.1.39")
	if err != nil {
		s.t.Fatal(err)
	}
	return list.Open(p, s.dir+"/"+name, s.dir+"/"+name+".lock", list.Lifetime, func(line string) { s.t.Error(line) })
}

// counted are the numbers of bounces of a list, each ADDRESS=NUMBER.
func (s *site) counted(name string) string {
	s.t.Helper()
	l := s.list(name)
	if err := l.Load(); err != nil {
		s.t.Fatal(err)
	}
	var counts []string
	for key := range l.State {
		if address, ok := strings.CutPrefix(key, list.Bounces("")); ok {
			counts = append(counts, address+"="+l.State.Attribute(key))
		}
	}
	slices.Sort(counts)
	return strings.Join(counts, " ")
}

// files are the files of events.
func (s *site) files() []string {
	names, err := filepath.Glob(s.dir + "/bounce-events*")
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	return names
}

// Each event is counted once, in the list that it is about, and then the file is gone;
// what comes later goes into another.
func TestCount(t *testing.T) {
	s := newSite(t, "one", "two")
	e := s.collect("one:x", "two:x", "one:y", "one:x")
	if diff := cmp.Diff([]string{fmt.Sprintf("bounce-events-%d.pck", os.Getpid())}, s.files()); diff != "" {
		t.Error(diff)
	}
	for range 2 { // with none there is nothing to count
		if err := e.Count(s.list); err != nil {
			t.Fatal(err)
		}
		if one, two := s.counted("one"), s.counted("two"); one != "x=2 y=1" || two != "x=1" {
			t.Errorf("counted %q and %q", one, two)
		}
	}
	if left := s.files(); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if err := e.Add("two", "x"); err != nil {
		t.Fatal(err)
	}
	if err := e.Count(s.list); err != nil || s.counted("two") != "x=2" {
		t.Errorf("%v, counted %q", err, s.counted("two"))
	}
}

// Lists come in one order, in which the lists' locks are taken then.
func TestOrderOfLists(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	s := newSite(t, names...)
	e := s.collect("f:x", "b:x", "d:x", "a:x", "e:x", "c:x")
	var order []string
	if err := e.Count(func(name string) *list.List { order = append(order, name); return s.list(name) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, order); diff != "" {
		t.Error(diff)
	}
}

// Two that have one file count all that is in it, each; the second's removal fails.
func TestOneFileOfTwo(t *testing.T) {
	s := newSite(t, "one")
	a, b := s.collect("one:x"), s.collect("one:y")
	if err := a.Count(s.list); err != nil || s.counted("one") != "x=1 y=1" {
		t.Errorf("%v, counted %q", err, s.counted("one"))
	}
	if err := b.Count(s.list); !os.IsNotExist(err) || s.counted("one") != "x=2 y=2" {
		t.Errorf("%v, counted %q", err, s.counted("one"))
	}
}

// The calls of an event, and of a count: each event is synced, the list is locked, and
// the file is removed when its events have been counted, not before.
func TestCalls(t *testing.T) {
	s := newSite(t, "one")
	var calls []string
	sys.Trace = func(op string, paths ...string) {
		call := op
		for _, p := range paths {
			p = strings.ReplaceAll(filepath.Base(p), fmt.Sprint(os.Getpid()), "PID")
			call += " " + p
		}
		calls = append(calls, call)
	}
	e := s.collect("one:x")
	if diff := cmp.Diff("open bounce-events-PID.pck; write; fsync", strings.Join(calls, "; ")); diff != "" {
		t.Error(diff)
	}
	calls = nil
	if err := e.Count(s.list); err != nil {
		t.Fatal(err)
	}
	at := func(call string) int { return slices.Index(calls, call) }
	order := []int{at("open config.pck"), slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "rename config.pck.tmp.") }), at("unlink one.lock"), at("unlink bounce-events-PID.pck")}
	if slices.Contains(order, -1) || !slices.IsSorted(order) {
		t.Errorf("%v: %s", order, strings.Join(calls, "; "))
	}
	if end := len(calls) - 1; calls[end] != "unlink bounce-events-PID.pck" || calls[end-1] != "close" {
		t.Errorf("the file is not closed and removed last: %s", strings.Join(calls, "; "))
	}
	locked := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "link one.lock.") })
	if locked < 0 || locked > order[0] {
		t.Errorf("the lock is taken at %d: %s", locked, strings.Join(calls, "; "))
	}
}

// A file that is damaged, or holds something else, counts nothing, and stays.
func TestDamagedEvents(t *testing.T) {
	for name, data := range map[string]string{"cut off": "(dS'a'", "no dictionary": "I1\n.", "no event": "(dp0\n."} {
		s := newSite(t, "one")
		e := s.collect("one:x")
		if err := e.file.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
		if err := e.Count(s.list); err == nil || s.counted("one") != "" || len(s.files()) != 1 {
			t.Errorf("%s: %v, counted %q, files %v", name, err, s.counted("one"), s.files())
		}
	}
}

// Events are due when the interval is over, and then not until the next one is.
func TestDue(t *testing.T) {
	s := newSite(t, "one")
	e := Open(s.dir, nil)
	over := func() { e.next = sys.Clock().Add(-time.Second) }
	if time.Until(e.next) > Every || time.Until(e.next) < Every-time.Minute || e.Due() {
		t.Errorf("due in %v", time.Until(e.next))
	}
	over()
	if e.Due() || time.Until(e.next) < Every-time.Minute {
		t.Errorf("without events: due in %v", time.Until(e.next))
	}
	if err := e.Add("one", "x"); err != nil || e.Due() {
		t.Error("due before the interval is over", err)
	}
	over()
	if !e.Due() || e.Due() {
		t.Error("not due once when the interval is over")
	}
}

// What is planted shows.
func TestBugs(t *testing.T) {
	s := newSite(t, "one")
	s.bugs = profile.Set{"forgets-last": true, "no-pid": true}
	e := s.collect("one:x", "one:y")
	if diff := cmp.Diff([]string{"bounce-events.pck"}, s.files()); diff != "" {
		t.Error(diff)
	}
	if err := e.Count(s.list); err != nil || s.counted("one") != "x=1" {
		t.Errorf("%v, counted %q", err, s.counted("one"))
	}
}

func TestAddress(t *testing.T) {
	for bounce, want := range map[string]string{
		"X-Failed-Recipients: x@example.com\n\nbody": "x@example.com",
		"To: y\nx-failed-recipients:x\n":             "x",
		"To: y\n\nX-Failed-Recipients: x\n":          "",
		"":                                           "",
	} {
		if got := Address([]byte(bounce)); got != want {
			t.Errorf("%q is about %q, want %q", bounce, got, want)
		}
	}
}
