// Package workloads holds what is tested: what lies on the share, which
// programs work on it, what clients do, and what must hold. A workload is made
// from the header of a tape, so that any tape says all that it needs.
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
	"screwtape/harness/schedule"
	"screwtape/harness/share"
	"screwtape/nemesis"
	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/samples"
)

// queueDir is where on the share the queues lie.
const queueDir = "qfiles"

// Queue is the workload of a mail queue: clients put messages in, runners on
// several nodes take them out and deliver them.
type Queue struct {
	config  QueueConfig
	profile profile.Profile
	entries map[string]string // base name of an entry -> id of its message
	damaged map[string]bool   // ids of messages whose entries were bad from the start
	emptied map[string]int    // by the id of a message: the step at which a loss of power left an entry of it that cannot be read
	removed map[string]int    // by process and entry: the step at which it did so
	posts   int               // how often an incoming runner has saved the list, each time with one post more
}

// A QueueConfig says how a queue test is set up. Its text form is a tape's
// header.
type QueueConfig struct {
	Profile  string        // version of Mailman that the runners do as
	Nodes    []string      // in order
	Queues   []string      // that have runners, or "all"; messages go into the first
	Messages int           // how many clients put in before the runners look
	Sample   string        // which sample message
	Slices   []Slice       // one runner of each queue each
	Late     []string      // programs that do not run at the beginning
	Locks    string        // the lists' locks: shared or local
	SaveBad  bool          // QRUNNER_SAVE_BAD_MESSAGES
	Bugs     string        // planted in the runners, with commas
	BadName  bool          // a file whose name is none of Mailman's lies in the queue
	Damage   string        // what is wrong with the first message's entry: one of Damages, or ""
	Inject   bool          // the messages are put in by a program on the last node
	Unshunt  bool          // a program on the last node unshunts
	Promise  check.Promise // what the set-up is judged by
	Nemeses  []string      // crash, overlap, tempfail
	Crashes  int           // at most so many in a schedule
}

// Damages are what can be wrong with an entry from the start.
var Damages = []string{
	"unreadable",    // it is cut off, so that no runner can read it
	"unprocessable", // it can be read, and names no recipients; in the queue in, a list that does not exist
}

// A Slice is one runner and the part of the queue that it serves.
type Slice struct {
	Node     string
	Index, N int // part Index, from 0, of N equal ones
}

func (s Slice) String() string { return fmt.Sprintf("%s:%d/%d", s.Node, s.Index, s.N) }

// DefaultQueue is a queue of one message and two nodes that share the work as
// Mailman's documentation wants it: each has a slice of its own. With the
// nemesis overlap every node serves the whole queue.
func DefaultQueue() QueueConfig {
	return QueueConfig{Profile: profile.Default, Nodes: []string{"a", "b"}, Queues: []string{queue.Out}, Messages: 1, Sample: "plain",
		Locks: "shared", SaveBad: true, Promise: check.ExactlyOnce, Crashes: 1}
}

func (c *QueueConfig) options() []option {
	return []option{
		{"profile", &c.Profile, meansProfile},
		{"nodes", &c.Nodes, meansNodes},
		{"queues", &c.Queues, "which have runners, in the order in which a message goes through them: in, pipeline, out, retry; or all"},
		{"messages", &c.Messages, "how many are put into the first queue"},
		{"sample", &c.Sample, "which message (screwtape list samples)"},
		{"slices", &c.Slices, "a runner of each queue for each, NODE:INDEX/COUNT; one for each node otherwise"},
		{"late", &c.Late, "programs that start in the middle, such as b/runner"},
		{"locks", &c.Locks, "where the lists' locks lie: shared or local"},
		{"save-bad", &c.SaveBad, "runners preserve what they cannot read"},
		{"bugs", &c.Bugs, meansBugs},
		{"bad-name", &c.BadName, "a file with a bad name lies in the queue"},
		{"damage", &c.Damage, "what is wrong with the first message: " + strings.Join(Damages, " or ")},
		{"inject", &c.Inject, "a program on the last node puts the messages in"},
		{"unshunt", &c.Unshunt, "somebody unshunts on the last node"},
		{"promise", (*string)(&c.Promise), "what must hold: " + promises()},
		{"nemesis", &c.Nemeses, meansNemesis},
		{"crashes", &c.Crashes, meansCrashes},
	}
}

