package workloads

import (
	"os"
	"slices"
	"testing"
)

// The profile 3.3.8 does as the real Mailman 3.3.8, in every claim that can be
// played on it.
func TestProfileIsAsMailman3(t *testing.T) {
	all, err := Claims()
	if err != nil {
		t.Fatal(err)
	}
	played, leftOut, err := OnSystem(all, "mailman3")
	skipMissing(t, err)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range played {
		ids = append(ids, c.ID)
	}
	if want := []string{"C3", "C3b", "C3c", "C4", "N1", "N5"}; !slices.Equal(ids, want) {
		t.Errorf("played are %s, not %s; left out are %s", ids, want, leftOut)
	}
	for _, c := range played {
		t.Run(c.ID, func(t *testing.T) {
			if c.ID != "N5" && os.Getenv("SCREWTAPE_LONG") == "" {
				t.Skip("SKIPPED: Mailman takes its time to start; SCREWTAPE_LONG=1 runs it, and N5 is run")
			}
			o, err := c.Try(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !o.OK || len(o.Observed) == 0 {
				t.Errorf("%s: observed %v, as 3.3.8 %v; %s", c.ID, o.Observed, o.Expected, o.Problem)
			}
		})
	}
}
