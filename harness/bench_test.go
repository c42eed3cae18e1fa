package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

func init() {
	probes["echo"] = func([]string) int { // a byte back for each that comes
		var b [1]byte
		for {
			if n, _ := unix.Read(0, b[:]); n != 1 {
				return 0
			}
			unix.Write(1, b[:])
		}
	}
	probes["time"] = func(args []string) int { // reads its clock or what is empty, or sleeps
		n, _ := strconv.Atoi(args[1])
		p := newProber("absolute")
		p.sleep(slowSleep)
		for range n {
			switch args[0] {
			case "clock":
				p.sys(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, blank{})
			case "read":
				p.sys(unix.SYS_READ, 0, blank{}, 1)
			default:
				p.sleep(fastSleep)
			}
		}
		p.sleep(slowSleep)
		return 0
	}
	probes["untrapped"] = func(args []string) int { // calls of getppid(2)
		n, _ := strconv.Atoi(args[0])
		p := newProber("absolute")
		p.sleep(slowSleep)
		for range n {
			p.sys(unix.SYS_GETPPID)
		}
		p.sleep(slowSleep)
		return 0
	}
}

// BenchmarkGate gives what a held call costs, from one to the next, beside
// what it could not be cheaper than: docs/gate.md.
func BenchmarkGate(b *testing.B) {
	for _, name := range []string{"newfstatat", "rename", "pwrite64", "pread64"} {
		b.Run("call="+name, func(b *testing.B) {
			s, t := benchProbe(b, "loop", name)
			for range b.N {
				s.let(t)
			}
			if !t.asleep {
				b.Fatalf("after %d calls it is not asleep", b.N)
			}
		})
	}
	for _, what := range []string{"clock", "read", "sleep"} {
		b.Run("virtual time="+what, func(b *testing.B) { benchTime(b, what) })
	}
	b.Run("call=untrapped", func(b *testing.B) { benchProbe(b, "untrapped") })
	b.Run("pipe ping-pong", func(b *testing.B) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{probeName, "echo"}
		theirIn, ourOut, _ := os.Pipe()
		ourIn, theirOut, _ := os.Pipe()
		cmd.Stdin, cmd.Stdout = theirIn, theirOut
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		var one [1]byte
		w, r := int(ourOut.Fd()), int(ourIn.Fd()) // blocking from now on
		b.ResetTimer()
		for range b.N {
			unix.Write(w, one[:])
			unix.Read(r, one[:])
		}
		b.StopTimer()
		ourOut.Close()
		theirIn.Close()
		cmd.Wait()
	})
}

// benchTime gives what a clock read, a read that is no socket's, or a sleep with
// its wake-up, costs.
func benchTime(b *testing.B, what string) {
	s, t := benchProbe(b, "time", what)
	if what == "sleep" {
		for range b.N {
			s.wake(t)
		}
	}
}

// benchProbe brings a probe to the first of b.N calls, and starts the clock.
func benchProbe(b *testing.B, args ...string) (stage, *Thread) {
	p := probeProgram("a", "probe", true, append(append([]string{probeName}, args...), strconv.Itoa(b.N)))
	p.Timed = args[0] == "time"
	s := stage{newWorld(b, &Test{Nodes: []string{"a"}, Programs: []Program{p}, Workload: plain{files: tableFiles}}), b}
	if err := s.reset(true); err != nil {
		b.Fatal(err)
	}
	t := s.sleeper(slowSleep)
	b.ResetTimer()
	s.wake(t)
	return s, t
}

// BenchmarkWait gives what a wait costs in virtual time: a schedule of a shell
// script that sleeps 30 hours, beside one that sleeps a second; and one that
// takes a lock that is broken after 30 hours, which it looks for each minute,
// beside one that finds that it may break it at once.
func BenchmarkWait(b *testing.B) {
	sleep := func(seconds string) []string {
		return []string{"/bin/sh", "-c", "mkdir /shared/lock; sleep " + seconds + "; rmdir /shared/lock"}
	}
	stale := func(lifetime string) []string {
		return []string{"/bin/sh", "-c", "mkdir /shared/lock\n" + strings.Replace(staleSh, "108000", lifetime, 1)}
	}
	kinds := []struct {
		name string
		args []string
	}{{"sleep-1s", sleep("1")}, {"sleep-30h", sleep("108000")}, {"stale-now", stale("-1")}, {"stale-30h", stale("108000")}}
	var tests []*Test
	for _, k := range kinds {
		tests = append(tests, timedTest(k.args, nil))
	}
	for i, best := range turns(b, tests) {
		b.ReportMetric(best/1e6, kinds[i].name+"-ms")
	}
}

// BenchmarkExec gives what an exec of a shell costs, in virtual time and
// without: the difference between a schedule with five and one with one.
func BenchmarkExec(b *testing.B) {
	var tests []*Test
	for _, timed := range []bool{false, true} {
		for _, script := range []string{"exec true", `exec sh -c "exec sh -c 'exec sh -c \"exec sh -c true\"'"`} {
			test := timedTest([]string{"/bin/sh", "-c", script}, nil)
			test.Programs[0].Timed = timed
			tests = append(tests, test)
		}
	}
	best := turns(b, tests)
	b.ReportMetric((best[1]-best[0])/4/1000, "exec-µs")
	b.ReportMetric((best[3]-best[2])/4/1000, "timed-exec-µs")
}

// turns plays one schedule after the other of several tests in turns, so that
// what else the machine does falls on all, and gives the nanoseconds of the
// fastest of each.
func turns(b *testing.B, tests []*Test) []float64 {
	var worlds []*World
	for _, t := range tests {
		worlds = append(worlds, newWorld(b, t))
	}
	best := make([]float64, len(tests))
	for range b.N {
		for i, w := range worlds {
			r, err := w.Play(schedule.Canonical(), Options{Fresh: true})
			if err != nil || r.Bounded != "" {
				b.Fatal(err, r.Bounded)
			}
			if ns := 1e9 * r.Seconds; best[i] == 0 || ns < best[i] {
				best[i] = ns
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	return best
}

// BenchmarkStart is from fork to exit: of the runner that has nothing to do,
// beside that of the same executable doing nothing, and of an empty Go program;
// by themselves, and in a node.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	alone := func(args ...string) func(b *testing.B) {
		return func(b *testing.B) {
			for range b.N {
				c := exec.Command("/proc/self/exe")
				c.Args = args
				if err := c.Run(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("runner", alone("screwtape-runner", "queue", "--dir", dir, "--until-empty"))
	b.Run("nothing", alone(probeName, "start"))
	b.Run("empty Go program", func(b *testing.B) {
		exe := filepath.Join(b.TempDir(), "empty")
		if out, err := exec.Command("go", "build", "-o", exe, "testdata/empty.go").CombinedOutput(); err != nil {
			b.Skipf("no Go here: %v %s", err, out)
		}
		b.ResetTimer()
		for range b.N {
			if err := exec.Command(exe).Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nothing in a node", func(b *testing.B) {
		p := probeProgram("a", "probe", true, []string{probeName, "start"})
		p.Late, p.Once = true, true
		w := newWorld(b, &Test{Nodes: []string{"a"}, Programs: []Program{p}, Workload: plain{}})
		for range b.N {
			if _, err := w.Play(schedule.Canonical(), Options{Fresh: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
