package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"screwtape/harness/history"
)

// Messages counts in one pass over a history who delivered which message how
// often. The operations are
//
//	client    invoke/ok   enqueue  ID   accepted once it is ok
//	PROCESS   ok          deliver  ID   one delivery
//	PROCESS   ok          forward  ID   it has put the message into a further queue
//	PROCESS   ok          remove   ID   the process has taken the entry away
//	server    ok          lose     ID   one delivery is undone: the power failed before it was synced
//	nemesis   info        crash    WHO  a process with its children, or a node
//
// and places says where copies of each message lie at the end. Messages come
// in the order in which the history first names them.
//
// A crash excuses one further delivery of each message that the crashed
// process had delivered, or forwarded, and not yet removed: that is what
// AfterCrash says.
// Where no removals are recorded, every delivery counts as not yet removed.
func Messages(ops []history.Op, places map[string][]string) []Message {
	var (
		messages []Message
		seen     = map[string]int{}
		crashed  = map[string]int{}         // when a process or a node crashed last, by index
		pending  = map[string][]unremoved{} // by message
		excuses  = map[string]int{}         // crashes not yet used up, by message
	)
	message := func(id string) *Message {
		i, ok := seen[id]
		if !ok {
			i = len(messages)
			seen[id] = i
			messages = append(messages, Message{ID: id, Places: places[id]})
		}
		return &messages[i]
	}
	for _, op := range ops {
		switch op.F {
		case "enqueue":
			m := message(op.Value)
			m.Accepted = m.Accepted || op.Type == history.OK
		case "deliver", "forward":
			m := message(op.Value)
			if op.Type != history.OK {
				continue
			}
			left, interrupted := settle(pending[m.ID], crashed)
			excuses[m.ID] += interrupted
			if op.F == "deliver" {
				d := Delivery{Process: op.Process, Step: op.Step}
				if len(m.Deliveries) > 0 && excuses[m.ID] > 0 {
					excuses[m.ID]--
					d.AfterCrash = true
				}
				m.Deliveries = append(m.Deliveries, d)
			}
			pending[m.ID] = append(without(left, op.Process), unremoved{op.Process, op.Index})
		case "remove":
			if op.Type == history.OK {
				left, interrupted := settle(pending[op.Value], crashed)
				excuses[op.Value] += interrupted
				pending[op.Value] = without(left, op.Process)
			}
		case "lose":
			if m := message(op.Value); op.Type == history.OK && len(m.Deliveries) > 0 {
				m.Deliveries = m.Deliveries[:len(m.Deliveries)-1]
				m.Undone = true
			}
		case "crash":
			crashed[op.Value] = op.Index
		}
	}
	return messages
}

// An unremoved is a process's last delivery or forwarding of a message while its
// entry still lies there.
type unremoved struct {
	process string
	index   int // of the operation
}

// settle takes out of the pending deliveries those which a crash has
// interrupted since, and counts them.
func settle(pending []unremoved, crashed map[string]int) (left []unremoved, interrupted int) {
	left = pending[:0]
	for _, u := range pending {
		if lastCrash(u.process, crashed) > u.index {
			interrupted++
		} else {
			left = append(left, u)
		}
	}
	return left, interrupted
}

func without(pending []unremoved, process string) []unremoved {
	left := pending[:0]
	for _, u := range pending {
		if u.process != process {
			left = append(left, u)
		}
	}
	return left
}

// lastCrash returns when the process went last, by itself, with its parent
// ("a/runner" for "a/runner.1") or with its node ("a"); -1 is never.
func lastCrash(process string, crashed map[string]int) int {
	last := -1
	for name := process; name != ""; name = name[:max(0, strings.LastIndexAny(name, "/.#"))] {
		if at, ok := crashed[name]; ok {
			last = max(last, at)
		}
	}
	return last
}

// FindMisleading finds reports of damage to what was never damaged among the
// lines that programs wrote. The workload knows its programs' language: about
// returns the message that a line calls damaged, if it does.
func FindMisleading(steps []history.Step, about func(line string) (id string, ok bool), damaged func(id string) bool) []Misleading {
	var found []Misleading
	for _, s := range steps {
		for _, l := range s.Lines {
			if id, ok := about(l.Text); ok && !damaged(id) {
				found = append(found, Misleading{Process: l.Process, ID: id, Step: s.Index, Text: l.Text})
			}
		}
	}
	return found
}

// Summary counts anomalies by kind, the worst first: "2 lost-message, 1
// stray-copy"; "none" if there are none.
func Summary(anomalies []Anomaly) string {
	counts := map[string]int{}
	for _, a := range anomalies {
		counts[a.Kind]++
	}
	if len(counts) == 0 {
		return "none"
	}
	kinds := slices.SortedFunc(maps.Keys(counts), CompareKinds)
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", counts[kind], kind)
	}
	return strings.Join(kinds, ", ")
}

// CompareKinds orders kinds of anomalies, the worst first, as Kinds does; kinds
// that it does not know come last.
func CompareKinds(a, b string) int {
	rank := func(kind string) int {
		if i := slices.Index(Kinds, kind); i >= 0 {
			return i
		}
		return len(Kinds)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}
