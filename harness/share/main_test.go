package share

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests that mount run in a mount namespace of their own, so that nothing
// is left of them; as an ordinary user in a user namespace too, where mounting
// needs no right.
const inNamespace = "SHARE_TEST_NAMESPACE"

func TestMain(m *testing.M) {
	if path := os.Getenv(helperPath); path != "" {
		help(path)
		return
	}
	if os.Getenv(inNamespace) != "" {
		// Nothing mounted here shall be seen outside.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, "making / private:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "no namespaces here, the tests that mount will be skipped:", err)
		os.Exit(m.Run())
	}
}

// A node is a mount that is served until the test ends, and its place.
type node struct {
	*Mount
	dir    string
	server *server
}

// A server serves the mounts of one store. It holds nothing back but locks that
// are not free.
type server struct {
	t       *testing.T
	mu      sync.Mutex // held for whatever touches the store
	store   *Store
	held    []heldRequest
	waits   chan struct{} // gets one for each lock that is not free
	effects []Effect
	looked  []string // the paths that were looked up
	stop    int      // an eventfd: readable once the pumps are to end
	wg      sync.WaitGroup
}

type heldRequest struct {
	mount   *Mount
	request *Request
}

func testClock() func() time.Time {
	t := time.Date(2019, 11, 3, 12, 0, 0, 123456789, time.UTC)
	return func() time.Time {
		t = t.Add(time.Microsecond)
		return t
	}
}

// serve mounts directories of a store, each for a node, or skips the test where
// the kernel does not let us.
func serve(t *testing.T, store *Store, roots ...string) []*node {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		t.Skip("SKIPPED: the kernel gives us no mount namespace")
	}
	// A thread that waits for our answer outside what Go knows as a system
	// call (epoll_ctl, a page fault) cannot be stopped, and stopping the world
	// for a collection would wait for it, with the pump already stopped.
	old := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(old) })

	s := &server{t: t, store: store, waits: make(chan struct{}, 100)}
	var err error
	if s.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	var list []*node
	for _, root := range roots {
		if err := store.MkdirAll(root, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range roots {
		s.mu.Lock()
		m, err := NewMount(store, root)
		s.mu.Unlock()
		if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENODEV) {
			t.Skipf("SKIPPED: the kernel does not let us mount: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.MkdirTemp("", root)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.MoveMount(int(m.Tree().Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			t.Fatalf("move_mount: %v", err)
		}
		list = append(list, &node{m, dir, s})
		s.wg.Add(1)
		go s.pump(m)
		if err := neverPoll(dir); err != nil {
			t.Fatal(err)
		}
	}
	// end closes the devices, which ends the mounts; whoever still waits for an
	// answer gets an error.
	end := sync.OnceFunc(func() {
		unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		s.wg.Wait()
		for _, n := range list {
			if err := unix.Unmount(n.dir, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount: %v", err)
			}
			n.Close()
			os.Remove(n.dir)
		}
		unix.Close(s.stop)
	})
	// A test that hangs on its own mount could not even be killed.
	watchdog := time.AfterFunc(30*time.Second, func() {
		fmt.Fprintf(os.Stderr, "%s: hangs; ending its mounts\n", t.Name())
		end()
	})
	t.Cleanup(func() {
		watchdog.Stop()
		end()
		s.checkEffects()
	})
	return list
}

// neverPoll has the kernel learn that files here cannot be polled, before Go's
// runtime asks by an epoll_ctl that its scheduler does not know to block.
func neverPoll(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return os.NewSyscallError("poll", err)
}

// pump answers a mount's requests until it is told to stop.
func (s *server) pump(m *Mount) {
	defer s.wg.Done()
	for {
		poll := []unix.PollFd{{Fd: int32(m.dev), Events: unix.POLLIN}, {Fd: int32(s.stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR {
			s.t.Errorf("poll: %v", err)
			return
		}
		if poll[1].Revents != 0 {
			return
		}
		for more := true; more; {
			s.mu.Lock()
			r, err := m.Next()
			if r != nil {
				s.take(m, r)
			}
			s.mu.Unlock()
			if err != nil {
				s.t.Errorf("next: %v", err)
				return
			}
			more = r != nil
		}
	}
}

func (s *server) take(m *Mount, r *Request) {
	if unique, ok := r.Interrupts(); ok {
		for n, h := range s.held {
			if h.mount == m && h.request.Unique == unique {
				m.Refuse(h.request, syscall.EINTR)
				s.held = append(s.held[:n], s.held[n+1:]...)
				break
			}
		}
		m.Answer(r)
		return
	}
	if r.Op == "LOOKUP" {
		s.looked = append(s.looked, path.Join(m.Path(r), string(bytes.TrimRight(r.raw[headerSize:], "\x00"))))
	}
	if !m.Ready(r) {
		s.held = append(s.held, heldRequest{m, r})
		s.waits <- struct{}{}
	} else {
		s.effects = append(s.effects, m.Answer(r))
	}
	for n := 0; n < len(s.held); n++ { // what it has set free
		if h := s.held[n]; h.mount.Ready(h.request) {
			s.held = append(s.held[:n], s.held[n+1:]...)
			s.effects = append(s.effects, h.mount.Answer(h.request))
			n = -1
		}
	}
}

// checkEffects fails for a footprint that says more than the table of methods.
func (s *server) checkEffects() {
	byName := map[string]method{}
	for _, op := range opcodes {
		for _, m := range methods {
			if m.name == op.method {
				byName[op.name] = m
			}
		}
	}
	for _, e := range s.effects {
		m := byName[e.Op]
		for _, r := range e.Footprint.Reads {
			if !strings.Contains(m.reads, string(r[:1])) {
				s.t.Errorf("%s reads %s, which the table does not say", e.Op, r)
			}
		}
		for _, r := range slices.Concat(e.Footprint.Writes, e.Footprint.Adds) {
			if !strings.Contains(m.writes, string(r[:1])) {
				s.t.Errorf("%s writes %s, which the table does not say", e.Op, r)
			}
		}
	}
}