// usual are lines of a header that it can do without.
var usual = map[string]string{"queues": "out", "locks": "shared", "save-bad": "yes", "bad-name": "no", "inject": "no", "unshunt": "no"}

// Header is the configuration as a tape's header has it.
func (c QueueConfig) Header() schedule.Header {
	return slices.DeleteFunc(header("queue", c.options()), func(f schedule.Field) bool {
		return usual[f.Key] == f.Value || f.Key == "crashes" && len(c.Nemeses) == 0
	})
}

// maxMessages is how many messages a test has at most.
const maxMessages = 10_000

// ParseQueue reads a configuration from a tape's header; what the header does
// not say is as in DefaultQueue.
func ParseQueue(h schedule.Header) (QueueConfig, error) {
	c := DefaultQueue()
	err := read(h, c.options())
	return c, err
}

// ParseSlices reads slices as "a:0/2 b:1/2".
func ParseSlices(text string) ([]Slice, error) {
	var list []Slice
	for _, word := range strings.Fields(text) {
		node, part, ok := strings.Cut(word, ":")
		index, n, ok2 := strings.Cut(part, "/")
		s := Slice{Node: node}
		var err1, err2 error
		s.Index, err1 = count(index)
		s.N, err2 = count(n)
		if !ok || !ok2 || err1 != nil || err2 != nil || s.N == 0 || node == "" {
			return nil, fmt.Errorf("%q is no slice; write NODE:INDEX/COUNT, such as a:0/2", word)
		}
		list = append(list, s)
	}
	return list, nil
}

// NewQueue makes the test. Errors name what in the configuration is wrong.
func NewQueue(c QueueConfig) (*harness.Test, error) {
	q := &Queue{config: c}
	var err error
	if q.profile, err = profile.Get(c.Profile); err != nil {
		return nil, about("profile", err)
	}
	if q.config.Queues, err = queuesOf(q.profile, c.Queues); err != nil {
		return nil, about("queues", err)
	}
	if err := checkLocks(c.Locks); err != nil {
		return nil, err
	}
	if q.profile.Bugs, err = profile.ParseBugs(c.Bugs); err != nil {
		return nil, about("bugs", err)
	}
	if !slices.Contains(samples.Names(), c.Sample) {
		return nil, about("sample", fmt.Errorf("no sample message %q; there are %s", c.Sample, strings.Join(samples.Names(), ", ")))
	}
	if !slices.Contains(check.Promises, c.Promise) {
		return nil, about("promise", noPromise(c.Promise))
	}
	if c.Damage != "" && !slices.Contains(Damages, c.Damage) {
		return nil, about("damage", fmt.Errorf("no damage %q; there are %s", c.Damage, strings.Join(Damages, ", ")))
	}
	if len(c.Nodes) == 0 {
		return nil, fmt.Errorf("a test needs a node")
	}
	// Without a message something else must be there to be tested.
	if other := c.Inject || c.BadName; c.Messages > maxMessages || c.Messages < 1 && !other {
		return nil, about("messages", fmt.Errorf("messages: %d; there can be 1 to %d", c.Messages, maxMessages))
	}
	t := &harness.Test{Name: "queue", Nodes: c.Nodes, Workload: q, Header: c.Header()}
	if t.Nemeses, err = c.nemeses(); err != nil {
		return nil, about("nemesis", err)
	}
	q.config.Slices = c.slices()
	for _, s := range q.config.Slices {
		if !slices.Contains(c.Nodes, s.Node) {
			return nil, about("slices", fmt.Errorf("slice %s: there is no node %s, only %s", s, s.Node, strings.Join(c.Nodes, " ")))
		}
		if _, err := queue.InSlice(q.profile, "0+0", s.Index, s.N); err != nil {
			return nil, about("slices", fmt.Errorf("slice %s: no runner of %s starts with it: %w", s, c.Profile, err))
		}
		for _, name := range q.config.Queues {
			t.Programs = append(t.Programs, q.runner(name, s, t.Programs))
		}
	}
	if c.Inject {
		t.Programs = append(t.Programs, q.command("inject", "--queue", q.config.Queues[0],
			"--message", c.Sample, "--id", "m0", "--bugs", c.Bugs))
	}
	if c.Unshunt {
		t.Programs = append(t.Programs, q.command("unshunt"))
	}
	for _, late := range c.Late {
		if !slices.ContainsFunc(t.Programs, func(p harness.Program) bool { return p.Label() == late }) {
			return nil, about("late", fmt.Errorf("late: there is no program %s", late))
		}
	}
	return t, nil
}

