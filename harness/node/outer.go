package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// outerProc is /proc of the pid namespace in which screwtape was started; -1
// where it could not be opened. See settleIn.
var outerProc = -1

// openOuterProc opens it, while it is not covered yet.
func openOuterProc() {
	if fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		outerProc = fd
	}
}

// OuterPID is the number of one of the controller's processes as whoever
// started screwtape sees it, or 0 where that cannot be told. Numbers in a pid
// namespace are not shown inside it by its parents' (pid_namespaces(7)), so the
// process is looked for by its own namespace and its number there.
func OuterPID(pid int) int {
	proc := fmt.Sprintf("/proc/self/fd/%d/", outerProc)
	want, ok := innermost(fmt.Sprintf("/proc/%d", pid))
	entries, err := os.ReadDir(proc)
	if err != nil || !ok {
		return 0
	}
	for _, e := range entries {
		outer, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if got, ok := innermost(proc + e.Name()); ok && got == want {
			return outer
		}
	}
	return 0
}

// innermost names a process by its pid namespace and its number there.
func innermost(dir string) (name string, ok bool) {
	namespace, err := os.Readlink(dir + "/ns/pid")
	if err != nil {
		return "", false
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "NSpid:" {
			return namespace + f[len(f)-1], true
		}
	}
	return "", false
}

// OwnUser reports whether the controller has a user namespace of its own, as
// Enter gives an ordinary user one: with one user.
func OwnUser() bool {
	ids, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(ids))
	return err == nil && len(f) == 3 && f[2] == "1"
}
