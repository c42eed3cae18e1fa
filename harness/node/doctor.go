package node

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Check is one thing that the controller needs or can use, and whether this
// machine has it.
type Check struct {
	What    string // what was looked at
	Found   string // what is there
	OK      bool
	Needed  bool   // nothing works without it
	Instead string // what is done without it, unless it is Needed
	Mend    string // how to get it
}

// Doctor looks at what can be seen from outside: it changes nothing, and starts
// nothing.
func Doctor() []Check {
	checks := []Check{checkKernel(), checkMachine(), checkFUSE(), checkSeccomp(), checkSchedstat("/proc/self/schedstat")}
	if os.Geteuid() != 0 {
		checks = append(checks, checkUserNamespaces()...)
	}
	return append(checks, checkCgroup())
}

// DoctorInside looks at what the controller has once it is where Enter puts it.
func DoctorInside() []Check {
	c := Check{What: "pids that repeat", Found: "ns_last_pid can be set", OK: true,
		Instead: "programs get whatever pid is free, and one that makes names of its pid does not repeat; a timerfd in virtual time cannot expire",
		Mend:    "a kernel with CONFIG_CHECKPOINT_RESTORE"}
	f, err := os.OpenFile("/proc/sys/kernel/ns_last_pid", os.O_WRONLY, 0)
	if err != nil {
		c.Found, c.OK = err.Error(), false
	} else {
		f.Close()
	}
	return []Check{c}
}

// The oldest kernel with all that is used: epoll_pwait2 is the youngest of it.
// fsopen and move_mount came with 5.2, the seccomp answer "continue" with 5.5.
const oldestMajor, oldestMinor = 5, 11

func checkKernel() Check {
	c := Check{What: "kernel", Needed: true, Mend: fmt.Sprintf("use Linux %d.%d or newer", oldestMajor, oldestMinor)}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		c.Found = err.Error()
		return c
	}
	c.Found = unix.ByteSliceToString(u.Release[:])
	var major, minor int
	fmt.Sscanf(c.Found, "%d.%d", &major, &minor)
	c.OK = atLeast(major, minor, oldestMajor, oldestMinor)
	switch {
	case !c.OK:
	case !atLeast(major, minor, 6, 6):
		c.Found += " (before 6.6: shared writable mmap of files on the share is refused, and all is slower)"
	case !atLeast(major, minor, 6, 16):
		c.Found += " (before 6.16: paths on the share are asked for component by component, which is slower)"
	}
	return c
}

func atLeast(major, minor, wantMajor, wantMinor int) bool {
	return major > wantMajor || major == wantMajor && minor >= wantMinor
}

func checkMachine() Check {
	return Check{What: "machine", Found: runtime.GOARCH + ", " + strconv.Itoa(runtime.NumCPU()) + " CPUs",
		OK: runtime.GOARCH == "amd64", Needed: true, Mend: "use x86-64: system calls are known by their numbers there"}
}

func checkFUSE() Check {
	c := Check{What: "/dev/fuse", Needed: true}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
		c.Found, c.OK = "can be opened", true
	case os.IsNotExist(err):
		c.Found, c.Mend = "not there", "modprobe fuse; in a container: --device /dev/fuse"
	case os.IsPermission(err):
		c.Found, c.Mend = "may not be opened", "chmod 0666 /dev/fuse (as root), or run as root; in a container: --device /dev/fuse"
	default:
		c.Found, c.Mend = err.Error(), "modprobe fuse"
	}
	return c
}

func checkSeccomp() Check {
	c := Check{What: "seccomp notification", Needed: true, Mend: "a kernel with CONFIG_SECCOMP_FILTER"}
	actions, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	switch {
	case err != nil:
		c.Found = err.Error()
	case bytes.Contains(actions, []byte("user_notif")):
		c.Found, c.OK = "there", true
	default:
		c.Found = "only " + strings.TrimSpace(string(actions))
	}
	return c
}

// checkSchedstat looks whether the kernel counts how often a thread was
// scheduled: the third number of its schedstat.
func checkSchedstat(file string) Check {
	c := Check{What: "schedstat", Found: "counts",
		Instead: "whether a program has come to rest is told by the states of its threads alone, and a schedule may diverge",
		Mend:    "a kernel with CONFIG_SCHED_INFO (that is CONFIG_SCHEDSTATS or CONFIG_TASK_DELAY_ACCT)"}
	b, err := os.ReadFile(file)
	f := strings.Fields(string(b))
	switch {
	case err != nil:
		c.Found = err.Error()
	case len(f) < 3 || f[2] == "0":
		c.Found = "counts nothing"
	default:
		c.OK = true
	}
	return c
}

// checkUserNamespaces looks at what an ordinary user needs on top.
func checkUserNamespaces() []Check {
	limits := Check{What: "namespaces for users", OK: true, Needed: true, Found: "allowed", Mend: "sysctl user.max_user_namespaces=10000 (and the others), or run as root"}
	for _, kind := range []string{"user", "mnt", "pid", "net", "uts", "ipc"} {
		if sysctl("user/max_"+kind+"_namespaces") == "0" {
			limits.Found, limits.OK = "user.max_"+kind+"_namespaces is 0", false
		}
	}
	checks := []Check{limits}
	if sysctl("kernel/unprivileged_userns_clone") == "0" {
		checks = append(checks, Check{What: "user namespaces", Found: "kernel.unprivileged_userns_clone is 0",
			Needed: true, Mend: "sysctl kernel.unprivileged_userns_clone=1, or run as root"})
	}
	if sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" {
		checks = append(checks, Check{What: "AppArmor", Found: "kernel.apparmor_restrict_unprivileged_userns is 1",
			Needed: true, Mend: "sysctl kernel.apparmor_restrict_unprivileged_userns=0, a profile with \"userns,\" for this executable, or run as root"})
	}
	return checks
}

// sysctl reads a kernel setting, "" where there is none.
func sysctl(name string) string {
	b, _ := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(b))
}

// checkCgroup says which cgroups there are, and whether nodes get one. A node's
// end does not hang on that: its programs die with its init.
func checkCgroup() Check {
	c := Check{What: "cgroup", OK: true, Found: "none"}
	var top, unified unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &top) != nil {
		top.Type = 0
	}
	hybrid := unix.Statfs("/sys/fs/cgroup/unified", &unified) == nil && unified.Type == unix.CGROUP2_SUPER_MAGIC
	switch {
	case top.Type == unix.CGROUP2_SUPER_MAGIC:
		c.Found = "v2"
	case hybrid:
		c.Found = "hybrid (v1, with v2 at unified)"
	default:
		if entries, err := os.ReadDir("/sys/fs/cgroup"); err == nil && len(entries) > 0 {
			c.Found = "v1"
		}
	}
	if dir, _, ok := groupTop(); ok && unix.Access(dir, unix.W_OK) == nil {
		c.Found += "; each node gets one"
	} else {
		c.Found += "; none can be made here: a node's programs are killed one by one, and paused by SIGSTOP"
	}
	return c
}
