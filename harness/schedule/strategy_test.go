package schedule

import (
	"fmt"
	"testing"
)

// searches are all that there are, by name.
func searches(seed uint64) []Search {
	return []Search{NewRandom(seed)}
}

// firsts says in which schedule, from 1, each anomaly is found first.
func firsts(t *testing.T, s Search, schedules int) map[string]int {
	found := map[string]int{}
	for i := range schedules {
		w := newWorld(1, 1, "a/r", "b/r")
		if err := w.run(s.Next()); err != nil {
			t.Fatal(err)
		}
		stranded := w.anomalies()
		n := len(w.steps)
		w.drain()
		for _, a := range append(stranded, w.anomalies()...) {
			if found[a] == 0 {
				found[a] = i + 1
			}
		}
		w.close()
		s.Learn(false, n)
	}
	return found
}

func TestRandomFinds(t *testing.T) {
	for seed := range uint64(20) {
		found := firsts(t, NewRandom(seed), 300)
		for _, a := range []string{"lost", "double", "stray", "stranded"} {
			if found[a] == 0 {
				t.Errorf("seed %d: no %s message in 300 schedules", seed, a)
			}
		}
		t.Log(found)
	}
}

// A schedule can be made again alone, from what its strategy says of itself.
func TestAgain(t *testing.T) {
	s := NewRandom(7)
	for range 50 {
		r := s.Next().(*random)
		w := played(t, r, 1)
		again := Random(r.draw)
		if got, want := played(t, again, 1).tape().String(), w.tape().String(); got != want {
			t.Fatalf("%s made another schedule:\n%s\n%s", again, want, got)
		}
		if fmt.Sprint(again) != fmt.Sprint(r) {
			t.Errorf("%s calls itself %s", r, again)
		}
		s.Learn(false, len(w.steps))
	}
}
