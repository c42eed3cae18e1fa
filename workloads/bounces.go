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
	"screwtape/runner/bounce"
	"screwtape/runner/list"
	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/samples"
)

// Bounces is the workload of the queue bounces: messages have come back, runners
// collect them as events, and count them in the list's state. Each must be counted
// once.
type Bounces struct {
	config  BouncesConfig
	profile profile.Profile
	entries map[string]string // base name of an entry -> id of its message
}

// A BouncesConfig says how a test of bounces is set up. Its text form is a tape's
// header.
type BouncesConfig struct {
	Profile  string
	Nodes    []string
	Runners  []string // a node for each; they share the queue among them, a slice each
	Pids     string   // same: the first runner of each node has the same pid, and so on; or different
	Messages int
	Bugs     string // planted in the runners, with commas
	Nemeses  []string
	Faults   int
}

// dataDir is where events lie on the share.
const dataDir = "data"

// DefaultBounces is two messages and a runner on each of two nodes.
func DefaultBounces() BouncesConfig {
	return BouncesConfig{Profile: profile.Default, Nodes: []string{"a", "b"}, Runners: []string{"a", "b"}, Pids: "same", Messages: 2, Faults: 1}
}

func (c *BouncesConfig) options() []option {
	return []option{
		{"profile", &c.Profile, meansProfile},
		{"nodes", &c.Nodes, meansNodes},
		{"runners", &c.Runners, "a node for each; one on each node otherwise"},
		{"pids", &c.Pids, "whether the first runner of each node has the same pid: same or different"},
		{"messages", &c.Messages, "how many have come back"},
		{"bugs", &c.Bugs, meansBugs},
		{"nemesis", &c.Nemeses, meansNemesis},
		{"crashes", &c.Faults, meansCrashes},
	}
}

// Header is the configuration as a tape's header has it.
func (c BouncesConfig) Header() schedule.Header { return header("bounces", c.options()) }

// ParseBounces reads a configuration from a tape's header; what the header does
// not say is as in DefaultBounces, with a runner on each node.
func ParseBounces(h schedule.Header) (BouncesConfig, error) {
	c := DefaultBounces()
	err := read(h, c.options())
	if h.Get("runners") == "" {
		c.Runners = c.Nodes
	}
	return c, err
}

// NewBounces makes the test. Errors name what in the configuration is wrong.
func NewBounces(c BouncesConfig) (*harness.Test, error) {
	b := &Bounces{config: c}
	var err error
	if b.profile, err = profile.Get(c.Profile); err != nil {
		return nil, about("profile", err)
	}
	if !slices.Contains(queue.Served(b.profile), queue.Bounces) {
		return nil, about("profile", fmt.Errorf("Mailman %s keeps its bounces in a database, not in files", c.Profile))
	}
	if _, err := profile.ParseSet(c.Bugs, bounce.Bugs); err != nil {
		return nil, about("bugs", err)
	}
	if c.Messages < 1 || c.Messages > maxMessages {
		return nil, about("messages", fmt.Errorf("messages: %d; there can be 1 to %d", c.Messages, maxMessages))
	}
	if c.Pids != "same" && c.Pids != "different" {
		return nil, about("pids", fmt.Errorf("no pids %q; there are same and different", c.Pids))
	}
	t := &harness.Test{Name: "bounces", Nodes: c.Nodes, Workload: b, Header: c.Header()}
	if t.Nemeses, err = makeNemeses(c.Nemeses, c.Faults); err != nil {
		return nil, about("nemesis", err)
	}
	if len(c.Runners) == 0 {
		return nil, about("runners", fmt.Errorf("a test of bounces needs a runner"))
	}
	onNode := map[string]int{} // runners
	for i, node := range c.Runners {
		if !slices.Contains(c.Nodes, node) {
			return nil, about("runners", fmt.Errorf("runners: there is no node %s, only %s", node, strings.Join(c.Nodes, " ")))
		}
		args := slices.Concat(runnerArgs(queue.Bounces, c.Profile, Slice{node, i, len(c.Runners)}), listArgs("shared"),
			[]string{"--data", "/shared/" + dataDir, "--bugs", c.Bugs})
		p := ours(node, programName(t.Programs, node, queue.Bounces), args...)
		p.Anew, p.Horizon = true, patience
		if onNode[node]++; c.Pids == "same" {
			p.Pids = onNode[node]
		}
		t.Programs = append(t.Programs, p)
	}
	return t, nil
}

// Prepare makes the queue, the directory of events, and the list.
func (b *Bounces) Prepare(s *share.Store) error {
	if err := makeQueues(s, []string{queue.Bounces}); err != nil {
		return err
	}
	if err := s.MkdirAll("/shared/"+dataDir, 0o2770); err != nil {
		return err
	}
	return makeList(s, b.config.Nodes, queue.Member)
}

