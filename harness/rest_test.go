package harness

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"screwtape/harness/schedule"
)

// A program that gets no CPU is waited for; one that has it, and spins, is not.
func TestStarved(t *testing.T) {
	const patience = 200 * time.Millisecond
	for _, tc := range []struct {
		name, script string
		bounded      bool
	}{
		{"works", `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; : >/shared/done`, false},
		{"spins", `while :; do :; done`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{shell("a", "sh", tc.script)}})
			w.patience = patience
			for range 6 { // on the same CPU, in sessions of their own: so they get a share each
				other := exec.Command("/bin/sh", "-c", "while :; do :; done")
				other.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
				if err := other.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { other.Process.Kill(); other.Wait() })
			}
			began := time.Now()
			r, err := w.Play(schedule.Canonical(), Options{})
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
