package history

import "time"

// A Recorder takes down a history. The zero value is an empty one, ready for
// use. It is not safe for concurrent use: one loop owns it.
type Recorder struct {
	// Step, decisions taken, and Now, the virtual time since the schedule's start, are
	// stamped on what is added next; the loop moves them on.
	Step int
	Now  time.Duration

	ops []Op
}

// Add appends an operation and gives it its index, step and time.
func (r *Recorder) Add(process string, t Type, f, value, err string) {
	r.ops = append(r.ops, Op{
		Index: len(r.ops), Step: r.Step, Time: r.Now,
		Process: process, Type: t, F: f, Value: value, Error: err,
	})
}

// Did appends an operation that was asked for and done in the same instant:
// its invocation and its completion.
func (r *Recorder) Did(process, f, value string) {
	r.Add(process, Invoke, f, value, "")
	r.Add(process, OK, f, value, "")
}

// Ops returns the history so far. It shares its memory with the recorder until
// the next Reset.
func (r *Recorder) Ops() []Op { return r.ops }

// Reset begins a new history. Those handed out before stay as they are.
func (r *Recorder) Reset() { *r = Recorder{} }
