package schedule

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func digestOf(steps []step) uint64 {
	var t Trace
	for _, s := range steps {
		t.Step(s.Process, s.Verb, s.Footprint)
	}
	return t.Digest()
}

// Two neighbours in a schedule are swapped: the digest must tell whether that
// matters.
func TestDigest(t *testing.T) {
	resources := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 3), func(i int) Resource { return Resource(fmt.Sprint("r", i)) }), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		var steps []step
		for range rapid.IntRange(2, 12).Draw(t, "steps") {
			var s step
			s.Process = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "process")
			s.Verb = rapid.SampledFrom([]string{"open", "rename"}).Draw(t, "verb")
			s.Reads, s.Writes = resources.Draw(t, "reads"), resources.Draw(t, "writes")
			s.Adds = resources.Draw(t, "adds")
			steps = append(steps, s)
		}
		before := digestOf(steps)
		i := rapid.IntRange(0, len(steps)-2).Draw(t, "at")
		x, y := steps[i], steps[i+1]
		dependent := x.Conflicts(y.Footprint)
		if x.Process == y.Process {
			// A process's own steps are never independent, but two that are
			// equal cannot be told apart.
			normal := func(s step) step {
				return step{s.Decision, Footprint{sorted(s.Reads), sorted(s.Writes), sorted(s.Adds)}}
			}
			dependent = !cmp.Equal(normal(x), normal(y), cmpopts.EquateEmpty())
		}
		steps[i], steps[i+1] = y, x
		if same := digestOf(steps) == before; same == dependent {
			t.Fatalf("dependent %v, same digest %v:\n%v\n%v", dependent, same, x, y)
		}
	})
}

// What a step is, and how its resources are listed, told apart.
func TestDigestOfOneStep(t *testing.T) {
	base := step{Decision{Process: "a", Verb: "open"}, Footprint{Reads: []Resource{"x", "y"}}}
	for _, test := range []struct {
		step step
		same bool
	}{
		{step{base.Decision, Footprint{Reads: []Resource{"y", "x", "y"}}}, true},
		{step{base.Decision, Footprint{Reads: []Resource{"x"}}}, false},
		{step{base.Decision, Footprint{Writes: []Resource{"x", "y"}}}, false},
		{step{Decision{Process: "b", Verb: "open"}, base.Footprint}, false},
		{step{Decision{Process: "a", Verb: "stat"}, base.Footprint}, false},
	} {
		if same := digestOf([]step{base}) == digestOf([]step{test.step}); same != test.same {
			t.Errorf("%v: same digest %v", test.step, same)
		}
	}
}

func TestCoverage(t *testing.T) {
	var c Coverage
	if c.Residual() != 1 {
		t.Errorf("Residual before the first = %v", c.Residual())
	}
	for i, test := range []struct {
		digest   uint64
		fresh    bool
		residual float64
	}{{1, true, 1}, {2, true, 1}, {1, false, 1. / 3}, {1, false, 1. / 4}, {3, true, 2. / 5}, {2, false, 1. / 6}} {
		if fresh := c.Add(test.digest); fresh != test.fresh {
			t.Errorf("%d: Add(%d) = %v", i, test.digest, fresh)
		}
		if got := c.Residual(); math.Abs(got-test.residual) > 1e-12 {
			t.Errorf("%d: Residual = %v, want %v", i, got, test.residual)
		}
	}
	if c.Traces() != 3 || c.Schedules() != 6 {
		t.Errorf("%d traces in %d schedules, want 3 in 6", c.Traces(), c.Schedules())
	}
}

// Every interleaving of the model is played, by depth first over the choices:
// there are far more of them than traces, and each trace has one digest.
func TestTracesOfTheModel(t *testing.T) {
	var c Coverage
	ends := map[uint64]string{}
	var walk func(prefix []int)
	walk = func(prefix []int) {
		w := newWorld(1, 0, "a/r", "b/r")
		defer w.close()
		for _, i := range prefix {
			w.do(w.options()[i])
		}
		options := w.options()
		for i := range options {
			walk(append(prefix[:len(prefix):len(prefix)], i))
		}
		if len(options) > 0 {
			return
		}
		d, end := digestOf(w.steps), fmt.Sprint(w.files, w.delivered)
		if c.Add(d) {
			ends[d] = end
		} else if ends[d] != end {
			t.Fatalf("one trace, two ends: %s and %s", ends[d], end)
		}
	}
	walk(nil)
	t.Logf("%d interleavings, %d traces", c.Schedules(), c.Traces())
	if c.Traces()*10 > c.Schedules() || c.Traces() < 10 {
		t.Errorf("%d traces in %d interleavings", c.Traces(), c.Schedules())
	}
}
