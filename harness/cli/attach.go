package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"screwtape/harness"
	"screwtape/harness/node"
)

// keptInput is where the inner process finds the standard input with which the
// command was called; its own is nothing. See enter.
const keptInput = 100

// enterWithInput enters, and gives standard input as it was before. If there is
// none, reading it fails.
func enterWithInput() (*os.File, error) {
	if node.Outside() {
		unix.Dup3(0, keptInput, 0)
	}
	if err := enter(); err != nil {
		return nil, err
	}
	unix.CloseOnExec(keptInput) // no program's business
	return os.NewFile(keptInput, "standard input"), nil
}

// newStop has a replay stand still before decision at, tell on w how to look at
// it, and go on after a line or the end of in, or when ctx is cancelled.
func newStop(ctx context.Context, at int, in io.Reader, w io.Writer) *harness.Stop {
	return &harness.Stop{At: at, Show: func(s harness.Standstill) <-chan struct{} {
		tellStandstill(w, at, s)
		goOn := make(chan struct{})
		entered := make(chan struct{})
		go func() {
			bufio.NewReader(in).ReadString('\n')
			close(entered)
		}()
		go func() {
			select {
			case <-entered:
			case <-ctx.Done():
			}
			close(goOn)
		}()
		return goOn
	}}
}

func tellStandstill(w io.Writer, at int, s harness.Standstill) {
	fmt.Fprintf(w, "before decision %d: %s\n", at, s.Decision)
	if s.PID == 0 {
		fmt.Fprintf(w, "  %s has no process to attach to now\n", s.Decision.Process)
	} else {
		fmt.Fprintf(w, "  %s is process %d here; a debugger gets it once the call has ended, after Enter:\n", s.Decision.Process, s.PID)
		fmt.Fprintf(w, "    gdb -p %d\n", s.PID)
		fmt.Fprintf(w, "  what it sees of the share, now:\n    nsenter -t %d %s ls -l /shared /local\n", s.PID, nsenterFlags())
	}
	fmt.Fprint(w, "Enter goes on.\n")
}

// nsenterFlags are those with which nsenter(1) enters a node; an ordinary user
// has to enter the user namespace first.
func nsenterFlags() string {
	if node.OwnUser() {
		return "-U --preserve-credentials -m"
	}
	return "-m"
}
