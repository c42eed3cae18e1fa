package workloads

import (
	"fmt"
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
	// Clients are the commands, each NODE:COMMAND[:ARGUMENT...]: "a:add:x",
	// "b:set:description:new", "b:show".
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
	return ConfigConfig{Profile: profile.Default, Nodes: []string{"a", "b"}, Clients: []string{"a:add:x", "b:add:y"}, Locks: "shared", Faults: 1}
}

func (c *ConfigConfig) options() []option {
	return []option{
		{"profile", &c.Profile, meansProfile},
		{"nodes", &c.Nodes, meansNodes},
		{"clients", &c.Clients, "what each does: NODE:add:MEMBER, NODE:remove:MEMBER, NODE:set:KEY:VALUE, NODE:hold:MESSAGE, NODE:handle:NUMBER, NODE:show, NODE:requests"},
		{"locks", &c.Locks, "where the list's lock lies: shared, local, or none"},
		{"promise", &c.Promise, noUpdateLost + ": what a killed client leaves behind breaks no promise"},
		{"preload", &c.Preload, "clients read the list before they lock it too, as the queue's runners do"},
		{"timeout", &c.Timeout, "after so long a client gives the lock up; 0s is never"},
		{"bugs", &c.Bugs, meansBugs},
		{"nemesis", &c.Nemeses, meansNemesis},
		{"crashes", &c.Faults, meansCrashes},
	}
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
		if err := list.Check(words[1:]); err != nil {
			return nil, about("clients", fmt.Errorf("%q is no client: %w", text, err))
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
	acts := listActs(e)
	found = append(found, damageSeen(acts)...)
	for _, r := range listRegisters(acts, final) {
		found = append(found, r.lost()...)
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
