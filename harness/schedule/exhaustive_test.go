package schedule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// queueRunner takes what is in the queue, delivers it and removes it; what it
// does not find it sets aside. Started again, it first puts back what it, or
// another, had taken.
func queueRunner(restarted bool, call func(string, ...string) string) {
	if restarted {
		for _, e := range strings.Fields(call("list", "q")) {
			if base, ok := strings.CutSuffix(e, ".bak"); ok {
				call("rename", "q/"+e, "q/"+base)
			}
		}
	}
	for {
		call(Wake)
		for _, e := range strings.Fields(call("list", "q")) {
			if strings.Contains(e, ".") {
				continue
			}
			if call("rename", "q/"+e, "q/"+e+".bak") == "ok" {
				call(Deliver, e)
				call("unlink", "q/"+e+".bak")
			} else {
				call("rename", "q/"+e+".bak", "q/"+e+".psv")
			}
		}
	}
}

// locker takes a lock by making a file, and counts in another under it.
func locker(_ bool, call func(string, ...string) string) {
	for call("create", "lock") != "ok" {
		call(Wake)
	}
	n := len(call("read", "n"))
	call("write", "n", strings.Repeat("x", n))
	call("unlink", "lock")
}

func counter(_ bool, call func(string, ...string) string) {
	n := len(call("read", "n"))
	call("write", "n", strings.Repeat("x", n))
}

// contender takes a lock that ends, by its time of modification, and breaks one
// that has ended.
func contender(_ bool, call func(string, ...string) string) {
	for call("create", "lock") != "ok" {
		if at := call("clock"); at > "at 3" && call("stat", "lock") < "{"+at[3:] {
			call("unlink", "lock")
		}
		call(Wake, "2")
	}
	call("utimens", "lock")
	call(Wake, "3")
	call("unlink", "lock")
}

func calls(list ...[]string) program {
	return func(_ bool, call func(string, ...string) string) {
		for _, c := range list {
			call(c[0], c[1:]...)
		}
	}
}

