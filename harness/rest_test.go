package harness

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"screwtape/harness/schedule"
)

// impatient has a world wait for so long only, once its programs have begun.
type impatient struct {
	schedule.Strategy
	w        *World
	patience time.Duration
}

func (i impatient) Pick(options []schedule.Option) (int, error) {
	if options[0].Verb != schedule.Start {
		i.w.patience = i.patience
	}
	return i.Strategy.Pick(options)
}

// A program that gets no CPU is waited for; one that has it, and spins, is not.
func TestStarved(t *testing.T) {
	const patience = 200 * time.Millisecond
	for _, tc := range []struct {
		name, script string
		bounded      bool
	}{
		{"works", `: >/shared/begun; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; : >/shared/done`, false},
		{"spins", `: >/shared/begun; while :; do :; done`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{shell("a", "sh", tc.script)}})
			for range 4 { // on the same CPU, in sessions of their own: so they get a share each
				other := exec.Command("/bin/sh", "-c", "while :; do :; done")
				other.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
				if err := other.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { other.Process.Kill(); other.Wait() })
			}
			began := time.Now()
			r, err := w.Play(impatient{schedule.Canonical(), w, patience}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(r.Bounded, "a/sh did not come to rest"); got != tc.bounded {
				t.Errorf("bounded: %q", r.Bounded)
			}
			t.Logf("%v", time.Since(began))
		})
	}
}
