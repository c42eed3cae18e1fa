package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// checkpointVersion is the version of a checkpoint's format.
const checkpointVersion = 4

// A checkpoint is an exhaustive search with no schedule under way.
type checkpoint struct {
	Version int    `json:"version"`
	Bounds  Bounds `json:"bounds"`
	Clock   Clock  `json:"clock"`
	Root    *point `json:"root,omitempty"`
	Traces  int    `json:"traces"`
	Pruned  int    `json:"pruned"`
	Bounded int    `json:"bounded"`
	Wide    int    `json:"wide,omitempty"`
	Signals int    `json:"signals,omitempty"`
	Begun   int    `json:"begun"`
	Planned int    `json:"planned"`
	Scouted int    `json:"scouted,omitempty"`
	Over    bool   `json:"over"`
	Lost    string `json:"lost,omitempty"`
}

// MarshalJSON writes where the search is. Schedules that are under way are
// written as not planned.
func (x *Exhaustive) MarshalJSON() ([]byte, error) {
	scouts := 0
	for _, f := range x.underway {
		if f.scout {
			scouts++
		}
	}
	return json.Marshal(checkpoint{checkpointVersion, x.bounds, x.clock, x.root.heard(), x.traces, x.pruned, x.bounded, x.wide, x.signals, x.begun,
		x.planned - len(x.underway), x.scouted - scouts, x.over, x.lost})
}

// heard is a copy of the tree below a point, without the branches that are under
// way.
func (p *point) heard() *point {
	if p == nil {
		return nil
	}
	q := *p
	q.Branches = nil
	for _, b := range p.Branches {
		if !b.underway() {
			c := *b
			c.Next = b.Next.heard()
			q.Branches = append(q.Branches, &c)
		}
	}
	return &q
}

var errDamaged = errors.New("it is damaged; begin anew")

// UnmarshalJSON goes on where MarshalJSON was; the bounds must be the same.
func (x *Exhaustive) UnmarshalJSON(data []byte) error {
	var c checkpoint
	if err := json.Unmarshal(data, &c); err != nil {
		return err
	}
	if c.Version != checkpointVersion {
		return fmt.Errorf("it is of version %d, and only %d can be read; begin anew", c.Version, checkpointVersion)
	}
	if c.Bounds != x.bounds {
		return fmt.Errorf("it is of a search with other bounds, %+v; give the same, or begin anew", c.Bounds)
	}
	if !c.Root.restore() {
		return errDamaged
	}
	*x = Exhaustive{bounds: c.Bounds, clock: c.Clock, root: c.Root,
		traces: c.Traces, pruned: c.Pruned, bounded: c.Bounded, wide: c.Wide, signals: c.Signals, begun: c.Begun, planned: c.Planned, scouted: c.Scouted, over: c.Over, lost: c.Lost}
	return nil
}

// restore makes again what is not written, and reports whether it fits together.
func (p *point) restore() bool {
	if p == nil {
		return true
	}
	p.texts = texts(p.Options)
	if slices.ContainsFunc(p.Sleep, func(e event) bool { return e.Did == nil }) {
		return false
	}
	for _, b := range p.Branches {
		if b.Did == nil && b.Next != nil && !b.Barrier || !b.Next.restore() {
			return false
		}
	}
	return true
}
