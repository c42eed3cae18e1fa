package harness

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// Signals end the waits that they end in the kernel, and no others, after the
// time that they took to come.
func TestSignals(t *testing.T) {
	exe := compileC(t, "static", "signals.c")
	if exe == "" {
		t.Skip("SKIPPED: no static C")
	}
	type want struct {
		how   string
		lines string
		verb  string // a decision that there is, or with "-" in front is not
	}
	var table []want
	for _, how := range []string{"ppoll", "pselect", "epoll_pwait", "epoll_pwait2"} {
		table = append(table,
			want{"unblocked-" + how, "unblocked-" + how + " EINTR 60 1", "alarm"},
			want{"pending-" + how, "pending-" + how + " EINTR 0 1", "-alarm"},
			want{"blocked-" + how, "blocked-" + how + " ok 3600 1", "alarm"})
	}
	table = append(table,
		want{"sigtimedwait", "sigtimedwait ok 60 0", "alarm"},
		want{"nanosleep", "nanosleep EINTR 60 1, left 3540", "alarm"},
		want{"process", "process ok 3600 1", "alarm"},
		want{"thread", "thread EINTR 60 1", "-kill"},
		want{"kill", "kill EINTR 60 1", "kill"},
		want{"sigqueue", "sigqueue EINTR 60 1", "kill"},
		want{"tgkill", "tgkill EINTR 60 1", "kill"},
		want{"tkill", "tkill EINTR 60 1", "kill"},
		want{"rt", "rt EINTR 60 1", "kill"},
		want{"once", "once ok 3660 1", "kill"},
		want{"sigwait", "sigwait ok 60 0, sigwait ok 120 0", "kill"},
		want{"sigwait-timer", "sigwait-timer ok 3660 0", "alarm"},
		want{"timer-thread", "timer-thread ok 3600 1, timer-thread ok 7200 1", "alarm"},
		want{"group", "group EINTR 60 1, sender ok 60 0", "kill"},
		want{"no-signal", "no-signal ok 3600 0", "kill"},
		want{"no-timer", "EINVAL EINVAL EOPNOTSUPP", "-alarm"},
		want{"closed-timerfd", "closed-timerfd ok 3600 0", "-alarm"},
		want{"waiting-parent", "waiting-parent ok 60 0", "-exit"},
		want{"receive", "receive ok 60 0, another ok 7200 0", "wake"})
	for _, tc := range table {
		t.Run(tc.how, func(t *testing.T) {
			r := playTimed(t, []string{exe, tc.how}, nil)
			if got := texts(r); got != tc.lines {
				t.Errorf("it wrote %q, want %q\n%s", got, tc.lines, r.Log())
			}
			verb, unwanted := strings.CutPrefix(tc.verb, "-")
			if has(r, verb) == unwanted {
				t.Errorf("%s is a decision: %v, want %v\n%s", verb, unwanted, !unwanted, r.Log())
			}
		})
	}
	// A timer that rings late says by how many periods.
	for how, want := range map[string]string{"overrun": "overrun 4 4", "late-timerfd": "expired 5"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, timedTest([]string{exe, how}, nil))
			r, err := w.Play(&holdBack{verb: schedule.Alarm}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(r); got != want {
				t.Errorf("it wrote %q, want %q\n%s", got, want, r.Log())
			}
		})
	}
}

