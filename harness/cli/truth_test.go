package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"screwtape/harness/schedule"
	"screwtape/results"
	"screwtape/workloads"
)

// The run of the table has JUnit XML, in which an unsafe start fails with its tape.
func TestKeepTruth(t *testing.T) {
	dir := t.TempDir()
	run, err := results.Create(filepath.Join(dir, "runs"), results.Test{Name: "truth"})
	if err != nil {
		t.Fatal(err)
	}
	tape := &schedule.Tape{Header: schedule.Header{{Key: "workload", Value: "master"}}, Sparse: true}
	cells := []workloads.Cell{
		{Profile: "2.1.39", Flag: "start", Holder: "none", Outcome: "started", Exit: "exit 0", How: tape},
		{Profile: "2.1.39", Flag: "start -s", Holder: "alive elsewhere", Outcome: "started", Exit: "runs", Anomalies: []string{"split-brain"}, How: tape},
	}
	file := filepath.Join(dir, "junit.xml")
	var report results.Report
	if err := keepTruth(run, &report, cells, file); err != nil || len(report.Cells) != 2 {
		t.Fatal(report, err)
	}
	given, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`tests="2" failures="1"`, "2.1.39 start -s, lock held by alive elsewhere", "screwtape replay " + report.Cells[1].Tape, "workload: master"} {
		if !strings.Contains(string(given), want) {
			t.Errorf("the XML lacks %q:\n%s", want, given)
		}
	}
	if kept, err := os.ReadFile(filepath.Join(run.Dir, "junit.xml")); err != nil || string(kept) != string(given) {
		t.Errorf("the run's is %q, %v", kept, err)
	}
}
