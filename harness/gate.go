package harness

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// A call is one system call of a program, from the moment it is known to its
// end.
type call struct {
	verb     string
	names    []string
	ends     []string   // the requests that carry it out
	refused  unix.Errno // the kernel's answer when it sends none of them
	signal   *signal    // that it sends
	forks    bool
	birth    *birth // what it forks
	ordinary bool   // not on the share: it is not a decision

	effects []share.Effect // what its requests did, once it was let happen
}

// onTrap takes the calls that have come to their entry on a node.
func (w *World) onTrap(h *host, trap *node.Trap) error {
	held, ok, err := trap.Next()
	if err == nil && !ok && trap.Gone() {
		err = fmt.Errorf("node %s: its agent was killed", h.Name)
	}
	if err != nil || !ok {
		return err
	}
	t := w.thread(h, held.TID)
	if t == nil {
		held.Continue() // the agent's own, or of one that has died
		return nil
	}
	if t.proc.starting && held.Direct {
		w.began(t.proc)
	}
	kind := node.Calls[held.Nr]
	c := &call{verb: kind.Verb, ends: kind.Ends, refused: kind.Refused}
	switch kind.Kind {
	case node.Clock:
		return w.answerClock(t, held)
	case node.Sleep:
		return w.fallAsleep(t, held, c)
	case node.Begin:
		return w.begin(t.proc, held)
	case node.Wait:
		return w.holdWait(t, held, c)
	case node.Futex:
		return w.holdFutex(t, held, c)
	case node.Await:
		return w.holdAwait(t, held, c)
	case node.Receive:
		return w.holdReceive(t, held, c)
	case node.Timer:
		return w.setTimer(t, held)
	case node.Alarm:
		return w.setAlarm(t, held)
	case node.Random:
		return w.answerRandom(t, held)
	case node.Signal:
		c.signal, c.names, c.ordinary = w.signalOf(t, held)
		t.proc.poked = t.proc.poked || c.ordinary
	case node.Fork:
		c.ordinary, c.forks = true, true
		t.call = c
		return w.fork(t, held)
	case node.Exit:
		t.call, t.trap = c, held
		if t.proc.parent == nil { // a program's own end is its last step
			return w.release(t)
		}
		return nil // see leave
	case node.Connect:
		c.ordinary = true
		if isMailPort(t.tid, held.Args[1]) {
			return h.mail.connect(t, held)
		}
	case node.Number:
		if t.proc.program != nil && t.proc.program.Numberless {
			return fmt.Errorf("%s asks for its pid, and was promised not to", t.label)
		}
		c.ordinary = true
	case node.Exec:
		c.names, c.ordinary = w.pathNames(t, held, kind)
		t.proc.relist, t.proc.begun, t.proc.compiled = true, false, 0
		if t.proc.starting {
			w.began(t.proc)
			c.ordinary = true
		}
	case node.Send:
		c.names, c.ordinary = w.said(t, held)
	case node.OnFile:
		c.names, c.ordinary = fileName(t.tid, int(int32(held.Args[kind.File])))
		if c.ordinary && c.verb == "write" {
			if c.names, c.ordinary = w.said(t, held); !c.ordinary {
				c.verb, c.ends = schedule.Send, nil
			}
		}
	case node.OnPath:
		c.names, c.ordinary = w.pathNames(t, held, kind)
		if c.verb == "open" && (c.names[0] == "/dev/urandom" || c.names[0] == "/dev/random") {
			return w.openRandom(t, held)
		}
	}
	if t.proc.starting { // between fork and exec
		c.ordinary = true
	}
	t.call = c
	if c.ordinary {
		if kind.Kind == node.OnPath && !t.proc.starting { // after its exec
			w.noteOutside(t, held, c)
		}
		held.Continue()
		return nil
	}
	t.trap = held
	t.proc.act()
	return nil
}

// pathNames are the names of a call that names paths, as tapes have them.
// ordinary says that none of them lies on the share.
func (w *World) pathNames(t *Thread, h *node.Held, c node.Call) (names []string, ordinary bool) {
	ordinary = true
	for _, a := range c.Paths {
		p, err := argument(t.tid, h, a)
		if err != nil {
			// A bad pointer or descriptor: the kernel will refuse it.
			names = append(names, p)
			continue
		}
		name, shared := shareName(p)
		ordinary = ordinary && !shared
		names = append(names, name)
	}
	return names, ordinary
}

