package schedule

import (
	"fmt"
	"hash/fnv"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// playedFor returns a try that replays in new worlds, and looks for an anomaly.
func playedFor(t *testing.T, anomaly string) func(*Tape) (*Tape, bool) {
	return func(tape *Tape) (*Tape, bool) {
		w := newWorld(1, 1, "a/r", "b/r")
		defer w.close()
		f := Replay(tape)
		if w.run(f) != nil || f.Finish() != nil {
			return w.tape(), false
		}
		played := w.tape()
		w.drain()
		return played, slices.Contains(w.anomalies(), anomaly)
	}
}

// shrink tries one candidate after the other.
func shrink(t *Tape, try func(*Tape) (*Tape, bool)) Result { return Shrink(t, 1, each(try)) }

// each tries several candidates.
func each(try func(*Tape) (*Tape, bool)) func([]*Tape) ([]*Tape, bool) {
	return func(candidates []*Tape) ([]*Tape, bool) {
		played := make([]*Tape, len(candidates))
		for i, c := range candidates {
			if tape, ok := try(c); ok {
				played[i] = tape
			}
		}
		return played, true
	}
}

func TestShrink(t *testing.T) {
	for _, anomaly := range []string{"lost", "double", "stray"} {
		t.Run(anomaly, func(t *testing.T) {
			try := playedFor(t, anomaly)
			search := NewRandom(3)
			var found *Tape
			for range 1000 {
				p, _ := Turn(search)
				if tape, ok := try(played(t, p, 1).tape()); ok {
					found = tape
					break
				}
			}
			if found == nil {
				t.Fatal("not found, so there is nothing to shrink")
			}
			found.Header.Set("test", anomaly)
			tried := map[string]bool{}
			r := shrink(found, func(tape *Tape) (*Tape, bool) {
				if tried[tape.String()] {
					t.Errorf("tried again:\n%s", tape)
				}
				tried[tape.String()] = true
				return try(tape)
			})
			if !r.Minimal {
				t.Errorf("not minimal after %d tries", r.Tries)
			}
			mustBeMinimal(t, r.Tape, try)
			if _, ok := try(mustParse(t, r.Tape.String())); !ok {
				t.Error("the finding is gone when the tape is read back")
			}
			golden(t, "shrunk-"+anomaly+".tape", r.Tape.String())
		})
	}
}

func mustBeMinimal(t interface{ Errorf(string, ...any) }, tape *Tape, try func(*Tape) (*Tape, bool)) {
	if _, ok := try(tape); !ok {
		t.Errorf("the finding is gone from\n%s", tape)
	}
	for i, l := range tape.Lines {
		less := &Tape{Header: tape.Header, Sparse: true, Lines: slices.Concat(tape.Lines[:i], tape.Lines[i+1:])}
		if _, ok := try(less); ok {
			t.Errorf("%q could be left out of\n%s", l, tape)
		}
	}
}

// What the finding needs stays, in its order, and nothing else does.
func TestShrinkKeepsWhatMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tape := &Tape{}
		var needed []Decision
		for i := range rapid.IntRange(0, 40).Draw(t, "lines") {
			d := Decision{
				Process: rapid.SampledFrom([]string{"a/r", "b/r", "c/r"}).Draw(t, "process"),
				Verb:    rapid.SampledFrom([]string{"open", "rename", Crash, Start}).Draw(t, "verb"),
				Names:   []string{fmt.Sprint(i)},
			}
			tape.Lines = append(tape.Lines, Line{Decision: d})
			if rapid.IntRange(0, 4).Draw(t, "needed") == 0 {
				needed = append(needed, d)
			}
		}
		try := func(tape *Tape) (*Tape, bool) {
			rest := needed
			for _, l := range tape.Lines {
				if len(rest) > 0 && l.MatchesCall(rest[0]) {
					rest = rest[1:]
				}
			}
			return tape, len(rest) == 0
		}
		r := shrink(tape, try)
		var got []Decision
		for _, l := range r.Tape.Lines {
			got = append(got, l.Decision)
		}
		if diff := cmp.Diff(needed, got); diff != "" {
			t.Fatalf("(-needed +got):\n%s", diff)
		}
		if !r.Minimal || !r.Tape.Sparse {
			t.Fatalf("minimal %v, sparse %v", r.Minimal, r.Tape.Sparse)
		}
	})
}

// Where the order does not matter, it becomes the canonical one.
func TestShrinkOrders(t *testing.T) {
	tape := &Tape{}
	for i := range 6 {
		tape.Lines = append(tape.Lines, Line{Decision: Decision{Process: []string{"b", "a"}[i%2], Verb: "open", Names: []string{fmt.Sprint(i)}}})
	}
	r := shrink(tape, func(tape *Tape) (*Tape, bool) { return tape, len(tape.Lines) == 6 })
	var got []string
	for _, l := range r.Tape.Lines {
		got = append(got, l.String())
	}
	want := []string{"a open 1", "a open 3", "a open 5", "b open 0", "b open 2", "b open 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !r.Minimal {
		t.Error("not minimal")
	}
}

