// Package history holds what clients and programs did in one schedule: the
// operations that a checker judges, and the steps that a report shows.
package history

import (
	"time"

	"screwtape/harness/schedule"
)

// A Type says which end of an operation an Op records, in Jepsen's terms.
type Type string

// The types of an Op.
const (
	Invoke Type = "invoke" // asked for
	OK     Type = "ok"     // done, and known to be
	Fail   Type = "fail"   // known not to have happened
	Info   Type = "info"   // unknown whether it happened, or no operation: a fault, a note
)

// An Op is one line of a history.
type Op struct {
	Index   int           `json:"index"`   // place in the history, from 0
	Step    int           `json:"step"`    // number of decisions taken before it
	Time    time.Duration `json:"time"`    // the node's virtual time since the schedule's start, in nanoseconds
	Process string        `json:"process"` // NODE/PROGRAM, "client", or "nemesis"
	Type    Type          `json:"type"`
	F       string        `json:"f"`               // enqueue, deliver, crash, add, ...
	Value   string        `json:"value"`           // what it is about: a message's id
	Error   string        `json:"error,omitempty"` // why it failed, where that is known
}

// A Line is one line that a program wrote to its standard output or error.
type Line struct {
	Process string `json:"process"`
	Text    string `json:"text"`
}

// An Outside is a path outside the share that a program changed, or tried to:
// on the machine itself, where every node sees it and where it stays from
// schedule to schedule.
type Outside struct {
	Path    string `json:"path"`
	Process string `json:"process"` // the program, NODE/PROGRAM
	Count   int    `json:"count"`   // calls
}

// A Change is what one step did to one path of the share.
type Change struct {
	Path string `json:"path"`
	Gone bool   `json:"gone,omitempty"` // the path is no longer there
	Size int64  `json:"size"`           // bytes, of a file
	Link uint32 `json:"nlink"`          // link count
	Dir  bool   `json:"dir,omitempty"`
	Note string `json:"note,omitempty"` // what the workload says lies there: "m0", "lock of a/master"
}

// A Step is one decision as it was carried out, with all that came of it until
// everything was at rest again.
type Step struct {
	schedule.Decision
	Index    int           `json:"index"` // from 0
	Time     time.Duration `json:"time"`  // virtual time since the schedule's start, in nanoseconds
	Lines    []Line        `json:"lines,omitempty"`
	Changes  []Change      `json:"changes,omitempty"`
	Conflict int           `json:"conflict"` // index of the last earlier step of another process that this one conflicts with, or -1
}
