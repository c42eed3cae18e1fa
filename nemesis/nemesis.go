// Package nemesis holds what can go wrong, one kind of fault a file.
package nemesis

import (
	"fmt"
	"strings"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// catalogue is every nemesis, by name. Each takes how many faults it may
// inject in one schedule.
var catalogue = []struct {
	name string
	make func(budget int) harness.Nemesis
}{
	{"crash", func(n int) harness.Nemesis { return &Crash{Budget: n} }},
	{"crash-stop", func(n int) harness.Nemesis { return &CrashStop{Crash{Budget: n}} }},
	{"node-crash", func(n int) harness.Nemesis { return &NodeCrash{Budget: n} }},
	{"powerloss", func(n int) harness.Nemesis { return &PowerLoss{Budget: n} }},
	{"tempfail", func(n int) harness.Nemesis { return &Answer{As: "tempfail", Verb: schedule.Defer, Budget: n} }},
	{"hangup", func(n int) harness.Nemesis { return &Answer{As: "hangup", Verb: schedule.Hangup, Budget: n} }},
	{"skew", func(n int) harness.Nemesis { return &Skew{Budget: n} }},
	{"pause", func(n int) harness.Nemesis { return &Pause{Budget: n} }},
	{"signal", func(n int) harness.Nemesis { return &Signal{Budget: n} }},
}

// Names are those of all nemeses.
func Names() []string {
	var names []string
	for _, c := range catalogue {
		names = append(names, c.name)
	}
	return names
}

// New makes a nemesis by its name, which may inject so many faults in one
// schedule.
func New(name string, budget int) (harness.Nemesis, error) {
	for _, c := range catalogue {
		if c.name == name {
			return c.make(budget), nil
		}
	}
	return nil, fmt.Errorf("no nemesis %q; there are %s", name, strings.Join(Names(), ", "))
}
