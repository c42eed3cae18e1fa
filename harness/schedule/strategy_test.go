package schedule

import (
	"fmt"
	"math"
	"testing"
)

// firsts says in which schedule, from 1, each anomaly is found first.
func firsts(t *testing.T, s Search, schedules int) map[string]int {
	found := map[string]int{}
	for i := range schedules {
		w := newWorld(1, 1, "a/r", "b/r")
		p, learn := Turn(s)
		if err := w.run(p); err != nil {
			t.Fatal(err)
		}
		stranded := w.anomalies()
		w.drain()
		for _, a := range append(stranded, w.anomalies()...) {
			if found[a] == 0 {
				found[a] = i + 1
			}
		}
		w.close()
		learn(false)
	}
	return found
}

// What a search must find in 300 schedules: the classes that the model of two
// runners and one message has, as far as the literature has it find them.
func TestFinds(t *testing.T) {
	for _, test := range []struct {
		name string
		find []string
	}{
		{"random", []string{"lost", "double", "stray", "stranded"}},
		{"pct2", []string{"double", "stranded"}},
		{"pct3", []string{"lost", "double", "stranded"}},
		{"pos", []string{"lost", "double", "stray", "stranded"}},
		{"portfolio", []string{"lost", "double", "stray", "stranded"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(20) {
				s, err := NewSearch(test.name, seed)
				if err != nil {
					t.Fatal(err)
				}
				found := firsts(t, s, 300)
				for _, a := range test.find {
					if found[a] == 0 {
						t.Errorf("seed %d: no %s message in 300 schedules", seed, a)
					}
				}
			}
		})
	}
}

func TestSearchNames(t *testing.T) {
	for _, name := range SearchNames() {
		s, err := NewSearch(name, 1)
		if err != nil || s.Name() != name {
			t.Errorf("NewSearch(%q) is called %q, error %v", name, s.Name(), err)
		}
	}
	if _, err := NewSearch("none", 1); err == nil {
		t.Error("there is a search called none")
	}
}

// The same seed makes the same schedules, another seed others.
func TestSeeds(t *testing.T) {
	all := func(name string, seed uint64) string {
		s, _ := NewSearch(name, seed)
		var c Coverage
		text := ""
		for range 60 {
			p, learn := Turn(s)
			w := played(t, p, 1)
			text += w.tape().String()
			learn(c.Add(digestOf(w.steps)))
		}
		return text
	}
	for _, name := range SearchNames() {
		first := all(name, 1)
		if again := all(name, 1); again != first {
			t.Errorf("%s: one seed, two lots of schedules", name)
		}
		if name != "exhaustive" && first == all(name, 2) {
			t.Errorf("%s: two seeds, one lot of schedules", name)
		}
	}
}

// A schedule can be made again alone, from what its strategy says of itself.
func TestAgain(t *testing.T) {
	for _, c := range catalogue {
		search := newSearch(c.name, 7)
		for i := range 50 {
			plan, _ := search.Next()
			s := plan.Player()
			w := played(t, s, 1)
			draw := plan.Draw
			if draw.Schedule != i || draw.Seed != 7 {
				t.Fatalf("%s is schedule %d", s, i)
			}
			again := c.make(draw)
			if got, want := played(t, again, 1).tape().String(), w.tape().String(); got != want {
				t.Fatalf("%s made another schedule:\n%s\n%s", again, want, got)
			}
			if fmt.Sprint(again) != fmt.Sprint(s) {
				t.Errorf("%s calls itself %s", s, again)
			}
			search.Learn(false, s.Lesson())
		}
	}
}

// Each point at which a crash is on offer is about as likely as the others to
// be the one, whether it comes early or late.
func TestCrashPoints(t *testing.T) {
	const points, schedules = 20, 4000
	s := NewRandom(1)
	at := make([]int, points)
	for range schedules {
		r, learn := Turn(s)
		n := 0
		for n < points {
			options := []Option{{Decision: Decision{Process: "a", Verb: "write"}}, {Decision: Decision{Process: "a", Verb: Crash}}}
			i, _ := r.Pick(options)
			r.Done(options[i].Decision, Footprint{})
			if i == 1 {
				at[n]++
				break
			}
			n++
		}
		learn(true)
	}
	mean := schedules * (faultless - 1) / faultless / (points * 5 / 4)
	for i, n := range at {
		if n < mean*2/3 || n > mean*3/2 {
			t.Errorf("point %d was chosen %d times, want about %d: %v", i, n, mean, at)
			break
		}
	}
}