// Act puts the bounces into the queue, a second apart, for each runner in turn,
// and each about an address of its own: that of message m0 is m0.
func (b *Bounces) Act(a *harness.Acts) error {
	b.entries = map[string]string{}
	for i := range b.config.Messages {
		id := "m" + strconv.Itoa(i)
		name, data, err := b.entry(a.Now.Add(time.Duration(i-b.config.Messages)*time.Second), id, i%len(b.config.Runners))
		if err != nil {
			return err
		}
		if err := a.Share.WriteFile(path.Join("/shared", queueDir, queue.Bounces, name), data, 0o660); err != nil {
			return err
		}
		b.entries[strings.TrimSuffix(name, ".pck")] = id
		a.History.Did("client", "enqueue", id)
	}
	return nil
}

// entry is a bounce's file in the queue: its name and its bytes. It came at that
// time, or as many microseconds later as it takes to be in the slice.
func (b *Bounces) entry(at time.Time, id string, slice int) (name string, data []byte, err error) {
	for ; ; at = at.Add(time.Microsecond) {
		name, data, err = queue.Entry(float64(at.UnixMicro())/1e6, samples.Names()[0], id, b.profile)
		if err != nil {
			return "", nil, err
		}
		if in, err := queue.InSlice(b.profile, strings.TrimSuffix(name, ".pck"), slice, len(b.config.Runners)); in || err != nil {
			break
		}
	}
	e, err := pickle.Decode(data)
	if err != nil {
		return "", nil, err
	}
	text, meta, err := pickle.Encode(append([]byte(bounce.Header+": "+id+"\n"), e.Text...), b.profile.UnicodeText, e.Meta)
	return name, append(text, meta...), err
}

// Observe notes when an entry is taken out of the queue for good.
func (b *Bounces) Observe(d schedule.Decision, _ *share.Store, h *history.Recorder) {
	if d.Verb != "unlink" || d.Outcome != "ok" {
		return
	}
	if base, _ := splitEntry(d.Names[0]); b.entries[base] != "" {
		h.Did(d.Process, "remove", b.entries[base])
	}
}

// Note says which message lies at a path, how many events a file of them holds,
// and who is on the list.
func (b *Bounces) Note(name string, data []byte) string {
	if path.Dir(name) == dataDir {
		if len(data) == 0 {
			return "no bounces"
		}
		return "bounces of " + strings.Join(events(data), ", ")
	}
	if note := noteList(name, data); note != "" {
		return note
	}
	if id, err := queue.MessageID(data); err == nil {
		return id
	}
	base, _ := splitEntry(name)
	return b.entries[base]
}

// events are the addresses in a file of events.
func events(data []byte) []string {
	var list []string
	for len(data) > 0 {
		event, n, err := pickle.DecodeMetadata(data)
		if err != nil {
			return append(list, "(damaged)")
		}
		data = data[n:]
		list = append(list, fmt.Sprint(event["address"]))
	}
	return list
}

// Judge reads in the list's state how often each bounce was counted, and what is
// wrong with its files. A bounce that is still in the queue, or in a file from
// which a runner that is up would count it, is not late, but forgotten: when all
// has come to rest every interval is over.
func (b *Bounces) Judge(e *harness.End) check.Verdict {
	final, found := finalList(e)
	if unreadable(found, "config.pck") {
		return verdict(found)
	}
	places := map[string][]string{}
	for _, top := range []string{queueDir, dataDir} {
		e.Share.Walk("/shared/"+top, func(below string, entry share.Entry) {
			data, err := e.Share.ReadFile(path.Join("/shared", top, below))
			if err != nil || !entry.Mode.IsRegular() {
				return
			}
			ids := events(data)
			if top == queueDir {
				ids = []string{b.Note(path.Join(top, below), data)}
			}
			for _, id := range ids {
				places[id] = append(places[id], path.Join(top, below))
			}
		})
	}
	if e.Bounded == "" {
		for i := range b.config.Messages {
			id := "m" + strconv.Itoa(i)
			if n, _ := strconv.Atoi(final.values[anAttribute+" "+list.Bounces(id)]); n != 1 {
				found = append(found, miscounted(id, n, places[id]))
			}
		}
	}
	return verdict(found)
}

// miscounted says how often a bounce was counted, which is not once, and where it
// still lies.
func miscounted(id string, n int, places []string) check.Anomaly {
	a := check.Anomaly{Kind: check.Miscounted, Subject: id, Step: -1, Explanation: fmt.Sprintf("the bounce %s was counted %d times", id, n)}
	if n > 0 {
		return a
	}
	a.Explanation = fmt.Sprintf("the bounce %s was never counted, and nothing is left of it", id)
	if len(places) > 0 {
		a.Explanation = fmt.Sprintf("the bounce %s was never counted; it lies in %s", id, strings.Join(places, ", "))
	}
	return a
}
