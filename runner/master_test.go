package runner

import (
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

	"screwtape/runner/list"
)

// A site is what hosts share, in dir, with the site's list and an empty queue.
// What is started there is in one process group, which is killed when the test
// ends. Its leader is not waited for until then, so its number is nobody else's.
type site struct {
	*testing.T
	dir   string
	group int
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	// All queues are there: of two runners of 3.3.8 that find one missing at the same
	// time, one dies.
	for _, d := range []string{"locks", "data", "lists/mailman", "qfiles/bad", "qfiles/in", "qfiles/out", "qfiles/pipeline", "qfiles/retry", "qfiles/shunt"} {
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
	leader, _ := command("idle")
	leader.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-leader.Process.Pid, syscall.SIGKILL)
		leader.Wait()
	})
	return &site{t, dir, leader.Process.Pid}
}

// command is a command of the master's whose children may go on.
func (s *site) command(args ...string) *exec.Cmd {
	cmd, _ := command(append([]string{"master", "--dir", s.dir}, args...)...)
	cmd.Stderr = nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: s.group}
	return cmd
}

// run runs a command of the master's, and gives its status and what has been
// written by its end.
func (s *site) run(args ...string) (status int, log string) {
	s.Helper()
	f, err := os.CreateTemp(s.TempDir(), "log")
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	cmd := s.command(args...)
	cmd.Stderr = f
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.Fatal(err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		s.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// await waits until it is so.
func (s *site) await(what string, so func() bool) {
	s.Helper()
	for range 3000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Fatalf("waited in vain until %s", what)
}

// pid is the number in a pid file, 0 if it has none.
func (s *site) pid(file string) int {
	text, _ := os.ReadFile(s.dir + "/data/" + file)
	pid, _ := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	return pid
}

// master waits until there is a master other than that of the number before, and
// gives its number.
func (s *site) master(file string, before int) (pid int) {
	s.Helper()
	s.await("there is a master", func() bool {
		pid = s.pid(file)
		return pid != 0 && pid != before
	})
	s.awaitWaiting(pid)
	return pid
}

// awaitWaiting waits until the master waits for a signal. One that comes before
// it takes note of, but then may wait for another all the same, as the original
// would. There is nothing else that a master which has its pid file sleeps in.
func (s *site) awaitWaiting(master int) {
	s.Helper()
	s.await("the master waits", func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", master))
		_, rest, _ := strings.Cut(string(stat), ") ") // the state comes after the name
		return strings.HasPrefix(rest, "S")
	})
}

// awaitGone waits until the process has ended.
func (s *site) awaitGone(master int) {
	s.Helper()
	s.await("the master has gone", func() bool { return syscall.Kill(master, 0) == syscall.ESRCH })
}

// kids are the runners of a master.
func kids(master int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	return strings.Fields(string(text))
}

// runners waits until a master has its two runners.
func (s *site) runners(master int) (list []string) {
	s.Helper()
	s.await("the master has two runners", func() bool {
		list = kids(master)
		return len(list) == 2
	})
	return list
}

// The life of a master of 2.1: the second start is refused, with the status of
// success; -s does nothing to a master that lives; a stop leaves the pid file.
func TestMaster(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if status, log := s.run("start"); status != 0 || log != "" {
		t.Fatalf("start: status %d, %s", status, log)
	}
	pid := s.master("master-qrunner.pid", 0)
	for _, args := range [][]string{{"start"}, {"-s", "start"}} {
		if status, log := s.run(args...); status != 0 || !strings.Contains(log, "already running") {
			t.Errorf("%v: status %d, %s", args, status, log)
		}
	}
	claim, err := os.ReadFile(s.dir + "/locks/master-qrunner")
	if err != nil || !strings.HasSuffix(string(claim), "."+strconv.Itoa(pid)) {
		t.Errorf("the lock holds %q, %v; the master is %d", claim, err, pid)
	}
	if status, log := s.run("stop"); status != 0 || log != "" {
		t.Errorf("stop: status %d, %s", status, log)
	}
	s.await("the lock is gone", func() bool { names, _ := os.ReadDir(s.dir + "/locks"); return len(names) == 0 })
	if s.pid("master-qrunner.pid") != pid {
		t.Error("the pid file has gone")
	}
	s.awaitGone(pid)
	if status, log := s.run("stop"); status != 0 || !strings.Contains(log, "No child with pid: "+strconv.Itoa(pid)) {
		t.Errorf("stop without a master: status %d, %s", status, log)
	}
	if status, log := s.run("stop"); status != 0 || !strings.Contains(log, "PID file unreadable") {
		t.Errorf("stop without a pid file: status %d, %s", status, log)
	}
}

// A master starts a runner for each slice of each queue, whose lists and locks
// are those that it was told of.
func TestMasterQueues(t *testing.T) {
	t.Parallel()
	for version, queues := range map[string]string{"2.1.39": "in:0 in:1 out:0 out:1 retry:0 retry:1", "3.3.8": "in:0 in:1 pipeline:0 pipeline:1 out:0 out:1 retry:0 retry:1"} {
		s := newSite(t)
		s.run("--profile", version, "--locks", s.dir+"/locks", "--runners", "2", "--queues", "all", "start")
		pid := s.master(map[string]string{"2.1.39": "master-qrunner.pid", "3.3.8": "master.pid"}[version], 0)
		started := func() (list []string) {
			for _, kid := range kids(pid) {
				line, _ := os.ReadFile("/proc/" + kid + "/cmdline")
				args := strings.Split(string(line), "\x00")
				flag := func(name string) string { return args[slices.Index(args, name)+1] }
				if slices.Contains(args, "queue") && flag("--lists") == s.dir+"/lists" && flag("--locks") == s.dir+"/locks" {
					list = append(list, flag("--queue")+":"+flag("--slice"))
				}
			}
			return list
		}
		s.await("the runners are "+queues, func() bool { return strings.Join(started(), " ") == queues })
		syscall.Kill(pid, syscall.SIGTERM)
		s.awaitGone(pid)
	}
}

// A restart ends the runners, which then are started again, for as often as one
// likes.
func TestMasterRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("--runners", "2", "start")
	pid := s.master("master-qrunner.pid", 0)
	for range 2 {
		before := s.runners(pid)
		s.await("the runners are others", func() bool {
			s.run("restart") // again: one that has just been started does not take it for a restart yet
			time.Sleep(100 * time.Millisecond)
			now := kids(pid)
			return len(now) == 2 && !slices.Contains(before, now[0]) && !slices.Contains(before, now[1])
		})
	}
	s.awaitWaiting(pid)
	s.run("stop")
	s.awaitGone(pid)
}

