package workloads

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
	"screwtape/runner/list"
	"screwtape/runner/profile"
)

// Config is the workload of a mailing list's state: clients on several nodes
// change it and look at it.
type Config struct{ config ConfigConfig }

// A ConfigConfig says how a config test is set up. Its text form is a tape's
// header.
type ConfigConfig struct {
	Profile string
	Nodes   []string
	// Clients are the commands, each NODE:COMMAND[:ARGUMENT...]:
	// "a:add:x", "b:set:description:new", "b:show".
	Clients []string
	Locks   string        // shared, local or none
	Promise string        // one of configPromises
	Preload bool          // clients read the state before they take the lock too
	Timeout time.Duration // after which a client gives the lock up; 0 is never
	Bugs    string        // planted in the clients, with commas
	Nemeses []string
	Faults  int // of each nemesis, at most so many in a schedule
}

// listDir is the list's directory on the share, initialMember who is on it from
// the beginning.
const (
	listDir       = "lists/test"
	initialMember = "first"
)

// What a config test can promise: that no update is lost and no state damaged,
// whatever else a killed client leaves behind; or, by "", that nothing at all is
// left.
var configPromises = []string{"", noUpdateLost}

const noUpdateLost = "no-update-lost"

// DefaultConfig is two nodes that each add a member, under a lock that both see.
func DefaultConfig() ConfigConfig {
	return ConfigConfig{Profile: "2.1.39", Nodes: []string{"a", "b"}, Clients: []string{"a:add:x", "b:add:y"}, Locks: "shared", Faults: 1}
}

func (c *ConfigConfig) options() []option {
	return []option{{"profile", &c.Profile}, {"nodes", &c.Nodes}, {"clients", &c.Clients}, {"locks", &c.Locks}, {"promise", &c.Promise},
		{"preload", &c.Preload}, {"timeout", &c.Timeout}, {"bugs", &c.Bugs}, {"nemesis", &c.Nemeses}, {"crashes", &c.Faults}}
}

// Header is the configuration as a tape's header has it.
func (c ConfigConfig) Header() schedule.Header { return header("config", c.options()) }

// ParseConfig reads a configuration from a tape's header; what the header does
// not say is as in DefaultConfig.
func ParseConfig(h schedule.Header) (ConfigConfig, error) {
	c := DefaultConfig()
	err := read(h, c.options())
	return c, err
}

// locks are where the list's lock can lie, as programs see it.
var locks = map[string]string{"shared": "/shared/locks/test.lock", "local": "/local/locks/test.lock", "none": ""}

// NewConfig makes the test. Errors name what in the configuration is wrong.
func NewConfig(c ConfigConfig) (*harness.Test, error) {
	p, err := profile.Get(c.Profile)
	if err != nil {
		return nil, about("profile", err)
	}
	if !p.ListFiles {
		return nil, about("profile", fmt.Errorf("Mailman %s keeps its lists in a database, not in files", c.Profile))
	}
	if _, err := profile.ParseSet(c.Bugs, list.Bugs); err != nil {
		return nil, about("bugs", err)
	}
	if !slices.Contains(configPromises, c.Promise) {
		return nil, about("promise", fmt.Errorf("no promise %q of a list's state; there is %s, or none", c.Promise, noUpdateLost))
	}
	lockFile, ok := locks[c.Locks]
	if !ok {
		return nil, about("locks", fmt.Errorf("no locks %q; there are shared, local and none", c.Locks))
	}
	t := &harness.Test{Name: "config", Nodes: c.Nodes, Workload: &Config{c}, Header: c.Header()}
	if t.Nemeses, err = makeNemeses(c.Nemeses, c.Faults); err != nil {
		return nil, about("nemesis", err)
	}
	for _, text := range c.Clients {
		words := strings.Split(text, ":")
		if len(words) < 2 || !slices.Contains(c.Nodes, words[0]) {
			return nil, about("clients", fmt.Errorf("%q is no client; write NODE:COMMAND:ARGUMENT, such as a:add:x, with one of the nodes %s", text, strings.Join(c.Nodes, " ")))
		}
		args := []string{"list", "--dir", "/shared/" + listDir, "--lock", lockFile, "--profile", c.Profile, "--timeout", c.Timeout.String(), "--bugs", c.Bugs}
		if c.Preload {
			args = append(args, "--preload")
		}
		t.Programs = append(t.Programs, once(words[0], programName(t.Programs, words[0], words[1]), append(append(args, "--"), words[1:]...)...))
	}
	return t, nil
}

// programName gives a name that no other program of the node has: add, add2.
func programName(others []harness.Program, node, name string) string {
	n := 1
	for _, o := range others {
		if o.Node == node && strings.TrimRight(o.Name, "0123456789") == name {
			n++
		}
	}
	if n == 1 {
		return name
	}
	return name + strconv.Itoa(n)
}

