package harness

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/history"
	"screwtape/harness/node"
	"screwtape/harness/share"
)

// A World is the nodes of a test with their share and their programs, over
// many schedules. One goroutine drives it.
type World struct {
	test  *Test
	store *share.Store
	hosts []*host // in the order of the test's nodes

	programs []*Process // the test's, in order
	others   []*Process // their children, in order of birth
	threads  map[int]*Thread
	buried   map[int]bool // pids of children that have ended, and may lie about until their parents ask

	poll    int // epoll over everything below
	sources map[int]source
	sinks   int // eventfd that the mail sinks write

	now       time.Duration // virtual time since Epoch
	digest    uint64        // of what lies on the share ...
	digested  uint64        // ... in this version of it; see contents
	overslept int           // how often a sleeper has overslept
	prepared  *share.Snapshot
	play      *play                   // the schedule that is being played, or nil
	effects   []share.Effect          // of the step that is being taken
	outside   map[history.Outside]int // how often, with Count 0; see Outside
	failed    error                   // of the harness itself; the world is of no use after it
	patience  time.Duration           // how long something may run
}

// A host is a node with what the controller serves it.
type host struct {
	*node.Node
	mail      *sink
	mounts    []*share.Mount         // at sharePlace and at localPlace
	ticks     time.Duration          // how often its clock was read, in microseconds
	forker    *forker                // its prepared process, or nil
	launching int                    // programs that are being started
	forks     []fork                 // that wait for their pids
	births    map[int]*birth         // what has been forked in this schedule, by pid in the node
	skew      time.Duration          // how far its real-time clock was set ahead
	rate      float64                // how fast its clocks run, less 1 ...
	since     time.Duration          // ... from then on
	gained    time.Duration          // what they had gained by then
	scratched map[string]unix.Stat_t // what was changed in the scratch since it was emptied, and how it was before the schedule
}

// A source is a descriptor and what to do when it is readable.
type source func() error

// NewWorld makes the nodes of a test. Nothing runs on them yet.
func NewWorld(t *Test) (*World, error) {
	w := &World{test: t, threads: map[int]*Thread{}, buried: map[int]bool{}, outside: map[history.Outside]int{}, sources: map[int]source{}, patience: patience}
	w.store = share.NewStore(func() time.Time { return Epoch.Add(w.now) })
	var err error
	if w.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if w.sinks, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err := w.watch(w.sinks, w.onSink); err != nil {
		return nil, err
	}
	if err := w.store.MkdirAll("/shared", 0o755); err != nil {
		return nil, err
	}
	for _, name := range t.Nodes {
		if err := w.addHost(name); err != nil {
			w.Close()
			return nil, err
		}
	}
	if err := t.Workload.Prepare(w.store); err != nil {
		w.Close()
		return nil, fmt.Errorf("prepare the share: %w", err)
	}
	w.prepared = w.store.Snapshot()
	for i := range t.Programs {
		p := &t.Programs[i]
		h := w.host(p.Node)
		if h == nil {
			w.Close()
			return nil, fmt.Errorf("program %s: no node %q in the test", p.Label(), p.Node)
		}
		w.programs = append(w.programs, &Process{label: p.Label(), program: p, host: h, index: i})
	}
	for i, p := range t.Prepared {
		if err := w.addForker(p, len(t.Programs)+i); err != nil {
			w.Close()
			return nil, err
		}
	}
	for _, p := range w.programs {
		if p.program.Fork != "" && p.host.forker == nil {
			w.Close()
			return nil, fmt.Errorf("program %s is to be forked, and node %s has no prepared process", p.label, p.host.Name)
		}
	}
	return w, nil
}

func (w *World) addHost(name string) error {
	if err := w.store.MkdirAll("/"+name, 0o755); err != nil {
		return err
	}
	var mounts []*share.Mount
	var places []node.Mount
	for _, m := range []struct{ root, place string }{{"/shared", sharePlace}, {"/" + name, localPlace}} {
		mount, err := share.NewMount(w.store, m.root)
		if err != nil {
			return fmt.Errorf("node %s: mount the share: %w", name, err)
		}
		mounts = append(mounts, mount)
		places = append(places, node.Mount{Tree: mount.Tree(), Place: m.place})
	}
	n, err := node.New(name, places, w.test.Scratch)
	if err != nil {
		return err
	}
	h := &host{Node: n, mounts: mounts, mail: newSink(name, n.Mail, w.sinks), births: map[int]*birth{}, scratched: map[string]unix.Stat_t{}}
	w.hosts = append(w.hosts, h)
	for _, m := range mounts {
		if err := w.watch(m.Dev(), func() error { return w.onRequests(h, m) }); err != nil {
			return err
		}
	}
	for _, trap := range n.Traps {
		if err := w.watch(trap.Fd(), func() error { return w.onTrap(h, trap) }); err != nil {
			return err
		}
	}
	return w.watch(n.Control(), func() error { return w.onEvent(h) })
}

func (w *World) host(name string) *host {
	for _, h := range w.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Where programs see the share and their node's private directory.
const (
	sharePlace  = "/shared"
	localPlace  = "/local"
	localPrefix = "local:" // of its names on a tape
)

// watch has the loop call s whenever fd is readable.
func (w *World) watch(fd int, s source) error {
	w.sources[fd] = s
	err := unix.EpollCtl(w.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	return nil
}

func (w *World) unwatch(fd int) {
	unix.EpollCtl(w.poll, unix.EPOLL_CTL_DEL, fd, nil)
	delete(w.sources, fd)
}

// Close ends all nodes and what runs on them.
func (w *World) Close() error {
	for _, p := range w.programs {
		p.closeOutput(w)
	}
	for _, h := range w.hosts {
		h.forker.close(w)
		h.Kill()
		for _, m := range h.mounts {
			m.Close()
		}
		h.Node.Close()
	}
	unix.Close(w.sinks)
	return unix.Close(w.poll)
}
