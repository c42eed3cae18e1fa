package lock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"screwtape/runner/sys"
)

// A scene is a directory with the lock L, and the calls that were made in it:
// C is our claim, O another's.
type scene struct {
	t     *testing.T
	dir   string
	path  string
	calls []string
	log   []string
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, dir: t.TempDir()}
	s.path = s.dir + "/L"
	t.Cleanup(func() { sys.Trace = nil })
	return s
}

func (s *scene) lock(kind string) *File {
	l, err := Make(kind, s.path, time.Minute, nil, func(line string) { s.log = append(s.log, strings.ReplaceAll(line, s.dir+"/", "")) })
	if err != nil {
		s.t.Fatal(err)
	}
	return l.(*File)
}

// calls notes the calls that do makes. hook, if there is one, comes before each.
func (s *scene) trace(own *File, do func(), hook func(call string)) string {
	s.calls = nil
	sys.Trace = func(op string, paths ...string) {
		for i, p := range paths {
			switch p {
			case s.path:
				paths[i] = "L"
			case own.claim:
				paths[i] = "C"
			case s.dir + "/other":
				paths[i] = "O"
			default:
				paths[i] = filepath.Base(p)
			}
		}
		call := strings.Join(append([]string{op}, paths...), " ")
		s.calls = append(s.calls, call)
		if hook != nil {
			hook(call)
		}
	}
	do()
	sys.Trace = nil
	return strings.Join(s.calls, "; ")
}

