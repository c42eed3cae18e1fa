package runner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"screwtape/runner/bounce"
	"screwtape/runner/list"
	"screwtape/runner/lock"
	"screwtape/runner/pickle"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

// goesTo is the queue into which messages go from the runner's own: those of out
// only when their delivery is deferred, and bounces nowhere.
func (r *queueRunner) goesTo() string {
	switch r.name {
	case queue.Out:
		return queue.Retry
	case queue.Retry:
		return queue.Out
	case queue.Bounces:
		return ""
	}
	return r.profile.Queues[slices.Index(r.profile.Queues, r.name)+1]
}

// dispose does with a message what this queue's runner is for. It gives true
// when the message is to come into the queue again as a new entry.
func (r *queueRunner) dispose(base string, entry pickle.Entry) (again bool, err error) {
	l, err := r.openList(entry)
	if errors.Is(err, list.ErrNoState) {
		r.log("Missing list, shunting: " + base)
		entry.Meta["whichq"] = r.name
		_, err = r.shunt.Enqueue(entry.Text, entry.Meta)
		return false, err
	}
	switch {
	case err != nil:
		return false, err
	case r.name == queue.Out:
		return false, r.outgoing(base, entry)
	case r.name == queue.Retry:
		return r.giveBack(entry)
	case r.name == queue.Bounces:
		return false, r.bounced(base, entry)
	case r.name == queue.In && l != nil:
		return r.incoming(l, entry)
	case r.name == queue.Pipeline && r.lists != "": // of its list's members there is one
		entry.Meta[r.profile.RecipsKey] = queue.Recipients(r.profile, queue.Member)
	}
	return false, r.handOn(entry)
}

// openList loads the list that the message is for, without its lock, as every
// runner does for each message. It gives nil where the runner is not told of
// lists, and where they lie in a database. An error is [list.ErrNoState] if
// there is no such list; an entry that names none counts as one of those. (What
// the originals do with it is not among the facts that were checked.)
func (r *queueRunner) openList(entry pickle.Entry) (*list.List, error) {
	if r.lists == "" {
		return nil, nil
	}
	if !r.profile.ListFiles {
		if entry.Meta[r.profile.ListKey] != r.profile.List {
			return nil, list.ErrNoState
		}
		return nil, nil
	}
	name, ok := entry.Meta[r.profile.ListKey].(string)
	if !ok {
		return nil, list.ErrNoState
	}
	l := r.list(name)
	return l, l.Load()
}

// list is the list of this name, of which nothing is read yet.
func (r *queueRunner) list(name string) *list.List {
	return list.Open(r.profile, r.lists+"/"+name, r.locks+"/"+name+".lock", r.lifetime, r.log)
}

// listPatience is how long the incoming runner waits for a list's lock.
const listPatience = 10 * time.Second

// incoming is what 2.1's incoming runner does: with the list locked for all that
// time, it works out who gets the message, passes it on, and saves the list,
// which counts its posts. Should the saving fail, the message is set aside
// although it has been passed on.
func (r *queueRunner) incoming(l *list.List, entry pickle.Entry) (again bool, err error) {
	switch err := l.Lock(listPatience); {
	case errors.Is(err, lock.ErrTimeOut):
		return true, nil
	case err != nil:
		return false, err
	}
	defer l.Unlock()
	entry.Meta[r.profile.RecipsKey] = queue.Recipients(r.profile, l.State.Members()...)
	l.State.CountPost()
	if err := r.handOn(entry); err != nil {
		return false, err
	}
	return false, l.Save()
}

// handOn puts a message into the next queue. It is all that 3.3.8's incoming and
// pipeline runners change on the share: their lists lie in a database.
func (r *queueRunner) handOn(entry pickle.Entry) error {
	_, err := r.to.Enqueue(entry.Text, entry.Meta)
	return err
}

// outgoing delivers a message, or has it wait if that cannot be done for now.
func (r *queueRunner) outgoing(base string, entry pickle.Entry) error {
	err := r.deliver(entry)
	var refused *refusal
	switch {
	case err == nil || r.has("swallow-delivery-error"):
		return nil
	case errors.As(err, &refused) && refused.permanent():
		r.log("delivery failed: " + refused.Error())
		return nil
	case errors.Is(err, errNoRecipients):
		return err
	}
	if refused != nil && refused.code == 421 && r.has("deliver-twice-on-421") {
		r.deliver(entry)
	}
	if r.has("requeue-unlinks-first") {
		r.queue.Finish(base, false)
	}
	// That is what becomes of a 4xx reply; a server that does not answer
	// counts as one. The hour is Mailman's default.
	if r.profile.RetryWaits {
		sec, _ := sys.Now()
		entry.Meta["deliver_after"] = float64(sec + retryAfter)
	}
	return r.handOn(entry)
}

// giveBack is the retry runner's work: what has waited long enough by the local
// clock, or where it need not wait all, goes back to the queue out, the rest comes
// into this queue again.
func (r *queueRunner) giveBack(entry pickle.Entry) (again bool, err error) {
	if r.profile.RetryWaits {
		after, _ := entry.Meta["deliver_after"].(float64)
		if sec, _ := sys.Now(); float64(sec) < after {
			return true, nil
		}
	}
	return false, r.handOn(entry)
}

// bounced is the bounce runner's work: it notes whom mail came back from. (What
// the original does with a bounce that names nobody is not among the facts that
// were checked; here it is logged, and that is all.)
func (r *queueRunner) bounced(base string, entry pickle.Entry) error {
	address := bounce.Address(entry.Text)
	if address == "" {
		r.log("a bounce that names no address: " + base)
		return nil
	}
	name, _ := entry.Meta[r.profile.ListKey].(string) // openList has found it
	return r.events.Add(name, address)
}

// deliverUntaken is the bug deliver-before-rename.
func (r *queueRunner) deliverUntaken(base string) bool {
	entry, err := r.queue.Peek(base)
	return err == nil && r.deliver(entry) == nil
}

var errNoRecipients = errors.New("no recipients")

// deliver sends a message to its recipients.
func (r *queueRunner) deliver(entry pickle.Entry) error {
	var recips []string
	switch list := entry.Meta[r.profile.RecipsKey].(type) {
	case pickle.Strings:
		recips = list
	case []any:
		for _, v := range list {
			s, ok := v.(string)
			if !ok {
				return fmt.Errorf("%w: %v is no address", errNoRecipients, v)
			}
			recips = append(recips, s)
		}
	default:
		return fmt.Errorf("%w: %s is a %T", errNoRecipients, r.profile.RecipsKey, list)
	}
	for _, addr := range recips {
		if strings.ContainsAny(addr, "\r\n<> ") {
			return fmt.Errorf("%w: %q is no address", errNoRecipients, addr)
		}
	}
	return r.send("test-bounces@"+queue.Domain, recips, entry.Text)
}
