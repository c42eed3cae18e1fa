package schedule

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// ways are the stops of schedules that were played, by what was taken up to
// there.
type ways map[string]Stop

// add takes in the way of a schedule that had this beginning, and returns all of
// its stops.
func (w ways) add(b *Beginning, way *Way) []Stop {
	var stops []Stop
	at := func(stop Stop) string {
		var taken []string
		for _, s := range stops {
			taken = append(taken, s.Taken)
		}
		return strings.Join(append(taken, stop.Taken), "\n")
	}
	for i := range max(len(b.Taken)-1, 0) {
		stops = append(stops, w[at(Stop{Taken: b.Taken[i]})])
	}
	for i, s := range way.Stops {
		if i == 0 && len(b.Taken) > 0 {
			s.Options = w[at(s)].Options
		}
		w[at(s)] = s
		stops = append(stops, s)
	}
	return stops
}

// everyTrace plays every order of steps that there is, and returns the traces
// that they have. It is nil where there are more than most of them.
func everyTrace(play func(Strategy) (string, error), clock Clock, most int) (traces map[string]bool, orders int, err error) {
	traces = map[string]bool{}
	played := ways{}
	todo := []*Beginning{{}}
	for len(todo) > 0 {
		if orders++; orders > most {
			return nil, orders, nil
		}
		b := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		b.Bounds, b.Clock = Unbounded, clock
		f := newFollower(b)
		if _, err := play(f); err != nil {
			return nil, orders, err
		}
		w := f.Lesson().Way
		if w.Lost || w.Blocked != nil {
			return nil, orders, fmt.Errorf("it is lost or blocked: %+v", w)
		}
		stops := played.add(b, w)
		traces[traceOf(stops, clock)] = true
		for i := len(b.Taken); i < len(stops); i++ {
			for _, o := range stops[i].Options {
				if o.Decision.String() == stops[i].Taken {
					continue
				}
				other := &Beginning{}
				for _, s := range stops[:i] {
					other.Taken, other.Looks = append(other.Taken, s.Taken), append(other.Looks, looks(s.Options))
				}
				other.Taken, other.Looks = append(other.Taken, o.Decision.String()), append(other.Looks, looks(stops[i].Options))
				todo = append(todo, other)
				// What was on offer there is known before it is played.
				played[strings.Join(other.Taken, "\n")] = Stop{Options: stops[i].Options}
			}
		}
	}
	return traces, orders, nil
}

// traceOf is what a schedule is but for the order of independent steps: its
// steps, and which of those that met came first.
func traceOf(stops []Stop, clock Clock) string {
	var lines []string
	keys, labels := make([]string, len(stops)), make([]*label, len(stops))
	nth := map[string]int{}
	for j, s := range stops {
		if s.Taken != endOption {
			labels[j] = s.Done.label()
			touches := maps.Clone(labels[j].Touches)
			delete(touches, moved) // follows from the order, where it matters
			keys[j] = fmt.Sprint(s.Done.Step, touches)
		}
		nth[keys[j]]++
		keys[j] += fmt.Sprint(nth[keys[j]])
		lines = append(lines, keys[j])
		for i := range j {
			if s.Barrier || stops[i].Barrier || labels[i].meets(labels[j], clock) {
				lines = append(lines, keys[i]+" before "+keys[j])
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// exploredTraces are the traces that the exhaustive search has explored.
func exploredTraces(play func(Strategy) (string, error), x *Exhaustive) (traces map[string]bool, err error) {
	traces = map[string]bool{}
	played, begun := ways{}, 0
	for !x.Over() {
		plan, _ := x.Next()
		f := newFollower(plan.Beginning)
		if _, err := play(f); err != nil {
			return nil, err
		}
		l := f.Lesson()
		x.Learn(true, l)
		if x.begun > begun {
			begun, played, traces = x.begun, ways{}, map[string]bool{}
			continue
		}
		if plan.Beginning.Scout != 0 {
			continue
		}
		trace := traceOf(played.add(plan.Beginning, l.Way), x.clock)
		if l.Way.Blocked != nil {
			continue
		}
		if traces[trace] {
			return nil, fmt.Errorf("explored twice:\n%s", trace)
		}
		traces[trace] = true
	}
	return traces, nil
}

// What the exhaustive search explores is every trace that there is, each once.
func TestEveryTrace(t *testing.T) {
	for _, test := range toys {
		x := NewExhaustive(Unbounded)
		got, err := exploredTraces(test.make().anew, x)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		most := 300
		if os.Getenv("SCREWTAPE_LONG") != "" {
			most = 20_000
		}
		want, orders, err := everyTrace(test.make().anew, x.clock, most)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if want == nil {
			t.Logf("%s: more than %d orders; see SCREWTAPE_LONG", test.name, most)
			continue
		}
		t.Logf("%s: %d orders, %d traces; %v", test.name, orders, len(want), x.Account())
		if len(missing(want, got)) > 0 || len(missing(got, want)) > 0 {
			t.Errorf("%s: %d traces are missing, %d are none", test.name, len(missing(want, got)), len(missing(got, want)))
		}
	}
}

// So it is with programs that nobody has thought of.
func TestEveryTraceOfAnyPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyToy(t)
		x := NewExhaustive(Unbounded)
		got, err := exploredTraces(w.anew, x)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := everyTrace(w.anew, x.clock, 500)
		if err != nil {
			t.Fatal(err)
		}
		if want != nil && (len(missing(want, got)) > 0 || len(missing(got, want)) > 0) {
			t.Fatalf("missing %q; none %q", missing(want, got), missing(got, want))
		}
	})
}

func (t *toy) anew(s Strategy) (string, error) { return t.clone().play(s) }
