package runner

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

// Times in seconds: of the sleep when a queue is empty; of the sleep between two
// looks at the queue retry; and until a deferred message may be tried again.
const (
	pause      = 1
	retryPause = 15 * 60
	retryAfter = 60 * 60
)

// A queueRunner serves one slice of one queue.
type queueRunner struct {
	profile   profile.Profile
	dir       string // of all queues
	name      string
	send      func(from string, to []string, text []byte) error
	log       func(line string)
	queue     *queue.Switchboard
	shunt     *queue.Switchboard
	out       *queue.Switchboard // of the retry runner: where messages go back to
	retry     *queue.Switchboard // of others: where deferred ones wait
	collector collector
}

func queueMain(args []string) int {
	var c common
	fs := flag.NewFlagSet("runner queue", flag.ContinueOnError)
	c.define(fs)
	slice := fs.Int("slice", 0, "serve this slice, from `0`")
	slices := fs.Int("slices", 1, "of so many")
	saveBad := fs.Bool("save-bad", true, "preserve entries that cannot be read (QRUNNER_SAVE_BAD_MESSAGES; not in 3.3.8)")
	once := fs.Bool("once", false, "end after one listing and what is on it")
	untilEmpty := fs.Bool("until-empty", false, "end when a listing is empty")
	port := fs.Uint("smtp-port", 25, "the mail server's port on 127.0.0.1")
	p, status, ok := parse(fs, &c, args)
	if !ok {
		return status
	}
	if !*saveBad && p.FixedSaveBad {
		say("runner: " + p.Name + " always preserves bad messages; leave out --save-bad=false")
		return exitUsage
	}
	p.SaveBad = *saveBad
	sys.CatchStop()
	r, err := newQueueRunner(p, c.dir, c.queue, *slice, *slices, say)
	if err != nil {
		return die(p, err)
	}
	r.send = func(from string, to []string, text []byte) error {
		return send(uint16(*port), from, to, text)
	}
	return r.run(*once, *untilEmpty)
}

