package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/node"
	"screwtape/harness/schedule"
	"screwtape/workloads"
)

func (c *command) newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine has of what is needed, and how to get the rest",
		Long: `Say what this machine has of what is needed, what is done without it, and how to
get it; then make two nodes and play one schedule on them, which proves it.

Exit code 0 when that works, 1 when it does not.`,
		Example: `  screwtape doctor`,
		Args:    arguments(0, 0, "without any"),
		RunE:    func(*cobra.Command, []string) error { return c.doctor() },
	}
}

func (c *command) doctor() error {
	// The outer process looks at the machine, the inner one tries it.
	if node.Outside() {
		printChecks(c.out, node.Doctor())
	}
	if err := enter(); err != nil {
		return c.sick("namespaces of its own", err)
	}
	fmt.Fprintln(c.out, "ok       namespaces of its own")
	printChecks(c.out, node.DoctorInside())
	test, err := workloads.NewQueue(workloads.DefaultQueue())
	if err != nil {
		return err
	}
	w, err := harness.NewWorld(test)
	if err != nil {
		return c.sick("nodes (network, mail port 25, share, seccomp filter)", err)
	}
	defer w.Close()
	fmt.Fprintln(c.out, "ok       nodes (network, mail port 25, share, seccomp filter)")
	r, err := w.Replay(&schedule.Tape{Header: test.Header, Sparse: true}, harness.Options{Fresh: true})
	if err == nil && r.Verdict.Verdict != check.Valid {
		err = fmt.Errorf("it is %s, and nothing went wrong in it", r.Verdict.Verdict)
	}
	if err != nil {
		return c.sick("a schedule", err)
	}
	fmt.Fprintf(c.out, "ok       a schedule: %s in %.0f ms\n", count(len(r.Steps), "decision"), 1000*r.Seconds)
	fmt.Fprintln(c.out, "All that is needed is there.")
	return nil
}

// sick says what does not work, and that nothing else can.
func (c *command) sick(what string, err error) error {
	fmt.Fprintf(c.out, "MISSING  %s: %v\n", what, err)
	fmt.Fprintln(c.out, `Screwtape cannot work here. As root in a container it needs: --device /dev/fuse
--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt apparmor=unconfined`)
	return exit(exitAnomaly)
}

func printChecks(w io.Writer, checks []node.Check) {
	for _, c := range checks {
		mark := "ok"
		switch {
		case c.OK:
		case c.Needed:
			mark = "MISSING"
		default:
			mark = "without"
		}
		fmt.Fprintf(w, "%-7s  %s: %s\n", mark, c.What, c.Found)
		if !c.OK {
			if c.Instead != "" {
				fmt.Fprintf(w, "         instead: %s\n", c.Instead)
			}
			fmt.Fprintf(w, "         to mend: %s\n", c.Mend)
		}
	}
}
