package harness

import (
	"maps"
	"testing"

	"screwtape/harness/history"
)

// A message is called by its note, and a list's state not by who is on it.
func TestShortNames(t *testing.T) {
	r := &Result{Initial: []history.Change{{Path: "qfiles/out/1+ab.pck", Note: "m0"}, {Path: "lists/test/config.pck", Note: "members x, y"}}}
	if got, want := shortNames(r), map[string]string{"1+ab": "m0"}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