// newQueueRunner opens the queues, and recovers what an earlier runner left, in
// the original's order.
func newQueueRunner(p profile.Profile, dir, name string, slice, slices int, log func(string)) (*queueRunner, error) {
	r := &queueRunner{profile: p, dir: dir, name: name, log: log}
	var err error
	if r.queue, err = queue.Open(p, dir, name, slice, slices, log); err != nil {
		return nil, err
	}
	steps := []func() error{r.queue.Recover, r.openOthers}
	if p.BadAtStart {
		steps = []func() error{r.openBad, r.openOthers, r.queue.Recover}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// open opens another queue, of which there is only one slice.
func (r *queueRunner) open(name string) (*queue.Switchboard, error) {
	return queue.Open(r.profile, r.dir, name, 0, 1, r.log)
}

// openBad only makes the queue's directory.
func (r *queueRunner) openBad() error {
	_, err := r.open(queue.Bad)
	return err
}

func (r *queueRunner) openOthers() (err error) {
	if r.shunt, err = r.open(queue.Shunt); err != nil {
		return err
	}
	if r.name == queue.Retry {
		r.out, err = r.open(queue.Out)
	} else {
		r.retry, err = r.open(queue.Retry)
	}
	return err
}

func (r *queueRunner) has(bug string) bool { return r.profile.Bugs.Has(bug) }

// run is the loop: a listing, each entry on it, and a sleep if there was none.
// It looks for a stop signal after each entry, and after the list; its result is
// the exit status.
func (r *queueRunner) run(once, untilEmpty bool) int {
	for {
		bases, err := r.queue.Files(".pck")
		if err != nil {
			r.log(queue.Uncaught(r.profile, err))
			return 1
		}
		for _, base := range bases {
			if !r.serve(base) {
				continue // as in the original, no look for a stop here
			}
			if sys.Stopped() != 0 {
				break
			}
		}
		if sig := sys.Stopped(); sig != 0 {
			return int(sig)
		}
		if once || untilEmpty && len(bases) == 0 {
			return 0
		}
		switch {
		case r.name == queue.Retry:
			sys.Sleep(retryPause)
		case len(bases) == 0:
			sys.Sleep(pause)
		}
	}
}

// serve takes an entry, does what is to be done with it, and finishes it. It
// gives false for one that it could not take.
func (r *queueRunner) serve(base string) bool {
	delivered := r.has("deliver-before-rename") && r.deliverUntaken(base)
	entry, err := r.queue.Dequeue(base)
	if err != nil {
		// Whatever it was, be it that another runner has the entry, it is
		// put down to the entry.
		r.uncaught(err)
		if r.profile.SaveBad {
			r.log("Skipping and preserving unparseable message: " + base)
		} else {
			r.log("Ignoring unparseable message: " + base)
		}
		r.queue.Finish(base, r.profile.SaveBad)
		return false
	}
	defer r.collector.add(len(entry.Text))
	if delivered {
		r.queue.Finish(base, false)
		return true
	}
	if r.has("unlink-before-deliver") {
		r.queue.Finish(base, false)
	}
	again, err := r.dispose(base, entry)
	if err == nil && again {
		_, err = r.queue.Enqueue(entry.Text, entry.Meta)
	}
	if err != nil {
		r.setAside(base, entry, err)
		return true
	}
	if !r.has("unlink-before-deliver") {
		r.queue.Finish(base, r.has("preserve-on-success"))
	}
	return true
}

func (r *queueRunner) uncaught(err error) {
	r.log("Uncaught runner exception: " + queue.ErrorText(r.profile, err))
}

// setAside puts an entry whose processing failed into the queue shunt, where a
// person looks at it.
func (r *queueRunner) setAside(base string, entry pickle.Entry, err error) {
	r.uncaught(err)
	if r.has("shunt-lost") {
		r.queue.Finish(base, false)
		return
	}
	entry.Meta["whichq"] = r.name
	shunted, err := r.shunt.Enqueue(entry.Text, entry.Meta)
	if err != nil {
		r.uncaught(err)
		r.log("SHUNTING FAILED, preserving original entry: " + base)
		r.queue.Finish(base, true)
		return
	}
	r.log("SHUNTING: " + shunted)
	r.queue.Finish(base, false)
}

// dispose does with a message what this queue's runner is for. It gives true
// when the message is to come into the queue again as a new entry.
func (r *queueRunner) dispose(base string, entry pickle.Entry) (again bool, err error) {
	if r.name == queue.Retry {
		return r.giveBack(entry)
	}
	err = r.deliver(entry)
	var refused *refusal
	switch {
	case err == nil || r.has("swallow-delivery-error"):
		return false, nil
	case errors.As(err, &refused) && refused.permanent():
		r.log("delivery failed: " + refused.Error())
		return false, nil
	case errors.Is(err, errNoRecipients):
		return false, err
	}
	if refused != nil && refused.code == 421 && r.has("deliver-twice-on-421") {
		r.deliver(entry)
	}
	if r.has("requeue-unlinks-first") {
		r.queue.Finish(base, false)
	}
	return false, r.deferEntry(entry)
}

// deferEntry puts a message that could not be delivered for now into the queue
// retry, with the time before which it is not to be tried again. That is what
// becomes of a 4xx reply; a server that does not answer counts as one. The hour
// is Mailman's default.
func (r *queueRunner) deferEntry(entry pickle.Entry) error {
	sec, _ := sys.Now()
	entry.Meta["deliver_after"] = float64(sec + retryAfter)
	_, err := r.retry.Enqueue(entry.Text, entry.Meta)
	return err
}

// giveBack is the retry runner's work: what has waited long enough by the local
// clock goes back to the queue out, the rest comes into this queue again.
func (r *queueRunner) giveBack(entry pickle.Entry) (again bool, err error) {
	after, _ := entry.Meta["deliver_after"].(float64)
	if sec, _ := sys.Now(); float64(sec) < after {
		return true, nil
	}
	_, err = r.out.Enqueue(entry.Text, entry.Meta)
	return false, err
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
