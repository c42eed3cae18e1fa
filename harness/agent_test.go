package harness

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// A node's agent goes on when a program cannot be started while another one
// lives.
func TestStartFails(t *testing.T) {
	n, out := bareNode(t)
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

// A number that only a session keeps, of which a process lives on, is waited for.
func TestNumberOfASession(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("SKIPPED: there is no perl")
	}
	n, out := bareNode(t)
	for _, script := range []string{"exit if fork; setpgrp; select undef, undef, undef, 0.5", "exit"} {
		l := node.Launch{Path: perl, Args: []string{"perl", "-e", script}, Dir: "/", PID: pidsOfProgram, Output: out}
		if err := n.Launch(l); err != nil {
			t.Fatal(err)
		}
		for ended := false; !ended; {
			e := nextEvent(t, n)
			if e.Err != nil {
				t.Fatal(e.Err)
			}
			ended = !e.Started && e.PID == pidsOfProgram
		}
	}
}

// bareNode is a node without a share, and where its programs write to.
func bareNode(t *testing.T) (*node.Node, *os.File) {
	t.Helper()
	n, err := node.New("a", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return n, out
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
