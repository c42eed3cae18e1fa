package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal: our end, and that of who sits at it.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED, and so nothing is known of terminals: %v", err)
	}
	t.Cleanup(func() { ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// Ctrl-C on a terminal goes to every process there; it ends the search and
// nothing else, and what was found is kept.
func TestCtrlC(t *testing.T) {
	ours, theirs := openTerminal(t)
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "test", "--nemesis", "crash,overlap", "--schedules", "1000000")
	cmd.Args[0], cmd.Dir = "screwtape", dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	var screen bytes.Buffer
	read := make(chan struct{})
	go func() {
		io.Copy(&screen, ours) // ends with EIO once nobody sits there any more
		close(read)
	}()
	deadline := time.Now().Add(patience)
	for {
		log, _ := os.ReadFile(filepath.Join(dir, "results/runs/latest/log"))
		if bytes.Contains(log, []byte("found ")) {
			break
		}
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			t.Fatal("nothing was found")
		}
		time.Sleep(10 * time.Millisecond)
	}
	ours.Write([]byte{3})
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitAnomaly {
		t.Errorf("%v", err)
	}
	<-read
	if !bytes.Contains(screen.Bytes(), []byte("INTERRUPTED")) {
		t.Errorf("on the screen:\n%s", &screen)
	}
	if _, err := os.Stat(filepath.Join(dir, "results/runs/latest/verdict.json")); err != nil {
		t.Error(err)
	}
}
