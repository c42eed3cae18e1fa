package master

import (
	"testing"

	"screwtape/runner/profile"
)

// Every bug of the master's that is one of its lock's is planted there, also when
// others are.
func TestBugsOfTheLock(t *testing.T) {
	for bugs, want := range map[string]string{
		"":                               "",
		"held-is-ours":                   "",
		"never-expires":                  "never-break",
		"no-daily-refresh":               "refresh-never",
		"never-expires,no-daily-refresh": "never-break,refresh-never",
	} {
		set, err := profile.ParseSet(bugs, Bugs)
		if err != nil {
			t.Fatal(err)
		}
		if got := lockBugs(set).String(); got != want {
			t.Errorf("%q: the lock has %q, want %q", bugs, got, want)
		}
	}
}
