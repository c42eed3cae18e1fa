package workloads

import "screwtape/harness/share"

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
