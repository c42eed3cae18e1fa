package harness

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/history"
	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// Outside is what programs have changed, or tried to, outside the share, their
// node's private directory and the scratch of the test, since the world was
// made: in order of path and program.
func (w *World) Outside() []history.Outside {
	var list []history.Outside
	for o, n := range w.outside {
		o.Count = n
		list = append(list, o)
	}
	slices.SortFunc(list, compareOutside)
	return list
}

func compareOutside(a, b history.Outside) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Process, b.Process))
}

// addOutside puts together what two worlds have seen. Each starts its programs by
// itself, so the more worlds there are the more often there is what starts do.
func addOutside(a, b []history.Outside) []history.Outside {
	list := slices.SortedFunc(slices.Values(slices.Concat(a, b)), compareOutside)
	for i := len(list) - 1; i > 0; i-- {
		if compareOutside(list[i-1], list[i]) == 0 {
			list[i-1].Count += list[i].Count
			list = slices.Delete(list, i, i+1)
		}
	}
	return list
}

// noteOutside notes what a call that is not on the share is about to change. It
// goes on at once, so how it ends is not seen; what cannot succeed, since a file
// that it needs is missing or one that it makes is there, is not noted.
func (w *World) noteOutside(t *Thread, h *node.Held, c *call) {
	flags := openFlags(t.tid, h)
	for _, name := range changed(c, flags) {
		switch {
		case !strings.HasPrefix(name, "/"): // a path that could not be read
		case slices.ContainsFunc(w.test.Scratch, func(dir string) bool { return below(name, dir) }):
			t.proc.host.noteScratch(name)
		case canSucceed(c, flags):
			w.outside[history.Outside{Path: name, Process: schedule.Program(t.proc.label)}]++
		}
	}
}

// changed are the names among the call's that it changes if it succeeds.
func changed(c *call, flags uint64) []string {
	last := c.names[len(c.names)-1]
	switch c.verb {
	case "unlink", "rmdir", "rename", "chmod", "chown", "utimens", "truncate":
		return c.names
	case "mkdir", "mknod", "symlink", "link":
		return []string{last}
	case "open":
		if opensForChange(last, flags) {
			return []string{last}
		}
	}
	return nil
}

// canSucceed reports whether the files are there that the call needs, and those
// are not that it makes. What it changes lies outside the scratch: no call changes
// something on both sides (EXDEV).
func canSucceed(c *call, flags uint64) bool {
	last := c.names[len(c.names)-1]
	switch c.verb {
	case "mkdir", "mknod", "symlink", "link":
		return !isThere(last)
	case "open":
		info, err := os.Stat(last)
		if err != nil {
			return flags&unix.O_CREAT != 0
		}
		excluded := flags&unix.O_CREAT != 0 && flags&unix.O_EXCL != 0
		return info.Mode().IsRegular() && flags&(unix.O_WRONLY|unix.O_RDWR|unix.O_TRUNC) != 0 && !excluded
	}
	return isThere(c.names[0])
}

// openFlags are the flags of an open(2), or of what does the same.
func openFlags(tid int, h *node.Held) uint64 {
	switch h.Nr {
	case unix.SYS_OPEN:
		return h.Args[1]
	case unix.SYS_OPENAT:
		return h.Args[2]
	case unix.SYS_OPENAT2:
		if how, err := node.ReadWords(tid, h.Args[2], 1); err == nil {
			return how[0]
		}
	case unix.SYS_CREAT:
		return unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC
	}
	return 0
}

// opensForChange reports whether an open(2) with these flags makes the file or is
// for writing to it. What is no file is left out: devices, pipes and sockets, a
// process's own knobs in /proc, and one without a name (O_TMPFILE).
func opensForChange(name string, flags uint64) bool {
	switch {
	case flags&(unix.O_CREAT|unix.O_WRONLY|unix.O_RDWR|unix.O_TRUNC) == 0:
		return false
	case flags&unix.O_TMPFILE == unix.O_TMPFILE:
		return false
	case below(name, "/dev") && !below(name, "/dev/shm") && !below(name, "/dev/mqueue"):
		return false
	case below(name, "/proc") && !below(name, "/proc/sys"):
		return false
	}
	return true
}

// isThere looks in the controller's own root, in which all is as on the nodes,
// but for what is mounted there.
func isThere(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func below(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// noteScratch notes that something in the node's scratch is about to be changed, and
// what it is until then.
func (h *host) noteScratch(name string) {
	if _, ok := h.scratched[name]; !ok {
		h.scratched[name] = h.lookAt(name)
	}
}

// rememberScratch has a schedule begin with what the programs have put into the
// node's scratch when they were started. A change gets the time of the clock's last
// tick (before Linux 6.13 at least), so the next one is awaited: what is changed
// right after the look would look the same.
func (h *host) rememberScratch() {
	newest := int64(0)
	for name := range h.scratched {
		s := h.lookAt(name)
		h.scratched[name] = s
		newest = max(newest, s.Ctim.Nano())
	}
	for range 20 { // ms: longer than any tick; a clock that was set back is not waited for
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil || now.Nano() > newest {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// lookAt is what can be told of a file of the node without reading it, but for when
// it was read; of one that is not there, nothing.
func (h *host) lookAt(name string) unix.Stat_t {
	var s unix.Stat_t
	if unix.Lstat(h.inside(name), &s) != nil {
		return unix.Stat_t{}
	}
	s.Atim = unix.Timespec{}
	return s
}

// inside is where the controller finds what the node has at a path.
func (h *host) inside(name string) string { return fmt.Sprintf("/proc/%d/root%s", h.AgentPID(), name) }

// unchanged reports whether nothing in the node's scratch has changed, although
// files there may have been open for it, as a database's are.
func (h *host) unchanged() bool {
	for name, was := range h.scratched {
		if h.lookAt(name) != was {
			return false
		}
	}
	return true
}

// scratchStays reports whether what lies in the node's scratch is what the
// programs that stay up have put there when they were started.
func (w *World) scratchStays(h *host) bool {
	return len(w.test.Scratch) == 0 || h.unchanged() && !slices.ContainsFunc(w.programs, func(p *Process) bool {
		return p.host == h && !p.program.Late && !w.stays(p)
	})
}

// emptyScratch removes what lies in the scratch of the nodes on which no program
// is up.
func (w *World) emptyScratch() error {
	for _, h := range w.hosts {
		if slices.ContainsFunc(w.programs, func(p *Process) bool { return p.host == h && p.alive }) {
			continue
		}
		clear(h.scratched)
		for _, dir := range w.test.Scratch {
			inside := h.inside(dir)
			entries, err := os.ReadDir(inside)
			if err != nil {
				return fmt.Errorf("node %s: empty its scratch: %w", h.Name, err)
			}
			for _, e := range entries {
				if err := os.RemoveAll(filepath.Join(inside, e.Name())); err != nil {
					return fmt.Errorf("node %s: empty its scratch: %w", h.Name, err)
				}
			}
		}
	}
	return nil
}
