package harness

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// victimMark is the environment variable that makes the test binary a
// controller which plays schedules for ever, to be killed. Everything that it
// starts has the variable too.
const victimMark = "SCREWTAPE_VICTIM"

// beVictim says "." on standard output at each decision, or stops at a pause, if
// that is what it is to be killed in.
func beVictim() int {
	if strings.HasSuffix(os.Getenv(victimMark), paused) {
		return beStill()
	}
	loop := shell("a", "loop", `cd /shared/d; while :; do echo text > n; cat n | sort > m; mv m n; done`)
	loop.Env = append(loop.Env, victimMark+"="+os.Getenv(victimMark))
	other := loop
	other.Node = "b"
	w, err := NewWorld(&Test{Nodes: []string{"a", "b"}, Programs: []Program{loop, other}, Workload: plain{files: tableFiles}})
	if err == nil {
		_, err = w.Play(&dots{schedule.Random(schedule.Draw{Seed: 1, Length: 63, Points: 26})}, Options{})
		w.Close()
	}
	fmt.Fprintln(os.Stderr, "failed:", err)
	return 255
}

// paused ends the mark of a victim that is to be killed while a program is paused.
const paused = "-paused"

// beStill pauses a program that has done all it does, says so, and does nothing
// more. Of the program's processes sleep is held by us, and cat by nothing.
func beStill() int {
	still := shell("a", "still", `: >/shared/d/n; sleep 1000 | cat >/dev/null`)
	still.Env = append(still.Env, victimMark+"="+os.Getenv(victimMark))
	w, err := NewWorld(&Test{Nodes: []string{"a"}, Programs: []Program{still}, Workload: plain{files: tableFiles}, Nemeses: []Nemesis{pauses{}}})
	if err == nil {
		_, err = w.Play(pauseLast{schedule.Random(schedule.Draw{Seed: 1, Length: 9, Points: 1})}, Options{})
	}
	fmt.Fprintln(os.Stderr, "failed:", err)
	return 255
}

// pauses is a nemesis that pauses whatever lives.
type pauses struct{}

func (pauses) Name() string { return "pause" }
func (pauses) Reset()       {}
func (pauses) Faults(s Situation) (list []schedule.Option) {
	for _, p := range s.Processes {
		if p.Alive {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Pause}})
		}
	}
	return list
}

func (pauses) Took(d schedule.Decision) {
	if d.Verb == schedule.Pause {
		fmt.Println(paused)
		select {}
	}
}

// pauseLast picks a pause when nobody but sleepers can go on.
type pauseLast struct{ schedule.Strategy }

func (s pauseLast) Pick(options []schedule.Option) (int, error) {
	pause := -1
	for i, o := range options {
		switch o.Verb {
		case schedule.Pause:
			pause = i
		case schedule.Wake:
		default:
			return i, nil
		}
	}
	return pause, nil
}

type dots struct{ schedule.Strategy }

func (d *dots) Done(schedule.Decision, schedule.Footprint) error {
	fmt.Println(".")
	return nil
}

// marked are the processes that have the mark in their environment.
func marked(mark string) (list []int) {
	dir, _ := os.ReadDir("/proc")
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if slices.Contains(strings.Split(string(env), "\x00"), victimMark+"="+mark) {
			list = append(list, pid)
		}
	}
	return list
}

// victims are, of the marked processes, the outer controller, the inner one,
// and a node's agent.
func victims(outer int, mark string) map[string]int {
	found := map[string]int{"outer": outer}
	for _, pid := range marked(mark) {
		cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		s, _ := readStatus(pid)
		switch {
		case bytes.HasPrefix(cmd, []byte(node.AgentName)):
			found["agent"] = pid
		case s.parent == outer:
			found["inner"] = pid
		}
	}
	return found
}

// startVictim starts a controller with the mark, and gives the lines that it says, and
// what it says on standard error.
func startVictim(t *testing.T, cmd *exec.Cmd, mark string) (*bufio.Scanner, *bytes.Buffer) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), victimMark+"="+mark), &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(out), &stderr
}

