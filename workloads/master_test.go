package workloads

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Some cells of the truth table, as the versions were seen to do.
func TestTruthCells(t *testing.T) {
	for _, want := range []Cell{
		{Profile: "2.1.15", Flag: "start -s", Holder: "alive elsewhere", Outcome: "started", Exit: "exit 0", Anomalies: []string{"split-brain", "stolen-lock"}},
		{Profile: "2.1.39", Flag: "start -s", Holder: "alive elsewhere", Outcome: "refused", Exit: "exit 0", Anomalies: []string{"misleading-error"}},
		{Profile: "2.1.39", Flag: "start -s", Holder: "pid reused here", Outcome: "refused", Exit: "exit 0", Later: "started", Anomalies: []string{"misleading-error"}},
		{Profile: "3.3.8", Flag: "start", Holder: "dead elsewhere, expired", Outcome: "refused", Exit: "exit 1", Later: "refused"},
		{Profile: "3.3.8", Flag: "master --force", Holder: "alive here", Outcome: "started", Exit: "runs", Anomalies: []string{"split-brain", "stolen-lock"}},
	} {
		t.Run(want.Profile+" "+want.Flag+" "+want.Holder, func(t *testing.T) {
			got, err := playCell(want.Profile, want.Flag, want.Holder)
			if err != nil {
				t.Fatal(err)
			}
			if took := len(got.Removed) > 0; took != (want.Outcome == "started" && want.Holder != "none") {
				t.Errorf("removed %v", got.Removed)
			}
			got.Removed, got.Says, got.How = nil, nil, nil
			if want.Anomalies == nil {
				want.Anomalies = []string{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Two starts at the same time make one master, whatever the order of events;
// and none is misled by the other.
func TestTwoStarts(t *testing.T) {
	test, err := NewMaster(DefaultMaster())
	o := search(t, test, err, long(4, 300))
	if len(o.Findings) > 0 {
		t.Error(describe(o))
	}
}

const truthFile = "../docs/truth-table.md"

// The document has what the table says, with no cell empty.
func TestTruthTable(t *testing.T) {
	if long(0, 1) == 0 && !*update {
		t.Skip("the whole truth table is played in the long tests alone (SCREWTAPE_LONG)")
	}
	cells, err := TruthTable(context.Background(), func(c Cell) { t.Logf("%s %s, %s: %s", c.Profile, c.Flag, c.Holder, c.Outcome) })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cells {
		if c.Outcome == "" || c.Exit == "" || c.Control == "" || slices.Contains(c.Anomalies, "") {
			t.Errorf("an empty cell: %+v", c)
		}
	}
	text := MarkdownTruth(cells)
	if *update {
		if err := os.WriteFile(truthFile, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(truthFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(file), text); diff != "" {
		t.Errorf("%s is not what is so (go test -run TestTruthTable -update writes it):\n%s", truthFile, diff)
	}
}
