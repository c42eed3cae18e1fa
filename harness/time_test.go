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

// An hour is one program that sleeps an hour, in one way or in several, and
// prints what its clocks say of that.
type hour struct {
	name string
	args []string
	env  []string
}

// hours are all of {static C, dynamic C, Python, Perl, sh, static Go} x {each
// clock, each kind of sleep} x {by itself, in a child, in a thread} that there
// are. A shell has no threads, and sleeps by a child; a signal of alarm(2) goes
// to the main thread in Python and Perl, so none sleeps so in another.
func hours(t *testing.T) []hour {
	t.Helper()
	var list []hour
	add := func(name string, env []string, args ...string) { list = append(list, hour{name, args, env}) }
	places := []string{"", "child", "thread"}
	in := func(name, place string) string { return strings.TrimSuffix(name+" in a "+place, " in a ") }
	for _, kind := range []string{"static", "dynamic"} {
		exe := compileC(t, kind, "hour.c")
		if exe == "" {
			continue
		}
		for _, how := range []string{"clock_nanosleep", "absolute", "nanosleep", "sleep", "select", "pselect", "poll", "poll-files",
			"select-files", "ppoll", "epoll", "epoll_pwait", "epoll_pwait2", "futex", "cond", "sem_timedwait", "alarm", "setitimer", "periods",
			"timerfd", "timerfd-periods", "timer_create", "timer_thread", "timer_none", "sigtimedwait",
			"rcvtimeo", "rcvtimeo-read", "rcvtimeo-readv", "rcvtimeo-dup", "rcvtimeo-recvmmsg"} {
			for _, place := range places {
				add(in(kind+" C, "+how, place), nil, strings.Fields(exe+" "+how+" monotonic "+place)...)
			}
		}
		for _, clock := range []string{"realtime", "realtime_coarse", "monotonic_coarse", "boottime", "raw", "tai", "time", "gettimeofday"} {
			add(kind+" C, clock "+clock, nil, exe, "sleep", clock)
		}
	}
	exe := compileGo(t)
	for _, place := range places {
		if exe != "" {
			for _, procs := range []string{"GOMAXPROCS=1", "GOMAXPROCS=2"} {
				add(in("Go, "+procs, place), []string{procs}, strings.Fields(exe+" "+place)...)
			}
		}
		for _, script := range []struct{ name, interpreter, file string }{
			{"python3", "python3", "hour.py"}, {"python2", "python2.7", "hour2.py"}, {"perl", "perl", "hour.pl"},
		} {
			path := real(script.interpreter)
			file, err := filepath.Abs("testdata/time/" + script.file)
			if path == "" || err != nil {
				t.Logf("SKIPPED: no %s on this machine", script.interpreter)
				continue
			}
			add(in(script.name, place), nil, strings.Fields(path+" "+file+" "+place)...)
		}
	}
	const sh = "a=$(date +%s); sleep 3600; b=$(date +%s); echo $((b-a))"
	add("sh", nil, "/bin/sh", "-c", sh)
	add("sh in a child", nil, "/bin/sh", "-c", "("+sh+") & wait")
	return list
}

