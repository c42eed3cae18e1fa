package workloads

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
	"screwtape/runner/list"
	"screwtape/runner/master"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
)

// Master is the workload of a mail administrator who starts and stops Mailman
// on several nodes: of the masters that come of that only one may be. With
// messages it is that of the mail, too, which their runners deliver.
type Master struct {
	config  MasterConfig
	profile profile.Profile
	mail    *Queue // nil without messages
}

// A MasterConfig says how a master test is set up. Its text form is a tape's
// header.
type MasterConfig struct {
	Profile string
	Nodes   []string
	// Commands are what is done, each NODE:COMMAND[:ARGUMENT]: "a:start",
	// "b:start:-s", "b:stop"; "b:rm" removes the lock's files by hand, "b:wait:31h"
	// lets time pass, "a:idle:1050" is a process of that number that has nothing
	// to do with Mailman.
	Commands []string
	Locks    string // shared or local
	// After says which commands wait, each PROGRAM:AFTER: "b/start:a" is given
	// once node a has crashed, "b/start:a/start" once that command has returned.
	After    []string
	Runners  int // that a master starts for each queue, each for a slice; 0 is one that does nothing
	Queues   []string
	Messages int    // that lie in the first of the queues
	Days     int    // for so many a master refreshes its lock
	Bugs     string // planted in the starts, with commas
	Nemeses  []string
	Faults   int // of each nemesis, at most so many in a schedule
}

// DefaultMaster is a start on each of two nodes.
func DefaultMaster() MasterConfig {
	return MasterConfig{Profile: profile.Default, Nodes: []string{"a", "b"}, Commands: []string{"a:start", "b:start"}, Locks: "shared", Queues: []string{queue.Out}, Days: 2, Faults: 1}
}

func (c *MasterConfig) options() []option {
	return []option{
		{"profile", &c.Profile, meansProfile},
		{"nodes", &c.Nodes, meansNodes},
		{"commands", &c.Commands, "what is done, NODE:start, with a flag NODE:start:-s, NODE:stop, restart and reopen; NODE:rm removes the lock's files by hand, NODE:wait:31h lets time pass, NODE:idle:1050 is another process of that number"},
		{"locks", &c.Locks, "where the master's lock lies: shared or local"},
		{"after", &c.After, "which commands wait: b/start:a for the crash of node a, b/start:a/start for the end of that command"},
		{"runners", &c.Runners, "that a master starts for each queue, a slice each; 0 is one that does nothing"},
		{"queues", &c.Queues, "of which it starts them"},
		{"messages", &c.Messages, "how many lie in the first queue"},
		{"days", &c.Days, "for so many a master refreshes its lock"},
		{"bugs", &c.Bugs, meansBugs},
		{"nemesis", &c.Nemeses, meansNemesis},
		{"crashes", &c.Faults, meansCrashes},
	}
}

// Header is the configuration as a tape's header has it.
func (c MasterConfig) Header() schedule.Header {
	return slices.DeleteFunc(header("master", c.options()), func(f schedule.Field) bool {
		return f.Key == "queues" && f.Value == queue.Out || f.Key == "messages" && c.Messages == 0
	})
}

// ParseMaster reads a configuration from a tape's header; what the header does
// not say is as in DefaultMaster.
func ParseMaster(h schedule.Header) (MasterConfig, error) {
	c := DefaultMaster()
	err := read(h, c.options())
	return c, err
}

// NewMaster makes the test. Errors name what in the configuration is wrong.
func NewMaster(c MasterConfig) (*harness.Test, error) {
	p, err := profile.Get(c.Profile)
	if err != nil {
		return nil, about("profile", err)
	}
	if c.Queues, err = queuesOf(p, c.Queues); err != nil {
		return nil, about("queues", err)
	}
	if c.Messages > maxMessages || c.Messages > 0 && c.Runners == 0 {
		return nil, about("messages", fmt.Errorf("messages: %d; there can be %d, if there are runners", c.Messages, maxMessages))
	}
	if _, err := profile.ParseSet(c.Bugs, master.Bugs); err != nil {
		return nil, about("bugs", err)
	}
	if c.Days == 0 {
		return nil, about("days", fmt.Errorf("days: 0; a master that goes on for ever comes to no end"))
	}
	if err := checkLocks(c.Locks); err != nil {
		return nil, err
	}
	m := &Master{config: c, profile: p}
	if c.Messages > 0 {
		m.mail = c.mail(p)
	}
	t := &harness.Test{Name: "master", Nodes: c.Nodes, Workload: m, Header: c.Header()}
	if t.Nemeses, err = makeNemeses(c.Nemeses, c.Faults); err != nil {
		return nil, about("nemesis", err)
	}
	for i, text := range c.Commands {
		words := strings.Split(text, ":")
		if len(words) < 2 || !slices.Contains(c.Nodes, words[0]) {
			return nil, about("commands", fmt.Errorf("%q is no command; write NODE:COMMAND, such as a:start, with one of the nodes %s", text, strings.Join(c.Nodes, " ")))
		}
		if err := checkCommand(words[1:]); err != nil {
			return nil, about("commands", fmt.Errorf("%q is no command: %w", text, err))
		}
		p := once(words[0], programName(t.Programs, words[0], words[1]), c.arguments(i, words[1:])...)
		p.Single, p.OneThread = false, true // a master has children, and waits for them
		if words[1] == "rm" {
			p.Path, p.Args, p.Env = "/bin/sh", []string{"sh", "-c", "rm /" + c.Locks + "/locks/master*"}, nil
			p.OneThread = false
		}
		t.Programs = append(t.Programs, p)
	}
	return t, c.wait(t)
}

