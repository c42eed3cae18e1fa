package harness

import (
	"fmt"
	"os"
	"testing"

	"screwtape/harness/check"
	"screwtape/harness/node"
	"screwtape/harness/share"
	_ "screwtape/runner" // this binary is a runner too
)

// TestMain is the agent, the runner, the probe, and the controller of its own
// tests.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case node.AgentName:
		node.Agent()
	case probeName:
		os.Exit(probe(os.Args[1:]))
	case mailerName:
		os.Exit(mailer(os.Args[1:]))
	}
	if err := node.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if victim := os.Getenv(victimMark); victim != "" {
		os.Exit(beVictim())
	}
	os.Exit(m.Run())
}

// A plain workload lays some files out and promises nothing.
type plain struct {
	files map[string]string // below the share's root; "" is a directory
	act   func(a *Acts) error
}

func (p plain) Prepare(s *share.Store) error {
	for name, data := range p.files {
		if data == "" {
			if err := s.MkdirAll("/shared/"+name, 0o777); err != nil {
				return err
			}
		}
	}
	for name, data := range p.files {
		if data != "" {
			if err := s.WriteFile("/shared/"+name, []byte(data), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p plain) Act(a *Acts) error {
	if p.act == nil {
		return nil
	}
	return p.act(a)
}

func (plain) Judge(*End) check.Verdict   { return check.Verdict{Verdict: check.Valid} }
func (plain) Note(string, []byte) string { return "" }
func (p plain) String() string           { return fmt.Sprint(len(p.files), " files") }

// newWorld makes a world that ends with the test.
func newWorld(t testing.TB, test *Test) *World {
	t.Helper()
	w, err := NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// shell is a program that is a script for /bin/sh.
func shell(node, name, script string) Program {
	return Program{Node: node, Name: name, Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}, Late: true, Once: true}
}
