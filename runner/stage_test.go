package runner

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	wanted, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want(t, path, text, string(wanted))
}

// A stage is a queue and its runners, in the test's own process, where the order
// of their calls is set by hand.
type stage struct {
	t       *testing.T
	profile profile.Profile
	root    string                // what the hosts share
	dir     string                // of the queues
	answer  func(id string) error // of the mail server; nil takes all
	taken   []string              // what it took
	log     []string
	x       string // the base name of the first entry put in
}

func newStage(t *testing.T, version string, answer func(id string) error) *stage {
	p, err := profile.Get(version)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Trace = nil })
	root := t.TempDir()
	s := &stage{t: t, profile: p, root: root, dir: root + "/qfiles", answer: answer}
	if err := os.MkdirAll(s.dir+"/out", 0o770); err != nil {
		t.Fatal(err)
	}
	return s
}

// put puts an entry into the queue, and gives its base name.
func (s *stage) put(id string, change ...func(pickle.Metadata)) string {
	s.t.Helper()
	name, data, err := queue.Entry(1234567890.125, "plain", id, s.profile)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range change {
		e, _ := pickle.Decode(data)
		f(e.Meta)
		meta, err := pickle.EncodeMetadata(e.Meta)
		if err != nil {
			s.t.Fatal(err)
		}
		data = append(data[:e.MetaAt], meta...)
	}
	s.write("out/"+name, string(data))
	base := strings.TrimSuffix(name, ".pck")
	if s.x == "" {
		s.x = base
	}
	return base
}