// argument is the path that a call's argument names. Without a string it is
// that of its descriptor: futimens(3) calls utimensat(2) so.
func argument(tid int, h *node.Held, a node.Arg) (string, error) {
	p := ""
	if a.Dir < 0 || h.Args[a.Path] != 0 {
		var err error
		if p, err = node.ReadString(tid, h.Args[a.Path]); err != nil || strings.HasPrefix(p, "/") {
			return p, err
		}
	}
	base, err := "", error(nil)
	if a.Dir < 0 || int32(h.Args[a.Dir]) == unix.AT_FDCWD {
		base, err = node.WorkingDirectory(tid)
	} else {
		base, err = node.FilePath(tid, int(int32(h.Args[a.Dir])))
	}
	if err != nil {
		return p, err
	}
	return strings.TrimSuffix(base, deleted) + "/" + p, nil
}

// deleted is what the kernel writes behind the path of what has none any more.
const deleted = " (deleted)"

// fileName is the name of what a descriptor is open on.
func fileName(tid, fd int) (names []string, ordinary bool) {
	p, err := node.FilePath(tid, fd)
	if err != nil {
		return nil, true
	}
	name, shared := shareName(strings.TrimSuffix(p, deleted))
	return []string{name}, !shared
}

// shareName is a path as tapes have it: below the root of the share, or with
// "local:" in front below the node's private directory.
func shareName(p string) (name string, shared bool) {
	p = path.Clean(p)
	for _, place := range []struct{ at, prefix string }{{sharePlace, ""}, {localPlace, localPrefix}} {
		if p == place.at {
			return place.prefix + ".", true
		}
		if rest, ok := strings.CutPrefix(p, place.at+"/"); ok {
			return place.prefix + rest, true
		}
	}
	return p, false
}

// MailPort is where on 127.0.0.1 a node's mail sink listens.
const MailPort = 25

// isMailPort reports whether the socket address at addr is a mail sink's.
func isMailPort(tid int, addr uint64) bool {
	words, err := node.ReadWords(tid, addr, 1)
	if err != nil {
		return false
	}
	const loopback = 127 | 1<<24 // in network order, as the port is
	family, port, host := uint16(words[0]), uint16(words[0]>>16), uint32(words[0]>>32)
	return family == unix.AF_INET && port == MailPort<<8 && host == loopback
}

// onRequests takes what has come on a mount. A request of a call that was let
// happen is carried out; one that begins a call of its own is held.
func (w *World) onRequests(h *host, m *share.Mount) error {
	for {
		r, err := m.Next()
		if err != nil || r == nil {
			return err
		}
		if id, ok := r.Interrupts(); ok {
			w.interrupt(m, id)
			m.Answer(r)
			continue
		}
		if len(r.GaveUp) > 0 {
			w.effects = append(w.effects, share.Effect{Op: r.Op, Footprint: schedule.Footprint{Writes: r.GaveUp}})
		}
		if m.Class(r) == share.Pass {
			w.carryOut(m, r)
			continue
		}
		t := w.thread(h, int(r.PID))
		if t == nil || !t.proc.alive || t.proc.killed || r.Op == "READ" && !t.reads() {
			w.carryOut(m, r)
			continue
		}
		t.call = &call{verb: requestVerb(r), names: []string{requestName(h, m, r)}, ends: []string{r.Op}}
		t.request, t.mount = r, m
		if t.proc.exiting {
			// Whichever of its threads is the last to go closes its files.
			t.label = t.proc.label
		}
	}
}

// requestVerbs are the verbs of calls that are held at their requests.
var requestVerbs = []string{"read", "close", "getlk", "unlock", "flock", "lock"}

// requestVerb is the call that is held at a request.
func requestVerb(r *share.Request) string {
	switch {
	case r.Op == "READ":
		return "read"
	case r.Op == "FLUSH":
		return "close"
	case r.Op == "GETLK":
		return "getlk"
	case r.Lock.Type == unix.F_UNLCK:
		return "unlock"
	case r.Lock.Flock:
		return "flock"
	}
	return "lock"
}

