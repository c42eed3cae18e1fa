package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// An hour is one program that sleeps an hour and prints what its clock says of
// that.
type hour struct {
	name string
	args []string
	env  []string
}

// hours are all of {static C, dynamic C, python3, perl, sh, static Go} x {each
// clock, each kind of sleep, child, thread} that there are.
func hours(t *testing.T) []hour {
	t.Helper()
	var list []hour
	add := func(name string, env []string, args ...string) { list = append(list, hour{name, args, env}) }
	for _, kind := range []string{"static", "dynamic"} {
		exe := compileC(t, kind)
		if exe == "" {
			continue
		}
		for _, how := range []string{"clock_nanosleep", "absolute", "nanosleep", "sleep", "select", "pselect", "poll", "poll-files",
			"select-files", "ppoll", "epoll", "futex", "cond", "alarm", "setitimer", "timerfd", "timer_create", "rcvtimeo"} {
			add(kind+" C, "+how, nil, exe, how, "monotonic")
		}
		for _, clock := range []string{"realtime", "boottime", "coarse", "raw", "time", "gettimeofday"} {
			add(kind+" C, clock "+clock, nil, exe, "sleep", clock)
		}
		add(kind+" C, child", nil, exe, "sleep", "monotonic", "child")
		add(kind+" C, thread", nil, exe, "cond", "monotonic", "thread")
	}
	if exe := compileGo(t); exe != "" {
		for _, procs := range []string{"GOMAXPROCS=1", "GOMAXPROCS=2"} {
			for _, how := range []string{"sleep", "after", "context"} {
				add("Go, "+procs+", "+how, []string{procs}, exe, how)
			}
			add("Go, "+procs+", goroutine", []string{procs}, exe, "sleep", "goroutine")
		}
	}
	script := func(name, interpreter string, flags []string, text string) {
		if path := real(interpreter); path != "" {
			add(name, nil, append(append([]string{path}, flags...), text)...)
		} else {
			t.Logf("SKIPPED: no %s on this machine", interpreter)
		}
	}
	script("python3, sleep", "python3", []string{"-c"}, "import time; a=time.time(); time.sleep(3600); print(round(time.time()-a))")
	script("python3, monotonic", "python3", []string{"-c"}, "import time; a=time.monotonic(); time.sleep(3600); print(round(time.monotonic()-a))")
	script("python3, event", "python3", []string{"-c"}, "import time, threading; a=time.time(); threading.Event().wait(3600); print(round(time.time()-a))")
	script("python3, thread", "python3", []string{"-c"}, "import time, threading; a=time.time(); t=threading.Thread(target=time.sleep, args=(3600,)); t.start(); t.join(); print(round(time.time()-a))")
	script("python3, child", "python3", []string{"-c"}, "import time, os; a=time.time()\nif os.fork()==0: time.sleep(3600); os._exit(0)\nos.wait(); print(round(time.time()-a))")
	script("python3, select", "python3", []string{"-c"}, "import time, select, os; a=time.time(); r, w = os.pipe(); print(select.select([r],[],[],3600)[0] or round(time.time()-a))")
	script("python2, sleep", "python2.7", []string{"-c"}, "import time; a=time.time(); time.sleep(3600); print(int(round(time.time()-a)))")
	script("perl, sleep", "perl", []string{"-e"}, "$a=time; sleep 3600; print time-$a, \"\\n\"")
	script("perl, alarm", "perl", []string{"-e"}, "$SIG{ALRM}=sub{}; $a=time; alarm 3600; select undef,undef,undef,7200; print time-$a, \"\\n\"")
	script("sh, sleep", "sh", []string{"-c"}, "a=$(date +%s); sleep 3600; b=$(date +%s); echo $((b-a))")
	return list
}

