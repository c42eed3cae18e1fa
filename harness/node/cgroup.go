package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Group is the control group of a node's programs: all of them, with
// whatever they fork, are killed or stopped by one write, so that none sees
// another one go first (cgroups(7)). The node's agent stays outside.
type Group struct {
	v2   *cgroup2.Manager
	v1   cgroup1.Cgroup // the freezer, where there is no version 2
	name string         // below top
	top  string
}

// ErrNoCgroup says that this machine gives us no control group of our own;
// processes are then killed one by one.
var ErrNoCgroup = errors.New("no control group may be made here")

const groupPrefix = "screwtape-"

// run names the controller for its groups: the pid namespace of its outer
// process, its pid there, and when it was started.
var run string

// world is what the names of our groups begin with, to tell them from those of
// the run's other worlds: "" for the first.
var world string

// NewGroup makes the group of a node. It is ErrNoCgroup where that may not be.
func NewGroup(node string) (*Group, error) {
	top, v2, ok := groupTop()
	if !ok || run == "" {
		return nil, ErrNoCgroup
	}
	return newGroup(top, filepath.Join("/", groupPrefix+run, world+node), v2)
}

func newGroup(top, name string, v2 bool) (*Group, error) {
	g := &Group{name: name, top: top}
	var err error
	if v2 {
		g.v2, err = cgroup2.NewManager(top, name, &cgroup2.Resources{})
	} else {
		freezer := func() ([]cgroup1.Subsystem, error) {
			return []cgroup1.Subsystem{cgroup1.NewFreezer(filepath.Dir(top))}, nil
		}
		g.v1, err = cgroup1.New(cgroup1.StaticPath(name), &specs.LinuxResources{}, cgroup1.WithHierarchy(freezer))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCgroup, err)
	}
	return g, nil
}

// Part makes a group within this one, for some of its processes.
func (g *Group) Part(name string) (*Group, error) {
	return newGroup(g.top, filepath.Join(g.name, name), g.v2 != nil)
}

// dir is the group's directory.
func (g *Group) dir() string { return filepath.Join(g.top, g.name) }

// groupTop is the directory below which groups are made: where version 2 is,
// our own group; else the root of the freezer of version 1.
func groupTop() (dir string, v2, ok bool) {
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var s unix.Statfs_t
		if unix.Statfs(mount, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			own, err := os.ReadFile("/proc/self/cgroup")
			if err != nil {
				return "", false, false
			}
			for line := range strings.Lines(string(own)) {
				if p, ok := strings.CutPrefix(line, "0::"); ok {
					return filepath.Join(mount, strings.TrimSpace(p)), true, true
				}
			}
		}
	}
	_, err := os.Stat(filepath.Join(freezerTop, "cgroup.procs"))
	return freezerTop, false, err == nil
}

// freezerTop is where version 1 has its freezer.
const freezerTop = "/sys/fs/cgroup/freezer"

// Dir opens the group's directory, to start processes in it (clone3(2),
// CLONE_INTO_CGROUP); nil with version 1, where they have to be added.
func (g *Group) Dir() (*os.File, error) {
	if g.v2 == nil {
		return nil, nil
	}
	return os.Open(g.dir())
}

// Add puts a process into the group. What it forks from then on is in it too. One
// that was frozen elsewhere goes on, or dies of what it was sent meanwhile.
func (g *Group) Add(pid int) error {
	if g.v2 != nil {
		return g.v2.AddProc(uint64(pid))
	}
	return g.v1.AddProc(uint64(pid))
}

// Join adds a program that was started outside the group, which is so with
// version 1 alone.
func (g *Group) Join(pid int) error {
	if g.v2 != nil {
		return nil
	}
	return g.Add(pid)
}