var toys = []struct {
	name string
	make func() *toy
}{
	{"two runners", func() *toy {
		return newToy(map[string]program{"a/r": queueRunner, "b/r": queueRunner}, map[string]string{"q/m0": ""}, []string{"q"}, 0)
	}},
	{"two runners, a crash", func() *toy {
		return newToy(map[string]program{"a/r": queueRunner, "b/r": queueRunner}, map[string]string{"q/m0": ""}, []string{"q"}, 1)
	}},
	{"one runner, two crashes", func() *toy {
		return newToy(map[string]program{"a/r": queueRunner}, map[string]string{"q/m0": "", "q/m1": ""}, []string{"q"}, 2)
	}},
	{"two runners, two messages", func() *toy {
		return newToy(map[string]program{"a/r": queueRunner, "b/r": queueRunner}, map[string]string{"q/m0": "", "q/m1": ""}, []string{"q"}, 0)
	}},
	{"a lock", func() *toy {
		return newToy(map[string]program{"a/l": locker, "b/l": locker}, map[string]string{"n": ""}, []string{"."}, 0)
	}},
	{"three count without a lock", func() *toy {
		return newToy(map[string]program{"a/c": counter, "b/c": counter, "c/c": counter}, map[string]string{"n": ""}, []string{"."}, 1)
	}},
	{"a listing", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"create", "q/x"}, []string{"create", "q/y"}),
			"b/p": calls([]string{"list", "q"}, []string{"read", "q/x"}, []string{"list", "q"}),
			"c/p": calls([]string{"create", "q/z"}, []string{"rename", "q/y", "q/z"}),
		}, nil, []string{"q"}, 0)
	}},
	{"a directory that must be empty", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"rmdir", "q"}, []string{"mkdir", "q"}),
			"b/p": calls([]string{"create", "q/x"}, []string{"unlink", "q/x"}),
			"c/p": calls([]string{"create", "q/y"}, []string{"rename", "q/y", "z"}),
		}, nil, []string{"q", "."}, 0)
	}},
	{"two deliver the same", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{Deliver, "m0"}, []string{Deliver, "m1"}),
			"b/p": calls([]string{Deliver, "m1"}, []string{Deliver, "m0"}),
		}, nil, nil, 1)
	}},
	{"one hands on, the other delivers", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"create", "q/x.tmp"}, []string{"rename", "q/x.tmp", "q/x"}, []string{"create", "y"}),
			"b/p": calls([]string{Deliver, "m0"}),
		}, nil, []string{"q", "."}, 1)
	}},
	{"a poll that either of two wakes", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"create", "y"}),
			"b/p": calls([]string{"create", "q/y"}),
			"c/p": calls([]string{Wake}, []string{"list", "q"}, []string{"list", "."}, []string{Wake}),
		}, nil, []string{".", "q"}, 0)
	}},
	{"polls that others wake, over and over", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"create", "y"}, []string{"create", "z"}),
			"b/p": calls([]string{"create", "q/y"}),
			"c/p": calls([]string{Wake}, []string{"stat", "y"}, []string{"stat", "q/y"}, []string{Wake}, []string{"list", "."}, []string{"stat", "q"}, []string{Wake}, []string{"stat", "z"}),
		}, nil, []string{".", "q"}, 0)
	}},
	{"two polls that wake each other", func() *toy {
		poll := func(_ bool, call func(string, ...string) string) {
			for range 2 {
				call(Wake)
				if call("stat", "y") != "ENOENT" && call("unlink", "y") == "ok" {
					call("create", "z")
				} else if call("stat", "z") != "ENOENT" {
					call("rename", "z", "y")
				}
			}
		}
		return newToy(map[string]program{"a/p": poll, "b/p": poll, "c/p": calls([]string{"create", "y"})}, nil, []string{"."}, 0)
	}},
	{"clocks", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"clock"}, []string{Wake, "3"}, []string{"clock"}),
			"b/p": calls([]string{"clock"}, []string{Wake, "1"}, []string{"clock"}),
			"c/p": calls([]string{"clock"}, []string{"create", "x"}, []string{"clock"}),
		}, nil, []string{"."}, 0)
	}},
	{"a stamp that is seen", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"write", "x", "1"}),
			"b/p": calls([]string{Wake, "1"}),
			"c/p": calls([]string{"stat", "x"}),
		}, map[string]string{"x": "0"}, []string{"."}, 0)
	}},
	{"a stamp that is seen after another change", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"write", "x", "1"}, []string{"rename", "x", "y"}),
			"b/p": calls([]string{Wake, "1"}),
			"c/p": calls([]string{"stat", "y"}),
		}, map[string]string{"x": "0"}, []string{"."}, 0)
	}},
	// Whether a's first stamp is seen hangs on whether c comes before the second.
	{"a stamp that is set anew", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"write", "x", "1"}, []string{"utimens", "x"}, []string{"rename", "x", "y"}),
			"b/p": calls([]string{Wake, "1"}, []string{"create", "z"}, []string{Wake, "1"}),
			"c/p": calls([]string{"rename", "w", "v"}, []string{"stat", "x"}),
		}, map[string]string{"x": "0", "w": ""}, []string{"."}, 0)
	}},
	{"the stamp of a directory", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"create", "q/x"}),
			"b/p": calls([]string{"create", "q/y"}),
			"c/p": calls([]string{Wake, "1"}),
			"d/p": calls([]string{"stat", "q"}),
		}, nil, []string{"q"}, 0)
	}},
	{"a sleep that begins late", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"create", "x"}, []string{Wake, "2"}, []string{"clock"}),
			"b/p": calls([]string{Wake, "3"}),
		}, nil, []string{"."}, 0)
	}},
	{"two contenders", func() *toy {
		return newToy(map[string]program{"a/l": contender, "b/l": contender}, nil, []string{"."}, 0)
	}},
	// Whether a's rename meets b's write hangs on what c has done before.
	{"a third that makes two meet", func() *toy {
		return newToy(map[string]program{
			"a/p": calls([]string{"rename", "x", "y"}),
			"b/p": calls([]string{"write", "y", "2"}, []string{"read", "y"}),
			"c/p": calls([]string{"unlink", "x"}),
			"d/p": calls([]string{"rename", "z", "x"}),
		}, map[string]string{"x": "1", "z": "0"}, []string{"."}, 0)
	}},
}