// checkLocks refuses a place where locks do not lie.
func checkLocks(where string) error {
	if where != "shared" && where != "local" {
		return about("locks", fmt.Errorf("no locks %q; there are shared and local", where))
	}
	return nil
}

// queuesOf are the queues of these names, or of the name all.
func queuesOf(p profile.Profile, names []string) ([]string, error) {
	if len(names) == 1 && names[0] == "all" {
		return p.Queues, nil
	}
	for i, name := range names {
		if !slices.Contains(p.Queues, name) || slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("queues: %s is none of %s, each once, or all, that a message goes through in %s", name, strings.Join(p.Queues, ", "), p.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("a test needs a queue")
	}
	return names, nil
}

// slices are those of the configuration, or one for each node: its part of the
// queue, or with the nemesis overlap all of it.
func (c QueueConfig) slices() []Slice {
	if len(c.Slices) > 0 {
		return c.Slices
	}
	var list []Slice
	for i, n := range c.Nodes {
		if slices.Contains(c.Nemeses, "overlap") {
			list = append(list, Slice{n, 0, 1})
		} else {
			list = append(list, Slice{n, i, len(c.Nodes)})
		}
	}
	return list
}

func (c QueueConfig) nemeses() ([]harness.Nemesis, error) {
	var list []harness.Nemesis
	for _, name := range c.Nemeses {
		if name == "overlap" {
			continue // a way to set up the runners, see slices
		}
		budget := 1
		if name == "crash" || name == "crash-stop" {
			budget = c.Crashes
		}
		n, err := nemesis.New(name, budget)
		if err != nil {
			return nil, fmt.Errorf("%w, overlap", err)
		}
		list = append(list, n)
	}
	return list, nil
}

// runner is the program that serves a slice of a queue. That of out is called
// runner, any other as its queue; further ones of a node are runner2 and so on.
func (q *Queue) runner(name string, s Slice, others []harness.Program) harness.Program {
	args := runnerArgs(name, q.config.Profile, s)
	if !q.config.SaveBad {
		args = append(args, "--save-bad=false")
	}
	if q.config.Bugs != "" {
		args = append(args, "--bugs", q.config.Bugs)
	}
	if q.lists() {
		args = append(args, listArgs(q.config.Locks)...)
	}
	label := name
	if name == queue.Out {
		label = "runner"
	}
	p := q.program(s.Node, programName(others, s.Node, label), args)
	// The incoming runner waits for the list's lock; where config.pck can be
	// missing for a moment, any runner may, to repair it.
	if name == queue.In || q.lists() && q.profile.RenameToLast {
		p.Horizon = patience
	}
	// Locks have pids in them.
	p.Numberless = !q.lists()
	return p
}

// runnerArgs are the arguments of a runner that serves a slice of a queue as a
// version of Mailman does.
func runnerArgs(name, version string, s Slice) []string {
	return []string{"queue", "--dir", "/shared/" + queueDir, "--queue", name, "--profile", version,
		"--slice", strconv.Itoa(s.Index), "--slices", strconv.Itoa(s.N)}
}

// listArgs say to a runner where lists lie, and where, shared or local, their locks.
func listArgs(locks string) []string {
	return []string{"--lists", "/shared/lists", "--locks", "/" + locks + "/locks", "--list-lock-lifetime", listLifetime.String()}
}

// command is a program on the last node that somebody starts, and that ends.
func (q *Queue) command(name string, args ...string) harness.Program {
	p := q.program(q.config.Nodes[len(q.config.Nodes)-1], name,
		append([]string{name, "--dir", "/shared/" + queueDir, "--profile", q.config.Profile}, args...))
	p.Late, p.Once = true, true
	return p
}

func (q *Queue) program(node, name string, args []string) harness.Program {
	p := ours(node, name, args...)
	p.Late = slices.Contains(q.config.Late, p.Label())
	return p
}

// Prepare makes the queues as Mailman's installation does, and the list.
func (q *Queue) Prepare(s *share.Store) error {
	if err := makeQueues(s, q.config.Queues); err != nil || !q.lists() {
		return err
	}
	return makeList(s, q.config.Nodes, queue.Member)
}

// makeQueues makes the directories of these queues, and of those that there are in
// any case.
func makeQueues(s *share.Store, names []string) error {
	if err := s.MkdirAll(path.Join("/shared", queueDir), 0o2775); err != nil {
		return err
	}
	for _, name := range append([]string{"out", "bad", "shunt", "retry"}, names...) {
		if err := s.MkdirAll(path.Join("/shared", queueDir, name), 0o2770); err != nil {
			return err
		}
	}
	return nil
}

// Act puts the messages into the queue, a second apart.
func (q *Queue) Act(a *harness.Acts) error {
	q.entries, q.removed, q.posts = map[string]string{}, map[string]int{}, 0
	q.damaged, q.emptied = map[string]bool{}, map[string]int{}
	dir := path.Join("/shared", queueDir, q.config.Queues[0])
	if q.config.BadName { // listed before every entry
		if err := a.Share.WriteFile(dir+"/0foo.pck", []byte("not an entry"), 0o660); err != nil {
			return err
		}
	}
	if q.config.Inject {
		return nil
	}
	for i := range q.config.Messages {
		id := "m" + strconv.Itoa(i)
		at := a.Now.Add(time.Duration(i-q.config.Messages) * time.Second)
		name, data, err := queue.Entry(float64(at.UnixMicro())/1e6, q.config.Sample, id, q.profile)
		if err != nil {
			return err
		}
		if i == 0 && q.config.Damage != "" {
			if data, err = q.damage(data); err != nil {
				return err
			}
			q.damaged[id] = true
		}
		if err := a.Share.WriteFile(dir+"/"+name, data, 0o660); err != nil {
			return err
		}
		q.entries[strings.TrimSuffix(name, ".pck")] = id
		a.History.Did("client", "enqueue", id)
	}
	return nil
}

// damage makes of an entry's bytes those of a damaged one.
func (q *Queue) damage(data []byte) ([]byte, error) {
	e, err := pickle.Decode(data)
	if err != nil {
		return nil, err
	}
	if q.config.Damage == "unreadable" {
		return data[:e.MetaAt], nil
	}
	if q.config.Queues[0] == queue.In {
		e.Meta[q.profile.ListKey] = "nowhere"
	} else {
		delete(e.Meta, q.profile.RecipsKey)
	}
	meta, err := pickle.EncodeMetadata(e.Meta)
	return append(data[:e.MetaAt:e.MetaAt], meta...), err
}
