// Screwtape injects faults into programs that share a directory.
package main

import (
	"os"

	"screwtape/harness/cli"
	"screwtape/harness/node"
)

// main is not reached by what is started as a runner, see package runner.
func main() {
	if os.Args[0] == node.AgentName {
		node.Agent()
	}
	os.Exit(cli.Main())
}