// That of 3.3.8 restarts by a signal of its own. By the one of 2.1 its runners end for
// good, and it ends with them.
func TestMasterRestart3(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("--profile", "3.3.8", "--runners", "2", "start")
	pid := s.master("master.pid", 0)
	before := s.runners(pid)
	s.await("the runners are others", func() bool {
		s.run("--profile", "3.3.8", "restart") // again: see TestMasterRestart
		time.Sleep(100 * time.Millisecond)
		now := kids(pid)
		return len(now) == 2 && !slices.Contains(before, now[0]) && !slices.Contains(before, now[1])
	})
	s.await("the master has gone", func() bool { // one that has not noticed yet that it has a runner to restart does so after the signal
		return syscall.Kill(pid, syscall.SIGINT) == syscall.ESRCH
	})
}

// A reopen leaves the runners as they are.
func TestMasterReopen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("--runners", "2", "start")
	pid := s.master("master-qrunner.pid", 0)
	before := s.runners(pid)
	for _, kid := range before {
		s.await("the runner takes no harm from SIGHUP", func() bool {
			status, _ := os.ReadFile("/proc/" + kid + "/status")
			_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
			ignored, _, _ := strings.Cut(rest, "\n")
			set, _ := strconv.ParseUint(ignored, 16, 64)
			return set>>(syscall.SIGHUP-1)&1 == 1
		})
	}
	s.run("reopen")
	s.awaitWaiting(pid)
	if now := kids(pid); !slices.Equal(now, before) {
		t.Errorf("the runners were %v, and are %v", before, now)
	}
	s.run("stop")
	s.awaitGone(pid)
}

// A start that does not get the lock says whose it is, and what might help.
func TestMasterRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	alive, dead := strconv.Itoa(s.group), "9999999"
	for _, c := range []struct {
		version, flags string
		host, pid      string // of the lock's holder; "" is an empty lock
		status         int
		says           string
	}{
		{"2.1.15", "", host, alive, 0, "another master is already running"},
		{"2.1.15", "", host, dead, 0, "stale. Re-run with -s"},
		{"2.1.15", "", "elsewhere", alive, 0, "host elsewhere may have it. If you know that it is stale, re-run with -s"},
		{"2.1.39", "-s", "elsewhere", alive, 0, "host elsewhere may have it. If you know that it is stale, re-run with -s"},
		{"2.1.39", "-s", host, alive, 0, "another master is already running"},
		{"2.1.39", "", "", "", 1, "the lock names nobody"},
		{"2.1.39", "-s", "", "", 1, "the lock names nobody"},
		{"2.1.15", "-s", "", "", 1, "the lock names nobody"},
		{"3.3.8", "", host, alive, 2, "already running"},
		{"3.3.8", "", host, dead, 2, "did not exit cleanly the last time. Try --force"},
		{"3.3.8", "", "elsewhere", alive, 2, "did not exit cleanly the last time. Try --force"},
		{"3.3.8", "--force", host, alive, 2, "already running"},
		{"3.3.8", "--direct", host, alive, 1, "another master is already running"},
		{"3.3.8", "--direct", host, dead, 1, "stale. Re-run with --force"},
		{"3.3.8", "--direct", "elsewhere", alive, 1, "host elsewhere may have it. If it is stale, remove it by hand"},
	} {
		claim, lock := s.dir+"/locks/master-qrunner."+c.host+"."+c.pid, s.dir+"/locks/master-qrunner"
		if c.version == "3.3.8" {
			claim, lock = s.dir+"/locks/master.lck|"+c.host+"|"+c.pid+"|1", s.dir+"/locks/master.lck"
		}
		content := claim
		if c.host == "" {
			content = ""
		}
		later := time.Now().Add(time.Hour)
		for _, err := range []error{os.RemoveAll(s.dir + "/locks"), os.Mkdir(s.dir+"/locks", 0o770),
			os.WriteFile(claim, []byte(content), 0o660), os.Link(claim, lock), os.Chtimes(lock, later, later)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		args := append([]string{"--profile", c.version}, strings.Fields(c.flags)...)
		if status, log := s.run(append(args, "start")...); status != c.status || !strings.Contains(log, c.says) {
			t.Errorf("%+v: status %d, %s", c, status, log)
		}
	}
}

