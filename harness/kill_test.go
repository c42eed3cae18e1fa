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

// beVictim says "." on standard output at each decision.
func beVictim() int {
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

// Whatever of a controller is killed in the middle of a schedule, nothing is
// left of it; when it is a node's agent, it says so.
func TestKilled(t *testing.T) {
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	var groups []string // what their names begin with
	for i := range 20 {
		whom := []string{"outer", "inner", "agent"}[i%3]
		mark := fmt.Sprintf("%d-%d", os.Getpid(), i)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), victimMark+"="+mark)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		groups = append(groups, fmt.Sprintf("screwtape-%s-%d-", strings.Trim(namespace, "pid:[]"), cmd.Process.Pid))
		lines := bufio.NewScanner(out)
		for range 3 + 7*i {
			if !lines.Scan() {
				t.Fatalf("the controller ended by itself: %s", &stderr)
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
			t.Errorf("agent killed: it said %q", &stderr)
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