// real finds a program, behind the scripts with which pyenv dispatches, or
// gives "".
func real(name string) string {
	if out, err := exec.Command("pyenv", "which", name).Output(); err == nil {
		return strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("pyenv", "root").Output(); err == nil {
		if found, _ := filepath.Glob(strings.TrimSpace(string(out)) + "/versions/*/bin/" + name); len(found) > 0 {
			return found[0]
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

func compileC(t *testing.T, kind string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Log("SKIPPED: no C compiler on this machine")
		return ""
	}
	exe := filepath.Join(t.TempDir(), "hour-"+kind)
	args := []string{"-o", exe, "testdata/time/hour.c", "-pthread"}
	if kind == "static" {
		args = append(args, "-static")
	}
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Logf("SKIPPED: %s C cannot be compiled here: %s", kind, out)
		return ""
	}
	return exe
}

func compileGo(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "hour-go")
	build := exec.Command("go", "build", "-o", exe, "testdata/time/hour.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Logf("SKIPPED: Go cannot be compiled here: %v %s", err, out)
		return ""
	}
	return exe
}

// A program in virtual time that sleeps an hour finds its clock an hour on, and
// the schedule is over at once.
func TestHour(t *testing.T) {
	for _, h := range hours(t) {
		t.Run(h.name, func(t *testing.T) {
			test := &Test{Name: "hour", Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{{
				Node: "a", Name: "hour", Path: h.args[0], Args: h.args, Env: append(h.env, "PATH="+os.Getenv("PATH")), Timed: true, Late: true, Once: true, Horizon: 2 * time.Hour,
			}}}
			w, err := NewWorld(test)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			r, err := w.Play(schedule.Canonical(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := []history.Line{{Process: "a/hour", Text: "3600"}}
			if len(r.Logs) != 1 || r.Logs[0] != want[0] {
				t.Errorf("it wrote %v, not 3600\n%s", r.Logs, r.Log())
			}
			t.Logf("%.0f ms", 1000*r.Seconds)
		})
	}
}

// A lock by mkdir, held for a while and waited for, in two languages. What they
// do depends on their clocks, their pids, their children and on chance.
const (
	lockSh = `n=0
until mkdir /shared/lock 2>/dev/null; do sleep 1; n=$((n+1)); done
echo "$$ after $n at $(date +%s)" >>/shared/log
sleep 2
rmdir /shared/lock`
	lockPy = `import os, random, time
n = 0
while True:
    try:
        os.mkdir('/shared/lock')
        break
    except OSError:
        n += 1
        time.sleep(random.random())
with open('/shared/log', 'a') as f:
    f.write('%d after %d at %.6f %s\n' % (os.getpid(), n, time.time(), hash('x')))
time.sleep(2)
if os.fork() == 0:
    os.rmdir('/shared/lock')
    os._exit(0)
os.wait()`
)

// One tape in virtual time goes the same way each time, in every byte.
func TestTimedReplay(t *testing.T) {
	programs := map[string][]string{"sh": {real("sh"), "-c", lockSh}, "python": {real("python3"), "-c", lockPy}}
	for _, name := range []string{"sh", "python"} {
		args := programs[name]
		if args[0] == "" {
			t.Logf("SKIPPED: no %s on this machine", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			test := &Test{Name: name, Nodes: []string{"a", "b"}, Workload: plain{files: map[string]string{"log": "begin\n"}}}
			for _, n := range test.Nodes {
				test.Programs = append(test.Programs, Program{Node: n, Name: "lock", Path: args[0], Args: args,
					Env: []string{"PATH=/usr/bin:/bin"}, Timed: true, Late: true, Once: true, Horizon: time.Hour})
			}
			w, err := NewWorld(test)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			repeats := 10
			if os.Getenv("SCREWTAPE_LONG") != "" {
				repeats = 1000
			}
			first, err := w.Play(schedule.Random(schedule.Draw{Seed: 5, Length: 63, Points: 26}), Options{Record: true})
			if err != nil {
				t.Fatal(err)
			}
			for i := range repeats {
				again, err := w.Replay(first.Tape, Options{Fresh: true, Record: true})
				if err != nil {
					t.Fatalf("repeat %d: %v\n%s", i, err, first.Log())
				}
				if first.Log() != again.Log() {
					t.Fatalf("repeat %d: %s\n%s", i, firstDifference(first.Log(), again.Log()), first.Log())
				}
			}
			log, err := w.store.ReadFile("/shared/log")
			if err != nil || strings.Count(string(log), " after ") != 2 {
				t.Errorf("the log is %q, %v", log, err)
			}
		})
	}
}

// Locks that live 30 hours, as Mailman's master's does, in ten lines of two
// languages: who waits breaks one that is older.
const (
	staleSh = `until mkdir /shared/lock 2>/dev/null; do
	age=$(( $(date +%s) - $(stat -c %Y /shared/lock) ))
	if [ $age -gt 108000 ]; then rmdir /shared/lock; fi
	sleep 60
done
echo taken
sleep 60
rmdir /shared/lock`
	stalePy = `import os, time
while True:
    try:
        os.mkdir('/shared/lock')
        break
    except OSError:
        if time.time() - os.stat('/shared/lock').st_mtime > 108000:
            os.rmdir('/shared/lock')
        time.sleep(60)
print('taken', flush=True)
time.sleep(60)
os.rmdir('/shared/lock')`
)

// A dead node's lock expires after 30 hours, in no time.
func TestStaleLock(t *testing.T) {
	for _, tc := range []struct {
		maker string // which of its processes makes the directory first
		args  []string
	}{
		{"lock.1", []string{real("sh"), "-c", staleSh}},
		{"lock", []string{real("python3"), "-c", stalePy}},
	} {
		args := tc.args
		if args[0] == "" {
			t.Log("SKIPPED: no python3 on this machine")
			continue
		}
		t.Run(filepath.Base(args[0]), func(t *testing.T) {
			test := &Test{Name: "stale", Nodes: []string{"a", "b"}, Workload: plain{}}
			for _, n := range test.Nodes {
				test.Programs = append(test.Programs, Program{Node: n, Name: "lock", Path: args[0], Args: args,
					Env: []string{"PATH=/usr/bin:/bin"}, Timed: true, Late: true, Once: true, Horizon: 60 * time.Hour})
			}
			w, err := NewWorld(test)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			tape, err := schedule.Parse("stale.tape", strings.NewReader(fmt.Sprintf(`screwtape tape 1
calls: named

a/lock start
a/%s mkdir lock = ok
a crash
b/lock start
b/%[1]s mkdir lock = EEXIST
`, tc.maker)))
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.Replay(tape, Options{Fresh: true})
			if err != nil {
				t.Fatalf("%v\n%s", err, r.Log())
			}
			taken := time.Duration(0)
			for _, s := range r.Steps {
				if strings.HasPrefix(s.Process, "b/") && s.Verb == "mkdir" && s.Outcome == "ok" {
					taken = s.Time
				}
			}
			if taken < 30*time.Hour || taken > 60*time.Hour {
				t.Errorf("b took the dead holder's lock after %v, not after 30 h\n%s", taken, r.Log())
			}
			t.Logf("taken after %v of virtual time; %d decisions, %.0f ms", taken, len(r.Steps), 1000*r.Seconds)
		})
	}
}
