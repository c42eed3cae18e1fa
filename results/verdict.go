// Package results keeps runs on disk and shows them: the run directory, the
// verdict as JSON, JUnit XML, a Markdown summary, a story in plain words, the
// HTML report, and the server that browses them all.
package results

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"screwtape/harness/check"
	"screwtape/harness/history"
)

// SchemaVersion is the version of the JSON that a Report is written as. It is
// raised when a field changes its meaning or goes; new fields leave it alone.
const SchemaVersion = 1

// A Report is the outcome of a run: the object that --json prints, and the
// content of verdict.json. docs/verdict-schema.md describes every field.
type Report struct {
	Schema   int    `json:"schema"`             // SchemaVersion
	Test     string `json:"test"`               // the test's name
	Workload string `json:"workload,omitempty"` // what its clients do
	Profile  string `json:"profile,omitempty"`  // the version of the programs that is played
	Promise  string `json:"promise,omitempty"`  // what the test promises, and is judged by

	Verdict   check.Validity `json:"verdict"`
	Why       string         `json:"why,omitempty"` // why the verdict is unknown
	Anomalies []Anomaly      `json:"anomalies"`     // what breaks the promise
	Allowed   []Anomaly      `json:"allowed"`       // seen, and within the promise

	Schedules   int            `json:"schedules"`   // schedules that were run
	Traces      int            `json:"traces"`      // distinct ones among them
	Faults      map[string]int `json:"faults"`      // faults really injected, by kind
	Divergences int            `json:"divergences"` // schedules that did not come out the same twice
	Bounded     int            `json:"bounded"`     // schedules that hit a bound
	Complete    bool           `json:"complete"`    // everything within the bounds was looked at
	Seconds     float64        `json:"seconds"`     // wall-clock time it took
	Seed        uint64         `json:"seed"`
	Run         string         `json:"run"` // the run's directory, or "" where none was kept
	// Outside is what programs changed, or tried to, where it stays from schedule
	// to schedule; see history.Outside.
	Outside []history.Outside `json:"outside,omitempty"`

	Claims []Claim `json:"claims,omitempty"` // of reproduce
	Cells  []Cell  `json:"cells,omitempty"`  // of the master workload
	SetUps []SetUp `json:"setups,omitempty"`
}

// An Anomaly is one that a run found, with what shows it again.
type Anomaly struct {
	check.Anomaly
	Tape        string `json:"tape"`                  // its file, from the directory in which the command ran; "" if none was kept
	Replay      string `json:"replay,omitempty"`      // the command that shows it again
	Unconfirmed bool   `json:"unconfirmed,omitempty"` // it did not come back on fresh processes
	Count       int    `json:"count,omitempty"`       // schedules that showed it, where they were counted
	// Cause says in one sentence under which condition it comes about, where
	// that was looked for.
	Cause    string  `json:"cause,omitempty"`
	Schedule int     `json:"schedule,omitempty"` // number of the first schedule that showed it, from 1
	Seconds  float64 `json:"seconds,omitempty"`  // wall-clock time that it took to find it
}

// A Claim is one claim about the programs, and what came of playing it.
type Claim struct {
	ID        string   `json:"id"`
	Versions  []string `json:"versions"`         // of Mailman, for which it holds
	System    string   `json:"system,omitempty"` // on which it was played; Expected is then what came of it with the built-in programs
	Expected  string   `json:"expected"`         // kinds of anomalies, or what Observed is to be, in words
	Observed  string   `json:"observed"`         // what came of it, in the same words
	OK        bool     `json:"ok"`               // they are the same
	Open      bool     `json:"open,omitempty"`   // it is not settled yet, and fails only when asked to be strict
	Schedules int      `json:"schedules"`
	Seconds   float64  `json:"seconds"`
	Tape      string   `json:"tape"`
}

// A Cell is one cell of the master workload's truth table.
type Cell struct {
	Profile   string   `json:"profile"`
	Flag      string   `json:"flag"`     // the start, as "start -s"
	Holder    string   `json:"holder"`   // who holds the lock
	Outcome   string   `json:"outcome"`  // what came of the start
	Help      string   `json:"help"`     // what the help text says of such a start, in our words
	Promised  string   `json:"promised"` // the outcome that follows from that
	Exit      int      `json:"exit"`     // its exit code; -1 where it runs on as the master
	Removed   []string `json:"removed"`  // files that it took away
	Anomalies []string `json:"anomalies"`
	Delay     string   `json:"delay"`   // until such a start succeeds
	Control   string   `json:"control"` // a cell of the version that comes out the other way
	Tape      string   `json:"tape"`    // that brought it about
}

