package schedule

import "testing"

// What is said on a node may let any program of it go on.
func TestTells(t *testing.T) {
	step := func(process, verb string) *label {
		return execution{Step: []Decision{{Process: process, Verb: verb, Names: []string{"x"}}}}.label()
	}
	for _, c := range []struct {
		x, y *label
		want bool
	}{
		{step("a/post", Send), step("a/server#2", "open"), true},
		{step("a/server", "open"), step("a/post", Send), true},
		{step("a/post", Send), step("b/server", "open"), false},
		{step("ab/post", Send), step("a/server", "open"), false},
		{step("a/post", Send), step("a", Crash), true},
		{step("a/post", "open"), step("a/server", "open"), false},
	} {
		if got := c.x.meets(c.y, Clock{}); got != c.want {
			t.Errorf("%s, %s: %v", c.x.Text, c.y.Text, got)
		}
	}
}
