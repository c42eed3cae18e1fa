package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"screwtape/harness"
	"screwtape/harness/node"
	"screwtape/harness/schedule"
	"screwtape/workloads"
)

// A world is a process that plays schedules of our test beside us.
type world struct {
	cmd    *exec.Cmd
	pipe   io.Closer
	peer   *harness.Peer
	stderr bytes.Buffer
}

// startWorlds starts so many worlds less one: the first is our own.
func startWorlds(n int, h schedule.Header) (worlds, error) {
	var list worlds
	for i := 2; i <= n; i++ {
		w := &world{cmd: exec.Command("/proc/self/exe", worldVerb)}
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
		name := fmt.Sprintf("world %d", i)
		if err := node.Beside(w.cmd, i); err != nil {
			return list, fmt.Errorf("start %s: %w", name, err)
		}
		list = append(list, w)
		w.pipe = to
		if w.peer, err = harness.NewPeer(name, h, to, from); err != nil {
			return list, fmt.Errorf("%s: %w", name, err)
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

// end ends the worlds, and adds to an error what they said.
func (list worlds) end(err error) error {
	for _, w := range list {
		w.pipe.Close()
		ended := w.cmd.Wait()
		if err != nil && (ended != nil || w.stderr.Len() > 0) {
			err = fmt.Errorf("%w\n%s: %v\n%s", err, w.cmd.Args[1], ended, &w.stderr)
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
