package harness

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"screwtape/harness/schedule"
)

// sentence is the cause in words.
func (c *Cause) sentence(kind string) string {
	var parts []string
	for _, o := range c.Orders {
		parts = append(parts, o.Before+" comes before "+o.After)
	}
	for _, f := range c.Faults {
		part := f.What
		switch {
		case f.After != "" && f.Before != "":
			part += " between " + f.After + " and " + f.Before
		case f.After != "":
			part += " after " + f.After
		case f.Before != "":
			part += " before " + f.Before
		}
		parts = append(parts, part)
	}
	sure := c.Tried > 0 && c.Shown == c.Tried
	switch {
	case len(parts) == 0 && sure:
		return kind + " in whatever order"
	case len(parts) == 0:
		return kind + fmt.Sprintf(" whatever single order or fault is changed; it came about in %d of %d schedules drawn at random", c.Shown, c.Tried)
	}
	text := kind + " only if "
	if sure {
		text = kind + " if and only if "
	}
	if last := len(parts) - 1; last > 0 {
		text += strings.Join(parts[:last], ", ") + ", and " + parts[last]
	} else {
		text += parts[0]
	}
	switch {
	case sure:
		return text + "; no other order matters"
	case c.Tried > 0:
		return text + fmt.Sprintf("; more than that matters: it came about in %d of %d such schedules drawn at random", c.Shown, c.Tried)
	}
	return text
}

// tell puts a step into words: "b's rename of m0.bak to m0.psv".
func (q *inquiry) tell(m moment) string { return q.subject(m) + "'s " + q.deed(m) }

// subject is who takes a step: "b", "the restarted b".
func (q *inquiry) subject(m moment) string {
	first := 0 // its life before any start that is a step
	if q.late[schedule.Program(m.Process)] {
		first = 1
	}
	if m.life > first {
		return "the restarted " + q.who(m.Process)
	}
	return q.who(m.Process)
}

// own puts a step into words where it is plain whose it is.
func (q *inquiry) own(m moment) string { return "its " + q.deed(m) }

// ownOr puts a step into words beside a fault: whose it is goes without saying unless
// it is a child's.
func (q *inquiry) ownOr(fault, m moment) string {
	if m.Process == fault.Process {
		return q.own(m)
	}
	return q.tell(m)
}

// deed puts into words what a step does.
func (q *inquiry) deed(m moment) string {
	verb, which := m.Verb, ""
	if m.nth > 1 {
		which = nth(m.nth) + " "
	}
	listing := slices.ContainsFunc(m.touched.Reads, func(r schedule.Resource) bool { return strings.HasPrefix(string(r), "l:") })
	switch {
	case verb == schedule.Deliver:
		verb = "delivery"
	case verb == schedule.PowerLoss:
		verb = "loss of power"
	case verb == "open" && listing:
		verb = "listing"
	case m.Outcome != "" && m.Outcome != "ok" && !m.Fault():
		verb = "failed " + verb
	}
	switch len(m.Names) {
	case 0:
		return which + verb
	case 1:
		return which + verb + " of " + q.short(m.Names[0])
	}
	return which + verb + " of " + q.short(m.Names[0]) + " to " + q.short(m.Names[1])
}

func nth(n int) string {
	switch {
	case n%100/10 != 1 && n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%100/10 != 1 && n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%100/10 != 1 && n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// who is the server, or a process, or its node where nothing else runs on it.
func (q *inquiry) who(process string) string {
	if process == schedule.Server {
		return "the server"
	}
	if node, program, ok := strings.Cut(process, "/"); ok && q.alone[node] && !strings.ContainsAny(program, ".#") {
		return node
	}
	return process
}

func (q *inquiry) fault(m moment) string {
	who := q.who(m.Process)
	switch m.Verb {
	case schedule.Crash:
		return who + " dies"
	case schedule.PowerLoss:
		return "the power fails"
	case schedule.Pause:
		return who + " stands still"
	case schedule.Signal:
		return who + " is sent " + strings.Join(m.Names, " ")
	case schedule.Defer:
		return "the mail server refuses " + strings.Join(m.Names, " ") + " from " + who
	case schedule.Hangup:
		return "the mail server hangs up on " + strings.Join(m.Names, " ") + " from " + who
	case schedule.Skew:
		return who + "'s clock is set by " + strings.Join(m.Names, " ")
	}
	return m.Verb + " of " + who
}

// short is a path by what lies there, or its last component.
func (q *inquiry) short(name string) string {
	base := path.Base(name)
	stem, ext := splitName(base)
	if note := q.names[stem]; note != "" {
		return note + ext
	}
	return base
}

// splitName takes the endings off a name: "1.5+ab.pck.tmp" is "1.5+ab" and
// ".pck.tmp".
func splitName(base string) (stem, ext string) {
	stem = base
	for {
		e := path.Ext(stem)
		if len(e) < 2 || len(e) == len(stem) || strings.Trim(e[1:], "abcdefghijklmnopqrstuvwxyz") != "" {
			return stem, base[len(stem):]
		}
		stem = strings.TrimSuffix(stem, e)
	}
}

// shortNames are the notes of what lay where in a schedule, by the stem of its
// name. A note of several words is a description and no name.
func shortNames(r *Result) map[string]string {
	names := map[string]string{}
	list := slices.Clone(r.Initial)
	for _, s := range r.Steps {
		list = append(list, s.Changes...)
	}
	for _, c := range list {
		if stem, _ := splitName(path.Base(c.Path)); c.Note != "" && !strings.Contains(c.Note, " ") {
			names[stem] = c.Note
		}
	}
	return names
}