func missing(want, got map[string]bool) []string {
	var list []string
	for end := range want {
		if !got[end] {
			list = append(list, end)
		}
	}
	slices.Sort(list)
	return list
}

// The exhaustive search comes to every end that brute force comes to, and to no
// other.
func TestExhaustiveAgainstBruteForce(t *testing.T) {
	for _, test := range toys {
		t.Run(test.name, func(t *testing.T) {
			want, states := test.make().bruteForce()
			one := NewExhaustive(Unbounded)
			for _, atOnce := range []int{1, 7} {
				x := NewExhaustive(Unbounded)
				got, schedules, err := test.make().exhaust(x, atOnce, 200_000)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d at once: %s; %d schedules in all, %d begun anew; %d ends, %d states by brute force", atOnce, x.Account(), schedules, x.Account().Begun, len(want), states)
				if !x.Account().Complete {
					t.Error(x.Account())
				}
				if atOnce == 1 {
					one = x
				}
				if x.Account().Traces != one.Account().Traces {
					t.Errorf("%d at once: %d traces, and one at a time %d", atOnce, x.Account().Traces, one.Account().Traces)
				}
				if list := missing(want, got); len(list) > 0 {
					t.Errorf("%d of %d ends are missing, such as\n%s", len(list), len(want), list[0])
				}
				if list := missing(got, want); len(list) > 0 {
					t.Errorf("%d ends are none, such as\n%s", len(list), list[0])
				}
			}
		})
	}
}

// Programs that poll, and do nothing when they find what they found before, come
// to the same ends when only a change of what they look at wakes them.
func TestRounds(t *testing.T) {
	for _, test := range toys[:4] {
		eager := test.make()
		eager.eager = true
		x := NewExhaustive(Unbounded)
		got, _, err := eager.exhaust(x, 1, 20_000)
		if err != nil || !x.Account().Complete {
			t.Errorf("%s: %v, %v", test.name, x.Account(), err)
		}
		want, _ := eager.bruteForce()
		if len(missing(want, got)) > 0 || len(missing(got, want)) > 0 {
			t.Errorf("%s: missing %q; none %q", test.name, missing(want, got), missing(got, want))
		}
		fewer := NewExhaustive(Unbounded)
		if _, _, err := test.make().exhaust(fewer, 1, 20_000); err != nil || fewer.Account() != x.Account() {
			t.Errorf("%s: %v where any change wakes, %v where it does not, %v", test.name, x.Account(), fewer.Account(), err)
		}
	}
}

