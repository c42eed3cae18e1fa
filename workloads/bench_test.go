package workloads

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// BenchmarkSchedule measures a schedule (two runners on one slice, one message,
// no fault) against what it costs at least, all in one run and in turns, so
// that what else the machine does falls on all alike. Figures are those of the
// fastest turn: what is above it is the neighbours'. docs/performance.md says
// what they mean.
func BenchmarkSchedule(b *testing.B) {
	const chunk = 10 // schedules, or rounds of the floor, in one turn
	floor, pingpong := compile(b, "floor.c"), compile(b, "pingpong.c")
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for _, q := range []string{"out", "bad", "shunt", "retry"} {
		if err := os.Mkdir(filepath.Join(dir, q), 0o770); err != nil {
			b.Fatal(err)
		}
	}
	c := DefaultQueue()
	c.Nemeses = []string{"overlap"}
	w := open(b, c)
	search := schedule.NewRandom(1)
	decisions := 0
	play := func(o harness.Options) func() time.Duration {
		return func() time.Duration {
			began := time.Now()
			decisions = 0
			for range chunk {
				strategy, learn := schedule.Turn(search)
				r, err := w.Play(strategy, o)
				if err != nil {
					b.Fatal(err)
				}
				learn(true)
				decisions += len(r.Steps)
			}
			return time.Since(began) / chunk
		}
	}
	kept := play(harness.Options{})
	var floors, freshes, keeps, calls, pings []time.Duration
	for b.Loop() {
		floors = append(floors, program(b, floor, strconv.Itoa(chunk), "2", self, "screwtape-runner", "queue",
			"--dir", dir, "--queue", "out", "--profile", c.Profile, "--slice", "0", "--slices", "1", "--until-empty"))
		freshes = append(freshes, play(harness.Options{Fresh: true})())
		kept() // the first goes on from where the fresh ones ended
		keeps = append(keeps, kept())
		calls = append(calls, keeps[len(keeps)-1]*chunk/time.Duration(decisions))
		pings = append(pings, program(b, pingpong, "1000"))
	}
	report := func(d time.Duration, unit string) { b.ReportMetric(float64(d)/float64(time.Microsecond), unit) }
	report(slices.Min(floors), "floor-µs")
	report(slices.Min(freshes), "fresh-µs")
	report(slices.Min(keeps), "kept-µs")
	report(slices.Min(calls), "call-µs")
	report(slices.Min(pings), "pingpong-µs")
	b.ReportMetric(float64(slices.Min(freshes))/float64(slices.Min(floors)), "fresh/floor")
	b.ReportMetric(float64(slices.Min(calls))/float64(slices.Min(pings)), "call/pingpong")
	b.ReportMetric(float64(time.Second)/float64(slices.Min(keeps)), "kept/s")
	b.ReportMetric(0, "ns/op") // a turn's time says nothing
}

// compile makes a program of scripts.
func compile(b *testing.B, source string) string {
	b.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		b.Skip("there is no C compiler, cc, for the floor")
	}
	binary := filepath.Join(b.TempDir(), strings.TrimSuffix(source, ".c"))
	if out, err := exec.Command(cc, "-O2", "-Wall", "-Werror", "-o", binary, filepath.Join("..", "scripts", source)).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// program runs a program that prints nanoseconds.
func program(b *testing.B, path string, args ...string) time.Duration {
	b.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s: %v", path, err)
	}
	var ns int64
	if _, err := fmt.Sscan(string(out), &ns); err != nil {
		b.Fatalf("%s printed %q", path, out)
	}
	return time.Duration(ns)
}