// A SetUp is one way to run the programs, and what came of holding it to what can
// be relied on.
type SetUp struct {
	ID        string         `json:"id"`
	Is        string         `json:"is"`       // what is set up, in words
	Promise   string         `json:"promise"`  // what can be relied on
	Faults    string         `json:"faults"`   // under which faults, in words
	Expected  string         `json:"expected"` // the kind of anomaly that breaks the promise, "" where it is kept
	Observed  []string       `json:"observed"` // kinds that broke it
	Allowed   []string       `json:"allowed"`  // kinds that were seen, and are within the promise
	OK        bool           `json:"ok"`       // it came out as expected
	Why       string         `json:"why,omitempty"`
	Schedules int            `json:"schedules"`
	Traces    int            `json:"traces"`
	Complete  bool           `json:"complete"` // every schedule was played
	Residual  float64        `json:"residual"` // the chance, by Good and Turing's estimate, that the next schedule is a new one
	Injected  map[string]int `json:"injected"` // faults, by kind
	Seconds   float64        `json:"seconds"`
	Tape      string         `json:"tape,omitempty"`   // that shows what is expected
	Replay    string         `json:"replay,omitempty"` // the command that plays it
}

// MarshalJSON writes the report with its schema version, and with empty lists
// where there is nothing, never null.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report // without this method
	r.Schema = SchemaVersion
	r.Anomalies = notNil(r.Anomalies)
	r.Allowed = notNil(r.Allowed)
	if r.Faults == nil {
		r.Faults = map[string]int{}
	}
	r.Claims = slices.Clone(r.Claims)
	for i := range r.Claims {
		r.Claims[i].Versions = notNil(r.Claims[i].Versions)
	}
	r.Cells = slices.Clone(r.Cells)
	for i := range r.Cells {
		r.Cells[i].Removed = notNil(r.Cells[i].Removed)
		r.Cells[i].Anomalies = notNil(r.Cells[i].Anomalies)
	}
	r.SetUps = slices.Clone(r.SetUps)
	for i := range r.SetUps {
		r.SetUps[i].Observed = notNil(r.SetUps[i].Observed)
		r.SetUps[i].Allowed = notNil(r.SetUps[i].Allowed)
		if r.SetUps[i].Injected == nil {
			r.SetUps[i].Injected = map[string]int{}
		}
	}
	return json.Marshal(plain(r))
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Kinds returns the kinds of the anomalies that break the promise, each once,
// the worst first.
func (r Report) Kinds() []string {
	kinds := map[string]bool{}
	for _, a := range r.Anomalies {
		kinds[a.Kind] = true
	}
	return slices.SortedFunc(maps.Keys(kinds), check.CompareKinds)
}

// FaultKinds returns the kinds of faults that were injected, sorted.
func (r Report) FaultKinds() []string {
	return slices.Sorted(maps.Keys(r.Faults))
}

// OutsideText tells in one line what programs changed outside the share, the
// first few paths by name; it is "" where that is nothing.
func (r Report) OutsideText() string {
	const most = 5
	var list []string
	for _, o := range r.Outside[:min(len(r.Outside), most)] {
		list = append(list, fmt.Sprintf("%s (%s, %s)", oneLine(o.Path), o.Process, count(o.Count, "time")))
	}
	if more := len(r.Outside) - most; more > 0 {
		list = append(list, fmt.Sprintf("%d more in verdict.json", more))
	}
	return strings.Join(list, ", ")
}

// FaultText says which faults were injected: "2 crash, 1 skew".
func (r Report) FaultText() string {
	var parts []string
	for _, kind := range r.FaultKinds() {
		parts = append(parts, fmt.Sprintf("%d %s", r.Faults[kind], kind))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// Judged returns the report's anomalies as a checker's verdict.
func (r Report) Judged() check.Verdict {
	v := check.Verdict{Verdict: r.Verdict, Why: r.Why}
	for _, a := range r.Anomalies {
		v.Anomalies = append(v.Anomalies, a.Anomaly)
	}
	for _, a := range r.Allowed {
		v.Allowed = append(v.Allowed, a.Anomaly)
	}
	return v
}

// tapeIn returns the path below the run's directory of a tape that the run
// keeps, and "" for one that lies elsewhere. It holds for a run that was moved.
func tapeIn(tape string) string {
	dir, base := filepath.Split(filepath.ToSlash(tape))
	if !strings.HasSuffix(strings.TrimSuffix(dir, "/"), "tapes") || !strings.HasSuffix(base, ".tape") {
		return ""
	}
	return "tapes/" + base
}
