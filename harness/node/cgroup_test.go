package node

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownRun gives the test a run of its own to name groups by.
func ownRun(t *testing.T) {
	t.Helper()
	run = runOf(os.Getpid())
	t.Cleanup(func() {
		if top, _, ok := groupTop(); ok {
			removeGroups(filepath.Join(top, groupPrefix+run))
		}
		run = ""
	})
}

func TestGroup(t *testing.T) {
	ownRun(t)
	g, err := NewGroup("a")
	if errors.Is(err, ErrNoCgroup) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var sleepers []*exec.Cmd
	for range 3 {
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer c.Process.Kill()
		if err := g.Add(c.Process.Pid); err != nil {
			t.Fatal(err)
		}
		sleepers = append(sleepers, c)
	}
	if g.Close() == nil {
		t.Error("a group with processes in it was removed")
	}
	if err := g.Freeze(); err != nil {
		t.Error("freeze:", err)
	}
	if err := g.Thaw(); err != nil {
		t.Error("thaw:", err)
	}
	if err := g.Kill(); err != nil {
		t.Error("kill:", err)
	}
	for _, c := range sleepers {
		c.Wait()
		if s := c.ProcessState.Sys().(interface{ Signal() unix.Signal }); s.Signal() != unix.SIGKILL {
			t.Errorf("a process ended with %v", c.ProcessState)
		}
	}
	// The kernel empties the group a moment after it tells the parent.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if err = g.Close(); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Error("remove:", err)
	}
}

// Sweep removes what a dead controller left, and nothing of a living one.
func TestSweep(t *testing.T) {
	ownRun(t)
	living, err := NewGroup("a")
	if errors.Is(err, ErrNoCgroup) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	mine := run
	run = pidNamespace() + "-" + "4194305-1" // no pid is as high
	dead, err := NewGroup("a")
	run = mine
	if err != nil {
		t.Fatal(err)
	}
	Sweep()
	if _, err := os.Stat(living.dir); err != nil {
		t.Error("the group of a living controller:", err)
	}
	if _, err := os.Stat(filepath.Dir(dead.dir)); err == nil {
		t.Error("the group of a dead controller is left")
	}
}

func TestNoGroupOutside(t *testing.T) {
	if _, err := NewGroup("a"); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("a group without a controller: %v", err)
	}
}
