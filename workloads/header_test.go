package workloads

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

// What a header says wrong is found before anything is started.
func TestHeader(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"workload: queue", ""},
		{"workload: queue\ntest: mine\nnote: x\nanomaly: stuck\nfound: strategy random, seed 7, schedule 1", ""},
		{"workload: queue\nmessages: 10000", ""},
		{"workload: queue\nmessages: 0", "messages: 0; there can be 1 to 10000"},
		{"workload: queue\nmessages: 10001", "messages: 10001; there can be 1 to 10000"},
		{"workload: queue\nmessages: 0\ninject: yes", ""},
		{"workload: queue\nmessages: 0\nbad-name: yes", ""},
		{"workload: queue\nmessages: many", `header messages: "many" is no whole number, 0 or more`},
		{"workload: queue\nqueues: in out retry", ""},
		{"workload: queue\nqueues: all\nprofile: 3.3.8", ""},
		{"workload: queue\nqueues: pipeline", "queues: pipeline is none of in, out, retry, each once, or all, that a message goes through in 2.1.39"},
		{"workload: queue\nqueues: in in", "queues: in is none of "},
		{"workload: queue\nlocks: none", `no locks "none"; there are shared and local`},
		{"workload: queue\npromise: x", `no promise "x"; there are at-most-once, at-least-once, exactly-once`},
		{"workload: config\npromise: x", `no promise "x" of a list's state; there is no-update-lost, or none`},
		{"workload: master\ncommands: a:start:-s a:stop b:restart a:reopen b:rm a:wait:31h b:idle:1050", ""},
		{"workload: master\ncommands: a:sart", `"a:sart" is no command: there are start, stop, restart, reopen, rm, wait and idle`},
		{"workload: master\ncommands: a:start:--farce", `"a:start:--farce" is no command: no flag "--farce"; there are -s, `},
		{"workload: master\ncommands: a:wait:x", `"a:wait:x" is no command: write wait with a length of time, such as wait:31h`},
		{"workload: master\ncommands: a:idle", `"a:idle" is no command: write idle with the number of a process, such as idle:1050`},
		{"workload: master\ncommands: a:rm:x", `"a:rm:x" is no command: rm has no arguments`},
		{"workload: master\ndays: 0", "days: 0; a master that goes on for ever comes to no end"},
		{"workload: master\nafter: x:a", `after: "x:a"; write PROGRAM:AFTER`},
		{"workload: queue\nkind: 2.1", "header kind: the workload queue has no such key; there are profile, nodes, queues, messages, "},
		{"workload: lock\nkinds: 2.1", "header kinds: the workload lock has no such key; there are nodes, kind, lifetime, "},
		{"workload: lock\nrounds: 0", "rounds: 0; a contender takes the lock once at least"},
		{"workload: config\nclients: a:add", `"a:add" is no client: write add MEMBER`},
		{"workload: config\nclients: a:set:next_request_id:1", `"a:set:next_request_id:1" is no client: set: next_request_id is no attribute`},
		{"workload: lock\nhold: 3", `header hold: "3" is no length of time; write such as 15s or 30h`},
		{"workload: master\nnodes: a b a", "header nodes: a is said twice"},
		{"workload: config\nnodes: a B", `header nodes: "B" is no name of a node`},
		{"workload: lock\nnodes: 1a", `header nodes: "1a" is no name of a node`},
		{"workload: lock\nnodes: a host-2", ""},
		{"workload: lock\nnodes:" + many(26), ""},
		{"workload: lock\nnodes:" + many(27), "header nodes: 27 of them; there can be 26"},
		{"workload: system\nsystem: git\nnodes: a/b", `header nodes: "a/b" is no name of a node`},
		{"workload: program\nlock: {critical}\nnodes: a.b", `header nodes: "a.b" is no name of a node`},
	} {
		tape, err := schedule.Parse("x.tape", strings.NewReader("screwtape tape 1\n"+c.header+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		last := strings.Count(c.header, "\n") + 2 // the line that is wrong, where one is
		_, err = FromTape(tape)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.header, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("x.tape:%d: %s", last, c.want))):
			t.Errorf("%q: %v; not line %d: %q", c.header, err, last, c.want)
		}
	}
}

// many are so many names of nodes, each after a blank.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" n" + strings.Repeat("x", i))
	}
	return b.String()
}

// A queue's header has no key that ParseQueue does not read.
func TestQueueKeys(t *testing.T) {
	full := QueueConfig{Profile: "2.1.39", Nodes: []string{"a"}, Messages: 2, Sample: "plain", Queues: []string{"in", "out"}, Locks: "local", Unshunt: true, Slices: []Slice{{"a", 0, 1}}, Late: []string{"a/runner"},
		Bugs: "x", BadName: true, Damage: "unreadable", Inject: true, Promise: "exactly-once", Nemeses: []string{"crash"}, Crashes: 2}
	h := full.Header()
	options := new(QueueConfig).options()
	if err := checkHeader(h, options); err != nil {
		t.Error(err)
	}
	for _, o := range options {
		if h.Get(o.key) == "" {
			t.Errorf("%s is not in the header", o.key)
		}
	}
}

// Every line of every workload's header says what it means, and its default is one that
// the workload takes.
func TestHeaderLines(t *testing.T) {
	for _, name := range Names() {
		tape := &schedule.Tape{File: "x.tape"}
		tape.Header.Set("workload", name)
		lines := HeaderLines(name)
		for _, l := range lines {
			if l.Means == "" {
				t.Errorf("%s: nothing is said of %s", name, l.Key)
			}
			if l.Default != "" {
				tape.Header.Set(l.Key, l.Default)
			}
		}
		_, err := FromTape(tape)
		if needs := name == "program" || name == "system"; (err != nil) != needs || len(lines) == 0 {
			t.Errorf("%s, %d lines: %v", name, len(lines), err)
		}
	}
}

// The first tape of the manual can be played, and shows what it says.
func TestManualTape(t *testing.T) {
	manual, err := os.ReadFile("../docs/tapes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(manual), "```\n")
	text, _, _ = strings.Cut(text, "```\n")
	tape, err := schedule.Parse("docs/tapes.md", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	test, err := FromTape(tape)
	w := world(t, test, err)
	defer w.Close()
	r, err := w.Replay(tape, harness.Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Shows("lost-message") {
		t.Errorf("it shows %v", r.Kinds())
	}
}