// requestName is the name of the file that a request is about.
func requestName(h *host, m *share.Mount, r *share.Request) string {
	if m != h.mounts[0] {
		return localPrefix + m.Path(r)
	}
	return m.Path(r)
}

// reads reports whether the thread asks for data by a call that is for reading.
// It may also do so by a call that was held at its entry already (sendfile, an
// exec), or by touching a page of a mapping, which no call is.
func (t *Thread) reads() bool {
	nr, err := node.AwaitCall(t.tid)
	return err == nil && slices.Contains(readCalls, nr) && (nr != unix.SYS_SENDFILE && nr != unix.SYS_SPLICE || t.call == nil || t.call.ordinary)
}

// readCalls are the calls that read from a descriptor.
var readCalls = []int{unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_READV, unix.SYS_PREADV, unix.SYS_PREADV2, unix.SYS_SENDFILE, unix.SYS_SPLICE}

// carryOut answers a request and notes what it did for its call.
func (w *World) carryOut(m *share.Mount, r *share.Request) share.Effect {
	e := m.Answer(r)
	w.effects = append(w.effects, e)
	if t := w.threads[int(r.PID)]; t != nil && t.call != nil && !t.held() {
		t.call.effects = append(t.call.effects, e)
	}
	return e
}

// interrupt ends the wait for a lock by a signal (the kernel then restarts the
// call where the handler says so). Any other held call goes on later as if there
// were no signal, as on a local disk: runtimes send themselves signals at times
// that nobody decides.
func (w *World) interrupt(m *share.Mount, unique uint64) {
	for _, t := range w.threads {
		if t.request != nil && t.mount == m && t.request.Unique == unique && t.request.Op == "SETLKW" {
			m.Refuse(t.request, unix.EINTR)
			t.request, t.call = nil, nil
			return
		}
	}
}

// onSink clears the mail sinks' bell; what has changed is looked up.
func (w *World) onSink() error {
	var b [8]byte
	unix.Read(w.sinks, b[:])
	return nil
}

// release lets the thread's call happen.
func (w *World) release(t *Thread) error {
	if t.request != nil {
		r := t.request
		t.request = nil
		w.carryOut(t.mount, r)
		return nil
	}
	if t.call.verb == schedule.Exit {
		t.proc.exiting = true
		if t.proc.children > 0 {
			w.discover() // while it still is their parent
		}
	}
	h := t.trap
	t.trap = nil
	if !h.Continue() {
		return fmt.Errorf("%s died while its %s was held, and nobody killed it", t.label, t.call.verb)
	}
	return nil
}

// leave lets those children end of which it does not matter when, and reports
// whether there were any. A child's end is seen by its parent, which gets SIGCHLD
// and can wait for it; where that is held at a call or asleep, so that it could
// do something before, the end is a decision. A parent that is blocked can do
// nothing before; but of several children that end which one is first is a
// decision.
func (w *World) leave() (bool, error) {
	if len(w.others) == 0 {
		return false, nil // a program's own end is not held
	}
	var list []*Thread
	leaving := map[*Process]int{}
	for _, p := range w.others {
		for _, t := range p.threads {
			if t.trap != nil && t.call.verb == schedule.Exit && !p.paused {
				leaving[p.parent]++
				list = append(list, t)
			}
		}
	}
	any := false
	for _, t := range list {
		if parent := t.proc.parent; !parent.alive || !parent.held() && leaving[parent] == 1 {
			if err := w.release(t); err != nil {
				return any, err
			}
			any = true
		}
	}
	return any, nil
}

// outcome is how the call ended: with the answer to the last request that
// carries it out; without such a request, the error of the look-up that
// failed, or the kernel's own refusal.
func (c *call) outcome() string {
	failed := syscall.Errno(0)
	for i := len(c.effects) - 1; i >= 0; i-- {
		e := c.effects[i]
		if slices.Contains(c.ends, e.Op) {
			return errnoName(e.Errno)
		}
		if e.Errno != 0 && failed == 0 {
			failed = e.Errno
		}
	}
	switch {
	case failed != 0:
		return errnoName(failed)
	case c.refused != 0:
		return errnoName(c.refused)
	}
	return "ok"
}

func errnoName(e syscall.Errno) string {
	if e == 0 {
		return "ok"
	}
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return fmt.Sprintf("errno%d", int(e))
}