// A footprint that forgets something loses ends: the comparison is awake.
func TestForgetfulFootprints(t *testing.T) {
	forgets := func(kind string) func(Footprint) Footprint {
		forget := func(list []Resource) []Resource {
			return slices.DeleteFunc(slices.Clone(list), func(r Resource) bool { return strings.HasPrefix(string(r), kind) })
		}
		return func(f Footprint) Footprint { return Footprint{forget(f.Reads), forget(f.Writes), forget(f.Adds)} }
	}
	wrong := map[string]func(Footprint) Footprint{
		// A change that is said to set all time stamps anew, and does not.
		"wrong t:": func(f Footprint) Footprint {
			for _, r := range f.Writes {
				if inode, ok := strings.CutPrefix(string(r), "a:"); ok {
					f.Writes = append(slices.Clone(f.Writes), Resource("t:"+inode))
				}
			}
			return f
		},
	}
	for _, kind := range []string{"e:", "l:", "d:", "m:", "a:", "time", "later", "sleep"} {
		wrong["no "+kind] = forgets(kind)
	}
	for kind, footnote := range wrong {
		lost := 0
		for _, test := range slices.Backward(toys) {
			if lost > 0 {
				break
			}
			w := test.make()
			w.footnote = footnote
			got, _, err := w.exhaust(NewExhaustive(Unbounded), 1, 20_000)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := test.make().bruteForce()
			lost += len(missing(want, got))
		}
		if lost == 0 {
			t.Errorf("with %s nothing is lost", kind)
		}
	}
}

// anyToy makes a toy of programs that nobody has thought of, some of which look how
// late it is.
func anyToy(t *rapid.T) *toy {
	verbs := []string{"create", "unlink", "rename", "read", "write", "list", "rmdir", "mkdir", Wake, Deliver}
	timed := rapid.Bool().Draw(t, "timed")
	if timed {
		verbs = []string{"create", "unlink", "rename", "read", "write", "utimens", "stat", "stat", "clock", Wake, Wake, Wake}
	}
	name := rapid.SampledFrom([]string{"x", "y", "q/x", "q/y"})
	step := rapid.Custom(func(t *rapid.T) []string {
		switch verb := rapid.SampledFrom(verbs).Draw(t, "verb"); {
		case verb == Wake && timed:
			return []string{verb, rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "how long")}
		case verb == Wake:
			return []string{verb}
		case verb == "stat":
			return []string{verb, rapid.SampledFrom([]string{"x", "y", "q/x", "q"}).Draw(t, "name")}
		case verb == "clock":
			return []string{verb}
		case verb == Deliver:
			return []string{verb, rapid.SampledFrom([]string{"m0", "m1"}).Draw(t, "message")}
		case verb == "rename":
			return []string{verb, name.Draw(t, "from"), name.Draw(t, "to")}
		case verb == "write":
			return []string{verb, name.Draw(t, "name"), rapid.SampledFrom([]string{"1", "2"}).Draw(t, "data")}
		case slices.Contains([]string{"list", "rmdir", "mkdir"}, verb):
			return []string{verb, "q"}
		default:
			return []string{verb, name.Draw(t, "name")}
		}
	})
	programs := map[string]program{}
	processes := rapid.IntRange(2, 3).Draw(t, "processes")
	for i := range processes {
		programs[fmt.Sprintf("%c/p", 'a'+i)] = calls(rapid.SliceOfN(step, 1, 5-processes).Draw(t, "calls")...)
	}
	return newToy(programs, map[string]string{"x": "0", "q/x": "0"}, []string{".", "q"}, rapid.IntRange(0, 4-processes).Draw(t, "crashes"))
}

// Programs that nobody has thought of.
func TestExhaustiveOfAnyPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyToy(t)
		x := NewExhaustive(Unbounded)
		got, _, err := w.exhaust(x, rapid.IntRange(1, 9).Draw(t, "at once"), 50_000)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := w.bruteForce()
		if !x.Account().Complete || len(missing(want, got)) > 0 || len(missing(got, want)) > 0 {
			t.Fatalf("%v; missing %q; none %q", x.Account(), missing(want, got), missing(got, want))
		}
	})
}

// No two schedules of a search are equal but for the order of independent steps:
// what is explored is explored once.
func TestExhaustiveRepeatsNothing(t *testing.T) {
	w := newToy(map[string]program{"a/c": counter, "b/c": counter}, map[string]string{"n": ""}, []string{"."}, 0)
	x := NewExhaustive(Unbounded)
	ends, schedules, err := w.exhaust(x, 1, 100)
	// One after the other in two ways, or both read first and then write in two
	// ways, of which both end alike.
	if err != nil || len(ends) != 3 || x.Account().Traces != 4 || schedules > 5 {
		t.Errorf("%d ends, %v, in %d schedules, %v", len(ends), x.Account(), schedules, err)
	}
}

