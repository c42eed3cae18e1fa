package harness

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

// A clock that is set, or runs too fast or too slow, is what the node's programs
// read, and nobody else's.
func TestSkew(t *testing.T) {
	for _, tc := range []struct{ how, a, b string }{
		{"1h0m0s", "7200", "3600"},
		{"-1h0m0s", "0", "3600"},
		{"x2", "3600", "1800"},
		{"x0.5", "3600", "7200"},
	} {
		t.Run(tc.how, func(t *testing.T) {
			// a reads its clock, touches the share, before which its clock goes
			// wrong, sleeps an hour by its clock, and reads it again. b looks
			// at its own clock when a is done.
			const a = `x=$(date +%s); : >/shared/begun; sleep 3600; y=$(date +%s); echo $((y-x)); : >/shared/done`
			const b = `x=$(date +%s); until test -e /shared/done; do sleep 1; done; y=$(date +%s); echo $((y-x))`
			test := &Test{Name: "skew", Nodes: []string{"a", "b"}, Workload: plain{}}
			for i, script := range []string{a, b} {
				node := test.Nodes[i]
				test.Programs = append(test.Programs, Program{Node: node, Name: "sh", Path: "/bin/sh", Args: []string{"sh", "-c", script},
					Env: []string{"PATH=/usr/bin:/bin"}, Timed: true, Late: true, Once: true, Horizon: 10 * time.Hour})
			}
			w, err := NewWorld(test)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			tape, err := schedule.Parse("skew.tape", strings.NewReader(fmt.Sprintf(`screwtape tape 1
calls: named

a/sh start
a skew %s
a/sh open begun = ok
b/sh start
b/sh stat done = ENOENT
a/sh.2 wake
a/sh open done = ok
`, tc.how)))
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.Replay(tape, Options{Fresh: true})
			if err != nil {
				t.Fatalf("%v\n%s", err, r.Log())
			}
			got := map[string]string{}
			for _, l := range r.Logs {
				got[l.Process] = l.Text
			}
			if got["a/sh"] != tc.a || got["b/sh"] != tc.b {
				t.Errorf("by a's clock it took %s s, want %s; by b's %s s, want %s\n%s", got["a/sh"], tc.a, got["b/sh"], tc.b, r.Log())
			}
			if r.Faults[schedule.Skew] != 1 {
				t.Errorf("faults: %v", r.Faults)
			}
		})
	}
}