// Prepare makes the list, of one member, and the directories of its locks.
func (c *Config) Prepare(s *share.Store) error { return makeList(s, c.config.Nodes, initialMember) }

// makeList makes the list, of these members, and the directories of its locks.
func makeList(s *share.Store, nodes []string, members ...string) error {
	for _, dir := range []string{"/shared/" + listDir, "/shared/locks"} {
		if err := s.MkdirAll(dir, 0o2770); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := s.MkdirAll("/"+n+"/locks", 0o2770); err != nil {
			return err
		}
	}
	data, err := list.NewState("test", members...).Encode()
	if err != nil {
		return err
	}
	for _, name := range []string{"config.pck", "config.pck.last"} {
		if err := s.WriteFile("/shared/"+listDir+"/"+name, data, 0o660); err != nil {
			return err
		}
	}
	return nil
}

// Act does nothing: the clients are programs.
func (c *Config) Act(*harness.Acts) error { return nil }

// command is what the program with that label does.
func (c *Config) command(label string) []string {
	var programs []harness.Program
	for _, text := range c.config.Clients {
		words := strings.Split(text, ":")
		p := harness.Program{Node: words[0], Name: programName(programs, words[0], words[1])}
		if p.Label() == label {
			return words[1:]
		}
		programs = append(programs, p)
	}
	return nil
}

// Observe notes when a client's command begins. That it has ended, the harness
// notes.
func (c *Config) Observe(d schedule.Decision, _ *share.Store, h *history.Recorder) {
	if command := c.command(d.Process); d.Verb == schedule.Start && command != nil {
		h.Add(d.Process, history.Invoke, command[0], strings.Join(command[1:], " "), "")
	}
}

// Note says who is on the list by a file of its state.
func (c *Config) Note(name string, data []byte) string { return noteList(name, data) }

// noteList says who is on the list by a file of its state, "" by any other.
func noteList(name string, data []byte) string {
	if path.Dir(name) != listDir || !strings.HasPrefix(path.Base(name), "config.pck") {
		return ""
	}
	state, err := list.Decode(data)
	if err != nil {
		return "no state"
	}
	return "members " + strings.Join(state.Members(), ", ")
}

// Judge reads the state files, and judges each key of the list as a register:
// what was done and acknowledged must be there, and what readers saw must have
// been.
func (c *Config) Judge(e *harness.End) check.Verdict {
	final, found := finalList(e)
	if !unreadable(found) {
		found = append(found, c.lostUpdates(e, final)...)
	}
	if e.Bounded == "" {
		found = append(found, waiting(e.History)...)
	}
	var allowed []check.Anomaly
	if c.config.Promise == noUpdateLost {
		found, allowed = withoutStranded(found)
	}
	v := verdict(found)
	v.Allowed = append(v.Allowed, allowed...)
	return v
}

// withoutStranded parts from what is wrong the files that are left over.
func withoutStranded(found []check.Anomaly) (broken, stranded []check.Anomaly) {
	for _, a := range found {
		if a.Kind == check.Stranded {
			stranded = append(stranded, a)
		} else {
			broken = append(broken, a)
		}
	}
	return broken, stranded
}

// unreadable reports whether the list's state is damaged, so that nothing is to be
// said of what it has.
func unreadable(found []check.Anomaly) bool {
	return slices.ContainsFunc(found, func(a check.Anomaly) bool { return a.Kind == check.CorruptState })
}

// finalList is what the list has in the end, and what is wrong with its files.
func finalList(e *harness.End) (final map[string]string, found []check.Anomaly) {
	final = map[string]string{}
	e.Share.Walk("/shared/"+listDir, func(name string, entry share.Entry) {
		data, _ := e.Share.ReadFile("/shared/" + listDir + "/" + name)
		switch {
		case strings.Contains(name, ".tmp"):
			found = append(found, check.Anomaly{Kind: check.Stranded, Subject: name, Step: -1,
				Explanation: name + " is left, which nothing will pick up"})
		case name == "config.pck" || name == "config.pck.last" || name == "request.pck":
			state, err := list.Decode(data)
			if err != nil {
				found = append(found, corrupt(name, "cannot be read: "+err.Error()))
			}
			switch name {
			case "config.pck":
				values(state, final)
			case "request.pck":
				for id := range state {
					final[state.Attribute(id)] = "held"
				}
			}
		}
	})
	if _, err := e.Share.ReadFile("/shared/" + listDir + "/config.pck"); err != nil {
		found = append(found, corrupt("config.pck", "is missing"))
	}
	return final, found
}

func corrupt(name, what string) check.Anomaly {
	return check.Anomaly{Kind: check.CorruptState, Subject: name, Step: -1, Explanation: name + " " + what}
}

