package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/scripts",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MARK", "SCREWTAPE_TEST="+strings.ReplaceAll(e.WorkDir, "/", "_"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "long" {
				return false, fmt.Errorf("there is no condition %s", name)
			}
			return os.Getenv("SCREWTAPE_LONG") != "", nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "json": jsonHas, "await": await, "snapshot": snapshot, "murder": murder, "extinct": extinct, "same": same,
		},
	})
}

// exits CODE PROGRAM [ARG...] runs a program that must end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if want, _ := strconv.Atoi(args[0]); code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

// json KEY VALUE checks that standard output is one JSON object and nothing
// else, and what a key of it is. VALUE "*" is any.
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json KEY VALUE")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &object); err != nil {
		ts.Fatalf("standard output is not one object: %v", err)
	}
	got, ok := object[args[0]]
	if !ok || args[1] != "*" && strings.Trim(string(got), `"`) != args[1] {
		ts.Fatalf("%s is %s, not %s", args[0], got, args[1])
	}
}

// timing is what differs between two runs that are the same: how long they took,
// and where they are kept.
var timing = regexp.MustCompile(`in [0-9.]+ s|after [0-9.]+ s|"seconds": [0-9.e-]+|results/runs/queue/[-0-9T.]+`)

// same FILE FILE checks that two runs have told the same.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: same FILE FILE")
	}
	a, b := timing.ReplaceAllString(ts.ReadFile(args[0]), ""), timing.ReplaceAllString(ts.ReadFile(args[1]), "")
	if a != b {
		ts.Fatalf("not the same:\n%s\n%s", a, b)
	}
}

// patience is how long the tests wait for what must come.
const patience = 30 * time.Second

func waitFor(ts *testscript.TestScript, what string, there func() bool) {
	for began := time.Now(); !there(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			ts.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// await FILE TEXT waits until a file holds a text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	waitFor(ts, args[0]+" has "+args[1], func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && bytes.Contains(text, []byte(args[1]))
	})
}

// A crowd is the processes that carry a script's mark in their environment,
// and the pid namespaces that they live in.
type crowd struct {
	pids       []int
	namespaces []string
	held       []*os.File // of the namespaces: while these are open no other gets their numbers
}

func marked(mark string) []int {
	var pids []int
	for _, pid := range allPIDs() {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && bytes.Contains(env, []byte(mark)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func allPIDs() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func namespace(pid int) string {
	n, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	return n
}

// alive are the processes with the mark, or in any of the crowd's namespaces:
// a program on a node does not carry the mark.
func (c crowd) alive(mark string) []int {
	list := marked(mark)
	for _, pid := range allPIDs() {
		if slices.Contains(c.namespaces, namespace(pid)) {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// crowds holds what snapshot saw, by the script's mark.
var crowds = map[string]crowd{}

// snapshot N notes which processes belong to the script's screwtape, once there
// are N with its mark (the one that was started, the controller, and an agent
// a node) and programs on the nodes.
func snapshot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: snapshot N")
	}
	n, _ := strconv.Atoi(args[0])
	mark := ts.Getenv("MARK")
	var c crowd
	waitFor(ts, "processes", func() bool { // a program has the mark too until its exec
		c.pids = marked(mark)
		return len(c.pids) == n
	})
	own := namespace(os.Getpid())
	for _, pid := range c.pids {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", pid))
		ts.Check(err)
		c.held = append(c.held, f)
		if n := namespace(pid); n != own {
			c.namespaces = append(c.namespaces, n)
		}
	}
	if len(c.namespaces) != n-1 {
		ts.Fatalf("%d processes in %d pid namespaces of their own", n, len(c.namespaces))
	}
	waitFor(ts, "programs on the nodes", func() bool { return len(c.alive(mark)) > n })
	crowds[mark] = c
}

// murder outer|inner|world kills the process that was started, the controller
// that it has started, or the world that this has started beside its own.
func murder(ts *testscript.TestScript, neg bool, args []string) {
	pids := slices.Clone(crowds[ts.Getenv("MARK")].pids) // the lowest was there first
	slices.SortFunc(pids, func(a, b int) int { return age(a) - age(b) })
	victim := pids[0]
	switch args[0] {
	case "inner":
		victim = pids[1]
	case "world":
		victim = pids[slices.IndexFunc(pids, isWorld)]
	}
	ts.Check(syscall.Kill(victim, syscall.SIGKILL))
}

// isWorld reports whether a process is a further world of a test.
func isWorld(pid int) bool {
	args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return bytes.HasSuffix(args, []byte("\x00"+worldVerb+"\x00"))
}

// age is how many of a process's ancestors are this process or below it.
func age(pid int) int {
	n := 0
	for pid > 1 && pid != os.Getpid() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return n
		}
		rest := stat[bytes.LastIndexByte(stat, ')')+1:]
		pid, _ = strconv.Atoi(strings.Fields(string(rest))[1])
		n++
	}
	return n
}

// extinct waits until nothing is left of what snapshot saw: no process with
// the mark, none in its namespaces (whose mounts go with the last one); and it
// checks that nothing was put where others see it.
func extinct(ts *testscript.TestScript, neg bool, args []string) {
	mark := ts.Getenv("MARK")
	c := crowds[mark]
	waitFor(ts, "the end of all processes", func() bool { return len(c.alive(mark)) == 0 })
	for _, f := range c.held {
		f.Close()
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	ts.Check(err)
	if bytes.Contains(mounts, []byte(ts.Getenv("WORK"))) {
		ts.Fatalf("a mount is left:\n%s", mounts)
	}
	left, err := filepath.Glob("/sys/fs/cgroup/*screwtape*")
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("cgroups are left: %v", left)
	}
}
