package runner

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// bugStages has for each bug an order of events in which it shows.
var bugStages = map[string]func(*stage){
	"bak-count-never": func(s *stage) {
		x := s.put("m0")
		for range 5 {
			s.crashOrEnd("unlink", x+".bak", func() { s.start("A").run(true, false) })
		}
	},
	"bad-name-skips-all": func(s *stage) {
		s.write("out/foo.pck", "")
		s.log = append(s.log, fmt.Sprintf("A exits %d", s.start("A").run(true, false)))
	},
	"deliver-before-rename": overtaken,
	"deliver-twice-on-421":  refusedOnce(421),
	"double-finish":         plain,
	"enqueue-without-tmp": func(s *stage) {
		a := s.start("A")
		s.crashAt("write", "", func() { a.queue.Enqueue([]byte("x"), pickle.Metadata{}) })
		a.run(true, false)
	},
	"finish-deletes-psv":  interleavings["damaged"],
	"ignore-rename-error": overtaken,
	"no-recovery":         crashAndRestart,
	"preserve-on-success": plain,
	"recover-other-slices": func(s *stage) {
		s.put("m0") // of the lower slice
		a := s.startSlice("A", 0)
		s.at("connect", "", func() { s.startSlice("B", 1).run(true, false) })
		a.run(true, false)
		a.run(true, false)
	},
	"recover-without-rename": crashAndRestart,
	"rename-after-read": func(s *stage) {
		var calls []string
		x := s.put("m0")
		a := s.start("A")
		sys.Trace = func(op string, _ ...string) { calls = append(calls, op) }
		a.queue.Dequeue(x)
		sys.Trace = nil
		s.log = append(s.log, strings.Join(calls, " "))
	},
	"requeue-unlinks-first": func(s *stage) {
		s.answer = func(string) error { return &refusal{451, "not now"} }
		s.put("m0")
		s.crashAt("open", ".tmp", func() { s.start("A").run(true, false) })
	},
	"shunt-lost": interleavings["shunted"],
	"skip-fsync": func(s *stage) {
		a := s.start("A")
		sys.Trace = func(op string, _ ...string) { s.log = append(s.log, op) }
		a.queue.Enqueue([]byte("x"), pickle.Metadata{})
		sys.Trace = nil
	},
	"slice-last-missing":     twoSlices,
	"slice-off-by-one":       twoSlices,
	"swallow-delivery-error": refusedOnce(451),
	"tmp-listed": func(s *stage) {
		x := s.put("m0")
		os.Rename(s.dir+"/out/"+x+".pck", s.dir+"/out/"+x+".pck.tmp")
		s.start("A").run(true, false)
	},
	"unlink-before-deliver": crashAndRestart,
}

// plain is one message and one runner.
func plain(s *stage) {
	s.put("m0")
	s.start("A").run(true, false)
}

// overtaken is two runners with the same listing: B does all its work between
// A's open and rename.
func overtaken(s *stage) {
	x := s.put("m0")
	a, b := s.start("A"), s.start("B")
	s.at("rename", x+".pck", func() { b.serve(x) })
	a.serve(x)
}

// crashAndRestart is a runner that dies when it begins to deliver, and is
// started again.
func crashAndRestart(s *stage) {
	s.put("m0")
	s.crashAt("connect", "", func() { s.start("A").run(true, false) })
	s.start("A").run(true, false)
}

// refusedOnce is a mail server that refuses the first time.
func refusedOnce(code int) func(*stage) {
	return func(s *stage) {
		refused := false
		s.answer = func(string) error {
			if refused {
				return nil
			}
			refused = true
			return &refusal{code, "not now"}
		}
		s.put("m0")
		s.start("A").run(true, false)
	}
}

// twoSlices is two runners, one for each half of the queue, that have listed when
// the first of them begins to deliver.
func twoSlices(s *stage) {
	s.put("m0") // its digest is of the lower slice, 47f7...
	s.put("m1") // of the upper, in its lower half, 8fb4...
	a, b := s.startSlice("A", 0), s.startSlice("B", 1)
	listA, _ := a.queue.Files(".pck")
	listB, _ := b.queue.Files(".pck")
	serveB := func() {
		for _, base := range listB {
			b.serve(base)
		}
	}
	s.at("connect", "", serveB)
	for _, base := range listA {
		a.serve(base)
	}
	if sys.Trace != nil {
		sys.Trace = nil
		serveB()
	}
}

// startSlice starts the runner of one of two slices.
func (s *stage) startSlice(name string, slice int) *queueRunner {
	s.t.Helper()
	r, err := s.try(name, slice, 2)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// Each bug, and no other thing, makes a difference; the golden file has both.
func TestBugs(t *testing.T) {
	var b strings.Builder
	for _, bug := range profile.Bugs {
		play := bugStages[bug.Name]
		if play == nil {
			t.Errorf("no stage for %s", bug.Name)
			continue
		}
		without := newStage(t, "2.1.39", nil)
		play(without)
		with := newStage(t, "2.1.39", nil)
		with.profile.Bugs, _ = profile.ParseBugs(bug.Name)
		play(with)
		if with.outcome() == without.outcome() {
			t.Errorf("%s makes no difference", bug.Name)
		}
		b.WriteString("# " + bug.Name + ": " + bug.Does + "\n## without\n" + without.outcome() + "## with\n" + with.outcome() + "\n")
	}
	golden(t, "bugs-2.1.39", b.String())
}
