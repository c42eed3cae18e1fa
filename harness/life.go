package harness

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
)

// start launches the program. Its pid in the node depends on nothing but how
// often it was started since the world was last fresh, so it repeats.
func (w *World) start(p *Process) error {
	if p.alive {
		return fmt.Errorf("%s is running already", p.label)
	}
	r, wr, err := outputPipe()
	if err != nil {
		return err
	}
	p.closeOutput(w) // what an earlier start left behind may still hold the other end
	p.output = r
	if err := w.watch(r, func() error { return w.onOutput(p) }); err != nil {
		wr.Close()
		return err
	}
	p.life = life{alive: true, starting: true, timed: p.program.Timed, inner: pidsOfProgram*cmp.Or(p.program.Pids, p.index+1) + pidsOfStart*p.starts}
	p.starts++
	if p.program.Fork != "" {
		p.unborn = wr
		return p.host.forker.tell(p.program.Fork)
	}
	defer wr.Close()
	p.host.launching++
	l := node.Launch{
		Path: p.program.Path, Args: p.program.Args, Dir: cmp.Or(p.program.Dir, "/"),
		Env: p.program.Env, PID: p.inner, Output: wr, Filter: p.program.filter(),
	}
	if f := p.host.forker; f != nil && f.proc == p {
		l.Input, l.Apart = f.lines, true
	}
	return p.host.Launch(l)
}

// filter says which calls of the program are trapped.
func (p *Program) filter() node.Filter {
	switch {
	case p.Single:
		return node.Direct
	case p.Timed:
		return node.Timed
	}
	return node.Plain
}

// began notes that a process which was being started has begun its program.
func (w *World) began(p *Process) {
	p.starting = false
	if p.host.Group != nil {
		w.grouped(p, p.host.Group.Join(p.pid))
	}
}

// grouped notes how it went to put a process into its node's cgroup. One that is
// not there would go on when its node crashes.
func (w *World) grouped(p *Process, err error) {
	if err != nil && !errors.Is(err, unix.ESRCH) { // it may have died
		w.failed = fmt.Errorf("put %s into its node's cgroup: %w", p.label, err)
	}
}

// pidsOfStart is how many pids each start of a program has for itself and what
// it forks; those of any further children follow from what else runs.
// A program has room for so many starts that they do not reach the next one's.
const (
	pidsOfStart   = 50
	pidsOfProgram = 1000
)

// onEvent takes what a node's agent says of its programs.
func (w *World) onEvent(h *host) error {
	e, ok, err := h.Next()
	if err != nil || !ok {
		return err
	}
	if e.Set {
		w.forked(h)
		return w.forkNext(h)
	}
	if e.Started {
		if h.launching--; h.launching == 0 {
			if err := w.forkNext(h); err != nil {
				return err
			}
		}
	}
	if f := h.forker; f != nil && f.ready && f.proc.inner == e.PID && !e.Started {
		f.proc.status = e.Status
		return fmt.Errorf("%s, of which programs are forked, ended: %s%s", f.proc.label, exitText(f.proc), f.proc.lastLine())
	}
	for _, p := range w.programs {
		if p.host != h || !p.alive || p.inner != e.PID {
			continue
		}
		if e.Err != nil {
			w.gone(p)
			return e.Err
		}
		if !e.Started {
			p.status = e.Status
			w.ended(p)
		}
		return nil
	}
	return nil // a child that was left behind: a look at /proc shows it
}

// ended notes that a process has ended by itself or was killed.
func (w *World) ended(p *Process) {
	if w.play != nil {
		w.play.ended(w, p)
	}
	if !p.killed {
		p.exits++
	}
	if p.program == nil {
		w.buried[p.pid] = true
	}
	if p.parent != nil && p.parent.alive {
		w.signalled(p.parent, false) // SIGCHLD
	}
	w.gone(p)
}

// gone notes that the process has ended.
func (w *World) gone(p *Process) {
	for _, t := range p.threads {
		if w.threads[t.tid] == t {
			delete(w.threads, t.tid)
		}
	}
	for _, t := range p.threads {
		t.wait.close()
	}
	p.dropTimers(func(*timer) bool { return false })
	p.alive, p.starting, p.threads = false, false, nil
	if p.program == nil {
		w.others = slices.DeleteFunc(w.others, func(o *Process) bool { return o == p })
	}
}

// kill ends the process and its children now; what they were held at does not
// happen.
func (w *World) kill(p *Process) {
	if p.alive && p.pid != 0 {
		// Before its children, lest it says something of their end.
		unix.Kill(p.pid, unix.SIGKILL)
		w.doomed(p)
	}
	for _, c := range w.family(p)[1:] {
		w.kill(c)
	}
	if p.part != nil {
		p.part.Thaw() // lest they die only then
	}
}

// doomed notes that a process is about to die of a signal. What it was held at
// does not happen.
func (w *World) doomed(p *Process) {
	p.killed = true
	for _, t := range p.threads {
		if t.request != nil {
			// A request that is not answered keeps its process from dying.
			t.mount.Refuse(t.request, unix.EINTR)
		}
		t.wait.close()
		t.trap, t.request, t.call, t.asleep, t.wait = nil, nil, nil, false, nil
	}
}

func exitText(p *Process) string {
	if p.status.Signaled() {
		return "killed by " + unix.SignalName(p.status.Signal())
	}
	return fmt.Sprintf("exit %d", p.status.ExitStatus())
}