// Whatever of a controller is killed in the middle of a schedule, nothing is
// left of it; when it is a node's agent, it says so.
func TestKilled(t *testing.T) {
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	var groups []string // what their names begin with
	for i := range 20 {
		whom := []string{"outer", "inner", "agent"}[i%3]
		mark := fmt.Sprintf("%d-%d", os.Getpid(), i)
		cmd := exec.Command("/proc/self/exe")
		lines, stderr := startVictim(t, cmd, mark)
		groups = append(groups, fmt.Sprintf("screwtape-%s-%d-", strings.Trim(namespace, "pid:[]"), cmd.Process.Pid))
		for range 3 + 7*i {
			if !lines.Scan() {
				t.Fatalf("the controller ended by itself: %s", stderr)
			}
		}
		pid := victims(cmd.Process.Pid, mark)[whom]
		if pid == 0 {
			t.Fatalf("no %s among its processes", whom)
		}
		unix.Kill(pid, unix.SIGKILL)
		for lines.Scan() {
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Errorf("%s killed: it ended with %v", whom, err)
		} else if whom != "outer" && exit.ExitCode() != 255 {
			t.Errorf("%s killed: exit %d", whom, exit.ExitCode())
		}
		if whom == "agent" && !strings.Contains(stderr.String(), "its agent was killed") {
			t.Errorf("agent killed: it said %q", stderr)
		}
		deadline := time.Now().Add(10 * time.Second)
		for len(marked(mark)) > 0 && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
		for _, pid := range marked(mark) {
			cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			t.Errorf("%s killed: process %d (%q) is left", whom, pid, cmd)
		}
	}
	node.Sweep()
	for _, left := range node.Groups() {
		for _, g := range groups {
			if strings.HasPrefix(filepath.Base(left), g) {
				t.Errorf("a cgroup is left: %s", left)
			}
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); bytes.Contains(mounts, []byte("fuse.screwtape")) {
		t.Error("a mount is left")
	}
}

// A program that is paused dies with the controller too. One that a freezer of
// version 1 holds does not die of a signal: who is left thaws it, the outer process
// or the next run.
func TestKilledWhilePaused(t *testing.T) {
	for i, tc := range []struct{ version, whom string }{{"2", "outer"}, {"2", "inner"}, {"1", "inner"}, {"1", "outer"}} {
		t.Run("version "+tc.version+", "+tc.whom, func(t *testing.T) {
			mark := fmt.Sprintf("%d-%d%s", os.Getpid(), i, paused)
			self := func(args string) *exec.Cmd { return exec.Command("/bin/sh", "-c", "exec "+os.Args[0]+args) }
			if tc.version == "1" {
				if _, err := os.Stat("/sys/fs/cgroup/freezer/cgroup.procs"); err != nil {
					t.Skip("SKIPPED: there is no freezer of version 1")
				}
				self = func(args string) *exec.Cmd {
					cmd := exec.Command("/bin/sh", "-c", "mount -t tmpfs none /sys/fs/cgroup/unified && exec "+os.Args[0]+args)
					cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
					return cmd
				}
			}
			cmd := self("")
			lines, stderr := startVictim(t, cmd, mark)
			if !lines.Scan() || lines.Text() != paused {
				t.Fatalf("the controller ended by itself: %s", stderr)
			}
			unix.Kill(victims(cmd.Process.Pid, mark)[tc.whom], unix.SIGKILL)
			cmd.Process.Wait() // what is left may keep its output open
			end := time.Now().Add(10 * time.Second)
			for gone := false; !gone && time.Now().Before(end); {
				gone = len(marked(mark)) == 0
				if out, err := self(" -test.run=^$").CombinedOutput(); err != nil { // the next run
					t.Fatalf("%v: %s", err, out)
				}
			}
			for _, pid := range marked(mark) {
				cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				t.Errorf("process %d (%q) is left", pid, cmd)
			}
		})
	}
}
