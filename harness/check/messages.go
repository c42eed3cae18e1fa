package check

import (
	"fmt"
	"slices"
	"strings"
)

// A Delivery is one time that a message was delivered.
type Delivery struct {
	Process    string // who delivered it
	Step       int    // the decision that did
	AfterCrash bool   // a crash came between an earlier delivery and its removal, and so excuses this one
}

// A Message is all that is to be known of one message when a schedule is over.
type Message struct {
	ID         string
	Accepted   bool       // the enqueue completed, as its client was told
	Deliveries []Delivery // in their order, without those that were undone
	Undone     bool       // a delivery was undone: the power failed before it was synced
	Places     []string   // where copies of it lie; none is "nowhere"
}

// A Misleading is a program's report of damage to a message whose entry was
// never damaged.
type Misleading struct {
	Process string
	ID      string // the message's
	Step    int    // the decision after which the program said so
	Text    string // what it said
}

// JudgeMessages judges messages by what the test promises, in time linear in
// their number. Anomalies come in the order of the messages, then of the
// misleading errors by message and process, at most one for each pair.
func JudgeMessages(p Promise, messages []Message, errors []Misleading) Verdict {
	v := Verdict{Verdict: Valid, Anomalies: []Anomaly{}, Allowed: []Anomaly{}}
	if !slices.Contains(Promises, p) {
		v.Verdict, v.Why = Unknown, fmt.Sprintf("%q is no promise that can be judged", p)
		return v
	}
	add := func(broken bool, a Anomaly) {
		if broken {
			v.Anomalies = append(v.Anomalies, a)
			v.Verdict = Invalid
		} else {
			v.Allowed = append(v.Allowed, a)
		}
	}
	for i := range messages {
		m := &messages[i]
		kinds, strange := m.kinds()
		if strange != "" && v.Why == "" {
			v.Why = fmt.Sprintf("%s lies in %q, a place of which nothing is known", m.ID, strange)
		}
		for _, kind := range kinds {
			add(m.breaksPromise(p, kind), m.anomaly(kind))
		}
	}
	for _, e := range distinct(errors) {
		add(breaks[MisleadingError][p] == always, Anomaly{
			Kind: MisleadingError, Subject: e.ID, Step: e.Step,
			Explanation: fmt.Sprintf("%s reported %s as damaged, which it never was: %s", e.Process, e.ID, e.Text),
		})
	}
	if v.Why != "" && v.Verdict == Valid {
		v.Verdict = Unknown
	}
	return v
}

// kinds looks the message up in the table: its anomalies, each once, the
// doubles first; and a place that the table does not know, if there is one.
func (m *Message) kinds() (kinds []string, strange string) {
	places := m.Places
	if len(places) == 0 {
		places = nowhere
	}
	lost, kept := false, false
	for _, place := range places {
		cell, keeps, known := in(place, len(m.Deliveries))
		if !known {
			// Something of it is left, so it is not called lost.
			kept, strange = true, place
		}
		kept = kept || keeps
		for _, kind := range cell {
			switch {
			case kind == LostMessage:
				lost = true
			case kind == double:
				kind = m.double()
				fallthrough
			default:
				if !slices.Contains(kinds, kind) {
					kinds = append(kinds, kind)
				}
			}
		}
	}
	if lost && !kept && m.Accepted {
		kinds = append(kinds, LostMessage)
	}
	return kinds, strange
}

var nowhere = []string{Nowhere}

// double tells which of the two double deliveries it is: the harmless one only
// if a crash excuses every delivery after the first.
func (m *Message) double() string {
	if m.unexcused() > 0 {
		return DoubleDelivery
	}
	return DoubleDeliveryAfterCrash
}

// unexcused returns the index of the first delivery that no crash excuses, or
// 0.
func (m *Message) unexcused() int {
	for i, d := range m.Deliveries {
		if i > 0 && !d.AfterCrash {
			return i
		}
	}
	return 0
}

// anomaly explains in one sentence what happened to the message.
func (m *Message) anomaly(kind string) Anomaly {
	a := Anomaly{Kind: kind, Subject: m.ID, Step: -1}
	switch kind {
	case DoubleDelivery, DoubleDeliveryAfterCrash:
		second := max(1, m.unexcused())
		a.Step = m.Deliveries[second].Step
		a.Explanation = fmt.Sprintf("%s was delivered %d times: by %s, and no crash excuses it", m.ID, len(m.Deliveries), m.deliverers())
		if kind == DoubleDeliveryAfterCrash {
			a.Explanation = fmt.Sprintf("%s was delivered %d times: by %s, each time after a crash between a delivery and its removal", m.ID, len(m.Deliveries), m.deliverers())
		}
	case LostMessage:
		a.Explanation = m.ID + " was accepted and never delivered, and nothing is left of it"
		if m.Undone {
			a.Explanation = m.ID + " was accepted and delivered, and the delivery, which was not synced, was lost with the power"
			break
		}
		if len(m.Places) > 0 && m.Places[0] != Nowhere {
			a.Explanation = fmt.Sprintf("%s was accepted and never delivered; what is left of it is .%s, which nothing reads again", m.ID, strings.Join(m.Places, ", ."))
		}
	case StrayCopy:
		a.Explanation = fmt.Sprintf("%s was delivered, and a preserved copy of it remains (.psv)", m.ID)
	case Stranded:
		a.Explanation = fmt.Sprintf("%s, %s, is left as .%s, which nothing will pick up", m.ID, m.times(), m.first(Bak, Tmp))
	case Unserved:
		a.Explanation = fmt.Sprintf("%s, %s, waits in the queue in a slice that no runner serves", m.ID, m.times())
	case Shunted:
		a.Explanation = fmt.Sprintf("%s, %s, was set aside in shunt, where only a person looks", m.ID, m.times())
	}
	return a
}

func (m *Message) times() string {
	switch n := len(m.Deliveries); n {
	case 0:
		return "never delivered"
	case 1:
		return "delivered once"
	default:
		return fmt.Sprintf("delivered %d times", n)
	}
}

// deliverers names who delivered it, in order, at most four of them.
func (m *Message) deliverers() string {
	var names []string
	for i, d := range m.Deliveries {
		if i == 4 {
			names = append(names, "and others")
			break
		}
		names = append(names, d.Process)
	}
	return strings.Join(names, ", then ")
}

// first returns the first of the places where the message lies.
func (m *Message) first(places ...string) string {
	for _, p := range m.Places {
		if slices.Contains(places, p) {
			return p
		}
	}
	return Nowhere
}

// distinct returns one report for each message and process, the earliest,
// ordered by message and process.
func distinct(errors []Misleading) []Misleading {
	sorted := slices.Clone(errors)
	slices.SortStableFunc(sorted, func(a, b Misleading) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		if c := strings.Compare(a.Process, b.Process); c != 0 {
			return c
		}
		return a.Step - b.Step
	})
	return slices.CompactFunc(sorted, func(a, b Misleading) bool {
		return a.ID == b.ID && a.Process == b.Process
	})
}