// A timer that is due at once expires on a clock that runs fast too.
func TestDueAtOnce(t *testing.T) {
	exe := compileC(t, "static", "signals.c")
	if exe == "" {
		t.Skip("SKIPPED: no static C")
	}
	tape, err := schedule.Parse("fast.tape", strings.NewReader("screwtape tape 1\ncalls: named\n\na skew x1.5\na/timed start\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := newWorld(t, timedTest([]string{exe, "due"}, nil)).Replay(tape, Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(r); got != "expired 1" {
		t.Errorf("it wrote %q\n%s", got, r.Log())
	}
}

// A time-out interrupts the sleep in which it comes. Where it is beyond the horizon
// no sleeper of its program wakes after it: that would be as if it had not been set.
func TestTimeoutBeyondHorizon(t *testing.T) {
	exe := compileC(t, "static", "signals.c")
	if exe == "" {
		t.Skip("SKIPPED: no static C")
	}
	for _, tc := range []struct {
		horizon       time.Duration
		text, bounded string
	}{
		{time.Hour, "again EINTR 120 2", ""},
		{time.Second, "", "the horizon of a/timed, 1s"},
	} {
		test := timedTest([]string{exe, "again"}, nil)
		test.Programs[0].Horizon = tc.horizon
		r, err := newWorld(t, test).Play(schedule.Canonical(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(r); got != tc.text || r.Bounded != tc.bounded {
			t.Errorf("with a horizon of %v it wrote %q, bounded: %q; want %q, %q\n%s", tc.horizon, got, r.Bounded, tc.text, tc.bounded, r.Log())
		}
	}
}

// When a child ends is a decision where its parent could do something before,
// and which of two children ends first.
func TestExits(t *testing.T) {
	exe := compileC(t, "static", "signals.c")
	if exe == "" {
		t.Skip("SKIPPED: no static C")
	}
	for _, tc := range []struct{ how, order, want string }{
		{"busy-parent", "a/timed.1 exit\na/timed mkdir one\na/timed mkdir two", "one ok 0 1, two ok 0 1"},
		{"busy-parent", "a/timed mkdir one\na/timed.1 exit\na/timed mkdir two", "one ok 0 0, two ok 0 1"},
		{"busy-parent", "a/timed mkdir one\na/timed mkdir two", "one ok 0 0, two ok 0 0"},
		{"twins", "a/timed.1 exit", "one"},
		{"twins", "a/timed.2 exit", "two"},
	} {
		t.Run(tc.how, func(t *testing.T) {
			tape, err := schedule.Parse("exits.tape", strings.NewReader("screwtape tape 1\ncalls: named\n\na/timed start\n"+tc.order+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, timedTest([]string{exe, tc.how}, nil))
			r, err := w.Replay(tape, Options{Fresh: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(r); got != tc.want {
				t.Errorf("it wrote %q, want %q\n%s", got, tc.want, r.Log())
			}
			if r.Bounded != "" {
				t.Error(r.Bounded)
			}
		})
	}
}

// A program that is killed by another's signal does not do what it was held at.
func TestKilledBySignal(t *testing.T) {
	exe := compileC(t, "static", "signals.c")
	if exe == "" {
		t.Skip("SKIPPED: no static C")
	}
	tape, err := schedule.Parse("kill.tape", strings.NewReader("screwtape tape 1\ncalls: named\n\na/timed start\na/timed.1 open file\na/timed.1 write file\na/timed kill a/timed.1 SIGUSR1\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := newWorld(t, timedTest([]string{exe, "killed-child"}, nil)).Replay(tape, Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(r); got != "killed" || r.Bounded != "" || has(r, "read") {
		t.Errorf("it wrote %q; bounded: %q\n%s", got, r.Bounded, r.Log())
	}
}

// A signal that the kernel does not let a program send kills nobody, and the tape
// says so.
func TestNotPermitted(t *testing.T) {
	if node.OwnUser() {
		t.Skip("SKIPPED: an ordinary user has one uid only")
	}
	exe := compileC(t, "static", "signals.c")
	if exe == "" {
		t.Skip("SKIPPED: no static C")
	}
	r := playTimed(t, []string{exe, "not-permitted"}, nil)
	if got := texts(r); got != "refused" || r.Bounded != "" || !strings.Contains(r.Log(), "a/timed.1 kill a/timed SIGUSR1 = EPERM") {
		t.Errorf("it wrote %q; bounded: %q\n%s", got, r.Bounded, r.Log())
	}
}

// A child has the number and the pid of its own fork, also when two threads of a
// program fork at once.
func TestForksAtOnce(t *testing.T) {
	exe := compileC(t, "static", "signals.c")
	if exe == "" {
		t.Skip("SKIPPED: no static C")
	}
	r := playTimed(t, []string{exe, "forks"}, nil)
	made := 0
	for _, s := range r.Steps {
		if s.Verb != "mkdir" {
			continue
		}
		made++
		var child int
		fmt.Sscanf(s.Process, "a/timed.%d", &child)
		// Before them there were the program and its two threads.
		if want := strconv.Itoa(pidsOfProgram + 2 + child); s.Names[0] != want {
			t.Errorf("%s has pid %s, want %s", s.Process, s.Names[0], want)
		}
	}
	if made != 10 {
		t.Errorf("%d children, want 10\n%s", made, r.Log())
	}
}

// texts are the lines that programs wrote.
func texts(r *Result) string {
	var list []string
	for _, l := range r.Logs {
		list = append(list, l.Text)
	}
	return strings.Join(list, ", ")
}

// has reports whether there was a decision of that kind.
func has(r *Result, verb string) bool {
	for _, s := range r.Steps {
		if s.Verb == verb {
			return true
		}
	}
	return false
}
