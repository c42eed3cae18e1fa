package workloads

import (
	"fmt"
	"os"
	"testing"

	"screwtape/harness/node"
	"screwtape/runner"
)

// TestMain is the agent, the runner, and the controller of its own tests.
func TestMain(m *testing.M) {
	if args, ok := runner.Args(os.Args); ok {
		os.Exit(runner.Main(args))
	}
	if os.Args[0] == node.AgentName {
		node.Agent()
	}
	if err := node.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
