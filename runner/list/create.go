package list

import (
	"errors"
	"time"

	"screwtape/runner/sys"
)

// ErrExists is that of a list which is there already.
var ErrExists = errors.New("List already exists")

// Create makes a list of this name, without members, in the list's directory, which is
// there. It is ErrExists where any state file is there, which is looked for before the
// lock is taken: two that make one list at once both do, and the second has replaced
// what the first has saved. (MailList.Create and Utils.list_exists of 2.1, from
// source.) Other errors are those of the lock and of Save.
func (l *List) Create(name string, timeout time.Duration) error {
	for _, file := range stateFiles {
		if sys.Stat(l.file(file)) == nil {
			return ErrExists
		}
	}
	if l.lock != nil {
		if err := l.lock.Lock(timeout); err != nil {
			return err
		}
	}
	l.held = true
	defer l.Unlock()
	l.State = NewState(name)
	return l.Save()
}
