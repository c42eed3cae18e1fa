package workloads

import (
	"math"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/share"
)

// A systemLock is the workload of a lock that acts take: as Program, of which it
// has how the section is seen and judged.
type systemLock struct {
	system
	Program
}

// Prepare makes the directories of the lock and the marks, and what the system
// file says.
func (l *systemLock) Prepare(s *share.Store) error {
	if err := l.Program.Prepare(s); err != nil {
		return err
	}
	return l.system.Prepare(s)
}

// Judge is as Program's, but that an act which is in the section in the end does
// not wait: it holds the lock as a daemon does, for as long as it runs.
func (l *systemLock) Judge(e *harness.End) check.Verdict {
	return l.judge(e, inSection(e.History, lockFile, math.MaxInt))
}