// A fault that the finding does not need goes first, with its restart; and no
// candidate asks for outcomes.
func TestShrinkDropsFaultsFirst(t *testing.T) {
	tape := mustParse(t, "screwtape tape 1\ncalls: all\n\na open x = ok\na crash\nb open x\na start\nb open y\n")
	var tried []string
	shrink(tape, func(tape *Tape) (*Tape, bool) {
		tried = append(tried, fmt.Sprint(tape.Lines))
		return tape, len(tape.Lines) >= 3
	})
	want := []string{"[a open x a crash b open x a start b open y]", "[a open x b open x b open y]"}
	if diff := cmp.Diff(want, tried[:2]); diff != "" {
		t.Errorf("first candidates (-want +got):\n%s", diff)
	}
}

// Where a process may go on instead of being interrupted, it does.
func TestShrinkJoins(t *testing.T) {
	for _, text := range []string{"b open 0\na open 1\nb open 2\n", "b open 0\nc open 1\na open 1\nb open 2\n"} {
		tape := mustParse(t, "screwtape tape 1\n"+text)
		r := shrink(tape, func(c *Tape) (*Tape, bool) {
			return c, len(c.Lines) == len(tape.Lines) && c.Lines[0].Process == "b"
		})
		if n := switches(r.Tape.Lines); n != switches(tape.Lines)-1 {
			t.Errorf("%d switches are left in\n%s", n, r.Tape)
		}
	}
}

// What is not needed goes by the half, not line by line.
func TestShrinkHalves(t *testing.T) {
	tape := &Tape{}
	for i := range 300 {
		tape.Lines = append(tape.Lines, Line{Decision: Decision{Process: []string{"a", "b"}[i%2], Verb: "open", Names: []string{fmt.Sprint(i)}}})
	}
	r := shrink(tape, func(tape *Tape) (*Tape, bool) {
		return tape, slices.ContainsFunc(tape.Lines, func(l Line) bool { return l.Names[0] == "123" })
	})
	if len(r.Tape.Lines) != 1 || r.Tries > 40 {
		t.Errorf("%d tries, %d lines left", r.Tries, len(r.Tape.Lines))
	}
}

func TestShrinkBound(t *testing.T) {
	tape := &Tape{}
	const lines = maxTries * 6 / 10 // each is tried alone, and in halves, quarters ...
	for i := range lines {
		tape.Lines = append(tape.Lines, Line{Decision: Decision{Process: []string{"a", "b"}[i%2], Verb: "open", Names: []string{fmt.Sprint(i)}}})
	}
	for _, most := range []int{1, 7} {
		tries := 0
		r := Shrink(tape, most, each(func(tape *Tape) (*Tape, bool) {
			tries++
			return tape, len(tape.Lines) == lines
		}))
		if r.Minimal || r.Tries != maxTries || tries != maxTries {
			t.Errorf("%d at a time: minimal %v after %d tries, %d played; want the bound of %d to be hit", most, r.Minimal, r.Tries, tries, maxTries)
		}
	}
}

func TestShrinkLost(t *testing.T) {
	tape := mustParse(t, "screwtape tape 1\na open x\n")
	r := shrink(tape, func(tape *Tape) (*Tape, bool) { return tape, false })
	if r.Tape != tape || r.Minimal || r.Tries != 1 {
		t.Errorf("a finding that does not come back: %+v", r)
	}
}

// However many candidates are played at a time, the same comes of them: whatever the
// finding needs, and if the tries run out.
func TestShrinkSeveral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tape := &Tape{}
		for i := range rapid.IntRange(0, 30).Draw(t, "lines") {
			tape.Lines = append(tape.Lines, Line{Decision: Decision{
				Process: rapid.SampledFrom([]string{"a/r", "b/r", "c/r"}).Draw(t, "process"),
				Verb:    rapid.SampledFrom([]string{"open", "rename", Crash, Start}).Draw(t, "verb"),
				Names:   []string{fmt.Sprint(i % 9)},
			}})
		}
		whole, oneIn := tape.Named().String(), rapid.Uint32Range(1, 40).Draw(t, "one in")
		try := func(c *Tape) (*Tape, bool) {
			h := fnv.New32a()
			h.Write([]byte(c.String()))
			return c, c.String() == whole || h.Sum32()%oneIn == 0
		}
		one, most := Shrink(tape, 1, each(try)), rapid.IntRange(2, 9).Draw(t, "most")
		several := Shrink(tape, most, func(candidates []*Tape) ([]*Tape, bool) {
			if len(candidates) > most {
				t.Errorf("%d at a time, not %d", len(candidates), most)
			}
			return each(try)(candidates)
		})
		if diff := cmp.Diff(one, several); diff != "" {
			t.Errorf("one at a time, and %d:\n%s", most, diff)
		}
	})
}

// Who is told to stop says that it has not tried all.
func TestShrinkStops(t *testing.T) {
	tape := mustParse(t, "screwtape tape 1\na open x\nb open y\nc open z\nd open z\n")
	tries := 0
	r := Shrink(tape, 1, func(candidates []*Tape) ([]*Tape, bool) {
		tries++
		return candidates, tries <= 2
	})
	if r.Minimal || tries != 3 || r.Tries != 2 || len(r.Tape.Lines) >= 4 {
		t.Errorf("%d tries, %+v", tries, r)
	}
}