// values puts what a state has under each key into final.
func values(s list.State, final map[string]string) {
	for _, m := range s.Members() {
		final[m] = "in"
	}
	for key := range s {
		if key != "members" {
			final[key] = s.Attribute(key)
		}
	}
}

// lostUpdates judges each key that a client wrote.
func (c *Config) lostUpdates(e *harness.End, final map[string]string) []check.Anomaly {
	keys, ops := c.registers(e)
	var found []check.Anomaly
	for _, key := range keys {
		last := lastRead(final, key)
		all := append(ops[key], last)
		lost, unique := registerLost(valueOf(initialValues, key), all)
		if !unique && !linearizable(valueOf(initialValues, key), all) {
			lost = "what was done to it, and seen, fits no order"
		}
		if lost != "" {
			found = append(found, check.Anomaly{Kind: check.LostUpdate, Subject: key, Step: -1,
				Explanation: fmt.Sprintf("%s is %q in the end: %s", key, last.value, lost)})
		}
	}
	return found
}

// lastRead is what somebody sees of a key who looks when all is over.
func lastRead(final map[string]string, key string) regOp {
	return regOp{who: "the list in the end", value: valueOf(final, key), call: 1 << 40, ret: 1<<40 + 1}
}

var initialValues = map[string]string{initialMember: "in"}

// valueOf is what a key has; one that is not there is "out".
func valueOf(values map[string]string, key string) string {
	if v, ok := values[key]; ok {
		return v
	}
	return "out"
}

// registers takes the history apart by the keys that clients wrote: each write
// lasts from its client's start to its end, and for ever if it is not known
// whether it was done.
func (c *Config) registers(e *harness.End) (keys []string, ops map[string][]regOp) {
	ops = map[string][]regOp{}
	var shown []regOp
	requests := requestsHeld(e)
	began := map[string]history.Op{}
	finish := func(o history.Op, ret int) {
		words := append([]string{o.F}, strings.Fields(o.Value)...)
		op := regOp{who: o.Process + "'s " + strings.Join(words, " "), write: true, call: 2 * o.Index, ret: ret}
		switch key, value := writes(words); {
		case o.F == "show" && ret != forever:
			op.write = false
			shown = append(shown, op)
		case o.F == "handle": // who held it has written its key before, or may yet
			op.value = "out"
			for _, message := range requests[o.Value] {
				ops[message] = append(ops[message], op)
			}
		case key != "":
			op.value = value
			ops[key] = append(ops[key], op)
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
		delete(began, o.Process)
	}
	for _, o := range e.History {
		b, running := began[o.Process]
		switch {
		case o.Type == history.Invoke:
			began[o.Process] = o
		case o.F != "exit" || !running:
		case o.Value == "exit 0":
			finish(b, 2*o.Index+1)
		case o.Value == "exit 3": // refused: nothing was changed
			delete(began, o.Process)
		default:
			finish(b, forever)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(began)) {
		finish(began[p], forever)
	}
	c.addReads(e, shown, keys, ops)
	return keys, ops
}

// writes is which key a command writes, and what.
func writes(words []string) (key, value string) {
	switch {
	case words[0] == "add":
		return words[1], "in"
	case words[0] == "remove":
		return words[1], "out"
	case words[0] == "set":
		return words[1], words[2]
	case words[0] == "hold":
		return words[1], "held"
	}
	return "", ""
}

// requestsHeld is which messages were held under each number, as who held them printed it:
// more than one where a number was given twice.
func requestsHeld(e *harness.End) map[string][]string {
	message := map[string]string{} // of each process that holds one
	for _, o := range e.History {
		if o.Type == history.Invoke && o.F == "hold" {
			message[o.Process] = o.Value
		}
	}
	requests := map[string][]string{}
	for _, l := range e.Logs {
		id, ok := strings.CutPrefix(l.Text, "done ")
		if m, holds := message[l.Process]; ok && holds {
			requests[id] = append(requests[id], m)
		}
	}
	return requests
}

// addReads adds to each key what every show printed of it. It prints config.pck,
// and so nothing of what is held.
func (c *Config) addReads(e *harness.End, shown []regOp, keys []string, ops map[string][]regOp) {
	for _, s := range shown {
		process, _, _ := strings.Cut(s.who, "'s ")
		for _, l := range e.Logs {
			text, ok := strings.CutPrefix(l.Text, "state ")
			if l.Process != process || !ok {
				continue
			}
			seen := map[string]string{}
			for _, word := range strings.Fields(text) {
				key, value, _ := strings.Cut(word, "=")
				seen[key] = value
			}
			for _, key := range keys {
				if slices.ContainsFunc(ops[key], func(o regOp) bool { return o.value == "held" }) {
					continue
				}
				s.value = valueOf(seen, key)
				ops[key] = append(ops[key], s)
			}
		}
	}
}
