package workloads

import (
	"path"
	"slices"
	"strings"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
	"screwtape/runner/pickle"
	"screwtape/runner/queue"
)

// This file tells what a schedule did to a queue, and judges it.

// Observe notes when a program takes an entry away, and when the injector's
// message is in.
func (q *Queue) Observe(d schedule.Decision, s *share.Store, h *history.Recorder) {
	if d.Verb == schedule.Start && strings.HasSuffix(d.Process, "/inject") {
		h.Add(d.Process, history.Invoke, "enqueue", "m0", "")
	}
	if d.Verb == schedule.PowerLoss {
		q.noteEmptied(s, h.Step)
	}
	if d.Outcome != "ok" || len(d.Names) == 0 {
		return
	}
	if d.Verb == "rename" && d.Names[1] == listDir+"/config.pck" {
		q.posts++
	}
	if !strings.HasPrefix(d.Names[0], queueDir) {
		return
	}
	base, ext := splitEntry(d.Names[0])
	switch {
	case d.Verb == "rename" && ext == ".tmp":
		target := d.Names[1]
		base, _ = splitEntry(target)
		data, err := s.ReadFile("/shared/" + target)
		if err != nil {
			return
		}
		id, err := queue.MessageID(data)
		if err != nil {
			return
		}
		q.entries[base] = id
		if strings.HasSuffix(d.Process, "/inject") {
			h.Add(d.Process, history.OK, "enqueue", id, "")
			return
		}
		h.Did(d.Process, "forward", id)
	case d.Verb == "unlink" && q.entries[base] != "":
		h.Did(d.Process, "remove", q.entries[base])
		q.removed[d.Process+" "+base] = h.Step
	}
}

// noteEmptied notes which entries cannot be read from this step on.
func (q *Queue) noteEmptied(s *share.Store, step int) {
	top := "/shared/" + queueDir
	s.Walk(top, func(below string, entry share.Entry) {
		base, _ := splitEntry(below)
		if id := q.entries[base]; id != "" {
			data, err := s.ReadFile(path.Join(top, below))
			if err == nil {
				_, err = pickle.Decode(data)
			}
			if _, before := q.emptied[id]; err != nil && !before {
				q.emptied[id] = step
			}
		}
	})
}

// splitEntry takes a name apart: "1.5+ab.pck.tmp" is "1.5+ab" and ".tmp".
func splitEntry(name string) (base, ext string) {
	name = path.Base(name)
	ext = path.Ext(name)
	base = strings.TrimSuffix(name, ext)
	if ext == ".tmp" {
		base = strings.TrimSuffix(base, ".pck")
	}
	return base, ext
}

// Note says which message lies at a path.
func (q *Queue) Note(name string, data []byte) string {
	if id, err := queue.MessageID(data); err == nil {
		return id
	}
	if note := noteList(name, data); note != "" {
		return note
	}
	base, _ := splitEntry(name)
	return q.entries[base]
}

// Judge looks where copies of the messages lie, counts how often each was
// delivered, and reads what the runners said of them.
func (q *Queue) Judge(e *harness.End) check.Verdict {
	misleading := append(q.misleading(e), q.removedTwice(e)...)
	v := check.JudgeMessages(q.config.Promise, check.Messages(accepted(e.History), q.places(e)), misleading)
	v = q.crashLoops(e, v)
	if q.lists() {
		v = q.judgeList(e, v)
	}
	return v
}

// misleading are the lines in which runners take a message for damaged that is
// not, or not yet.
func (q *Queue) misleading(e *harness.End) []check.Misleading {
	found := check.FindMisleading(e.Steps, q.about, func(id string) bool { return q.damaged[id] })
	return slices.DeleteFunc(found, func(m check.Misleading) bool {
		at, emptied := q.emptied[m.ID]
		return emptied && m.Step >= at
	})
}

// places are where copies of each message lie in the end.
func (q *Queue) places(e *harness.End) map[string][]string {
	places := map[string][]string{}
	top := "/shared/" + queueDir
	e.Share.Walk(top, func(below string, entry share.Entry) {
		if !entry.Mode.IsRegular() {
			return
		}
		name := path.Join(top, below)
		data, err := e.Share.ReadFile(name)
		if err != nil {
			return
		}
		if id := q.Note(name, data); id != "" {
			places[id] = append(places[id], q.place(name, id, e))
		}
	})
	return places
}

// accepted adds that an injector which ends well has said that its message is
// in, however it put it there.
func accepted(ops []history.Op) []history.Op {
	for _, op := range slices.Clone(ops) {
		if op.F == "exit" && op.Value == "exit 0" && strings.HasSuffix(op.Process, "/inject") {
			op.Type, op.F, op.Value = history.OK, "enqueue", "m0"
			ops = append(ops, op)
		}
	}
	return ops
}

// removedTwice are the complaints of runners that they could not remove an
// entry, although they had removed it themselves.
func (q *Queue) removedTwice(e *harness.End) []check.Misleading {
	var list []check.Misleading
	for _, s := range e.Steps {
		for _, l := range s.Lines {
			_, file, ok := strings.Cut(l.Text, "Failed to unlink/preserve backup file: ")
			file, _, _ = strings.Cut(file, ".bak")
			base := path.Base(file)
			at, own := q.removed[l.Process+" "+base]
			if ok && own && at < s.Index {
				list = append(list, check.Misleading{Process: l.Process, ID: q.entries[base], Step: s.Index, Text: l.Text})
			}
		}
	}
	return list
}

// crashLoops adds that the queue is stuck where a runner dies at each start,
// until nobody starts it any more.
func (q *Queue) crashLoops(e *harness.End, v check.Verdict) check.Verdict {
	for _, p := range e.Down {
		v.Verdict = check.Invalid
		v.Anomalies = append(v.Anomalies, check.Anomaly{Kind: check.Stuck, Subject: p, Step: -1,
			Explanation: p + " ends by itself each time that it is started, and is started no more: its part of the queue is not served"})
	}
	return v
}

// place says what it means for a message to lie at this path. What could not be
// read was rightly set aside. What lies in the queue when all has come to rest,
// with every runner up, none of them takes: they have all looked.
func (q *Queue) place(name, id string, e *harness.End) string {
	dir := path.Base(path.Dir(name))
	base, ext := splitEntry(name)
	passedOver := e.Bounded == "" && len(e.Down) == 0
	switch {
	case ext == ".psv" && q.damaged[id]:
		return check.Shunt
	case ext == ".psv":
		return check.Psv
	case ext == ".tmp":
		return check.Tmp
	case ext == ".bak":
		return check.Bak
	case dir == "shunt":
		return check.Shunt
	case slices.Contains(q.config.Queues, dir) && (passedOver || !q.served(base)):
		return check.UnservedSlice
	case dir == queue.Retry: // it waits: every Mailman has a runner of retry, be there none in this test
		return check.Pck
	case !slices.Contains(q.config.Queues, dir):
		return check.UnservedSlice
	}
	return check.Pck
}

// served reports whether a runner of the test serves the entry's slice.
func (q *Queue) served(base string) bool {
	for _, s := range q.config.Slices {
		if ok, err := queue.InSlice(q.profile, base, s.Index, s.N); err == nil && ok {
			return true
		}
	}
	return false
}

// about finds the message that a runner's line calls damaged.
func (q *Queue) about(line string) (id string, ok bool) {
	for _, says := range []string{"Skipping and preserving unparseable message: ", "Ignoring unparseable message: "} {
		if _, base, found := strings.Cut(line, says); found {
			id := q.entries[strings.TrimSpace(base)]
			return id, id != ""
		}
	}
	return "", false
}