// bare is what starts a program of such a kind and does nothing.
func (h hour) bare() []string {
	switch base := filepath.Base(h.args[0]); {
	case strings.HasPrefix(base, "python"), strings.HasPrefix(base, "sh"):
		return []string{h.args[0], "-c", ""}
	case strings.HasPrefix(base, "perl"):
		return []string{h.args[0], "-e", ""}
	}
	return nil
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

func compileC(t *testing.T, kind, file string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Log("SKIPPED: no C compiler on this machine")
		return ""
	}
	exe := filepath.Join(t.TempDir(), kind)
	args := []string{"-o", exe, "testdata/time/" + file, "-pthread"}
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
// the schedule is over at once. How soon is logged.
func TestHour(t *testing.T) {
	for _, h := range hours(t) {
		t.Run(h.name, func(t *testing.T) {
			r := playTimed(t, h.args, h.env)
			for _, l := range r.Logs {
				if !strings.HasSuffix(" "+l.Text, " 3600") {
					t.Errorf("it wrote %q, not 3600", l.Text)
				}
			}
			if len(r.Logs) == 0 || t.Failed() {
				t.Fatalf("it wrote %d lines\n%s", len(r.Logs), r.Log())
			}
			text := fmt.Sprintf("%.0f ms for %d hours", 1000*r.Seconds, distinct(r.Logs))
			if bare := h.bare(); bare != nil {
				text += fmt.Sprintf("; a bare start is %.0f ms", 1000*playTimed(t, bare, h.env).Seconds)
			}
			t.Log(text)
		})
	}
}

// distinct counts the ways in which a program has slept: the first words of its
// lines.
func distinct(lines []history.Line) int {
	ways := map[string]bool{}
	for _, l := range lines {
		ways[strings.Fields(l.Text + " .")[0]] = true
	}
	return len(ways)
}

// timedTest is a test of one program in virtual time.
func timedTest(args, env []string) *Test {
	return &Test{Name: "timed", Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{{
		Node: "a", Name: "timed", Path: args[0], Args: args, Env: append(env, "PATH="+os.Getenv("PATH")), Timed: true, Late: true, Once: true,
	}}}
}

// playTimed plays a schedule of one program in virtual time.
func playTimed(t *testing.T, args, env []string) *Result {
	t.Helper()
	w, err := NewWorld(timedTest(args, env))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := w.Play(schedule.Canonical(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Bounded != "" {
		t.Error(r.Bounded)
	}
	return r
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

// A program that should end and polls for what never comes, by whatever clock, is
// given up at its horizon, and that is said; one that ends, or need not, is not.
func TestHorizon(t *testing.T) {
	const poll = `while ! test -e /shared/%s; do sleep 60; done`
	const timer = "import signal\nsignal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(signal.ITIMER_REAL, 1, 1)\nwhile True: signal.pause()"
	for _, tc := range []struct {
		name    string
		args    []string
		once    bool
		horizon time.Duration
		bounded string
	}{
		{"polls", []string{"/bin/sh", "-c", fmt.Sprintf(poll, "never")}, true, 0, "the horizon of a/timed, 60h0m0s"},
		{"is woken by changes alone", []string{"/bin/sh", "-c", fmt.Sprintf(poll, "never")}, true, -1, ""},
		{"finds", []string{"/bin/sh", "-c", fmt.Sprintf(poll, ".")}, true, 0, ""},
		{"serves", []string{"/bin/sh", "-c", fmt.Sprintf(poll, "never")}, false, 0, ""},
		{"leaves a server", []string{"/bin/sh", "-c", fmt.Sprintf("("+poll+") &", "never")}, true, 0, ""},
		{"periodic timer", []string{real("python3"), "-c", timer}, true, 0, "the horizon of a/timed, 60h0m0s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.args[0] == "" {
				t.Skip("SKIPPED: no python3 on this machine")
			}
			test := timedTest(tc.args, nil)
			test.Programs[0].Once, test.Programs[0].Horizon = tc.once, tc.horizon
			tape, err := schedule.Parse("start.tape", strings.NewReader("screwtape tape 1\ncalls: named\n\na/timed start\n"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := newWorld(t, test).Replay(tape, Options{Fresh: true})
			if err != nil {
				t.Fatal(err)
			}
			if r.Bounded != tc.bounded {
				t.Errorf("bounded: %q, want %q", r.Bounded, tc.bounded)
			}
			if want := map[bool]string{true: "valid", false: "unknown"}[tc.bounded == ""]; string(r.Verdict.Verdict) != want {
				t.Errorf("%v, want %s", r.Verdict, want)
			}
			t.Logf("%d decisions, %.0f ms", len(r.Steps), 1000*r.Seconds)
		})
	}
}
