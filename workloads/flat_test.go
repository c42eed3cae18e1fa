package workloads

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// A usage is what the process holds of the machine.
type usage struct {
	descriptors, threads, mounts int
	resident                     int // KiB, by proc_pid_status(5) VmRSS
}

func measure(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	read := func(name string) []byte {
		data, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	u := usage{descriptors: len(fds), mounts: bytes.Count(read("mountinfo"), []byte("\n"))}
	for line := range bytes.Lines(read("status")) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch n, _ := strconv.Atoi(string(f[1])); string(f[0]) {
		case "Threads:":
			u.threads = n
		case "VmRSS:":
			u.resident = n
		}
	}
	return u
}

// One process plays any number of schedules, and neither holds more nor takes
// longer in the last tenth than in the first.
func TestFlat(t *testing.T) {
	n := long(300, 20_000)
	w := open(t, overlapping())
	search := schedule.NewRandom(5)
	var times []time.Duration
	var first, last usage
	for i := range n {
		strategy, learn := schedule.Turn(search)
		r, err := w.Play(strategy, harness.Options{})
		if err != nil {
			t.Fatalf("schedule %d: %v", i+1, err)
		}
		learn(true)
		times = append(times, time.Duration(r.Seconds*float64(time.Second))/time.Duration(len(r.Steps)))
		switch i + 1 {
		case n / 10:
			first = measure(t)
		case n:
			last = measure(t)
		}
	}
	early, late := median(times[:n/10]), median(times[n-n/10:])
	t.Logf("after %d schedules %+v; after %d %+v", n/10, first, n, last)
	t.Logf("a decision took %v in the first tenth, %v in the last", early, late)
	if last.descriptors > first.descriptors || last.mounts > first.mounts {
		t.Errorf("descriptors or mounts have grown: from %+v to %+v", first, last)
	}
	// The runtime starts a thread when all others wait in the kernel, and its
	// heap breathes.
	if last.threads > first.threads+5 {
		t.Errorf("threads have grown from %d to %d", first.threads, last.threads)
	}
	if last.resident > first.resident+first.resident/4+8<<10 {
		t.Errorf("memory has grown from %d to %d KiB", first.resident, last.resident)
	}
	// Only the long test compares times: a short one measures the neighbours.
	if n >= 20_000 && late > early+early/2 {
		t.Errorf("a decision took %v in the first tenth and takes %v in the last", early, late)
	}
}

func median(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