// 2.1.15's -s takes the lock from a master that lives.
func TestMasterForce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run("start")
	first := s.master("master-qrunner.pid", 0)
	if status, log := s.run("--profile", "2.1.15", "-s", "start"); status != 0 || log != "" {
		t.Fatalf("start -s: status %d, %s", status, log)
	}
	second := s.master("master-qrunner.pid", first)
	if err := syscall.Kill(first, 0); err != nil {
		t.Errorf("the first master has gone: %v", err)
	}
	// What a day later would do: the first finds that its lock is gone, and
	// ends; the second's is left alone.
	syscall.Kill(first, syscall.SIGALRM)
	s.awaitGone(first)
	claim, _ := os.ReadFile(s.dir + "/locks/master-qrunner")
	if !strings.HasSuffix(string(claim), "."+strconv.Itoa(second)) {
		t.Errorf("the lock holds %q; the second master is %d", claim, second)
	}
	s.run("stop")
	s.awaitGone(second)
}

// A runner that dies at each start is started again ten times; then the master
// has none left, and ends.
func TestMasterRestartLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.WriteFile(s.dir+"/qfiles/out/foo.pck", nil, 0o660); err != nil {
		t.Fatal(err)
	}
	status, _, log := run(t, "master", "--dir", s.dir, "--runners", "1", "start")
	if status != 0 || strings.Count(log, "ValueError") != 11 || !strings.HasSuffix(log, "reached maximum restart limit of 10, not restarting.\n") {
		t.Errorf("status %d, log\n%s", status, log)
	}
	names, err := os.ReadDir(s.dir + "/locks")
	if err != nil || len(names) > 0 {
		t.Errorf("the lock is left: %v, %v", names, err)
	}
}

func TestMasterWithoutSiteList(t *testing.T) {
	s := newSite(t)
	if err := os.Remove(s.dir + "/lists/mailman/config.pck"); err != nil {
		t.Fatal(err)
	}
	if status, log := s.run("start"); status != 1 || !strings.Contains(log, "Site list is missing") {
		t.Errorf("status %d, %s", status, log)
	}
}

// The programs of this file tell what they know, and refuse what they do not.
func TestUsageOfOthers(t *testing.T) {
	for _, tc := range []struct{ args, tells string }{
		{"", "--discard"},
		{"queue", "-until-empty"},
		{"inject", "-message"},
		{"send", "-lmtp"},
		{"unshunt", "-discard"},
		{"show", "show FILE"},
		{"lock", "-section"},
		{"list", "handle NUMBER"},
		{"list add", "handle NUMBER"},
		{"master", "--stale-lock-cleanup"},
		{"idle", "-child-pid"},
	} {
		args := append(strings.Fields(tc.args), "--help")
		if status, out, log := run(t, args...); status != 0 || log != "" || !strings.HasPrefix(out, "usage: screwtape runner ") || !strings.Contains(out, tc.tells) {
			t.Errorf("%v: status %d, %s%s", args, status, out, log)
		}
	}
	for _, args := range []string{"", "fly", "queue --queue pipeline", "queue now", "inject", "inject --id m0 m1", "unshunt --nonsense", "unshunt a b", "unshunt --profile 3.3.8 a", "unshunt --discard",
		"show", "show --nonsense", "show a b", "lock --kind pencil", "lock x", "list", "list dance", "list new m0", "list --profile 3.3.8 show", "list add m0 --nonsense", "list add", "list add m0 m1", "list show m0",
		"master", "master dance", "master start now", "master --profile 1.0 start", "master --queues pipeline start", "idle --nonsense", "idle now"} {
		if status, _, log := run(t, strings.Fields(args)...); status != exitUsage || strings.Count(log, "\n") != 1 {
			t.Errorf("%s: status %d, %q", args, status, log)
		}
	}
}