// checkCommand says what is wrong with a command and its arguments.
func checkCommand(command []string) error {
	switch arguments := command[1:]; command[0] {
	case "start", "stop", "restart", "reopen":
		flags := []string{"-s", "--stale-lock-cleanup", "--force", "--direct", "--no-restart"}
		for _, a := range arguments {
			if !slices.Contains(flags, a) {
				return fmt.Errorf("no flag %q; there are %s", a, strings.Join(flags, ", "))
			}
		}
		return nil
	case "rm":
		if len(arguments) > 0 {
			return fmt.Errorf("rm has no arguments")
		}
		return nil
	case "wait":
		if len(arguments) == 1 {
			if d, err := time.ParseDuration(arguments[0]); err == nil && d > 0 {
				return nil
			}
		}
		return fmt.Errorf("write wait with a length of time, such as wait:31h")
	case "idle":
		if len(arguments) == 1 {
			if n, err := strconv.Atoi(arguments[0]); err == nil && n > 0 {
				return nil
			}
		}
		return fmt.Errorf("write idle with the number of a process, such as idle:1050")
	}
	return fmt.Errorf("there are start, stop, restart, reopen, rm, wait and idle")
}

// wait lets the commands wait that After names.
func (c *MasterConfig) wait(t *harness.Test) error {
	find := func(label string) int {
		return slices.IndexFunc(t.Programs, func(p harness.Program) bool { return p.Label() == label })
	}
	for _, text := range c.After {
		program, after, _ := strings.Cut(text, ":")
		i := find(program)
		if i < 0 || find(after) < 0 && !slices.Contains(c.Nodes, after) {
			return about("after", fmt.Errorf("after: %q; write PROGRAM:AFTER, such as b/start:a or b/start:a/start, where AFTER is a program or a node", text))
		}
		t.Programs[i].After = after
	}
	return nil
}

// mail is the test of the messages. A master always starts the runners of all
// slices.
func (c *MasterConfig) mail(p profile.Profile) *Queue {
	q := DefaultQueue()
	q.Profile, q.Nodes, q.Queues, q.Messages, q.Locks = c.Profile, c.Nodes, c.Queues, c.Messages, c.Locks
	for i := range c.Runners {
		q.Slices = append(q.Slices, Slice{c.Nodes[0], i, c.Runners})
	}
	return &Queue{config: q, profile: p}
}

// arguments are those of the program that does a command. A master's number is
// in the names of its locks: it depends on nothing but the command's place.
func (c *MasterConfig) arguments(i int, command []string) []string {
	switch command[0] {
	case "idle":
		return append([]string{"idle", "--child-pid"}, command[1:]...)
	case "wait":
		return append([]string{"idle", "--for"}, command[1:]...)
	}
	args := []string{"master", "--profile", c.Profile, "--dir", "/shared", "--locks", "/" + c.Locks + "/locks",
		"--runners", strconv.Itoa(c.Runners), "--queues", strings.Join(c.Queues, ","), "--refreshes", strconv.Itoa(c.Days), "--child-pid", strconv.Itoa(masterPID(i)), "--bugs", c.Bugs}
	return append(append(args, command[1:]...), command[0])
}

// masterPID is the number of the master that command number i starts, if it is
// a child of it.
func masterPID(i int) int { return 1000*(i+1) + 50 }

