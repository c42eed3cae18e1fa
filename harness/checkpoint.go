package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"screwtape/harness/schedule"
)

// checkpointEvery is after how many schedules a checkpoint is written.
const checkpointEvery = 200

// A checkpoint is an exhaustive search of a test between two schedules.
type checkpoint struct {
	Test   string               `json:"test"`  // its header
	Found  []string             `json:"found"` // kinds that broke the promise
	Search *schedule.Exhaustive `json:"search"`
}

// checkpoint writes how far the search has come, at once and whole.
func (c *Campaign) checkpoint(t *Test, o *Outcome, x *schedule.Exhaustive) error {
	if c.Checkpoint == "" {
		return nil
	}
	found := slices.Clone(c.Before)
	for _, f := range o.Findings {
		if !f.Allowed && !slices.Contains(found, f.Anomaly.Kind) {
			found = append(found, f.Anomaly.Kind)
		}
	}
	data, err := json.Marshal(checkpoint{t.headerText(), found, x})
	if err != nil {
		return err
	}
	tmp := c.Checkpoint + ".tmp"
	if err := os.WriteFile(tmp, data, 0o666); err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	return os.Rename(tmp, c.Checkpoint)
}

// Resume makes the search go on where the checkpoint in the file was written,
// and returns the kinds of anomalies that were found before and broke the
// promise. A file that is not there is none: the search begins. Errors say what
// does not fit.
func Resume(file string, t *Test, x *schedule.Exhaustive) (found []string, err error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := checkpoint{Search: x}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if c.Test != t.headerText() {
		return nil, fmt.Errorf("%s is of another test; name another file, or give the flags that it was made with", file)
	}
	return c.Found, nil
}

func (t *Test) headerText() string {
	return (&schedule.Tape{Header: t.Header}).String()
}
