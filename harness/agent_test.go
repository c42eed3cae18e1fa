package harness

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// A node's agent goes on when a program cannot be started while another one
// lives.
func TestStartFails(t *testing.T) {
	n, err := node.New("a", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	pid := pidsOfProgram
	start := func(args ...string) error {
		t.Helper()
		pid++
		if err := n.Launch(node.Launch{Path: args[0], Args: args, Dir: "/", PID: pid, Output: out}); err != nil {
			t.Fatal(err)
		}
		for {
			if e := nextEvent(t, n); e.Started {
				return e.Err
			}
		}
	}
	if err := start("/bin/sleep", "1000"); err != nil {
		t.Fatal(err)
	}
	for range 3000 { // who sees first that the child has ended is chance, one in many
		if start("/no/such/program") == nil {
			t.Fatal("a program that does not exist was started")
		}
	}
	if err := start("/bin/true"); err != nil {
		t.Error(err)
	}
}

// nextEvent is what the agent tells next; until then all calls of programs go on.
func nextEvent(t *testing.T, n *node.Node) node.Event {
	t.Helper()
	trap := n.Traps[node.Plain]
	for {
		if e, ok, err := n.Next(); ok || err != nil {
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		ready := []unix.PollFd{{Fd: int32(n.Control()), Events: unix.POLLIN}, {Fd: int32(trap.Fd()), Events: unix.POLLIN}}
		if count, err := unix.Poll(ready, int(patience.Milliseconds())); count == 0 {
			t.Fatal("the agent says nothing any more")
		} else if err != nil || ready[1].Revents == 0 {
			continue
		}
		if h, ok, err := trap.Next(); err != nil {
			t.Fatal(err)
		} else if ok {
			h.Continue()
		}
	}
}
