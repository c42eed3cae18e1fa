package list

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// A site is a list on disk, with its lock.
type site struct {
	t   *testing.T
	dir string
	log []string
}

func newSite(t *testing.T, members ...string) *site {
	s := &site{t: t, dir: t.TempDir()}
	t.Cleanup(func() { sys.Trace = nil })
	data, err := NewState("test", members...).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.put("config.pck", string(data))
	s.put("config.pck.last", string(data))
	return s
}

func (s *site) put(name, data string) {
	s.t.Helper()
	if err := os.WriteFile(s.dir+"/"+name, []byte(data), 0o666); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) open(version string) *List {
	s.t.Helper()
	p, err := profile.Get(version)
	if err != nil {
		s.t.Fatal(err)
	}
	return Open(p, s.dir, s.dir+"/LOCK", Lifetime, func(line string) {
		s.log = append(s.log, strings.ReplaceAll(line, s.dir+"/", ""))
	})
}

// do does a command with the list locked.
func (s *site) do(version string, command ...string) (string, error) {
	s.t.Helper()
	l := s.open(version)
	if err := l.Lock(0); err != nil {
		s.t.Fatal(err)
	}
	defer l.Unlock()
	prints, err := l.Do(command)
	if err != nil {
		return prints, err
	}
	return prints, l.Save()
}

func (s *site) members(version string) string {
	s.t.Helper()
	l := s.open(version)
	if err := l.Load(); err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(l.State.Members(), " ")
}

func TestCommands(t *testing.T) {
	s := newSite(t, "first")
	for _, c := range []struct {
		command string
		err     error
	}{
		{"add x", nil}, {"add x", ErrMember}, {"remove nobody", ErrNoMember}, {"remove first", nil},
		{"set description new", nil}, {"hold m0", nil}, {"hold m1", nil}, {"handle 1", nil}, {"handle 1", ErrNoRequest},
	} {
		if _, err := s.do("2.1.39", strings.Fields(c.command)...); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.command, err)
		}
	}
	l := s.open("2.1.39")
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	if got, want := l.Show(), "state member:x attribute:description:new attribute:internal_name:test attribute:next_request_id:3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, err := l.Requests(); err != nil || got != "state request:2:m1" {
		t.Errorf("requests %q, %v", got, err)
	}
}

// What is wrong with a command is told without the list.
func TestCheck(t *testing.T) {
	for command, want := range map[string]string{
		"":                      `no command ""; there are add, handle, hold, new, remove, requests, set, show`,
		"dance x":               `no command "dance"; `,
		"add":                   "write add MEMBER",
		"add x y":               "write add MEMBER",
		"set x":                 "write set KEY VALUE",
		"show x":                "write show",
		"hold ~":                `hold: "" is no word`,
		"set k a~b":             `set: "a b" is no word`,
		"set members x":         "set: members is no attribute",
		"set next_request_id 7": "set: next_request_id is no attribute",
		"add x":                 "", "remove x": "", "set k v": "", "hold m": "", "handle 1": "", "show": "", "requests": "", "new": "",
	} {
		words := strings.Fields(command)
		for i, w := range words {
			if words[i] = strings.ReplaceAll(w, "~", " "); w == "~" {
				words[i] = ""
			}
		}
		err := Check(words)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v", command, err)
		}
	}
}

