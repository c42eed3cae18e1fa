package profile

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGet(t *testing.T) {
	for _, name := range All() {
		p, err := Get(name)
		if err != nil || p.Name != name || len(p.Bugs) != 0 {
			t.Errorf("Get(%q) = %+v, %v", name, p, err)
		}
	}
	if _, err := Get("2.1.16"); err == nil || !strings.Contains(err.Error(), "2.1.15") {
		t.Errorf("error %v does not say what there is", err)
	}
}

// 2.1.15 and 2.1.39 differ in what is known to differ, and in nothing else.
func TestWhatChangedIn21(t *testing.T) {
	old, _ := Get("2.1.15")
	last, _ := Get("2.1.39")
	old.Name, old.FinishSaysWhy, old.StampAfterLoad = "2.1.39", true, false
	if diff := cmp.Diff(old, last); diff != "" {
		t.Error(diff)
	}
}

func TestBugTable(t *testing.T) {
	names := make([]string, len(Bugs))
	for i, b := range Bugs {
		names[i] = b.Name
		if b.Name == "" || b.Does == "" {
			t.Errorf("%+v says too little", b)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not in order, or twice: %q", names)
	}
}

func TestParseBugs(t *testing.T) {
	set, err := ParseBugs("no-recovery,skip-fsync")
	if err != nil || !set.Has("no-recovery") || !set.Has("skip-fsync") || set.Has("shunt-lost") {
		t.Errorf("%v, %v", set, err)
	}
	if set, err := ParseBugs(""); err != nil || set.Has("no-recovery") {
		t.Errorf("%v, %v", set, err)
	}
	for _, list := range []string{"nonsense", "no-recovery,", "No-Recovery"} {
		if _, err := ParseBugs(list); err == nil {
			t.Errorf("%q: no error", list)
		}
	}
}
