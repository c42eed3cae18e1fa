package harness

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// fork notes that a thread makes another, or a child, and lets it do so with a
// pid that repeats. Children are numbered as they are asked for: those from
// before are known by now, so that one that is not is the last one.
func (w *World) fork(t *Thread, h *node.Held) error {
	p := t.proc
	p.relist = true
	if p.program != nil && p.program.Single {
		return w.forkAs(p.host, fork{h, 0}) // it makes threads alone, which nobody sees
	}
	b := &birth{maker: t}
	if !newThread(t.tid, h) {
		if p.children > 0 {
			w.discover()
		}
		p.children++
		b.label = p.label + "." + strconv.Itoa(p.children)
	}
	if forker := p.host.forker; forker != nil && forker.ready {
		switch {
		case p == forker.proc:
			return w.forkAs(p.host, fork{h, p.inner + 1})
		case forker.midwife(p):
			return w.forkProgram(p.host, h)
		}
	}
	t.call.birth = b
	if pid := chosenPID(t.tid, h); pid != 0 {
		p.host.births[pid], b.known = b, true
		return w.forkAs(p.host, fork{h, 0})
	}
	root := p.root()
	root.forks++
	if root.program == nil || root.forks >= pidsOfStart {
		return w.forkAs(p.host, fork{h, 0})
	}
	pid := root.inner + root.forks
	p.host.births[pid], b.known = b, true
	return w.forkAs(p.host, fork{h, pid})
}

// A birth is what a fork that was asked for will make: by its pid, where that is
// known, it is known whose child it is, also when several threads fork at once.
type birth struct {
	maker *Thread
	label string // of a process
	known bool   // its pid is
	seen  bool   // it has come about
}

// awaited is a birth that one of the threads has asked for, of which the pid is not
// known, or nil.
func awaited(makers []*Thread) *birth {
	for _, t := range makers {
		if t.call != nil && t.call.birth != nil && !t.call.birth.known && !t.call.birth.seen {
			return t.call.birth
		}
	}
	return nil
}

// A fork waits for the node's agent to set the pid that it will get; with 0 it
// may have any, and waits only for those before it.
type fork struct {
	held *node.Held
	pid  int
}

// forkAs lets a fork go on in its turn. Whatever takes a pid on a node does so
// one after the other, starts of programs too: in between, one could take the
// other's.
func (w *World) forkAs(h *host, f fork) error {
	h.forks = append(h.forks, f)
	if len(h.forks) == 1 && h.launching == 0 {
		return w.forkNext(h)
	}
	return nil
}

// forkNext has the pid set for the first of the forks that wait, and lets those
// go on that need none.
func (w *World) forkNext(h *host) error {
	for len(h.forks) > 0 {
		if pid := h.forks[0].pid; pid != 0 {
			return h.SetNextPID(pid)
		}
		w.forked(h)
	}
	return nil
}

// forked lets the first of the forks that wait go on.
func (w *World) forked(h *host) {
	h.forks[0].held.Continue()
	h.forks = h.forks[1:]
}

// newThread reports whether a call makes a thread, not a process.
func newThread(tid int, h *node.Held) bool {
	switch h.Nr {
	case unix.SYS_CLONE:
		return h.Args[0]&unix.CLONE_THREAD != 0
	case unix.SYS_CLONE3:
		words, err := node.ReadWords(tid, h.Args[0], 1)
		return err == nil && words[0]&unix.CLONE_THREAD != 0
	}
	return false
}

// chosenPID is the pid that a program chooses itself for what it forks, by
// set_tid of clone3(2); 0 is none.
func chosenPID(tid int, h *node.Held) int {
	const setTID, words = 8, 10 // in struct clone_args
	if h.Nr != unix.SYS_CLONE3 || h.Args[1] < 8*words {
		return 0
	}
	args, err := node.ReadWords(tid, h.Args[0], words)
	if err != nil || args[setTID+1] == 0 {
		return 0
	}
	list, err := node.ReadBytes(tid, args[setTID], 4)
	if err != nil {
		return 0
	}
	return int(binary.LittleEndian.Uint32(list))
}
