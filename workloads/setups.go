package workloads

import (
	"fmt"
	"slices"
	"strings"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// A SetUp is a way to run Mailman on hosts that share its files, and what can be
// relied on in it.
type SetUp struct {
	ID      string
	Is      string // what the administrator has, or does
	Promise string // what can be relied on then
	Faults  string // whatever of this happens
	// Shows is the kind of anomaly with which the promise is broken, "" in a
	// set-up that keeps it.
	Shows string
	// Every says that all schedules are played, and not some that are drawn.
	Every bool
	// header is that of a tape of it, a line for each key.
	header string
}

// Test is the test that holds the set-up to its promise.
func (s SetUp) Test() (*harness.Test, error) {
	t, err := schedule.Parse("set-up "+s.ID, strings.NewReader("screwtape tape 1\n"+s.header+"\n"))
	if err != nil {
		return nil, err
	}
	test, err := FromTape(t)
	if err != nil {
		return nil, err
	}
	test.Name = s.ID
	return test, nil
}

// SetUps are all there are, in the order of the page that tells of them.
var SetUps = []SetUp{
	{ID: "slices", Is: "each host has a runner for a slice of its own", Promise: "every message is delivered once",
		Faults: "-", Every: true,
		header: "workload: queue\nslices: a:0/2 b:1/2\nmessages: 2"},
	{ID: "slices-restart", Is: "each host has a runner for a slice of its own; one is killed and started again while the other runs",
		Promise: "every message is delivered; twice at most where a runner dies between delivery and removal",
		Faults:  "a runner killed at any step",
		header:  "workload: queue\nslices: a:0/2 b:1/2\nmessages: 2\npromise: at-least-once\nnemesis: crash"},
	{ID: "one-host", Is: "one host has all runners; it, or the one that takes over, starts them again after they died",
		Promise: "every message is delivered; twice at most where a runner dies between delivery and removal",
		Faults:  "the runner killed at any step", Every: true,
		header: "workload: queue\nnodes: a\npromise: at-least-once\nnemesis: crash"},
	{ID: "same-slice", Is: "two hosts run the same slice", Promise: "every message is delivered once, and no copy remains",
		Faults: "-", Shows: "stray-copy",
		header: "workload: queue\nslices: a:0/1 b:0/1"},
	{ID: "same-slice-killed", Is: "two hosts run the same slice", Promise: "every message is delivered",
		Faults: "a runner killed at any step", Shows: "lost-message",
		header: "workload: queue\nslices: a:0/1 b:0/1\npromise: at-least-once\nnemesis: crash"},
	{ID: "same-slice-start", Is: "a runner is started while another host's runs the same slice", Promise: "no message is delivered twice but by a runner that died in between",
		Faults: "a runner killed at any step", Shows: "double-delivery",
		header: "workload: queue\nslices: a:0/1 b:0/1\npromise: at-least-once\nnemesis: crash"},

	{ID: "start-both", Is: "active and passive, locks shared: both are started at once, without a flag", Promise: "no two masters",
		Faults: "-",
		header: "workload: master\ncommands: a:start b:start"},
	{ID: "s-after-death-2.1.15", Is: "active and passive, 2.1.15: start -s once the other host is dead", Promise: "no two masters, and the passive host's start succeeds",
		Faults: "the active host dies at any step, also of its own start", Shows: "stuck",
		header: "workload: master\nprofile: 2.1.15\ncommands: a:start b:start:-s\nafter: b/start:a\nnemesis: node-crash"},
	{ID: "s-after-death-2.1.39", Is: "active and passive, 2.1.39: start -s once the other host is dead", Promise: "no two masters, and the passive host's start succeeds",
		Faults: "the active host dies at any step", Shows: "stuck",
		header: "workload: master\ncommands: a:start b:start:-s\nafter: b/start:a\nnemesis: node-crash"},
	{ID: "rm-after-death-2.1.39", Is: "active and passive, 2.1.39: once the other host is dead its lock's files are removed by hand; then start", Promise: "no two masters, and the passive host's start succeeds",
		Faults: "the active host dies at any step",
		header: "workload: master\ncommands: a:start b:rm b:start\nafter: b/rm:a b/start:b/rm\nnemesis: node-crash"},
	{ID: "force-after-death-3.3.8", Is: "active and passive, 3.3.8, its lock shared: start --force once the other host is dead", Promise: "no two masters, and the passive host's start succeeds",
		Faults: "the active host dies at any step",
		header: "workload: master\nprofile: 3.3.8\ncommands: a:start b:start:--force\nafter: b/start:a\nnemesis: node-crash"},
	{ID: "s-while-alive-2.1.15", Is: "2.1.15: start -s while the other host runs", Promise: "no two masters",
		Faults: "-", Shows: "split-brain",
		header: "workload: master\nprofile: 2.1.15\ncommands: a:start b:start:-s\nafter: b/start:a/start"},
	{ID: "force-while-alive-3.3.8", Is: "3.3.8, its lock shared: start --force while the other host runs", Promise: "no two masters",
		Faults: "-", Shows: "split-brain",
		header: "workload: master\nprofile: 3.3.8\ncommands: a:start b:start:--force"},
	{ID: "start-both-local", Is: "the master's lock on a disk of each host (as Debian's 3.3.8 has it): both are started", Promise: "no two masters",
		Faults: "-", Shows: "split-brain",
		header: "workload: master\nprofile: 3.3.8\ncommands: a:start b:start\nlocks: local"},

	{ID: "lists-shared", Is: "two hosts change one list at the same time, once each, locks shared", Promise: "no change of a list is lost",
		Faults: "-",
		header: "workload: config\nclients: a:add:x b:add:y\nlocks: shared"},
	{ID: "lists-killed", Is: "three programs want one list's lock, shared and with LP 827052 mended, and one dies that has it", Promise: "one at a time has the lock",
		Faults: "a program killed at any step", Shows: "split-brain",
		header: "workload: lock\nkind: flufl\nnodes: a b c\nnemesis: crash"},
	{ID: "lists-three", Is: "three programs change one list at once, locks shared", Promise: "one at a time has the lock",
		Faults: "-", Shows: "split-brain",
		header: "workload: lock\nkind: 2.1\nnodes: a b c"},
	{ID: "lists-one-writer", Is: "one host changes a list, locks local; the other reads it", Promise: "no change of a list is lost, and what is read was so",
		Faults: "-",
		header: "workload: config\nclients: a:add:x a:hold:m b:show b:requests\nlocks: local"},
	{ID: "lists-two-writers", Is: "two hosts change one list, locks local", Promise: "no change of a list is lost",
		Faults: "-", Shows: "lost-update",
		header: "workload: config\nclients: a:add:x b:add:y\nlocks: local"},
	{ID: "lists-wrong-clock", Is: "two hosts change one list, locks shared", Promise: "no change of a list is lost",
		Faults: "a host's clock is wrong", Shows: "lost-update",
		header: "workload: config\nclients: a:add:x b:add:y\nlocks: shared\npreload: yes\nnemesis: skew"},
}

// FindSetUps are those of these names, or all.
func FindSetUps(ids []string) ([]SetUp, error) {
	if len(ids) == 0 {
		return SetUps, nil
	}
	var names []string
	for _, s := range SetUps {
		names = append(names, s.ID)
	}
	var list []SetUp
	for _, id := range ids {
		i := slices.Index(names, id)
		if i < 0 {
			return nil, fmt.Errorf("there is no set-up %q; there are %s", id, strings.Join(names, ", "))
		}
		list = append(list, SetUps[i])
	}
	return list, nil
}
