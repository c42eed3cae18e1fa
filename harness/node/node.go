// Package node makes nodes: hosts of their own, as far as programs can tell,
// with a name, a network with a mail port, pids that repeat, and the share at
// its place, in the kernel's namespaces (namespaces(7)).
package node

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Node is one host.
type Node struct {
	Name  string
	Traps []*Trap      // where its programs' calls wait, by Filter
	Mail  net.Listener // its 127.0.0.1:25

	Group *Group // of its programs; nil where there is none

	agent   *exec.Cmd
	control *wire
}

// A Mount is a detached mount and where in the node it goes.
type Mount struct {
	Tree  *os.File // as fsmount(2) gives it
	Place string   // an absolute path
}

// New starts a node. In the places of the directories scratch it has empty ones
// of its own. Whoever serves the mounts must not wait for it.
func New(name string, mounts []Mount, scratch []string) (*Node, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	n := &Node{Name: name, control: newWire(pair[0])}
	n.agent = exec.Command("/proc/self/exe")
	n.agent.Args[0] = AgentName
	n.agent.ExtraFiles = []*os.File{theirs}
	n.agent.Stderr = os.Stderr
	n.agent.Env = append(os.Environ(), "GOMAXPROCS=1")
	n.agent.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // a terminal's Ctrl-C is for the controller
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWUTS,
	}
	if err := n.agent.Start(); err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("node %s: start its agent: %w (screwtape doctor says what is missing)", name, err)
	}
	if err := n.setUp(mounts, scratch); err != nil {
		n.Close()
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	return n, nil
}

func (n *Node) setUp(mounts []Mount, scratch []string) error {
	s := setup{Host: n.Name + ".screwtape.example", Scratch: scratch}
	var trees []int
	for _, m := range mounts {
		s.Mounts = append(s.Mounts, m.Place)
		trees = append(trees, int(m.Tree.Fd()))
	}
	if group, err := NewGroup(n.Name); err == nil {
		n.Group = group
		dir, err := group.Dir()
		if err != nil {
			return err
		}
		if dir != nil {
			defer dir.Close()
			s.Group = true
			trees = append(trees, int(dir.Fd()))
		}
	}
	if err := n.control.send(s, trees...); err != nil {
		return err
	}
	var r report
	files, err := n.control.receive(&r)
	if err != nil {
		return fmt.Errorf("its agent ended: %w", err)
	}
	if r.Error != "" {
		return fmt.Errorf("%s", r.Error)
	}
	for _, fd := range files[:filters] {
		n.Traps = append(n.Traps, newTrap(os.NewFile(uintptr(fd), "seccomp")))
	}
	port := os.NewFile(uintptr(files[filters]), "mail")
	defer port.Close()
	n.Mail, err = net.FileListener(port)
	if err != nil {
		return err
	}
	return unix.SetNonblock(n.control.fd, true)
}

// A Launch is a program to start.
type Launch struct {
	Path   string   // "/proc/self/exe" is this executable
	Args   []string // with argv[0]
	Env    []string // as environ(7), and nothing else
	Dir    string   // its working directory
	PID    int      // in the node's pid namespace
	Filter Filter   // which of its calls are trapped
	Output *os.File // its standard output and error
	Input  *os.File // open in it as descriptor 3; nil is nothing
	Apart  bool     // it is not in the node's Group
}

// Launch asks for a program to be started, and does not wait for it: its first
// trapped call is its exec (with Direct its first direct one), and what became
// of the start is an Event.
func (n *Node) Launch(l Launch) error {
	files := []int{int(l.Output.Fd())}
	if l.Input != nil {
		files = append(files, int(l.Input.Fd()))
	}
	err := n.control.send(launch{Path: l.Path, Args: l.Args, Env: l.Env, Dir: l.Dir, PID: l.PID, Filter: l.Filter, Apart: l.Apart}, files...)
	if err != nil {
		return fmt.Errorf("node %s: its agent does not answer: %w", n.Name, err)
	}
	return nil
}

// SetNextPID asks that the next process to be forked in the node gets this pid.
// An Event says when that is so.
func (n *Node) SetNextPID(pid int) error {
	if err := n.control.send(launch{NextPID: pid}); err != nil {
		return fmt.Errorf("node %s: its agent does not answer: %w", n.Name, err)
	}
	return nil
}

// An Event is what a node's agent tells of its programs.
type Event struct {
	PID     int             // in the node's pid namespace
	Set     bool            // SetNextPID was done
	Started bool            // the start has come to its end; Err says how
	Err     error           // why it failed
	Status  unix.WaitStatus // how it ended, unless Started
}

// Control is the descriptor to poll for events.
func (n *Node) Control() int { return n.control.fd }

// Next takes the next event; ok is false when there is none.
func (n *Node) Next() (e Event, ok bool, err error) {
	var r report
	_, err = n.control.receive(&r)
	if err == unix.EAGAIN {
		return Event{}, false, nil
	}
	if err != nil {
		return Event{}, false, fmt.Errorf("node %s: its agent was killed: %w", n.Name, err)
	}
	e = Event{PID: r.PID, Set: r.Set, Started: r.Started, Status: unix.WaitStatus(r.Status)}
	if r.Error != "" {
		e.Err = fmt.Errorf("node %s: %s", n.Name, r.Error)
	}
	return e, true, nil
}

// AgentPID is the agent's pid as the controller sees it.
func (n *Node) AgentPID() int { return n.agent.Process.Pid }

// Kill ends all that runs in the node. What waits for an answer on a mount
// dies only when it gets one, or the mount is closed.
func (n *Node) Kill() { n.agent.Process.Kill() }

// Close ends the node, and waits until nothing is left of it.
func (n *Node) Close() error {
	n.Kill()
	n.agent.Wait()
	unix.Close(n.control.fd)
	if n.Group != nil {
		n.Group.Close()
	}
	for _, t := range n.Traps {
		t.Close()
	}
	if n.Mail != nil {
		n.Mail.Close()
	}
	return nil
}
