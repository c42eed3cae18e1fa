package cli

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"screwtape/harness/node"
	_ "screwtape/runner" // this binary is a runner too
)

// TestMain is, by the name it is started under, what screwtape is: a runner, a
// node's agent, or the command.
func TestMain(m *testing.M) {
	if os.Args[0] == node.AgentName {
		node.Agent()
	}
	testscript.Main(m, map[string]func(){"screwtape": func() { os.Exit(Main()) }})
}
