package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"screwtape/runner/list"
)

// masterDir is what the hosts share, with the site's list and an empty queue.
func masterDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"locks", "data", "lists/mailman", "qfiles/out"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o770); err != nil {
			t.Fatal(err)
		}
	}
	data, err := list.NewState("mailman").Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/lists/mailman/config.pck", data, 0o660); err != nil {
		t.Fatal(err)
	}
	return dir
}

// masterRun runs a command of the master's whose children may go on, and gives
// its status and what has been written by its end.
func masterRun(t *testing.T, dir string, args ...string) (status int, log string) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd, _ := command(append([]string{"master", "--dir", dir}, args...)...)
	cmd.Stderr = f
	cmd.Run()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// await waits until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 3000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain until %s", what)
}

func masterPID(dir, file string) int {
	text, _ := os.ReadFile(dir + "/data/" + file)
	pid, _ := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	return pid
}

// The life of a master of 2.1: the second start is refused, with the status of
// success; -s does nothing to a master that lives; a stop leaves the pid file.
func TestMaster(t *testing.T) {
	t.Parallel()
	dir := masterDir(t)
	if status, log := masterRun(t, dir, "start"); status != 0 || log != "" {
		t.Fatalf("start: status %d, %s", status, log)
	}
	await(t, "there is a pid file", func() bool { return masterPID(dir, "master-qrunner.pid") != 0 })
	pid := masterPID(dir, "master-qrunner.pid")
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	for _, args := range [][]string{{"start"}, {"-s", "start"}} {
		if status, log := masterRun(t, dir, args...); status != 0 || !strings.Contains(log, "already running") {
			t.Errorf("%v: status %d, %s", args, status, log)
		}
	}
	claim, err := os.ReadFile(dir + "/locks/master-qrunner")
	if err != nil || !strings.HasSuffix(string(claim), "."+strconv.Itoa(pid)) {
		t.Errorf("the lock holds %q, %v; the master is %d", claim, err, pid)
	}
	if status, log := masterRun(t, dir, "stop"); status != 0 || log != "" {
		t.Errorf("stop: status %d, %s", status, log)
	}
	await(t, "the lock is gone", func() bool { names, _ := os.ReadDir(dir + "/locks"); return len(names) == 0 })
	if masterPID(dir, "master-qrunner.pid") != pid {
		t.Error("the pid file has gone")
	}
	await(t, "the master has gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	if status, log := masterRun(t, dir, "stop"); status != 0 || !strings.Contains(log, "No child with pid: "+strconv.Itoa(pid)) {
		t.Errorf("stop without a master: status %d, %s", status, log)
	}
	if status, log := masterRun(t, dir, "stop"); status != 0 || !strings.Contains(log, "PID file unreadable") {
		t.Errorf("stop without a pid file: status %d, %s", status, log)
	}
}