// A search that is written down and read back at any point goes on as if
// nothing had been.
func TestCheckpoint(t *testing.T) {
	w := toys[1].make()
	whole := NewExhaustive(Unbounded)
	want, _, err := w.exhaust(whole, 1, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	x, got := NewExhaustive(Unbounded), map[string]bool{}
	for !x.Over() {
		ends, _, err := w.exhaust(x, 1, 37)
		if err != nil {
			t.Fatal(err)
		}
		for end := range ends {
			got[end] = true
		}
		data, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		x = NewExhaustive(Unbounded)
		if err := json.Unmarshal(data, x); err != nil {
			t.Fatal(err)
		}
	}
	if len(missing(want, got)) > 0 || x.Account() != whole.Account() {
		t.Errorf("with interruptions %v, without %v; missing %q", x.Account(), whole.Account(), missing(want, got))
	}
	data, _ := json.Marshal(x)
	for _, bad := range []string{strings.Replace(string(data), `"version":4`, `"version":9`, 1), "{}", `{"version":4,"bounds":{"preemptions":3,"depth":-1}}`} {
		if err := json.Unmarshal([]byte(bad), NewExhaustive(Unbounded)); err == nil {
			t.Errorf("taken: %.60s", bad)
		}
	}
}

// To write a search down changes nothing of it, and however it is ended, there
// is something left of it.
func TestCheckpointIsNoStep(t *testing.T) {
	search := func(written bool) (plans []string) {
		x, n := NewExhaustive(Unbounded), 0
		for !x.Over() {
			s, learn := Turn(x)
			if a := x.Account(); x.root != nil && strings.Contains(a.Why, "left at 0 points") {
				t.Fatalf("schedule %d is under way, and %v", n, a)
			}
			if _, err := toys[1].make().play(s); err != nil {
				t.Fatal(err)
			}
			plans = append(plans, fmt.Sprint(s.(*follower).Taken))
			learn(true)
			if n++; written && n%5 == 0 {
				if _, err := json.Marshal(x); err != nil {
					t.Fatal(err)
				}
			}
		}
		return plans
	}
	if diff := cmp.Diff(search(false), search(true)); diff != "" {
		t.Errorf("written down, it goes another way:\n%s", diff)
	}
}

// Bounds leave out what lies beyond them, and say so.
func TestBounds(t *testing.T) {
	last := 0
	for preemptions := range 4 {
		x := NewExhaustive(Bounds{preemptions, -1})
		ends, _, err := toys[5].make().exhaust(x, 1, 100_000)
		a := x.Account()
		if err != nil || len(ends) < last || a.Complete != (a.Bounded == 0) {
			t.Errorf("%d preemptions: %d ends, %v, %v", preemptions, len(ends), a, err)
		}
		last = len(ends)
	}
	x := NewExhaustive(Bounds{-1, 3})
	if _, _, err := toys[5].make().exhaust(x, 1, 100_000); err != nil || x.Account().Complete || !strings.Contains(x.Account().String(), "beyond its bounds") {
		t.Error(x.Account(), err)
	}
}

// A world that does not repeat itself is noticed, and nothing is called
// complete.
func TestExhaustiveLost(t *testing.T) {
	x := NewExhaustive(Unbounded)
	for n := 0; !x.Over() && n < 1000; n++ {
		w := newToy(map[string]program{"a/c": counter, "b/c": counter}, map[string]string{"n": ""}, []string{"."}, 0)
		if n == 2 {
			w.programs["b/c"] = calls([]string{"unlink", "n"})
		}
		s, learn := Turn(x)
		if _, err := w.play(s); err != nil {
			t.Fatal(err)
		}
		learn(true)
	}
	if a := x.Account(); a.Complete || !strings.Contains(a.Why, "did not repeat its beginning") {
		t.Error(a)
	}
}

// Faults that are not of one program are on offer, not tried, and counted.
func TestWideFaults(t *testing.T) {
	for _, test := range toys {
		x, toy := NewExhaustive(Unbounded), test.make()
		toy.power = true
		if _, _, err := toy.exhaust(x, 3, 100_000); err != nil {
			t.Fatal(err)
		}
		if a := x.Account(); a.Complete || a.Bounded == 0 || !strings.Contains(a.Why, "a whole node") {
			t.Errorf("%s: %v", test.name, a)
		}
	}
}

// A schedule that is cut off between a choice and what comes of it is learnt from
// like any other.
func TestCutOff(t *testing.T) {
	x := NewExhaustive(Unbounded)
	for range 50 {
		plan, ok := x.Next()
		if !ok {
			t.Fatal(x.Account())
		}
		p, toy := plan.Player(), toys[5].make()
		for range 3 {
			options := toy.options()
			i, err := p.Pick(options)
			if err != nil {
				t.Fatal(err)
			}
			if i == None {
				break
			}
			d, f := toy.do(options[i].Decision)
			p.Done(d, f)
		}
		p.Pick(toy.options())
		x.Learn(true, p.Lesson())
		if x.Over() {
			return
		}
	}
}

// A poll after a signal, or after a timer has run out, is none that has found
// nothing new.
func TestRoundsOfTheInterrupted(t *testing.T) {
	wake := Decision{Process: "a/p.1", Verb: Wake}
	for _, test := range []struct {
		d     Decision
		dozes bool
	}{
		{Decision{Process: "a/p", Verb: Signal, Names: []string{"HUP"}}, false},
		{Decision{Process: "a/p.2", Verb: Alarm, Names: []string{"alarm"}}, false},
		{Decision{Process: "b/p", Verb: "kill", Names: []string{"a/p.1"}}, false},
		{Decision{Process: "a/p", Verb: "kill", Names: []string{"a/p.1"}}, false},
		{Decision{Process: "b/p", Verb: Signal, Names: []string{"HUP"}}, true},
		{Decision{Process: "a/p", Verb: "kill", Names: []string{"b/p"}}, true},
	} {
		r := rounds{}
		r.took(execution{Step: []Decision{wake}})
		r.took(execution{Step: []Decision{test.d}})
		if got := r.dozes(wake); got != test.dozes {
			t.Errorf("after %v, a wake-up finds what the one before it found: %v", test.d, got)
		}
	}
}

// With signals on offer a search is not complete: see Account.
func TestSignalsAreNotSearchedWholly(t *testing.T) {
	x := NewExhaustive(Unbounded)
	x.grow(nil, []Option{{Decision: Decision{Process: "a/x", Verb: "open"}}})
	x.over = true
	if a := x.Account(); !a.Complete {
		t.Errorf("without signals: %v", a)
	}
	x.grow(nil, []Option{{Decision: Decision{Process: "a/x", Verb: Signal, Names: []string{"HUP"}}}})
	if a := x.Account(); a.Complete || !strings.Contains(a.Why, "signals") {
		t.Errorf("with signals: %v", a)
	}
}

// A scout that comes back after all was played, and has seen a program look at its
// clock, has the search begin anew.
func TestLateScout(t *testing.T) {
	x := NewExhaustive(Unbounded)
	x.over, x.underway = true, []flight{{scout: true}}
	look := execution{Step: []Decision{{Process: "a/x", Verb: "clock"}}, Touched: Footprint{Reads: []Resource{timeGone}}}
	x.Learn(true, Lesson{Way: &Way{Stops: []Stop{{Done: look}}}})
	if x.Over() || x.Account().Begun != 1 {
		t.Error(x.Account())
	}
}