// About half of what a crash takes comes back before the schedule's end.
func TestRestarts(t *testing.T) {
	s := NewRandom(1)
	crashed, back := 0, 0
	for range 1000 {
		p, learn := Turn(s)
		w := played(t, p, 1)
		for _, done := range w.steps {
			switch done.Verb {
			case Crash:
				crashed++
			case Start:
				back++
			}
		}
		learn(true)
	}
	if crashed < 300 || back*5 < crashed*2 || back*5 > crashed*3 {
		t.Errorf("%d crashed, %d came back", crashed, back)
	}
}

// Half of what comes back after a crash does so right after a change, and half of
// that has the others wait until it sleeps.
func TestHomecoming(t *testing.T) {
	goesOn := Option{Decision: Decision{Process: "b", Verb: "rename"}}
	comes := Option{Decision: Decision{Process: "a", Verb: Start}, Restart: true}
	change := Footprint{Writes: []Resource{"e:x"}}
	back, late, atOnce, alone := 0, 0, 0, 0
	for n := range 1000 {
		c := newChance("test", Draw{Schedule: n})
		offered := func(options ...Option) string { return fmt.Sprint(c.candidates(options)) }
		for range 10 {
			if got := offered(goesOn, comes); got != "[0]" && c.back["a"] != free {
				t.Fatalf("of %v, before anything has changed: %s", []Option{goesOn, comes}, got)
			}
			c.Done(goesOn.Decision, Footprint{Reads: change.Writes})
		}
		if offered(comes) == "[]" {
			continue // it stays down, although nothing else can go on
		}
		if back++; c.back["a"] == free {
			continue
		}
		for changes := 0; offered(goesOn, comes) != "[1]"; changes++ {
			if c.Done(goesOn.Decision, change); changes == 0 && offered(goesOn, comes) == "[1]" {
				atOnce++
			}
		}
		late++
		c.Done(comes.Decision, Footprint{})
		own := Option{Decision: Decision{Process: "a", Verb: "open"}}
		if offered(own, goesOn) == "[0]" {
			alone++
			c.Done(Decision{Process: "a", Verb: Wake}, Footprint{})
		}
		if got := offered(own, goesOn); got != "[0 1]" {
			t.Fatalf("with nobody alone: %s", got)
		}
	}
	if back < 400 || back > 600 || late < 200 || late > 300 || atOnce*4 < late || atOnce*2 > late || alone*3 < late || alone*3 > 2*late {
		t.Errorf("of 1000, %d came back, %d late, %d of them after the first change, %d had the others wait", back, late, atOnce, alone)
	}
}

// A sleeper that could wake at any time does not keep the others waiting.
func TestNoneStarves(t *testing.T) {
	for _, name := range SearchNames() {
		for seed := range uint64(50) {
			s, _ := NewSearch(name, seed)
			r, _ := Turn(s)
			for left, n := 20, 0; left > 0; n++ {
				options := []Option{
					{Decision: Decision{Process: "a", Verb: Wake}, Early: true},
					{Decision: Decision{Process: "b", Verb: "read", Names: []string{fmt.Sprint(left)}}},
					{Decision: Decision{Process: "c", Verb: Wake}, Early: true},
					{Decision: Decision{Process: "d", Verb: Alarm}, Early: true},
				}
				i, err := r.Pick(options)
				if err != nil {
					t.Fatal(err)
				}
				r.Done(options[i].Decision, Footprint{})
				if i == 1 {
					left--
				}
				if n == 1000 {
					t.Fatalf("%s seed %d: 1000 decisions, and %d calls are still to come", name, seed, left)
				}
			}
		}
	}
}

// Programs that do nothing but poll all have their turns.
func TestPollersTakeTurns(t *testing.T) {
	for _, name := range SearchNames() {
		s, _ := NewSearch(name, 1)
		for range 20 {
			r, learn := Turn(s)
			turns := [2]int{}
			for range 100 {
				i, err := r.Pick([]Option{{Decision: Decision{Process: "a", Verb: Wake}}, {Decision: Decision{Process: "b", Verb: Wake}}})
				if err != nil {
					t.Fatal(err)
				}
				r.Done(Decision{Process: []string{"a", "b"}[i], Verb: Wake}, Footprint{})
				turns[i]++
			}
			if turns[0] < 20 || turns[1] < 20 {
				t.Errorf("%s: turns %v", r, turns)
			}
			learn(false)
		}
	}
}