// other puts a lock of another there, which ends so long from now.
func (s *scene) other(ends time.Duration) {
	s.t.Helper()
	claim := s.dir + "/other"
	if err := os.WriteFile(claim, []byte(claim), 0o666); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Link(claim, s.path); err != nil {
		s.t.Fatal(err)
	}
	at := time.Now().Add(ends)
	if err := os.Chtimes(claim, at, at); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) names() string {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

var mailmans = []string{Mailman, Flufl}

const (
	claimed   = "open C; write; close; utimens C; "
	looked    = "utimens C; stat L; open L; read; close"
	contested = "link C L; stat L; open L; read; close; "
)

func TestFree(t *testing.T) {
	for _, kind := range mailmans {
		s := newScene(t)
		l := s.lock(kind)
		got := s.trace(l, func() {
			if err := l.Lock(0); err != nil {
				t.Fatal(err)
			}
		}, nil)
		if diff := cmp.Diff(claimed+"link C L; utimens C", got); diff != "" {
			t.Errorf("%s, lock: %s", kind, diff)
		}
		if content, _ := os.ReadFile(s.path); string(content) != l.claim {
			t.Errorf("%s: the lock holds %q, not the claim's path", kind, content)
		}
		st, err := os.Stat(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(st.ModTime()); left < 50*time.Second || left > time.Minute {
			t.Errorf("%s: the lock ends in %v, not in its lifetime", kind, left)
		}
		if whole := st.ModTime().Nanosecond() == 0; whole != (kind == Flufl) {
			t.Errorf("%s: the lock ends at %v", kind, st.ModTime())
		}
		got = s.trace(l, func() { err = l.Refresh() }, nil)
		if diff := cmp.Diff(looked, got); diff != "" || err != nil {
			t.Errorf("%s, refresh: %v %s", kind, err, diff)
		}
		got = s.trace(l, func() { err = l.Unlock(true) }, nil)
		if diff := cmp.Diff(looked+"; unlink L; unlink C", got); diff != "" || err != nil {
			t.Errorf("%s, unlock: %v %s", kind, err, diff)
		}
		if left := s.names(); left != "" {
			t.Errorf("%s: left are %s", kind, left)
		}
	}
}

func TestTimeOut(t *testing.T) {
	for _, kind := range mailmans {
		s := newScene(t)
		s.other(time.Hour)
		l := s.lock(kind)
		var err error
		got := s.trace(l, func() { err = l.Lock(time.Nanosecond) }, nil)
		if diff := cmp.Diff(claimed+contested+"unlink C", got); diff != "" || !errors.Is(err, ErrTimeOut) {
			t.Errorf("%s: %v %s", kind, err, diff)
		}
		if left := s.names(); left != "L other" {
			t.Errorf("%s: left are %s", kind, left)
		}
	}
}

func TestExpired(t *testing.T) {
	for _, kind := range mailmans {
		s := newScene(t)
		s.other(-11 * time.Second)
		l := s.lock(kind)
		var err error
		got := s.trace(l, func() { err = l.Lock(0) }, nil)
		want := claimed + contested + "stat L; utimens L; open L; read; close; unlink L; unlink O; sleep; link C L; utimens C"
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", kind, err, diff)
		}
		if diff := cmp.Diff([]string{"L lifetime has expired, breaking"}, s.log); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

// Ten seconds are given to a lock after its end.
func TestSlop(t *testing.T) {
	for _, kind := range mailmans {
		s := newScene(t)
		s.other(-5 * time.Second)
		if _, expired := s.lock(kind).look(); expired {
			t.Errorf("%s: a lock has expired 5 seconds after its end", kind)
		}
	}
}

// A lock that goes between two looks has expired in 2.1, and only there.
func TestGone(t *testing.T) {
	for _, kind := range mailmans {
		s := newScene(t)
		s.other(time.Hour)
		l := s.lock(kind)
		looks := 0
		got := s.trace(l, func() {
			if err := l.Lock(0); err != nil {
				t.Fatal(err)
			}
		}, func(call string) {
			if call == "stat L" {
				if looks++; looks == 2 {
					os.Remove(s.path)
				}
			}
		})
		if broke := strings.Contains(got, "utimens L"); broke != (kind == Mailman) || broke != (len(s.log) > 0) {
			t.Errorf("%s: %s, and says %q", kind, got, s.log)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, kind := range mailmans {
		s := newScene(t)
		l := s.lock(kind)
		if err := l.Refresh(); !errors.Is(err, ErrNotLocked) {
			t.Errorf("%s: refresh of a lock that nobody has: %v", kind, err)
		}
		if err := l.Lock(0); err != nil {
			t.Fatal(err)
		}
		if err := l.Lock(0); !errors.Is(err, ErrAlreadyLocked) {
			t.Errorf("%s: locked twice: %v", kind, err)
		}
		os.Remove(s.path)
		s.other(time.Hour)
		if err := l.Unlock(true); !errors.Is(err, ErrNotLocked) {
			t.Errorf("%s: unlock of another's lock: %v", kind, err)
		}
		if err := l.Unlock(false); err != nil || s.names() != "L other" {
			t.Errorf("%s: unlock of another's lock where it does not matter: %v, left are %s", kind, err, s.names())
		}
		os.Remove(s.dir + "/other") // one link
		if err := l.Lock(time.Nanosecond); !errors.Is(err, ErrTimeOut) || s.log[0] != "L unexpected linkcount: 1" {
			t.Errorf("%s: a lock without a claim: %v, %q", kind, err, s.log)
		}
		if none, err := Make(kind, s.dir+"/none/L", time.Minute, nil, nil); err != nil || !errors.Is(none.Lock(0), syscall.ENOENT) {
			t.Errorf("%s: a lock in no directory: %v", kind, err)
		}
	}
}

func TestTransfer(t *testing.T) {
	s := newScene(t)
	l := s.lock(Mailman)
	if err := l.Lock(0); err != nil {
		t.Fatal(err)
	}
	old := filepath.Base(l.claim)
	pid := os.Getpid() // we are our own child
	var links uint64
	got := s.trace(l, func() {
		if err := l.TransferTo(pid); err != nil {
			t.Error(err)
		}
	}, func(call string) {
		if call == "write" {
			if st, err := os.Stat(s.path); err == nil && st.Size() == 0 {
				links = st.Sys().(*syscall.Stat_t).Nlink
			}
		}
	})
	want := "utimens C; open L; read; close; link L C; open C; write; close; unlink " + old + "; stat L; " + looked
	// The claim's name changes on the way: C is either.
	got = strings.Replace(got, "utimens "+old, "utimens C", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if links != 3 {
		t.Errorf("in the transfer L is empty with %d links, not 3", links)
	}
	child := s.lock(Mailman)
	child.TakePossession()
	if !child.Locked() {
		t.Error("the child has not got the lock")
	}
}

func TestKinds(t *testing.T) {
	for _, kind := range Kinds {
		path := t.TempDir() + "/L"
		l, err := Make(kind, path, time.Minute, nil, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.Lock(0); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if err := errors.Join(l.Refresh(), l.Unlock(true)); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
	if _, err := Make("pencil", "", 0, nil, nil); err == nil || !strings.Contains(err.Error(), "flufl") {
		t.Errorf("error %v does not say what there is", err)
	}
}
