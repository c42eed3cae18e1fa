package harness

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A program that is paused is stopped by the kernel, with all that came of it,
// whatever it waits for: by the cgroup freezer (cgroups(7)), which none of them
// sees, or, where there is none, by SIGSTOP. That happens when all is at rest.
// What it is held at is not on offer meanwhile; a thread that is held is in our
// hands, and counts as frozen with the kernel only when it has its answer.

// pause stops the program, and says how.
func (w *World) pause(p *Process) (how string, err error) {
	tree := w.family(p)
	held := false
	for _, q := range tree {
		q.paused = true
		held = held || q.held()
	}
	if p.host.Group == nil {
		for _, q := range tree {
			if err := unix.Kill(q.pid, unix.SIGSTOP); err != nil {
				return "", fmt.Errorf("pause %s: %w", q.label, err)
			}
		}
		return bySignal, nil
	}
	if p.part == nil {
		if p.part, err = p.host.Group.Part(p.program.Name); err != nil {
			return "", err
		}
	}
	for _, q := range tree {
		if err := p.part.Add(q.pid); err != nil {
			return "", fmt.Errorf("pause %s: %w", q.label, err)
		}
	}
	if err := p.part.Freeze(); err != nil {
		return "", err
	}
	if held {
		return byFreezer, nil
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Microsecond) {
		if frozen, err := p.part.Frozen(); frozen || err != nil {
			return byFreezer, err
		} else if time.Now().After(end) {
			return "", fmt.Errorf("%s was not frozen within %v", p.label, patience)
		}
	}
}

// How a program is paused.
const (
	byFreezer = "frozen by its cgroup"
	bySignal  = "stopped by SIGSTOP: there is no cgroup"
)

// resume lets a program that was paused go on, or die of what it was sent
// meanwhile.
func (w *World) resume(p *Process) error {
	var list []*Process
	for _, q := range w.family(p) {
		if q.paused {
			list = append(list, q)
		}
	}
	for _, q := range list {
		q.paused = false
		w.signalled(q, q.diesNow())
	}
	if p.part == nil {
		for _, q := range list {
			unix.Kill(q.pid, unix.SIGCONT)
		}
		return nil
	}
	if err := p.part.Thaw(); err != nil {
		return err
	}
	for _, q := range list {
		if err := p.host.Group.Add(q.pid); err != nil && !q.killed {
			return fmt.Errorf("let %s go on: %w", q.label, err)
		}
	}
	return nil
}