// A master starts a runner for each slice of each queue, whose lists and locks
// are those that it was told of.
func TestMasterQueues(t *testing.T) {
	t.Parallel()
	for version, queues := range map[string]string{"2.1.39": "in:0 in:1 out:0 out:1 retry:0 retry:1", "3.3.8": "in:0 in:1 pipeline:0 pipeline:1 out:0 out:1 retry:0 retry:1"} {
		dir := masterDir(t)
		cmd, _ := command("master", "--dir", dir, "--profile", version, "--locks", dir+"/locks", "--runners", "2", "--queues", "all", "start")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go cmd.Wait() // 3.3.8's is the master itself
		var pid int
		await(t, "there is a pid file", func() bool {
			pid = max(masterPID(dir, "master-qrunner.pid"), masterPID(dir, "master.pid"))
			return pid != 0
		})
		t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
		started := func() (list []string) {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
			for _, kid := range strings.Fields(string(text)) {
				line, _ := os.ReadFile("/proc/" + kid + "/cmdline")
				args := strings.Split(string(line), "\x00")
				flag := func(name string) string { return args[slices.Index(args, name)+1] }
				if slices.Contains(args, "queue") && flag("--lists") == dir+"/lists" && flag("--locks") == dir+"/locks" {
					list = append(list, flag("--queue")+":"+flag("--slice"))
				}
			}
			return list
		}
		await(t, "the runners are "+queues, func() bool { return strings.Join(started(), " ") == queues })
		syscall.Kill(pid, syscall.SIGTERM)
		await(t, "the master has gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	}
}

// A restart ends the runners, which then are started again, for as often as one
// likes.
func TestMasterRestart(t *testing.T) {
	t.Parallel()
	dir := masterDir(t)
	masterRun(t, dir, "--runners", "2", "start")
	await(t, "there is a pid file", func() bool { return masterPID(dir, "master-qrunner.pid") != 0 })
	pid := masterPID(dir, "master-qrunner.pid")
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	kids := func() []string {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		return strings.Fields(string(text))
	}
	await(t, "there are two runners", func() bool { return len(kids()) == 2 })
	for range 2 {
		before := kids()
		await(t, "the runners are others", func() bool {
			masterRun(t, dir, "restart") // again: one that has just been started does not take it for a restart yet
			time.Sleep(100 * time.Millisecond)
			now := kids()
			return len(now) == 2 && !slices.Contains(before, now[0]) && !slices.Contains(before, now[1])
		})
	}
	masterRun(t, dir, "stop")
	await(t, "the master has gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

// 2.1.15's -s takes the lock from a master that lives.
func TestMasterForce(t *testing.T) {
	t.Parallel()
	dir := masterDir(t)
	masterRun(t, dir, "start")
	await(t, "there is a pid file", func() bool { return masterPID(dir, "master-qrunner.pid") != 0 })
	first := masterPID(dir, "master-qrunner.pid")
	t.Cleanup(func() { syscall.Kill(first, syscall.SIGKILL) })
	if status, log := masterRun(t, dir, "--profile", "2.1.15", "-s", "start"); status != 0 || log != "" {
		t.Fatalf("start -s: status %d, %s", status, log)
	}
	await(t, "there is another master", func() bool {
		pid := masterPID(dir, "master-qrunner.pid")
		return pid != 0 && pid != first
	})
	second := masterPID(dir, "master-qrunner.pid")
	t.Cleanup(func() { syscall.Kill(second, syscall.SIGKILL) })
	if err := syscall.Kill(first, 0); err != nil {
		t.Errorf("the first master has gone: %v", err)
	}
	// What a day later would do: the first finds that its lock is gone, and
	// ends; the second's is left alone.
	syscall.Kill(first, syscall.SIGALRM)
	await(t, "the first master has gone", func() bool { return syscall.Kill(first, 0) == syscall.ESRCH })
	claim, _ := os.ReadFile(dir + "/locks/master-qrunner")
	if !strings.HasSuffix(string(claim), "."+strconv.Itoa(second)) {
		t.Errorf("the lock holds %q; the second master is %d", claim, second)
	}
	masterRun(t, dir, "stop")
	await(t, "the second master has gone", func() bool { return syscall.Kill(second, 0) == syscall.ESRCH })
}

// A runner that dies at each start is started again ten times; then the master
// has none left, and ends.
func TestMasterRestartLimit(t *testing.T) {
	t.Parallel()
	dir := masterDir(t)
	if err := os.WriteFile(dir+"/qfiles/out/foo.pck", nil, 0o660); err != nil {
		t.Fatal(err)
	}
	status, _, log := run(t, "master", "--dir", dir, "--runners", "1", "start")
	if status != 0 || strings.Count(log, "ValueError") != 11 || !strings.HasSuffix(log, "reached maximum restart limit of 10, not restarting.\n") {
		t.Errorf("status %d, log\n%s", status, log)
	}
	names, err := os.ReadDir(dir + "/locks")
	if err != nil || len(names) > 0 {
		t.Errorf("the lock is left: %v, %v", names, err)
	}
}

func TestMasterWithoutSiteList(t *testing.T) {
	dir := masterDir(t)
	if err := os.Remove(dir + "/lists/mailman/config.pck"); err != nil {
		t.Fatal(err)
	}
	if status, log := masterRun(t, dir, "start"); status != 1 || !strings.Contains(log, "Site list is missing") {
		t.Errorf("status %d, %s", status, log)
	}
}

// The programs of this file tell what they know, and refuse what they do not.
func TestUsageOfOthers(t *testing.T) {
	for _, tc := range []struct{ args, tells string }{
		{"", "--discard"},
		{"queue", "-until-empty"},
		{"inject", "-message"},
		{"unshunt", "-discard"},
		{"show", "show FILE"},
		{"lock", "-section"},
		{"list", "handle ID"},
		{"master", "--stale-lock-cleanup"},
		{"idle", "-child-pid"},
	} {
		args := append(strings.Fields(tc.args), "--help")
		if status, _, log := run(t, args...); status != 0 || !strings.Contains(log, tc.tells) {
			t.Errorf("%v: status %d, %s", args, status, log)
		}
	}
	for _, args := range []string{"", "fly", "queue --queue pipeline", "queue now", "inject", "inject --id m0 m1", "unshunt --nonsense", "unshunt a b", "unshunt --profile 3.3.8 a", "unshunt --discard",
		"show", "show --nonsense", "show a b", "lock --kind pencil", "lock x", "list", "list dance", "list add", "list add m0 m1", "list show m0",
		"master", "master dance", "master start now", "master --profile 1.0 start", "master --queues pipeline start", "idle --nonsense", "idle now"} {
		if status, _, log := run(t, strings.Fields(args)...); status != exitUsage || log == "" {
			t.Errorf("%s: status %d, %q", args, status, log)
		}
	}
}
