package workloads

import (
	"slices"
	"testing"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
)

// What runners show that share a queue in ways which Mailman's documentation
// warns of, and in the one way that it wants, without any fault.
func TestSlices(t *testing.T) {
	stray := []string{check.StrayCopy, check.MisleadingError}
	for _, c := range []struct {
		name, profile, nodes, slices string
		must                         []string // is seen, and nothing else is
	}{
		{"the same slice on two nodes", "2.1.39", "ab", "a:0/1 b:0/1", stray},
		{"the same slice on two nodes", "3.3.8", "ab", "a:0/1 b:0/1", stray},
		{"one of two slices on two nodes, the other on neither", "2.1.39", "ab", "a:0/2 b:0/2", append([]string{check.Unserved}, stray...)},
		{"the first of two beside the first of four", "2.1.39", "ab", "a:0/2 b:0/4", append([]string{check.Unserved}, stray...)},
		{"the first of two beside the first of four", "3.3.8", "ab", "a:0/2 b:0/4", append([]string{check.Unserved}, stray...)},
		{"all of the queue beside a slice of it", "2.1.39", "ab", "a:0/1 b:1/2", stray},
		{"three nodes, n = 3", "2.1.39", "abc", "a:0/3 b:1/3 c:2/3", nil},
		{"two nodes, n = 2", "2.1.39", "ab", "a:0/2 b:1/2", nil},
		{"two nodes, n = 2", "3.3.8", "ab", "a:0/2 b:1/2", nil},
		{"a slice that does not exist", "2.1.39", "ab", "a:0/2 b:2/2", []string{check.Unserved}},
		{"masters that each start all slices", "2.1.39", "ab", "a:0/2 a:1/2 b:0/2 b:1/2", stray},
		{"masters that each start all slices", "3.3.8", "ab", "a:0/2 a:1/2 b:0/2 b:1/2", stray},
	} {
		t.Run(c.profile+", "+c.name, func(t *testing.T) {
			config := DefaultQueue()
			config.Profile, config.Nodes, config.Messages = c.profile, letters(c.nodes), 8
			var err error
			if config.Slices, err = ParseSlices(c.slices); err != nil {
				t.Fatal(err)
			}
			if seen := kindsSeen(t, config, long(25, 1000)); !slices.Equal(seen, c.must) {
				t.Errorf("%s shows %v, and should show %v", c.slices, seen, c.must)
			}
		})
	}
}

func letters(s string) []string {
	var list []string
	for _, r := range s {
		list = append(list, string(r))
	}
	return list
}

// kindsSeen are the kinds of anomalies in n schedules, the worst first.
func kindsSeen(t *testing.T, c QueueConfig, n int) []string {
	t.Helper()
	var seen []string
	draw(t, c, schedule.NewRandom(1), n, func(r *harness.Result) bool {
		seen = append(seen, r.Kinds()...)
		return true
	})
	slices.SortFunc(seen, check.CompareKinds)
	return slices.Compact(seen)
}

// draw plays up to n schedules, as long as more wants more.
func draw(t *testing.T, c QueueConfig, search schedule.Search, n int, more func(*harness.Result) bool) {
	t.Helper()
	w := open(t, c)
	for i := range n {
		strategy, learn := schedule.Turn(search)
		r, err := w.Play(strategy, harness.Options{})
		if err != nil {
			t.Fatalf("schedule %d: %v", i+1, err)
		}
		learn(true)
		if !more(r) {
			return
		}
	}
}

// Mailman 3 asserts that the number of slices is a power of two.
func TestThreeSlices(t *testing.T) {
	c := DefaultQueue()
	c.Profile, c.Nodes, c.Slices = "3.3.8", letters("abc"), []Slice{{"a", 0, 3}, {"b", 1, 3}, {"c", 2, 3}}
	if _, err := NewQueue(c); err == nil {
		t.Error("three slices of 3.3.8 are taken for a set-up that can be played")
	}
}

// Sound set-ups keep what they promise: a runner for each slice delivers
// exactly once while none crashes, and at least once where it crashes and is
// started again.
func TestSound(t *testing.T) {
	perCase := long(60, 2000) // 10,000 in the long test
	for _, s := range []struct {
		name, profile string
		config        func(*QueueConfig)
	}{
		{"no crash", "2.1.39", func(c *QueueConfig) { c.Messages = 2 }},
		{"no crash", "3.3.8", func(c *QueueConfig) { c.Messages = 2 }},
		{"crash and restart", "2.1.15", crashing(1)},
		{"crash and restart", "2.1.39", crashing(2)},
		{"crash and restart", "3.3.8", crashing(2)},
	} {
		t.Run(s.profile+", "+s.name, func(t *testing.T) {
			c := DefaultQueue()
			c.Profile = s.profile
			s.config(&c)
			crashes := 0
			draw(t, c, schedule.NewRandom(1), perCase, func(r *harness.Result) bool {
				crashes += r.Faults[schedule.Crash]
				if r.Verdict.Verdict != check.Valid {
					t.Fatalf("%s: %+v\n%s", c.Promise, r.Verdict, r.Tape)
				}
				return true
			})
			if c.Crashes > 0 && crashes == 0 && len(c.Nemeses) > 0 {
				t.Error("no schedule had a crash")
			}
		})
	}
}

func crashing(n int) func(*QueueConfig) {
	return func(c *QueueConfig) {
		c.Messages, c.Nemeses, c.Crashes, c.Promise = 2, []string{"crash"}, n, check.AtLeastOnce
	}
}
