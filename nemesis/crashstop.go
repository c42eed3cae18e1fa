package nemesis

import (
	"slices"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// CrashStop kills programs as Crash does, and they stay down until all is mended:
// that a program is started again in the midst of what others do is no part of it.
type CrashStop struct{ Crash }

// Name is "crash-stop".
func (*CrashStop) Name() string { return "crash-stop" }

// Faults are a crash of each program that has just changed something, while the
// budget lasts.
func (c *CrashStop) Faults(s harness.Situation) []schedule.Option {
	return slices.DeleteFunc(c.Crash.Faults(s), func(o schedule.Option) bool { return o.Restart })
}
