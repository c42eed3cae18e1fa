package workloads

import (
	"os/exec"
	"strings"
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// TestBuiltInsAreDirect plays schedules twice: with built-in programs of which
// only direct calls are trapped, and with every call of theirs trapped. A call
// on the share that a program makes past package direct is a decision in the
// second alone.
func TestBuiltInsAreDirect(t *testing.T) {
	tests := map[string]func() (*harness.Test, error){
		"queue":  func() (*harness.Test, error) { return NewQueue(overlapping()) },
		"inject": func() (*harness.Test, error) { c := overlapping(); c.Inject = true; return NewQueue(c) },
		"config": func() (*harness.Test, error) { return NewConfig(DefaultConfig()) },
		"lock":   func() (*harness.Test, error) { return NewLock(DefaultLock()) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2) {
				log := func(trapAll bool) string {
					test, err := make()
					if err != nil {
						t.Fatal(err)
					}
					for i := range test.Programs {
						p := &test.Programs[i]
						if !p.Single {
							t.Fatalf("%s is not built in", p.Label())
						}
						if trapAll {
							p.Single = false
							p.Horizon = max(p.Horizon, 1) // 0 is another for such a program
						}
					}
					w, err := harness.NewWorld(test)
					if err != nil {
						t.Fatal(err)
					}
					defer w.Close()
					strategy, _ := schedule.Turn(schedule.NewRandom(seed))
					r, err := w.Play(strategy, harness.Options{Fresh: true})
					if err != nil {
						t.Fatal(err)
					}
					return r.Log()
				}
				if direct, all := log(false), log(true); direct != all {
					t.Errorf("seed %d: with its direct calls trapped alone:\n%s\nwith all of them:\n%s", seed, direct, all)
				}
			}
		})
	}
}

// A runner's start is short because most of the executable is not initialized
// before it runs.
func TestRunnersStartEarly(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"screwtape-runner"}
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), "runner: say which program") {
		t.Fatalf("not a runner:\n%s", out)
	}
	if strings.Contains(string(out), "init net ") {
		t.Errorf("package net is initialized before the runner:\n%s", out)
	}
}
