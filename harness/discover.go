package harness

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"screwtape/harness/node"
)

// thread finds the thread with this number, or learns of it: a thread or a
// child that has not been seen yet. It is nil for one that belongs to no
// program, such as a node's agent, or has died.
func (w *World) thread(h *host, tid int) *Thread {
	if t := w.threads[tid]; t != nil {
		return t
	}
	status, err := readStatus(tid)
	if err != nil || status.group == h.AgentPID() || tid == h.AgentPID() {
		return nil
	}
	p := w.process(status.group)
	if p == nil {
		if p = w.newborn(h, status); p == nil {
			return nil
		}
	}
	if p.pid == 0 {
		p.pid = status.group
	}
	if tid != p.pid && p.born == 0 {
		w.thread(h, p.pid) // it was born first
	}
	return w.addThread(p, tid, status.inner)
}

// addThread adds a thread to its process. Inner is its number in the node.
func (w *World) addThread(p *Process, tid, inner int) *Thread {
	p.born++
	t := &Thread{tid: tid, proc: p, label: p.label}
	makers := p.threads
	if p.born > 1 {
		t.label += "#" + strconv.Itoa(p.born)
	} else if p.parent != nil {
		makers = p.parent.threads
	}
	if len(makers) > 0 {
		t.maker = makers[0]
	}
	b := p.host.births[inner]
	if b == nil {
		b = awaited(makers)
	}
	if b != nil {
		t.maker, b.seen = b.maker, true
	}
	if t.maker != nil {
		t.rounds = t.maker.rounds
	}
	p.threads = append(p.threads, t)
	w.threads[tid] = t
	return t
}

// newborn says which process a number that was not known stands for: the
// program that is being started, or a new child of a known process.
func (w *World) newborn(h *host, s status) *Process {
	if s.parent == h.AgentPID() {
		for _, p := range w.programs {
			if p.host == h && p.starting && p.pid == 0 && p.program.Fork == "" {
				return p
			}
		}
	}
	parent := w.process(s.parent)
	if parent != nil && h.forker.midwife(parent) {
		return w.forkedProgram(h, s.group)
	}
	label := h.Name + "/orphan"
	if b := h.births[s.inner]; b != nil && b.label != "" {
		parent, label = b.maker.proc, b.label
	} else if parent != nil {
		label = parent.label + "." + strconv.Itoa(parent.children)
	} else if s.parent != h.AgentPID() {
		return nil
	}
	child := &Process{label: label, parent: parent, host: h, life: life{alive: true, pid: s.group, inner: s.inner, relist: true}}
	if parent != nil {
		child.timed = parent.timed
	}
	w.others = append(w.others, child)
	return child
}

// status is what /proc/TID/status says of a thread.
type status struct {
	group, parent int
	inner         int // its number in its node
	leader        int // its process group's there
	session       int // its session's there
	uid           struct{ real, effective, saved int }
	capabilities  uint64 // those in effect, as in capabilities(7)
}

func readStatus(tid int) (status, error) {
	b, err := node.ReadProc("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return status{}, err
	}
	var s status
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Tgid":
			s.group, _ = strconv.Atoi(strings.TrimSpace(value))
		case "PPid":
			s.parent, _ = strconv.Atoi(strings.TrimSpace(value))
		case "NSpid":
			f := strings.Fields(value)
			s.inner, _ = strconv.Atoi(f[len(f)-1])
		case "NSpgid":
			f := strings.Fields(value)
			s.leader, _ = strconv.Atoi(f[len(f)-1])
		case "NSsid":
			f := strings.Fields(value)
			s.session, _ = strconv.Atoi(f[len(f)-1])
		case "Uid":
			fmt.Sscan(value, &s.uid.real, &s.uid.effective, &s.uid.saved)
		case "CapEff":
			s.capabilities, _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return s, nil
}

// findChildren learns of processes that were born since the last time: all
// that live in our pid namespace can be seen in /proc.
func (w *World) findChildren() {
	forks := len(w.others) > 0
	for _, p := range w.programs {
		forks = forks || p.alive && !p.program.Single && p.relist
	}
	if forks {
		w.discover()
	}
}

// discover learns of every process that was born on the nodes since the last
// time.
func (w *World) discover() {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	var pids []int
	for _, e := range dir {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		if pid == os.Getpid() || w.threads[pid] != nil || w.buried[pid] || w.agent(pid) {
			continue
		}
		s, err := readStatus(pid)
		if err != nil {
			continue
		}
		if parent := w.process(s.parent); parent != nil {
			w.thread(parent.host, pid)
		}
	}
}

func (w *World) agent(pid int) bool {
	for _, h := range w.hosts {
		if h.AgentPID() == pid {
			return true
		}
	}
	return false
}

// listThreads learns of the threads that a process has made since the last
// time.
func (w *World) listThreads(p *Process) {
	if !p.alive || !p.relist && len(p.threads) > 0 {
		return
	}
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(p.pid) + "/task")
	if err != nil {
		return
	}
	var tids []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	slices.Sort(tids)
	for _, tid := range tids {
		if w.threads[tid] == nil {
			w.thread(p.host, tid)
		}
	}
	p.relist = w.inFork(p)
}

// inFork reports whether a thread of the process may be making another right
// now, so that the list is not the last word.
func (w *World) inFork(p *Process) bool {
	for _, t := range p.threads {
		if t.call != nil && t.call.forks && !t.held() {
			return true
		}
	}
	return false
}

// forget drops a thread that has ended.
func (w *World) forget(t *Thread) {
	if w.threads[t.tid] == t {
		delete(w.threads, t.tid)
	}
	t.proc.threads = slices.DeleteFunc(t.proc.threads, func(o *Thread) bool { return o == t })
}