// A request.pck that cannot be read is told as that, and stays as it is.
func TestDamagedRequests(t *testing.T) {
	s := newSite(t, "first")
	s.put("request.pck", "(dS'a'\n")
	for _, command := range []string{"hold m0", "handle 1"} {
		if _, err := s.do("2.1.39", strings.Fields(command)...); !errors.Is(err, ErrRequests) {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := s.open("2.1.39").Requests(); !errors.Is(err, ErrRequests) {
		t.Error(err)
	}
	if data, err := os.ReadFile(s.dir + "/request.pck"); string(data) != "(dS'a'\n" {
		t.Errorf("it holds %q, %v", data, err)
	}
}

// Requests are saved whatever becomes of the state, and the other way round; what
// went wrong is told. A state that could not be written leaves nothing behind.
func TestSaveHalf(t *testing.T) {
	for name, c := range map[string]struct {
		spoil        func(*site, *List) error
		saved, holds bool
	}{
		"the state cannot be written": {func(s *site, l *List) error {
			return os.Symlink("/dev/full", s.dir+"/config.pck.tmp."+sys.Hostname()+"."+strconv.Itoa(sys.Pid()))
		}, false, true},
		"the old state cannot be removed": {func(s *site, l *List) error {
			os.Remove(s.dir + "/config.pck.last")
			return os.Mkdir(s.dir+"/config.pck.last", 0o777)
		}, false, true},
		"the requests cannot be written": {func(s *site, l *List) error { return os.Mkdir(s.dir+"/request.pck.tmp", 0o777) }, true, false},
	} {
		s := newSite(t, "first")
		l := s.open("2.1.39")
		if err := l.Lock(0); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(s, l); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Do([]string{"hold", "m0"}); err != nil {
			t.Fatal(err)
		}
		if err := l.Save(); err == nil {
			t.Errorf("%s: no error", name)
		}
		l.Unlock()
		after := s.open("2.1.39")
		if err := after.Load(); err != nil || (after.State[NextRequest] == int64(2)) != c.saved {
			t.Errorf("%s: next request %v, %v", name, after.State[NextRequest], err)
		}
		if got, err := after.Requests(); err != nil || (got == "state request:1:m0") != c.holds {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if left, _ := filepath.Glob(s.dir + "/config.pck.tmp.*"); strings.Contains(name, "written") && len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

// A state that must be repaired when the lock is held is, under that lock.
func TestFallbackLocked(t *testing.T) {
	s := newSite(t, "first")
	os.Remove(s.dir + "/config.pck")
	l := s.open("2.1.39")
	if err := l.Lock(time.Millisecond); err != nil || len(l.State.Members()) != 1 {
		t.Fatalf("%v, log %q", err, s.log)
	}
	if _, err := os.Stat(s.dir + "/LOCK"); err != nil {
		t.Errorf("the lock is let go: %v", err)
	}
}

// The calls of a save, in each version's order.
func TestSaveCalls(t *testing.T) {
	for version, keep := range map[string]string{"2.1.15": "link", "2.1.39": "link", "thread": "rename"} {
		s := newSite(t)
		l := s.open(version)
		if err := l.Lock(0); err != nil {
			t.Fatal(err)
		}
		var calls []string
		sys.Trace = func(op string, paths ...string) {
			for i, p := range paths {
				p = filepath.Base(p)
				switch {
				case strings.HasPrefix(p, "config.pck.tmp."):
					p = "TMP"
				case strings.HasPrefix(p, "LOCK."):
					p = "CLAIM"
				}
				paths[i] = p
			}
			calls = append(calls, strings.Join(append([]string{op}, paths...), " "))
		}
		err := l.Save()
		sys.Trace = nil
		want := "utimens CLAIM; stat LOCK; open LOCK; read; close; open TMP; write; close; unlink config.pck.last; " +
			keep + " config.pck config.pck.last; rename TMP config.pck; stat config.pck"
		if diff := cmp.Diff(want, strings.Join(calls, "; ")); diff != "" || err != nil {
			t.Errorf("%s: %v %s", version, err, diff)
		}
	}
}

// What cannot be read is read from config.pck.last, which is put in its place.
func TestFallback(t *testing.T) {
	for name, damage := range map[string]func(*site){
		"missing": func(s *site) { os.Remove(s.dir + "/config.pck") },
		"empty":   func(s *site) { s.put("config.pck", "") },
		"damaged": func(s *site) { s.put("config.pck", "(dS'a'\n") },
	} {
		s := newSite(t, "first")
		damage(s)
		if got := s.members("2.1.39"); got != "first" {
			t.Errorf("%s: members %q", name, got)
		}
		if len(s.log) != 2 || !strings.HasPrefix(s.log[0], "couldn't load config file config.pck: ") || s.log[1] != "fixing corrupt config file, using: config.pck.last" {
			t.Errorf("%s: log %q", name, s.log)
		}
		for _, file := range []string{"config.pck", "config.pck.safety"} {
			data, err := os.ReadFile(s.dir + "/" + file)
			if state, derr := Decode(data); err != nil || derr != nil || len(state.Members()) != 1 {
				t.Errorf("%s: %s holds %q, %v", name, file, data, err)
			}
		}
		if _, err := os.Stat(s.dir + "/config.pck.corrupt"); (err == nil) != (name != "missing") {
			t.Errorf("%s: config.pck.corrupt: %v", name, err)
		}
		if _, err := os.Stat(s.dir + "/LOCK"); err == nil {
			t.Errorf("%s: the lock is left", name)
		}
	}
	s := newSite(t)
	s.put("config.pck", "")
	s.put("config.pck.last", "")
	if err := s.open("2.1.39").Load(); !errors.Is(err, ErrNoState) || len(s.log) != 4 {
		t.Errorf("none can be read: %v, log %q", err, s.log)
	}
}

// A file that is not newer by the local clock is not read.
func TestTimestamp(t *testing.T) {
	s := newSite(t, "first")
	l := s.open("2.1.39")
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.do("2.1.39", "add", "x"); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Minute) // a server whose clock is behind
	if err := os.Chtimes(s.dir+"/config.pck", before, before); err != nil {
		t.Fatal(err)
	}
	if err := l.Load(); err != nil || len(l.State.Members()) != 1 {
		t.Errorf("members %v, %v: the file was read", l.State.Members(), err)
	}
	if got := s.members("2.1.39"); got != "first x" {
		t.Errorf("members %q", got)
	}
	if l.read.Nanosecond() != 0 {
		t.Errorf("the state counts as read at %v, which is no whole second", l.read)
	}
	l = s.open("2.1.39")
	err := l.Lock(0)
	if err == nil {
		err = l.Save()
	}
	if st, serr := os.Stat(s.dir + "/config.pck"); err != nil || serr != nil || !l.read.Equal(st.ModTime()) {
		t.Errorf("%v, %v; what was saved counts as read at %v", err, serr, l.read)
	}
}

// Nothing is written with a lock that is not ours any more.
func TestSaveWithoutLock(t *testing.T) {
	s := newSite(t, "first")
	l := s.open("2.1.39")
	if err := l.Lock(0); err != nil {
		t.Fatal(err)
	}
	os.Remove(s.dir + "/LOCK")
	if _, err := l.Do([]string{"add", "x"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Save(); err == nil || s.members("2.1.39") != "first" {
		t.Errorf("saved: %v, members %q", err, s.members("2.1.39"))
	}
}

// Python reads what is written.
func TestPythonReads(t *testing.T) {
	s := newSite(t, "first", "x")
	for _, python := range []string{"python3", "python2"} {
		if exec.Command(python, "-c", "").Run() != nil {
			t.Logf("skipped: %s is not there", python)
			continue
		}
		out, err := exec.Command(python, "-c", "import pickle,sys; d = pickle.load(open(sys.argv[1], 'rb')); print(d['members'] == ['first', 'x'] and d['internal_name'] == 'test')", s.dir+"/config.pck").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "True" {
			t.Errorf("%s: %v %s", python, err, out)
		}
	}
}

// A state is read as it was written.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		members := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z@.'\\]{1,8}`), rapid.ID).Draw(r, "members")
		state := NewState("test", members...)
		state["k"] = rapid.String().Draw(r, "value")
		data, err := state.Encode()
		if err != nil {
			r.Fatal(err)
		}
		got, err := Decode(data)
		if err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(state, got); diff != "" {
			r.Error(diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	data, _ := NewState("test", "x").Encode()
	f.Add(data)
	f.Add([]byte("(dp0\n."))
	f.Add([]byte("(dS'a'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if state, err := Decode(data); err == nil {
			state.Members()
		}
	})
}
