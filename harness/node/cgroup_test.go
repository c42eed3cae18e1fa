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
	for _, version := range []string{"1", "2"} {
		t.Run("version "+version, func(t *testing.T) {
			top, v2, ok := groupTop()
			if v2 && version == "1" {
				top, v2 = freezerTop, false
				_, err := os.Stat(filepath.Join(top, "cgroup.procs"))
				ok = err == nil
			}
			if !ok || v2 != (version == "2") {
				t.Skip("SKIPPED: there are no cgroups of this version")
			}
			g, err := newGroup(top, filepath.Join("/", groupPrefix+run, "a"), v2)
			if errors.Is(err, ErrNoCgroup) {
				t.Skipf("SKIPPED: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer removeGroups(filepath.Dir(g.dir()))
			testGroup(t, g)
		})
	}
}

// sleeper starts a process in a group.
func sleeper(t *testing.T, g *Group) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	if err := g.Add(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return c
}

// soon waits until it is so.
func soon(t *testing.T, what string, so func() (bool, error)) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if is, err := so(); is {
			return
		} else if time.Now().After(end) {
			t.Fatalf("not %s: %v", what, err)
		}
	}
}

func testGroup(t *testing.T, g *Group) {
	part, err := g.Part("p")
	if err != nil {
		t.Fatal(err)
	}
	sleepers := []*exec.Cmd{sleeper(t, g), sleeper(t, g), sleeper(t, part)}
	if g.Close() == nil {
		t.Error("a group with processes in it was removed")
	}
	if part, err = g.Part("p"); err != nil {
		t.Fatal(err)
	}
	if err := part.Freeze(); err != nil {
		t.Error("freeze:", err)
	}
	soon(t, "frozen", part.Frozen)
	if all, err := g.Frozen(); all || err != nil {
		t.Errorf("with a part, all are frozen (%v)", err)
	}
	killed := sleepers[2].Process.Pid
	unix.Kill(killed, unix.SIGKILL)
	if err := g.Add(killed); err != nil && !errors.Is(err, unix.ESRCH) {
		t.Error("move out of a frozen group:", err)
	}
	soon(t, "dead", func() (bool, error) {
		pid, err := unix.Wait4(killed, nil, unix.WNOHANG, nil)
		return pid == killed, err
	})
	sleepers[2] = sleeper(t, part)
	if err := part.Thaw(); err != nil {
		t.Error("thaw:", err)
	}
	soon(t, "thawed", func() (bool, error) {
		frozen, err := part.Frozen()
		return !frozen, err
	})
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
	soon(t, "removed", func() (bool, error) {
		err := g.Close()
		return err == nil, err
	})
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
	if _, err := os.Stat(living.dir()); err != nil {
		t.Error("the group of a living controller:", err)
	}
	if _, err := os.Stat(filepath.Dir(dead.dir())); err == nil {
		t.Error("the group of a dead controller is left")
	}
}

func TestNoGroupOutside(t *testing.T) {
	if _, err := NewGroup("a"); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("a group without a controller: %v", err)
	}
}