// A process with many options is not chosen more often than one with one.
func TestRandomChoosesProcesses(t *testing.T) {
	r := Random(Draw{})
	options := []Option{{Decision: Decision{Process: "a", Verb: "open"}}}
	for i := range 9 {
		options = append(options, Option{Decision: Decision{Process: "b", Verb: "open", Names: []string{fmt.Sprint(i)}}})
	}
	a, last := 0, 0
	for range 2000 {
		switch i, _ := r.Pick(options); i {
		case 0:
			a++
		case 9:
			last++
		}
	}
	if a < 900 || a > 1100 || last < 60 || last > 160 {
		t.Errorf("of 2000, %d for the one option of a, %d for the last of b", a, last)
	}
}

// Where the budget allows more than one fault, there is more than one; and
// each crash decides anew whether it is made good.
func TestFurtherFaults(t *testing.T) {
	faults := 0
	for n := range 20 {
		r := Random(Draw{Schedule: n, Points: 5})
		for range 200 {
			options := []Option{{Decision: Decision{Process: "a", Verb: Crash}}, {Decision: Decision{Process: "b", Verb: "read"}}}
			i, _ := r.Pick(options)
			r.Done(options[i].Decision, Footprint{})
			if i == 0 {
				faults++
			}
		}
	}
	if faults < 100 {
		t.Errorf("%d crashes in 20 schedules that had room for many", faults)
	}
	again := 0
	for n := range 100 {
		c := newChance("test", Draw{Schedule: n})
		restart := []Option{{Decision: Decision{Process: "a", Verb: Start}, Restart: true}}
		if len(c.candidates(restart)) == 1 {
			c.Done(restart[0].Decision, Footprint{})
			again += 1 - len(c.candidates(restart))
		}
	}
	if again < 10 {
		t.Errorf("of those that came back once, %d stayed down the second time", again)
	}
}

// The process that would go on at a change point does not.
func TestPCTChanges(t *testing.T) {
	options := []Option{{Decision: Decision{Process: "a", Verb: "read"}}, {Decision: Decision{Process: "b", Verb: "read"}}}
	for n := range 20 {
		p := newPCT(2, Draw{Schedule: n, Length: 30})
		var picks []int
		for range 30 {
			i, _ := p.Pick(options)
			p.Done(options[i].Decision, Footprint{})
			picks = append(picks, i)
		}
		for i := 1; i < len(picks); i++ {
			if (picks[i] != picks[i-1]) != p.changes[i] {
				t.Errorf("%s: %v, changes before %v", p, picks, p.changes)
				break
			}
		}
	}
}

// What conflicts with the step that is done draws anew, and nothing else does.
func TestPOSRedraws(t *testing.T) {
	lines := mustParse(t, "screwtape tape 1\na rename q/x q/y\nb open q/x\nc open q/z").Lines
	var options []Option
	for _, l := range lines {
		options = append(options, Option{Decision: l.Decision})
	}
	for n := range 20 {
		p := newPOS(Draw{Schedule: n})
		done, _ := p.Pick(options)
		for i, l := range lines {
			_, kept := p.pending[l.String()]
			if conflicts := i == done || i+done == 1; kept == conflicts {
				t.Errorf("after %s, the priority of %s is kept: %v", lines[done], l, kept)
			}
		}
	}
}

// The portfolio gives its turns to who finds what is new, and some to all.
func TestPortfolio(t *testing.T) {
	good, bad := &fakeSearch{name: "good"}, &fakeSearch{name: "bad"}
	p := Portfolio(bad, good)
	for range 400 {
		plan, _ := p.Next()
		p.Learn(plan.Search == good.name, Lesson{Decisions: 7})
	}
	if good.turns < 300 || bad.turns < 30 {
		t.Errorf("%d turns for the good one, %d for the bad", good.turns, bad.turns)
	}
	if good.turns != good.learnt || bad.turns != bad.learnt {
		t.Errorf("turns %d and %d, told of %d and %d", good.turns, bad.turns, good.learnt, bad.learnt)
	}
	p.Learn(true, Lesson{Decisions: 7}) // of nothing that it made
}

type fakeSearch struct {
	name          string
	turns, learnt int
}

func (f *fakeSearch) Name() string       { return f.name }
func (f *fakeSearch) Next() (Plan, bool) { f.turns++; return Plan{Search: f.name}, true }
func (f *fakeSearch) Learn(bool, Lesson) { f.learnt++ }

