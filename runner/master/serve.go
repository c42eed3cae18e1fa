package master

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"screwtape/runner/lock"
	"screwtape/runner/sys"
)

// restartLimit is how often a runner is started again.
const restartLimit = 10

// A kid is a runner that the master has started.
type kid struct {
	pid      int
	queue    string
	slice    int
	restarts int
}

// A master is the process that has the lock.
type master struct {
	Options
	lock      *lock.File
	kids      []kid
	stopping  bool
	refreshed int
	born      int
}

// Serve is the master as the child of Start: it waits to be given the lock. Its
// result is the exit status.
func Serve(o Options) int {
	l := o.lock()
	l.TakePossession()
	return serve(o, l)
}

// serve writes the pid file, starts the runners, and looks after them until the
// last has ended.
func serve(o Options, l *lock.File) int {
	m, facts := &master{Options: o, lock: l}, o.Profile.Master
	sys.Catch(syscall.SIGALRM, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, facts.Restart)
	pidFile := o.Dir + "/data/" + facts.PIDFile
	if err := writePID(pidFile); err != nil {
		o.Log("master: " + err.Error())
		return 1
	}
	if o.Runners == 0 {
		m.start(kid{})
	}
	for _, queue := range o.Queues {
		for slice := range o.Runners {
			m.start(kid{queue: queue, slice: slice})
		}
	}
	sys.Alarm(aDay)
	if facts.PausesFirst {
		sys.Pause()
	}
	err := m.loop()
	if facts.RemovesPID {
		sys.Unlink(pidFile)
	}
	if err != nil {
		o.Log("master: " + err.Error())
		return 1
	}
	if err := l.Unlock(facts.UnlockMatters); err != nil {
		o.Log("master: " + err.Error())
		return 1
	}
	return 0
}

func writePID(file string) error {
	f, err := sys.Open(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	err = f.Write([]byte(strconv.Itoa(sys.Pid()) + "\n"))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// start starts a runner. Its number comes after all that were started before.
func (m *master) start(k kid) {
	number := 0
	if m.Child > 0 {
		number = m.Child + 20 + m.born
	}
	m.born++
	args := []string{"screwtape-runner", "idle"}
	if m.Runners > 0 {
		args = []string{"screwtape-runner", "queue", "--dir", m.Dir + "/qfiles", "--profile", m.Profile.Name,
			"--lists", m.Dir + "/lists", "--locks", m.locks(), "--queue", k.queue, "--slice", strconv.Itoa(k.slice), "--slices", strconv.Itoa(m.Runners)}
	}
	var err error
	if k.pid, err = sys.Spawn(number, args...); err != nil {
		m.Log("master: " + err.Error())
		return
	}
	m.kids = append(m.kids, k)
}

// loop waits for runners to end and for signals, until no runner is left. Its
// error is that the lock was lost: then the runners are stopped, and the lock,
// now another's, is left alone.
func (m *master) loop() (lost error) {
	for {
		if lost == nil {
			if lost = m.signals(); lost != nil {
				m.stop()
			}
		}
		pid, status, err := sys.Wait()
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return lost
		default:
			m.ended(pid, status)
		}
	}
}

// signals does what the signals that came ask for.
func (m *master) signals() error {
	if sys.Caught(syscall.SIGALRM) {
		if err := m.lock.Refresh(); err != nil {
			return err
		}
		if m.refreshed++; m.refreshed != m.Refreshes {
			sys.Alarm(aDay)
		}
	}
	if sys.Caught(syscall.SIGTERM) {
		m.stop()
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, m.Profile.Master.Restart} {
		if sys.Caught(sig) {
			m.signal(sig)
		}
	}
	return nil
}

// stop ends all runners for good.
func (m *master) stop() {
	m.stopping = true
	m.signal(syscall.SIGTERM)
}

func (m *master) signal(sig syscall.Signal) {
	for _, k := range m.kids {
		sys.Kill(k.pid, sig)
	}
}

// ended starts a runner that has ended again, if it is to be.
func (m *master) ended(pid int, status syscall.WaitStatus) {
	i := slices.IndexFunc(m.kids, func(k kid) bool { return k.pid == pid })
	if i < 0 {
		return
	}
	k := m.kids[i]
	m.kids = slices.Delete(m.kids, i, i+1)
	how, facts := exited(status), m.Profile.Master
	if m.stopping || m.NoRestart || how == syscall.SIGTERM || !facts.RestartsAll && how != facts.Restart {
		return
	}
	if how != syscall.SIGINT {
		k.restarts++
	}
	if k.restarts > restartLimit {
		m.Log(fmt.Sprintf("Qrunner %s:%d reached maximum restart limit of %d, not restarting.", k.queue, k.slice, restartLimit))
		return
	}
	m.start(k)
}

// exited is the signal that killed a process, or with which number it exited,
// which means the same.
func exited(s syscall.WaitStatus) syscall.Signal {
	if s.Signaled() {
		return s.Signal()
	}
	return syscall.Signal(s.ExitStatus())
}

// Signal is "mailmanctl stop" (SIGTERM), "restart" (the version's Master.Restart) and
// "reopen" (SIGHUP): the signal goes to the process of this host that has the number in
// the pid file, whichever host's that is. Its result is the exit status.
func Signal(o Options, sig syscall.Signal) int {
	file := o.Dir + "/data/" + o.Profile.Master.PIDFile
	data, err := sys.ReadFile(file, 0)
	pid := 0
	if err == nil {
		_, err = fmt.Sscan(string(data), &pid)
	}
	if err != nil {
		o.Log("PID file unreadable in: " + file)
		return 0
	}
	if err := sys.Kill(pid, sig); errors.Is(err, syscall.ESRCH) {
		o.Log(fmt.Sprintf("No child with pid: %d", pid))
		o.Log("Stale pid file removed.")
		sys.Unlink(file)
	} else if err != nil {
		o.Log("master: " + err.Error())
		return 1
	}
	return 0
}