func (s *stage) write(name, data string) {
	s.t.Helper()
	if err := os.WriteFile(s.dir+"/"+name, []byte(data), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// try starts a runner of a slice; its log lines begin with its name.
func (s *stage) try(name string, slice, slices int) (*queueRunner, error) {
	r, err := newQueueRunner(s.profile, s.dir, queue.Out, slice, slices, func(line string) {
		s.log = append(s.log, name+": "+line)
	})
	if err != nil {
		return nil, err
	}
	r.send = s.send
	return r, nil
}

// send stands for the mail server. (A real one in this process would not do: a
// runner in a raw call keeps the collector from running, on which the server
// may be waiting.)
func (s *stage) send(_ string, _ []string, text []byte) error {
	if sys.Trace != nil {
		sys.Trace("connect")
	}
	id, err := queue.MessageID(text)
	if err == nil && s.answer != nil {
		err = s.answer(id)
	}
	if err == nil {
		s.taken = append(s.taken, id)
	}
	return err
}

// start starts a runner of the whole queue.
func (s *stage) start(name string) *queueRunner {
	s.t.Helper()
	r, err := s.try(name, 0, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// at lets something happen right before the next call of this name on a path
// with this ending (on any, for "").
func (s *stage) at(op, ending string, f func()) {
	sys.Trace = func(o string, paths ...string) {
		if o != op || ending != "" && (len(paths) == 0 || !strings.HasSuffix(paths[0], ending)) {
			return
		}
		sys.Trace = nil
		f()
	}
}

// errCrash is what a crash panics with.
var errCrash = errors.New("crash")

// crashAt lets f run up to the next such call, and no further: nothing after it
// happens, as if the process were killed.
func (s *stage) crashAt(op, ending string, f func()) {
	s.t.Helper()
	if !s.crashOrEnd(op, ending, f) {
		s.t.Errorf("no call %s %s to crash at", op, ending)
	}
}

// crashOrEnd is crashAt where there may be no such call; it says whether there
// was.
func (s *stage) crashOrEnd(op, ending string, f func()) (crashed bool) {
	defer func() {
		sys.Trace = nil
		p := recover()
		if p != nil && p != errCrash {
			panic(p)
		}
		crashed = p != nil
	}()
	s.at(op, ending, func() { panic(errCrash) })
	f()
	return false
}

var entryName = regexp.MustCompile(`\d+\.\d+\+[0-9a-f]{40}`)

// anonymous puts X for the first entry's name, NEW for others, and the path that
// it has on nodes for the directory's.
func (s *stage) anonymous(text string) string {
	text = strings.ReplaceAll(text, s.root, "/shared")
	text = strings.ReplaceAll(text, fmt.Sprintf("%s.%d", sys.Hostname(), sys.Pid()), "HOST.PID")
	return entryName.ReplaceAllStringFunc(text, func(name string) string {
		if name == s.x {
			return "X"
		}
		return "NEW"
	})
}

// outcome is what came of it: the log, who was delivered, and what lies where.
func (s *stage) outcome() string {
	s.t.Helper()
	var b strings.Builder
	for _, line := range s.log {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "delivered %q\n", s.taken)
	for _, name := range tree(s.t, s.dir) {
		b.WriteString("left " + name + "\n")
	}
	return s.anonymous(b.String())
}

// The interleavings of the redundancy thread, and others that were seen with the
// real thing, in the order of events that was seen.
var interleavings = map[string]func(*stage){
	// Both list X. A takes it; B finds no .pck, and preserves A's .bak as
	// damaged; A delivers, and finds no .bak.
	"C3": func(s *stage) {
		x := s.put("m0")
		a, b := s.start("A"), s.start("B")
		s.at("connect", "", func() { b.serve(x) })
		a.serve(x)
	},
	// As C3, but B has X open when A renames it.
	"C3b": func(s *stage) {
		x := s.put("m0")
		a, b := s.start("A"), s.start("B")
		var taken pickle.Entry
		s.at("rename", x+".pck", func() { taken, _ = a.queue.Dequeue(x) })
		b.serve(x)
		if err := a.deliver(taken); err != nil {
			s.t.Error(err)
		}
		a.queue.Finish(x, false)
	},
	// A has finished X before B comes to it.
	"C3c": func(s *stage) {
		x := s.put("m0")
		a, b := s.start("A"), s.start("B")
		a.serve(x)
		b.serve(x)
	},
	// C3, and A dies before it delivers: the message is lost.
	"C4": func(s *stage) {
		x := s.put("m0")
		a, b := s.start("A"), s.start("B")
		s.crashAt("connect", "", func() { a.serve(x) })
		b.serve(x)
		s.start("A").run(true, false)
	},
	// A delivers X while B starts: B recovers A's .bak, and delivers too.
	"N1": func(s *stage) {
		x := s.put("m0")
		a := s.start("A")
		s.at("connect", "", func() { s.start("B").run(true, false) })
		a.serve(x)
	},
	// A dies between delivery and unlink, each time.
	"N5": func(s *stage) {
		x := s.put("m0")
		for range 3 {
			s.crashAt("unlink", x+".bak", func() { s.start("A").run(true, false) })
		}
		s.start("A").run(true, false)
	},
	// A dies in the enqueue of a deferred message: twice there, never gone.
	"N6": func(s *stage) {
		s.put("m0")
		s.answer = func(string) error { return &refusal{451, "not now"} }
		s.crashAt("rename", ".pck.tmp", func() { s.start("A").run(true, false) })
	},
	// A .bak goes away while a starting runner recovers it: the start fails.
	"recovery-overtaken": func(s *stage) {
		x := s.put("m0")
		a := s.start("A")
		s.crashAt("connect", "", func() { a.serve(x) })
		s.at("open", x+".bak", func() { os.Remove(s.dir + "/out/" + x + ".bak") })
		_, err := s.try("B", 0, 1)
		s.log = append(s.log, "B: "+queue.Uncaught(s.profile, err))
	},
	// As that, but it goes away between open and rename.
	"recovery-overtaken-late": func(s *stage) {
		x := s.put("m0")
		a := s.start("A")
		s.crashAt("connect", "", func() { a.serve(x) })
		s.at("rename", x+".bak", func() { os.Remove(s.dir + "/out/" + x + ".bak") })
		_, err := s.try("B", 0, 1)
		s.log = append(s.log, "B: "+queue.Uncaught(s.profile, err))
	},
	// An entry that was cut off.
	"damaged": func(s *stage) {
		x := s.put("m0")
		os.Truncate(s.dir+"/out/"+x+".pck", 100)
		s.start("A").run(true, false)
	},
	// A runner died while it rewrote the metadata of an entry.
	"damaged-backup": func(s *stage) {
		x := s.put("m0")
		os.Truncate(s.dir+"/out/"+x+".pck", 100)
		os.Rename(s.dir+"/out/"+x+".pck", s.dir+"/out/"+x+".bak")
		s.start("A").run(true, false)
	},
	// Processing fails.
	"shunted": func(s *stage) {
		s.put("m0", func(m pickle.Metadata) { delete(m, s.profile.RecipsKey) })
		s.start("A").run(true, false)
	},
	// Processing fails, and so does shunting.
	"shunting-failed": func(s *stage) {
		s.put("m0", func(m pickle.Metadata) { m[s.profile.RecipsKey] = int64(7) })
		a := s.start("A")
		os.Remove(s.dir + "/shunt")
		a.run(true, false)
	},
}

func TestInterleavings(t *testing.T) {
	for name, play := range interleavings {
		for _, version := range profile.Names() {
			t.Run(name+"/"+version, func(t *testing.T) {
				s := newStage(t, version, nil)
				play(s)
				golden(t, name+"-"+version, s.outcome())
			})
		}
	}
}

// Without QRUNNER_SAVE_BAD_MESSAGES, C4 leaves nothing at all.
func TestSaveBadOff(t *testing.T) {
	s := newStage(t, "2.1.39", nil)
	s.profile.SaveBad = false
	interleavings["C4"](s)
	golden(t, "C4-2.1.39-save-bad-off", s.outcome())
}

// The calls of each operation, in order, as strace showed them of the original.
func TestCalls(t *testing.T) {
	for _, version := range profile.Names() {
		t.Run(version, func(t *testing.T) {
			s := newStage(t, version, nil)
			var b strings.Builder
			record := func(title string, f func()) {
				b.WriteString("# " + title + "\n")
				sys.Trace = func(op string, paths ...string) {
					b.WriteString(strings.Join(append([]string{op}, paths...), " ") + "\n")
				}
				f()
				sys.Trace = nil
			}
			var a *queueRunner
			record("start", func() { a = s.start("A") })
			x := s.put("m0")
			record("list", func() { a.queue.Files(".pck") })
			record("dequeue", func() { a.queue.Dequeue(x) })
			record("start with something to recover", func() { a = s.start("A") })
			a.queue.Dequeue(x)
			record("finish", func() { a.queue.Finish(x, false) })
			s.put("m0")
			a.queue.Dequeue(x)
			record("preserve", func() { a.queue.Finish(x, true) })
			record("finish what is gone", func() { a.queue.Finish(x, false) })
			record("enqueue", func() { a.to.Enqueue([]byte("x"), pickle.Metadata{}) })
			s.put("m0")
			record("serve", func() { a.serve(x) })
			golden(t, "calls-"+version, s.anonymous(b.String()))
		})
	}
}
