package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"screwtape/harness"
	"screwtape/harness/node"
	"screwtape/harness/schedule"
	"screwtape/workloads"
)

// A world is a process that plays schedules of our test beside us.
type world struct {
	name   string
	cmd    *exec.Cmd
	pipe   io.Closer
	peer   *harness.Peer
	stderr bytes.Buffer
}

// startWorlds starts so many worlds less one: the first is our own.
func startWorlds(n int, h schedule.Header) (worlds, error) {
	var list worlds
	for i := 2; i <= n; i++ {
		w := &world{name: fmt.Sprintf("world %d", i), cmd: exec.Command("/proc/self/exe", worldVerb)}
		w.cmd.Args[0] = os.Args[0]
		w.cmd.Stderr = &w.stderr
		to, err := w.cmd.StdinPipe()
		if err != nil {
			return list, err
		}
		from, err := w.cmd.StdoutPipe()
		if err != nil {
			return list, err
		}
		if err := node.Beside(w.cmd, i); err != nil {
			return list, fmt.Errorf("start %s: %w", w.name, err)
		}
		list = append(list, w)
		w.pipe = to
		if w.peer, err = harness.NewPeer(w.name, h, to, from); err != nil {
			return list, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return list, nil
}

type worlds []*world

func (list worlds) peers() []*harness.Peer {
	var peers []*harness.Peer
	for _, w := range list {
		peers = append(peers, w.peer)
	}
	return peers
}

// end ends the worlds, all at once, and adds to an error how they ended and what
// they said.
func (list worlds) end(err error) error {
	for _, w := range list {
		w.pipe.Close()
	}
	for _, w := range list {
		ended := w.cmd.Wait()
		if err != nil && ended != nil {
			err = fmt.Errorf("%w\n%s: %v", err, w.name, ended)
		}
		if said := strings.TrimSpace(w.stderr.String()); err != nil && said != "" {
			err = fmt.Errorf("%w\n%s says: %s", err, w.name, said)
		}
	}
	return err
}

// worldVerb starts a world. It is not for people.
const worldVerb = "world"

func (c *command) newWorld() *cobra.Command {
	return &cobra.Command{
		Use:    worldVerb,
		Short:  "Play schedules for a test that is run by another process",
		Hidden: true,
		Args:   arguments(0, 0, "without any"),
		RunE: func(*cobra.Command, []string) error {
			if node.Outside() {
				return badArgs{fmt.Errorf("test starts its worlds by itself; see screwtape test --help")}
			}
			// Whoever started us says when to end.
			signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			if err := enter(); err != nil {
				return err
			}
			return harness.Serve(os.Stdin, os.Stdout, func(h schedule.Header) (*harness.Test, error) {
				return workloads.FromTape(&schedule.Tape{File: "the test", Header: h})
			})
		},
	}
}
