package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxOwn is how many calls a process may make on its way to the one that a
// line names. A program that polls for ever would otherwise never diverge.
const maxOwn = 10_000

// Replay returns the strategy that does what the tape says.
//
// On a tape of all calls, each line must be on offer when its turn comes. On a
// sparse one, the process that a line names goes on alone, call by call, until
// it is at the call that the line names; a process that has nothing to offer
// meanwhile diverges, since nothing else may run. After the last line all goes
// on freely, as Canonical has it.
//
// Every error of it is a *Divergence.
func Replay(t *Tape) *Force { return &Force{tape: t} }

// A Force is a strategy that follows a tape.
type Force struct {
	tape  *Tape
	next  int  // index of the line whose turn it is
	own   int  // calls let happen on the way to it
	hit   bool // what is being done now is what the line names
	after canonical
}

// A Divergence is a line of a tape that the programs do not follow.
type Divergence struct {
	File   string   // the tape's; "" where it was not read from one
	Line   int      // number of the line in the file, or of the decision if there is no file, from 1
	Wanted string   // what the line says
	Got    string   // what was done instead of it; "" if it was never reached
	Offer  []string // what could have been done; empty if nothing could
	Reason string   // why no more was waited for; "" where it is plain
}

func (d *Divergence) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: wanted: %s; ", cmp.Or(d.File, "tape"), d.Line, d.Wanted)
	if d.Got != "" {
		fmt.Fprintf(&b, "got: %s", d.Got)
		return b.String()
	}
	if d.Reason != "" {
		fmt.Fprintf(&b, "%s; ", d.Reason)
	}
	b.WriteString("on offer: ")
	if len(d.Offer) == 0 {
		b.WriteString("nothing")
	}
	const most = 12
	for i, o := range d.Offer {
		if i == most {
			fmt.Fprintf(&b, ", and %d more", len(d.Offer)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o)
	}
	return b.String()
}

// Pick chooses what the next line says, or what leads to it.
func (f *Force) Pick(options []Option) (int, error) {
	if f.next == len(f.tape.Lines) {
		return f.after.Pick(options)
	}
	line := f.tape.Lines[f.next]
	for i, o := range options {
		if line.MatchesCall(o.Decision) {
			f.hit = true
			return i, nil
		}
	}
	if !f.tape.Sparse {
		return 0, f.diverges("", options)
	}
	var own []Option
	index := map[int]int{}
	for i, o := range options {
		if o.Process == line.Process || o.Verb == Exit && strings.HasPrefix(o.Process, line.Process+".") {
			index[len(own)] = i
			own = append(own, o)
		}
	}
	way, _ := f.after.Pick(own)
	if way == None {
		return 0, f.diverges(line.Process+" cannot go on", options)
	}
	if f.own++; f.own > maxOwn {
		return 0, f.diverges(fmt.Sprintf("%s made %d other calls", line.Process, maxOwn), options)
	}
	return index[way], nil
}

// Done checks the outcome, if the line says one.
func (f *Force) Done(d Decision, p Footprint) error {
	f.after.Done(d, p)
	if f.next == len(f.tape.Lines) || !f.hit {
		return nil
	}
	line := f.tape.Lines[f.next]
	if !line.Matches(d) {
		e := f.diverges("", nil)
		e.Got = d.String()
		return e
	}
	f.next, f.own, f.hit = f.next+1, 0, false
	return nil
}

// Finish returns an error if the schedule ended before the tape did.
func (f *Force) Finish() error {
	if f.next == len(f.tape.Lines) {
		return nil
	}
	return f.diverges("the schedule is over", nil)
}

// Next is the line whose turn it is, as far as it is a decision; ok is false
// when all have been taken.
func (f *Force) Next() (d Decision, ok bool) {
	if f.next == len(f.tape.Lines) {
		return Decision{}, false
	}
	return f.tape.Lines[f.next].Decision, true
}

// Wants reports whether d is what the line names whose turn it is.
func (f *Force) Wants(d Decision) bool {
	return f.next < len(f.tape.Lines) && f.tape.Lines[f.next].MatchesCall(d)
}

// Left is the number of lines whose turn is still to come.
func (f *Force) Left() int { return len(f.tape.Lines) - f.next }

func (f *Force) diverges(reason string, options []Option) *Divergence {
	line := f.tape.Lines[f.next]
	line.Comment = ""
	d := &Divergence{File: f.tape.File, Line: cmp.Or(line.Number, f.next+1), Wanted: line.String(), Reason: reason}
	// What programs would do comes first: faults are always on offer.
	options = slices.Clone(options)
	slices.SortStableFunc(options, func(a, b Option) int { return cmp.Compare(distance(a), distance(b)) })
	for _, o := range options {
		d.Offer = append(d.Offer, o.Decision.String())
	}
	return d
}

// distance orders what is on offer for a reader: the less likely it is what a line
// was meant to say, the later.
func distance(o Option) int {
	switch {
	case o.Fault():
		return 2
	case o.Restart:
		return 1
	}
	return 0
}
