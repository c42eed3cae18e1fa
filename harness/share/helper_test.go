package share

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A helper is a process that does what the one that serves the mounts must not:
// a page fault in a mapping would stop it, and with it the server.
type helper struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

const helperPath = "SHARE_TEST_HELPER"

func startHelper(t *testing.T, path string) *helper {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperPath+"="+path)
	cmd.Stderr = os.Stderr
	in := must[io.WriteCloser](t)(cmd.StdinPipe())
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	ok(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	h := &helper{t, cmd, in, bufio.NewScanner(out)}
	if !h.out.Scan() || h.out.Text() != "ready" {
		t.Fatalf("the helper says %q", h.out.Text())
	}
	return h
}

func (h *helper) say(command string) {
	h.t.Helper()
	if _, err := fmt.Fprintln(h.in, command); err != nil {
		h.t.Fatal(err)
	}
}

func (h *helper) ask(command, want string) {
	h.t.Helper()
	h.say(command)
	h.out.Scan()
	if got := h.out.Text(); got != want {
		h.t.Errorf("%s: %q, want %q", command, got, want)
	}
}

// help is the helper's side.
func help(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	var mapped []byte
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var command, value string
		var off int
		fmt.Sscan(lines.Text(), &command, &off, &value)
		answer := "ok"
		switch command {
		case "map":
			mapped, err = unix.Mmap(int(f.Fd()), 0, 2*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		case "get":
			answer = string(mapped[off : off+1])
		case "set":
			copy(mapped[off:], value)
		case "sync":
			err = unix.Msync(mapped, unix.MS_SYNC)
		case "unmap":
			err = unix.Munmap(mapped)
		case "flock":
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		if err != nil {
			answer = err.Error()
		}
		fmt.Println(answer)
	}
}