// Prepare makes what Mailman's installation does, with the site's list.
func (m *Master) Prepare(s *share.Store) error {
	dirs := []string{"/shared/locks", "/shared/data", "/shared/lists/mailman"}
	for _, q := range append([]string{"out", "bad", "shunt", "retry"}, m.config.Queues...) {
		dirs = append(dirs, path.Join("/shared", queueDir, q))
	}
	for _, n := range m.config.Nodes {
		dirs = append(dirs, "/"+n+"/locks")
	}
	for _, dir := range dirs {
		if err := s.MkdirAll(dir, 0o2770); err != nil {
			return err
		}
	}
	data, err := list.NewState("mailman").Encode()
	if err != nil {
		return err
	}
	if err := s.WriteFile("/shared/lists/mailman/config.pck", data, 0o660); err != nil || m.mail == nil {
		return err
	}
	return makeList(s, m.config.Nodes, queue.Member)
}

// Act puts the messages in; the administrator's commands are programs.
func (m *Master) Act(a *harness.Acts) error {
	if m.mail == nil {
		return nil
	}
	return m.mail.Act(a)
}

// masterLocks are the names of the master's lock in all versions.
var masterLocks = sync.OnceValue(func() []string {
	var list []string
	for _, version := range profile.All() {
		if p, err := profile.Get(version); err == nil {
			list = append(list, p.Master.LockName)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
})

// isMasterLock reports whether a name is that of a master's lock itself, not of
// a claim to it.
func isMasterLock(name string) bool { return slices.Contains(masterLocks(), path.Base(name)) }

// theMaster is what only one may be at a time.
const theMaster = "master"

// Observe notes who becomes master (it writes the pid file), who removes whose
// lock, and which signals are sent.
func (m *Master) Observe(d schedule.Decision, s *share.Store, h *history.Recorder) {
	if m.mail != nil {
		m.mail.Observe(d, s, h)
	}
	if len(d.Names) == 0 {
		return
	}
	last := d.Names[len(d.Names)-1]
	switch {
	case d.Verb == "kill":
		h.Add(d.Process, history.Info, "signal", strings.Join(d.Names, " "), d.Outcome)
	case d.Outcome != "ok":
	case d.Verb == "open" && path.Dir(last) == "data" && !strings.Contains(m.commandOf(d.Process), "stop"):
		h.Did(d.Process, "acquire", theMaster)
		h.Did(d.Process, "make-lock", theMaster)
	case d.Verb == "unlink" && isMasterLock(last):
		h.Did(d.Process, "release", theMaster)
		h.Did(d.Process, "remove-lock", theMaster)
	}
}

// commandOf is the command of the client that a process belongs to.
func (m *Master) commandOf(process string) string {
	_, name, _ := strings.Cut(process, "/")
	name, _, _ = strings.Cut(name, ".")
	return strings.TrimRight(name, "0123456789")
}

// Note says whose claim a lock's file holds.
func (m *Master) Note(name string, data []byte) string {
	if isMasterLock(name) && len(data) > 0 {
		return "claim " + path.Base(string(data))
	}
	if m.mail != nil {
		return m.mail.Note(name, data)
	}
	return ""
}

// Judge looks whether two were master at once, whether a lock was taken from a
// living master, and whether commands said, or did, what was not so.
func (m *Master) Judge(e *harness.End) check.Verdict {
	var found []check.Anomaly
	found = append(found, splitBrain(e.History, theMaster)...)
	found = append(found, stolenLocks(e.History, theMaster)...)
	found = append(found, m.misled(e)...)
	if e.Bounded == "" {
		found = append(found, m.notTakenOver(e.History)...)
	}
	v := verdict(found)
	if m.mail == nil {
		return v
	}
	mail := m.mail.Judge(e)
	mail.Anomalies = append(v.Anomalies, mail.Anomalies...)
	if v.Verdict == check.Invalid {
		mail.Verdict = check.Invalid
	}
	return mail
}

// notTakenOver finds starts that were to take over from another, when nobody was
// master, and after which nobody was either, although nothing was in their way.
func (m *Master) notTakenOver(ops []history.Op) []check.Anomaly {
	var list []check.Anomaly
	for _, text := range m.config.After {
		label, _, _ := strings.Cut(text, ":")
		at := slices.IndexFunc(ops, func(op history.Op) bool { return op.F == "start" && op.Value == label })
		if m.commandOf(label) != "start" || at < 0 || len(inSection(ops[:at], theMaster, math.MaxInt)) > 0 || m.excused(ops, at, label) {
			continue
		}
		list = append(list, check.Anomaly{Kind: check.Stuck, Subject: theMaster, Step: -1, Explanation: label + " was to take over, and nobody has become master since"})
	}
	return list
}

// excused reports whether since an operation somebody has become master, or a start
// could not because it was stopped, or because it, or another that was about to be
// master, was killed.
func (m *Master) excused(ops []history.Op, since int, start string) bool {
	candidates := map[string]bool{} // starts that may become master
	for i, op := range ops {
		excuse := false
		switch op.F {
		case "start":
			candidates[op.Value] = m.commandOf(op.Value) == "start"
		case "exit": // with 0 it has handed on to a child
			command, _, _ := strings.Cut(op.Process, ".")
			candidates[command] = candidates[command] && op.Process == command && op.Value == "exit 0"
		case "crash":
			for c, may := range candidates {
				if covers(op.Value, c) {
					excuse = excuse || may
					candidates[c] = false
				}
			}
		case "signal":
			target, sig, _ := strings.Cut(op.Value, " ")
			sent := op.Error == "ok" || op.Process == "nemesis"
			excuse = sent && sig != "0" && covers(start, target) && !covers(start, op.Process)
		case "acquire":
			excuse = op.Type == history.OK && op.Value == theMaster
		}
		if excuse && i >= since {
			return true
		}
	}
	return false
}

// anotherMaster reports whether, after so many decisions, somebody else than the
// process that says so is master, or is about to be.
func anotherMaster(ops []history.Op, step int, says string) bool {
	if len(inSection(ops, theMaster, step)) > 0 {
		return true
	}
	up := map[string]bool{} // commands, and those that have handed on to a child
	for _, op := range ops {
		command, _, _ := strings.Cut(op.Process, ".")
		switch {
		case op.Step > step:
			if op.F == "acquire" && op.Type == history.OK && up[command] && command != says {
				return true
			}
		case op.F == "start" && op.Value != says:
			up[op.Value] = true
		case op.F == "crash":
			maps.DeleteFunc(up, func(p string, _ bool) bool { return covers(op.Value, p) })
		}
	}
	return false
}

// hasFlag reports whether the command that a process belongs to was given the flag for
// stale locks.
func (m *Master) hasFlag(process string) bool {
	label, _, _ := strings.Cut(process, ".")
	return slices.ContainsFunc(strings.Split(m.config.labels()[label], ":"), func(word string) bool {
		return word == "-s" || word == "--stale-lock-cleanup" || word == "--force"
	})
}

// labels are the commands by the labels of their programs.
func (c *MasterConfig) labels() map[string]string {
	labels := map[string]string{}
	for i, text := range c.Commands {
		words := strings.Split(text, ":")
		labels[programLabel(c.Commands[:i], words[0], words[1])] = text
	}
	return labels
}

// misled finds commands that called a master alive, or stale, which was the
// other, and signals that were meant for a master and did not go to it.
func (m *Master) misled(e *harness.End) []check.Anomaly {
	var found []check.Anomaly
	add := func(step int, subject, explanation string) {
		found = append(found, check.Anomaly{Kind: check.MisleadingError, Subject: subject, Step: step, Explanation: explanation})
	}
	for _, s := range e.Steps {
		for _, l := range s.Lines {
			another := anotherMaster(e.History, s.Index, l.Process)
			switch text := strings.ToLower(l.Text); {
			case strings.Contains(text, "another master is already running") && !another:
				add(s.Index, l.Process, l.Process+" says that another master is running, and there is none")
			case strings.Contains(text, "did not exit cleanly") && another:
				add(s.Index, l.Process, l.Process+" says that Mailman did not exit cleanly, and another master is running")
			case strings.Contains(text, "re-run with") && m.hasFlag(l.Process):
				add(s.Index, l.Process, l.Process+" says that "+m.profile.Master.Flag+" would help, and was started with it")
			case strings.Contains(text, "may have it") && strings.Contains(text, "re-run with") && m.profile.Master.Looks && !another:
				add(s.Index, l.Process, l.Process+" says that "+m.profile.Master.Flag+" would help, and that does not remove a lock of another host")
			}
		}
	}
	for _, op := range e.History {
		is := inSection(e.History, theMaster, op.Step-1)
		target, sig, _ := strings.Cut(op.Value, " ")
		if op.F != "signal" || op.Process == "nemesis" || sig == "0" || len(is) == 0 || slices.Contains(is, target) || strings.Contains(op.Process, ".") || covers(op.Process, target) {
			continue
		}
		if op.Error == "ESRCH" {
			add(op.Step, op.Process, fmt.Sprintf("%s finds no such process, and takes the master for dead; it is %s, of another host", op.Process, is[0]))
		} else {
			add(op.Step, op.Process, fmt.Sprintf("%s sends %s to %s; the master is %s, of another host", op.Process, sig, target, is[0]))
		}
	}
	return found
}
