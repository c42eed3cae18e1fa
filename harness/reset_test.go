package harness

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

func init() {
	probes["number"] = func([]string) int { // asks for its pid
		p := newProber("absolute")
		p.sleep(slowSleep)
		p.sys(unix.SYS_GETPID)
		p.sleep(fastSleep)
		return 0
	}
}

// The next schedule goes on with a program that was started again in the one
// before when that makes no difference to it.
func TestRestartedProgramStays(t *testing.T) {
	for _, numberless := range []bool{true, false} {
		program := probeProgram("a", "probe", true, []string{probeName, "loop", "newfstatat", "1"})
		program.Numberless = numberless
		s := stage{newWorld(t, &Test{Nodes: []string{"a"}, Programs: []Program{program}, Workload: plain{files: tableFiles}}), t}
		s.up()
		p := s.programs[0]
		s.kill(p)
		s.rest()
		if err := s.start(p); err != nil {
			t.Fatal(err)
		}
		s.rest()
		for !s.idle(p) {
			s.let(s.ready(p))
		}
		pid := p.pid
		for range 2 { // the second finds it as it was
			if err := s.reset(false); err != nil {
				t.Fatal(err)
			}
			if p.starts != 1 {
				t.Errorf("numberless %v: begins a schedule in its start number %d", numberless, p.starts)
			}
			if stays := p.pid == pid; stays != numberless {
				t.Errorf("numberless %v: stays %v", numberless, stays)
			}
			pid = p.pid
			if !numberless {
				break
			}
		}
	}
}

func TestNumberlessProgramAsksForItsPID(t *testing.T) {
	program := probeProgram("a", "probe", true, []string{probeName, "number"})
	program.Numberless = true
	s := stage{newWorld(t, &Test{Nodes: []string{"a"}, Programs: []Program{program}, Workload: plain{files: tableFiles}}), t}
	s.up()
	s.sleeper(slowSleep).endSleep(0)
	if err := s.settle(); err == nil || !strings.Contains(err.Error(), "asks for its pid") {
		t.Errorf("error %v, want that it asks for its pid", err)
	}
}

// A program that has a child, which lives on, does not go on into the next
// schedule without it.
func TestProgramWithChildIsStartedAnew(t *testing.T) {
	p := shell("a", "sh", "sleep 1000 & exec sleep 2000")
	p.Late, p.Once = false, false
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{p}})
	for i := range 3 {
		if err := w.reset(false); err != nil {
			t.Fatal(err)
		}
		if n := len(w.family(w.programs[0])); n != 2 {
			t.Errorf("schedule %d begins with %d processes, want 2", i+1, n)
		}
	}
}

// A program that was sent a signal does not go on into the next schedule: it may
// remember that.
func TestProgramThatWasSentASignalIsStartedAnew(t *testing.T) {
	p := shell("a", "sh", "exec sleep 1000")
	p.Late, p.Once = false, false
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{p}})
	q := w.programs[0]
	pid := 0
	for i, stays := range []bool{false, true, false, true} {
		if err := w.reset(false); err != nil {
			t.Fatal(err)
		}
		if (q.pid == pid) != stays {
			t.Errorf("schedule %d goes on with the program: %v, want %v", i+1, !stays, stays)
		}
		pid = q.pid
		if i == 1 {
			if err := w.tell(q, "WINCH"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A program that is Anew does not go on into the next schedule.
func TestAnew(t *testing.T) {
	p := shell("a", "sh", "exec sleep 1000")
	p.Late, p.Once, p.Anew = false, false, true
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{p}})
	before := 0
	for range 2 {
		if err := w.reset(false); err != nil {
			t.Fatal(err)
		}
		if pid := w.programs[0].pid; pid == before {
			t.Errorf("process %d goes on", pid)
		}
		before = w.programs[0].pid
	}
}

// Nothing of what was counted in a program's last life is there in its next.
func TestNextLife(t *testing.T) {
	p := shell("a", "sh", "exec sleep 1000")
	p.Late, p.Once = false, false
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{p}})
	if err := w.reset(true); err != nil {
		t.Fatal(err)
	}
	const counted = 1 << 40
	q := w.programs[0]
	q.ran, q.round, q.forks = counted, counted, counted
	if err := w.reset(true); err != nil {
		t.Fatal(err)
	}
	if q.ran >= counted || q.round >= counted || q.forks >= counted {
		t.Errorf("it has run %d times, %d of them sysmon, and forked %d times before it was started", q.ran, q.round, q.forks)
	}
}

// A program that waits for a child, which sleeps, is idle, and begins every
// schedule so.
func TestShellThatWaitsIsIdle(t *testing.T) {
	for name, script := range map[string]string{
		"loop": "while :; do mkdir -p /shared/d; sleep 5; done",
		"wait": "sleep 5 & wait; mkdir /shared/d; exec sleep 9",
		"pipe": "sleep 5 | read x; mkdir /shared/d; exec sleep 9",
	} {
		t.Run(name, func(t *testing.T) {
			p := shell("a", "sh", script)
			p.Late, p.Once, p.Horizon = false, false, -1
			w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{p}})
			var first string
			for i := range 2 {
				r, err := w.Play(schedule.Canonical(), Options{})
				if err != nil {
					t.Fatal(err)
				}
				if first == "" {
					first = r.Log()
				}
				if !strings.Contains(r.Log(), "wake") || r.Log() != first {
					t.Errorf("schedule %d:\n%swant as the first, with a wake-up:\n%s", i+1, r.Log(), first)
				}
			}
		})
	}
}