func TestMayConflict(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"a open q/x", "b rename q/x q/y", true},
		{"a open q/y", "b rename q/x q/y", true},
		{"a open q/z", "b rename q/x q/y", false},
		{"a read q/x", "b stat q/x", false},
		{"a list q", "b unlink q/x", true},
		{"a list q", "b unlink qq/x", false},
		{"a wake", "b unlink q/x", false},
		{"a odd q/x", "b odd q/x", true},
	} {
		lines := mustParse(t, "screwtape tape 1\n"+test.a+"\n"+test.b).Lines
		if got := mayConflict(lines[0].Decision, lines[1].Decision); got != test.want {
			t.Errorf("%s, %s: %v", test.a, test.b, got)
		}
		if got := mayConflict(lines[1].Decision, lines[0].Decision); got != test.want {
			t.Errorf("%s, %s: %v", test.b, test.a, got)
		}
	}
}

func TestPCTBound(t *testing.T) {
	if got := PCTBound(2, 10, 3); got != 1./200 {
		t.Errorf("PCTBound(2, 10, 3) = %v, want 1/200", got)
	}
}

// The chance of having missed a bug falls with the PCT schedules of its depth
// that were made, and with no others.
func TestPCTMiss(t *testing.T) {
	for _, test := range []struct {
		name      string
		schedules int
		depth     int
		want      float64 // of 2 processes and 10 steps: a bound of 1/20 for depth 2
	}{
		{"pct2", 0, 2, 1},
		{"pct2", 1, 2, 0.95},
		{"pct2", 14, 2, math.Pow(0.95, 14)},
		{"pct2", 14, 3, 1},
		{"random", 14, 2, 1},
		{"exhaustive", 14, 2, 1},
		{"portfolio", 16, 2, math.Pow(0.95, 4)},
	} {
		s, _ := NewSearch(test.name, 1)
		for range test.schedules {
			s.Next()
			s.Learn(true, Lesson{Decisions: 10, Way: &Way{}})
		}
		if got := PCTMiss(s, 2, 10, test.depth); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%d schedules of %s: a bug of depth %d is missed with %v, want %v", test.schedules, test.name, test.depth, got, test.want)
		}
	}
}

// A timer that could run out is nothing that a process is at: it is no part of a
// wake-up, nobody is kept waiting by it, and it keeps nobody waiting.
func TestAlarmIsNoCall(t *testing.T) {
	alarm := Option{Decision: Decision{Process: "a/p", Verb: Alarm}, Early: true}
	call := Option{Decision: Decision{Process: "a/p", Verb: "open"}}
	other := Option{Decision: Decision{Process: "b/p", Verb: "open"}}
	woken := &follower{done: execution{Step: []Decision{{Process: "a/p", Verb: Wake}}}}
	if got := woken.goesOn([]Option{alarm, call, other}); got != 1 {
		t.Errorf("a wake-up goes on with option %d", got)
	}
	if got := woken.goesOn([]Option{alarm, other}); got >= 0 {
		t.Errorf("a wake-up after which nothing is called goes on with option %d", got)
	}
	c := course{{Options: []Option{call}, texts: texts([]Option{call}), Taken: call.Decision.String()}}
	for _, test := range []struct {
		options []Option
		want    bool
	}{{[]Option{alarm, other}, false}, {[]Option{alarm, call, other}, true}} {
		if got := c.preempts(1, &stop{Options: test.options, texts: texts(test.options)}, other.Decision.String()); got != test.want {
			t.Errorf("of %v, the other's call preempts: %v", test.options, got)
		}
	}
	back := newChance("test", Draw{})
	back.alone = Decision{Process: "a/p", Verb: Start}
	if got := fmt.Sprint(back.candidates([]Option{alarm, other})); got != "[0 1]" {
		t.Errorf("while what came back sleeps: %v", got)
	}
}

// Who came back is alone with its children and threads, and a node with its
// programs.
func TestAlone(t *testing.T) {
	options := []Option{{Decision: Decision{Process: "a/p.1#2", Verb: "open"}}, {Decision: Decision{Process: "b/p", Verb: "open"}}}
	for _, back := range []string{"a/p", "a"} {
		c := newChance("test", Draw{})
		c.alone = Decision{Process: back, Verb: Start}
		if got := fmt.Sprint(c.candidates(options)); got != "[0]" {
			t.Errorf("%s came back, and %v goes on", back, got)
		}
		c.Done(Decision{Process: "a/p", Verb: Alarm}, Footprint{})
		if got := fmt.Sprint(c.candidates(options)); got != "[0 1]" {
			t.Errorf("%s sleeps, and %v goes on", back, got)
		}
	}
}
