package workloads

import (
	"fmt"
	"os"
	"testing"

	"screwtape/harness"
	"screwtape/harness/node"
	_ "screwtape/runner" // this binary is a runner too
)

// TestMain is the agent, and the controller of its own tests.
func TestMain(m *testing.M) {
	if os.Args[0] == node.AgentName {
		node.Agent()
	}
	if err := node.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// world makes the world of a test that was made, or not. Whoever asks for it closes
// it.
func world(t *testing.T, test *harness.Test, err error) *harness.World {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	w, err := harness.NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