// A program that is paused does nothing, while time and the others go on, until
// it is resumed, or everything is mended.
func TestPause(t *testing.T) {
	const script = `echo $(date +%s) >/shared/$0; echo $(date +%s) >/shared/$0.2; sleep 3600; : >/shared/$0.3`
	test := &Test{Name: "pause", Nodes: []string{"a", "b"}, Workload: plain{}}
	for _, node := range test.Nodes {
		test.Programs = append(test.Programs, Program{Node: node, Name: "sh", Path: "/bin/sh", Args: []string{"sh", "-c", script, node},
			Env: []string{"PATH=/usr/bin:/bin"}, Timed: true, Late: true, Once: true, Horizon: 10 * time.Hour})
	}
	w, err := NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	tape, err := schedule.Parse("pause.tape", strings.NewReader(`screwtape tape 1
calls: named

a/sh start
a/sh open a = ok
a/sh pause
b/sh start
b/sh write b.2 = ok
b/sh.3 wake
b/sh open b.3 = ok
`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Replay(tape, Options{Fresh: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Log())
	}
	var order []string
	for _, s := range r.Steps {
		if s.Verb == schedule.Resume || s.Verb == "open" && s.Outcome == "ok" {
			order = append(order, strings.Join(append([]string{s.Process, s.Verb}, s.Names...), " "))
		}
	}
	want := "a/sh open a, b/sh open b, b/sh open b.2, b/sh open b.3, a/sh resume, a/sh open a.2, a/sh open a.3"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("order:\n%s\nwant\n%s\n%s", got, want, r.Log())
	}
	if late, _ := w.store.ReadFile("/shared/a.2"); strings.TrimSpace(string(late)) < fmt.Sprint(Epoch.Add(time.Hour).Unix()) {
		t.Errorf("a went on at %s, which is before b was done", late)
	}
}

// A program that is paused does nothing, with its children, even if what it
// waits for comes while it stands still. That is so with the cgroup freezer, and
// with SIGSTOP where there is none.
func TestFrozen(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	// The reader waits in a child; so it is held nowhere.
	reader := strings.ReplaceAll(`: >/shared/ready; (while read x; do echo "got $x"; done; exit 3) <FIFO; echo $?`, "FIFO", fifo)
	writer := strings.ReplaceAll(`exec 3>FIFO; : >/shared/open; echo one >&3; echo wrote; : >/shared/one; sleep 60; : >/shared/late`, "FIFO", fifo)
	const tape = `screwtape tape 1
calls: named

a/reader start
a/reader open ready = ok
a/writer start
a/reader pause
a/writer open open = ok
a/writer open one = ok
a/writer.1 wake
a/writer open late = ok
`
	for _, tc := range []struct{ how, end string }{
		{byFreezer, ""},
		{bySignal, ""},
		{byFreezer, "a/reader resume\n"},
		{byFreezer, "a/reader crash\n"},
		{byFreezer, "a crash\n"},
		{bySignal, "a crash\n"},
	} {
		t.Run(tc.how+", "+tc.end, func(t *testing.T) {
			w := newWorld(t, &Test{Name: "frozen", Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{
				timedShell("a", "reader", reader), timedShell("a", "writer", writer)}})
			if tc.how == bySignal {
				group := w.hosts[0].Group
				w.hosts[0].Group = nil
				t.Cleanup(func() { w.hosts[0].Group = group }) // which is removed with the world
			} else if w.hosts[0].Group == nil {
				t.Skip("SKIPPED: no cgroup may be made here")
			}
			tape, err := schedule.Parse("frozen.tape", strings.NewReader(tape+tc.end))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the next schedule finds nothing frozen
				r, err := w.Replay(tape, Options{Fresh: true})
				if err != nil {
					t.Fatalf("%v\n%s", err, r.Log())
				}
				how := ""
				for _, o := range r.History {
					if o.F == schedule.Pause {
						how = o.Error
					}
				}
				if how != tc.how || r.Bounded != "" {
					t.Errorf("it was paused so: %q; bounded: %q", how, r.Bounded)
				}
				var said []string
				for _, s := range r.Steps {
					for _, l := range s.Lines {
						said = append(said, s.Verb+" "+l.Text)
					}
				}
				want := "open wrote, resume got one, resume 3"
				if strings.Contains(tc.end, "crash") {
					want = "open wrote"
				}
				if got := strings.Join(said, ", "); got != want {
					t.Errorf("what was said after which decision: %q, want %q\n%s", got, want, r.Log())
				}
			}
		})
	}
}

// timedShell is a shell script in virtual time.
func timedShell(node, name, script string) Program {
	p := shell(node, name, script)
	p.Timed = true
	return p
}

// Who polls, and sees no change, goes on and comes to its end before another's
// alarm rings an hour later.
func TestPollsBeforeAlarm(t *testing.T) {
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("SKIPPED: perl is not on this machine")
	}
	run := func(node, name string, args ...string) Program {
		return Program{Node: node, Name: name, Path: "/usr/bin/env", Args: append([]string{"env"}, args...),
			Env: []string{"PATH=/usr/bin:/bin"}, Timed: true, Late: true, Once: true, Horizon: 10 * time.Hour}
	}
	w := newWorld(t, &Test{Name: "alarm", Nodes: []string{"a", "b"}, Workload: plain{}, Programs: []Program{
		run("a", "waits", "perl", "-e", `$SIG{ALRM} = sub { mkdir "/shared/rung" }; alarm 3600; select undef, undef, undef, undef`),
		run("b", "polls", "perl", "-e", `-e "/shared/rung" or sleep 1 for 1..5; mkdir "/shared/gave-up"`)}})
	tape, err := schedule.Parse("alarm.tape", strings.NewReader("screwtape tape 1\ncalls: named\n\na/waits start\nb/polls start\n"+
		strings.Repeat("b/polls wake\n", 5)+"b/polls mkdir gave-up = ok\na/waits alarm alarm\na/waits mkdir rung = ok\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := w.Replay(tape, Options{Fresh: true}); err != nil {
		t.Errorf("%v\n%s", err, r.Log())
	}
}
