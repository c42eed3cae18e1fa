package workloads

import (
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

func TestCanonical(t *testing.T) {
	test, err := NewQueue(DefaultQueue())
	if err != nil {
		t.Fatal(err)
	}
	w, err := harness.NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := w.Play(schedule.Canonical(), harness.Options{Fresh: true, Record: true})
	if r != nil {
		t.Log(r.Log())
	}
	if err != nil {
		t.Fatal(err)
	}
}
