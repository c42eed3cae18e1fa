// Screwtape injects faults into programs that share a directory.
package main

import (
	"os"

	"screwtape/harness/cli"
	"screwtape/harness/node"
	"screwtape/runner"
)

func main() {
	if args, ok := runner.Args(os.Args); ok {
		os.Exit(runner.Main(args))
	}
	if os.Args[0] == node.AgentName {
		node.Agent()
	}
	os.Exit(cli.Main())
}
