package cli

import (
	"github.com/spf13/cobra"

	"screwtape/runner"
)

// newRunner is here for the help alone: what is started as a runner does not come
// so far, see package runner.
func (c *command) newRunner() *cobra.Command {
	return &cobra.Command{
		Use:   "runner queue|inject|send|unshunt|show|lock|list|master|idle",
		Short: "Be one of the Mailman-style programs",
		Long:  "Be one of the Mailman-style programs (docs/mailman.md).\n\n" + runner.Usage,
		Example: `  screwtape runner queue --dir qfiles --queue out --until-empty
  screwtape runner inject --dir qfiles --queue out --message plain --id m0
  screwtape runner show qfiles/out/*.pck`,
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return exit(runner.Main(args)) },
	}
}
