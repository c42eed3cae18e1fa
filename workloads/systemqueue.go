package workloads

import (
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// A systemQueue is the workload of messages that clients put in and programs
// deliver. A copy of a message is wherever its Message-ID stands in a file.
type systemQueue struct {
	system
	names   map[string]string // id -> the file that a client made
	version uint64            // of the store when it was last looked at
	copies  map[string]copies
}

// copies is how often a message's id stands in files with deliveries, and in
// others.
type copies struct{ delivered, elsewhere int }

// Act puts the messages that are files into place.
func (q *systemQueue) Act(a *harness.Acts) error {
	q.names, q.copies, q.version = map[string]string{}, map[string]copies{}, 0
	n := 0
	for _, act := range q.Acts {
		for range q.config.Messages {
			if act.File == "" {
				continue
			}
			id := "m" + strconv.Itoa(n)
			n++
			sum := sha1.Sum([]byte(id))
			r := strings.NewReplacer("{id}", id, "{hash}", hex.EncodeToString(sum[:]), "{time}", strconv.FormatInt(a.Now.Unix()+int64(n), 10))
			name := r.Replace(act.File)
			if err := putFile(a.Share, path.Join("/shared", name), r.Replace(act.Text), false); err != nil {
				return err
			}
			q.names[id] = name
			a.History.Did("client", "enqueue", id)
		}
	}
	return nil
}

// ids are those of all messages, in order.
func (q *systemQueue) ids() []string {
	ids := slices.Sorted(maps.Keys(q.names))
	for _, node := range q.config.Nodes {
		for _, a := range q.Acts {
			if a.File == "" && on(a.Nodes, node) {
				ids = append(ids, actID(node, a.Name))
			}
		}
	}
	return ids
}

// Observe notes that a client begins, that a message is in one more file of
// deliveries, or in one less since the power failed, and that it is in no other file
// any more. Of a client and its own
// message that is not noted: until it has ended with 0, whoever called it will
// call it again.
func (q *systemQueue) Observe(d schedule.Decision, s *share.Store, h *history.Recorder) {
	node, name, _ := strings.Cut(schedule.Program(d.Process), "/")
	client := q.isAct(schedule.Program(d.Process))
	if client && d.Verb == schedule.Start {
		h.Add(d.Process, history.Invoke, "enqueue", actID(node, name), "")
	}
	if client && d.Verb == schedule.Send && slices.Contains(d.Names, actID(node, name)) {
		h.Did(d.Process, "forward", actID(node, name))
	}
	if s.Version() == q.version {
		return
	}
	q.version = s.Version()
	now := q.count(s)
	for _, id := range q.ids() {
		was, is := q.copies[id], now[id]
		for range is.delivered - was.delivered {
			h.Did(d.Process, "deliver", id)
		}
		if d.Verb == schedule.PowerLoss {
			for range was.delivered - is.delivered {
				h.Did(d.Process, "lose", id)
			}
		}
		own := client && id == actID(node, name)
		if was.elsewhere > 0 && is.elsewhere == 0 && !own {
			h.Did(d.Process, "remove", id)
		}
	}
	q.copies = now
}

// messageID is how a message's Message-ID begins, by which copies are found.
func messageID(id string) string { return "<" + id + "@" }

// count counts all copies that lie on the share.
func (q *systemQueue) count(s *share.Store) map[string]copies {
	all := map[string]copies{}
	ids := q.ids()
	q.files(s, func(name string, data string) {
		for _, id := range ids {
			c := all[id]
			if n := strings.Count(data, messageID(id)); q.isDelivered(name) {
				c.delivered += n
			} else {
				c.elsewhere += n
			}
			all[id] = c
		}
	})
	return all
}

func (q *systemQueue) files(s *share.Store, fn func(name, data string)) {
	s.Walk("/shared", func(below string, e share.Entry) {
		if e.Mode.IsRegular() {
			if data, err := s.ReadFile("/shared/" + below); err == nil {
				fn(below, string(data))
			}
		}
	})
}

func (q *systemQueue) isDelivered(name string) bool {
	return slices.ContainsFunc(q.Delivered, func(p string) bool { return matchName(p, name) })
}

// matchName matches a path below the share; a pattern without "/" is for its
// last element.
func matchName(pattern, name string) bool {
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// Note says which message lies at a path.
func (q *systemQueue) Note(_ string, data []byte) string {
	for _, id := range q.ids() {
		if strings.Contains(string(data), messageID(id)) {
			return id
		}
	}
	return ""
}

// Judge looks where copies of the messages lie, how often each was delivered,
// and what programs said of them; and whether a client failed although nobody
// was in its way.
func (q *systemQueue) Judge(e *harness.End) check.Verdict {
	places := map[string][]string{}
	q.files(e.Share, func(name, data string) {
		if id := q.Note(name, []byte(data)); id != "" && !q.isDelivered(name) {
			places[id] = append(places[id], q.place(name, e))
		}
	})
	v := check.JudgeMessages(q.Promise, check.Messages(q.acknowledged(e.History), places), q.misleading(e))
	var more []check.Anomaly
	if e.Bounded == "" {
		more = q.failedAlone(e.History)
	}
	for _, p := range e.Down {
		more = append(more, check.Anomaly{Kind: check.Stuck, Subject: p, Step: -1,
			Explanation: p + " ends by itself each time that it is started, and is started no more"})
	}
	if len(more) > 0 {
		v.Verdict, v.Anomalies = check.Invalid, append(v.Anomalies, more...)
	}
	return v
}

// acknowledged adds what it means that a client has ended with 0: its message is
// accepted, and nobody will call it again. So what it has delivered of it, or handed
// to a mail server, or what it has left in the background does later, is no more
// interrupted by a crash than if it had been removed.
func (q *systemQueue) acknowledged(ops []history.Op) []history.Op {
	var all []history.Op
	delivered := map[string][]string{} // by id: the client's processes that did
	done := map[string]bool{}          // by id
	for _, op := range ops {
		all = append(all, op)
		label := schedule.Program(op.Process)
		node, name, _ := strings.Cut(label, "/")
		id := actID(node, name)
		ok := func(process, f string) {
			all = append(all, history.Op{Step: op.Step, Process: process, Type: history.OK, F: f, Value: id})
		}
		switch {
		case !q.isAct(label):
		case op.F == "exit" && op.Process == label && op.Value == "exit 0":
			ok(label, "enqueue")
			for _, process := range delivered[id] {
				ok(process, "remove")
			}
			done[id] = true
		case op.F != "deliver" && op.F != "forward" || op.Type != history.OK || op.Value != id:
		case done[id]:
			ok(op.Process, "remove")
		default:
			delivered[id] = append(delivered[id], op.Process)
		}
	}
	return all
}

// place says what it means for a message to lie there. What lies in a queue when
// all has come to rest, with every program up, none of them takes.
func (q *systemQueue) place(name string, e *harness.End) string {
	for _, p := range slices.Sorted(maps.Keys(q.Places)) {
		if matchName(p, name) {
			return q.Places[p]
		}
	}
	if e.Bounded == "" && len(e.Down) == 0 {
		return check.UnservedSlice
	}
	return check.Pck
}

// misleading are the lines in which programs take a message for damaged: by its
// id, or by the name of the file that a client made. Once the power has failed, it
// may be.
func (q *systemQueue) misleading(e *harness.End) []check.Misleading {
	if q.Misleading == "" {
		return nil
	}
	pattern := regexp.MustCompile(q.Misleading)
	about := func(line string) (string, bool) {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			return "", false
		}
		for _, id := range q.ids() {
			base := strings.TrimSuffix(path.Base(q.names[id]), path.Ext(q.names[id]))
			if len(m) < 2 || m[1] == id || q.names[id] != "" && strings.Contains(m[1], base) {
				return id, true
			}
		}
		return "", false
	}
	found := check.FindMisleading(e.Steps, about, func(string) bool { return false })
	failed := slices.IndexFunc(e.History, func(op history.Op) bool { return op.F == schedule.PowerLoss })
	return slices.DeleteFunc(found, func(m check.Misleading) bool { return failed >= 0 && m.Step >= e.History[failed].Step })
}
