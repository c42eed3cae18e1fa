package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A debugger attaches to the process at whose call a replay stands still, gets
// it when that has ended, and while it holds it the schedule waits; then all
// goes the same way as without.
func TestAttach(t *testing.T) {
	dir := t.TempDir()
	tape := "screwtape tape 1\nworkload: program\ncontenders: 2\nlock: flock {file} {critical}\n\n"
	if err := os.WriteFile(filepath.Join(dir, "x.tape"), []byte(tape), 0o666); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	replay := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
		var out bytes.Buffer
		cmd := exec.Command(exe, append([]string{"replay", "x.tape"}, args...)...)
		cmd.Args[0], cmd.Dir, cmd.Stdout = "screwtape", dir, &out
		return cmd, &out
	}
	plain, want := replay()
	if err := plain.Run(); err != nil {
		t.Fatal(err)
	}
	const at = 6
	cmd, got := replay("--attach", fmt.Sprint(at))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewReader(told)
	pid, decision := 0, ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal("it does not stand still", err)
		}
		fmt.Sscanf(strings.TrimSpace(line), "gdb -p %d", &pid)
		decision = strings.TrimPrefix(decision+line, fmt.Sprintf("before decision %d: ", at))
		if line == "Enter goes on.\n" {
			break
		}
	}
	decision, _, _ = strings.Cut(decision, "\n")
	if step := fmt.Sprintf("%4d    0.000s  %s = ok\n", at, decision); !strings.Contains(want.String(), step) {
		t.Errorf("decision %d is not %q:\n%s", at, decision, want)
	}

	runtime.LockOSThread() // ptrace(2) knows its tracer by the thread
	defer runtime.UnlockOSThread()
	if err := unix.PtraceAttach(pid); err == unix.EPERM {
		t.Skipf("SKIPPED, and so nothing is known of debuggers: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if n, err := unix.Wait4(pid, &status, unix.WNOHANG|unix.WALL, nil); n != 0 || err != nil {
		t.Errorf("it is stopped within the held call: %d %v", n, err)
	}
	io.WriteString(in, "\n")
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
		t.Fatalf("%v, status %#x", err, status)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Fatal("the replay went on without a process that a debugger holds: ", err)
	default:
	}
	if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err != nil || !bytes.Contains(state, []byte("tracing stop")) {
		t.Errorf("%v\n%s", err, state)
	}
	if err := unix.PtraceDetach(pid); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got.String() != want.String() {
		t.Errorf("with a debugger it went another way:\n%s\nwithout:\n%s", got, want)
	}
}

// Ctrl-C goes on too, and ends nothing.
func TestAttachCtrlC(t *testing.T) {
	ours, theirs := openTerminal(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "replay", "C4", "-q", "--attach", "3")
	cmd.Args[0], cmd.Dir = "screwtape", t.TempDir()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	theirs.Close()
	screen := bufio.NewReader(ours)
	for {
		line, err := screen.ReadString('\n')
		if err != nil {
			t.Fatal("it does not stand still", err)
		}
		if strings.HasPrefix(line, "Enter goes on.") {
			break
		}
	}
	ours.Write([]byte{3})
	rest, _ := io.ReadAll(screen)
	if !bytes.Contains(rest, []byte("lost-message")) {
		t.Errorf("%s", rest)
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != exitAnomaly {
		t.Error(cmd.ProcessState)
	}
}