// Kill sends SIGKILL to all processes of the group, which stand still meanwhile.
// With version 1 those of a part that is frozen die when it is thawed.
//
// It is not done by cgroup.kill: on Linux 6.18 every process that is started in
// a group (CLONE_INTO_CGROUP) after that was written once is killed too.
func (g *Group) Kill() error {
	if err := g.Freeze(); err != nil {
		return err
	}
	list, err := g.processes()
	for _, pid := range list {
		unix.Kill(pid, unix.SIGKILL)
	}
	return errors.Join(err, g.Thaw())
}

func (g *Group) processes() ([]int, error) {
	var list []int
	if g.v2 != nil {
		pids, err := g.v2.Procs(true)
		for _, pid := range pids {
			list = append(list, int(pid))
		}
		return list, err
	}
	processes, err := g.v1.Processes(cgroup1.Freezer, true)
	for _, p := range processes {
		list = append(list, p.Pid)
	}
	return list, err
}

// Freeze stops all processes of the group, and those of its parts, without any
// of them seeing it. It does not wait for them: one that waits for us, in a
// trapped call or in a request on the share, stops when it gets its answer, before
// it does anything else.
func (g *Group) Freeze() error { return g.freeze("1", "FROZEN") }

// Thaw lets them go on.
func (g *Group) Thaw() error { return g.freeze("0", "THAWED") }

func (g *Group) freeze(v2, v1 string) error {
	file, state := "cgroup.freeze", v2
	if g.v2 == nil {
		file, state = "freezer.state", v1
	}
	if err := os.WriteFile(filepath.Join(g.dir(), file), []byte(state), 0); err != nil {
		return fmt.Errorf("freeze or thaw programs: %w", err)
	}
	return nil
}

// Frozen reports whether the kernel says that all processes of the group stand
// still.
func (g *Group) Frozen() (bool, error) {
	file, want := "cgroup.events", "frozen 1\n"
	if g.v2 == nil {
		file, want = "freezer.state", "FROZEN\n"
	}
	b, err := os.ReadFile(filepath.Join(g.dir(), file))
	return strings.Contains(string(b), want), err
}

// Close removes the group and its parts, which must be empty by now.
func (g *Group) Close() error {
	removeGroups(g.dir())
	if _, err := os.Stat(g.dir()); err == nil {
		return fmt.Errorf("the group %s is not empty", g.name)
	}
	return nil
}

// Groups are the directories of all groups of controllers, living or dead.
func Groups() []string {
	top, _, ok := groupTop()
	if !ok {
		return nil
	}
	list, _ := filepath.Glob(filepath.Join(top, groupPrefix+"*"))
	return list
}

// Sweep removes the groups of controllers that are dead, and were killed with
// all that could have removed them. Call it in the outer process, which sees
// the others.
func Sweep() {
	for _, dir := range Groups() {
		name := strings.TrimPrefix(filepath.Base(dir), groupPrefix)
		f := strings.Split(name, "-")
		if len(f) != 3 || f[0] != pidNamespace() {
			continue // of another container: its pids mean nothing here
		}
		if pid, err := strconv.Atoi(f[1]); err == nil && runOf(pid) != name {
			removeGroups(dir)
		}
	}
}

// removeGroups removes a group and those below it; the kernel keeps those in
// which something lives. With version 1 what is frozen does not die of SIGKILL
// before it is thawed.
func removeGroups(dir string) {
	if state, err := os.OpenFile(filepath.Join(dir, "freezer.state"), os.O_WRONLY, 0); err == nil {
		state.WriteString("THAWED")
		state.Close()
	}
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if e.IsDir() {
			removeGroups(filepath.Join(dir, e.Name()))
		}
	}
	os.Remove(dir)
}

// runOf names a controller by its outer process; "" when that does not live.
func runOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return ""
	}
	return fmt.Sprintf("%s-%d-%s", pidNamespace(), pid, f[19]) // starttime, proc_pid_stat(5)
}

// pidNamespace is the number of our pid namespace.
func pidNamespace() string {
	link, _ := os.Readlink("/proc/self/ns/pid")
	return strings.Trim(link, "pid:[]")
}
