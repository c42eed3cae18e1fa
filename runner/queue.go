package runner

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"screwtape/runner/bounce"
	"screwtape/runner/list"
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
	lists     string        // the directory of the lists; "" does without them
	locks     string        // that of their locks
	lifetime  time.Duration // of these
	queue     *queue.Switchboard
	shunt     *queue.Switchboard
	to        *queue.Switchboard // see goesTo; nil: nowhere
	events    *bounce.Events     // of the queue bounces; nil in others
	collector collector
}

func queueMain(args []string) int {
	var c common
	fs := newFlags("queue", "queue [flags]")
	c.define(fs)
	slice := fs.Int("slice", 0, "serve this slice, from `0`")
	of := fs.Int("slices", 1, "of so many")
	saveBad := fs.Bool("save-bad", true, "preserve entries that cannot be read (QRUNNER_SAVE_BAD_MESSAGES; not in 3.3.8)")
	once := fs.Bool("once", false, "end after one listing and what is on it")
	untilEmpty := fs.Bool("until-empty", false, "end when a listing is empty")
	lists := fs.String("lists", "", "the `directory` of the lists; \"\" delivers to whom the entry names, and looks no list up")
	locks := fs.String("locks", "/shared/locks", "the `directory` of the lists' locks")
	data := fs.String("data", "/shared/data", "the `directory` of bounce events")
	lifetime := fs.Duration("list-lock-lifetime", list.Lifetime, "LIST_LOCK_LIFETIME")
	port := fs.Uint("smtp-port", 25, "the mail server's port on 127.0.0.1")
	p, status, ok := c.parse(fs, args)
	if !ok {
		return status
	}
	if !*saveBad && p.FixedSaveBad {
		say("runner: " + p.Name + " always preserves bad messages; leave out --save-bad=false")
		return exitUsage
	}
	if served := queue.Served(p); !slices.Contains(served, c.queue) {
		say("runner: no runner serves a queue " + c.queue + "; there are " + strings.Join(served, ", "))
		return exitUsage
	}
	if c.queue == queue.Bounces && *lists == "" {
		say("runner: bounces are counted in the lists; say by --lists where they lie")
		return exitUsage
	}
	p.SaveBad = *saveBad
	sys.CatchStop(syscall.SIGTERM, syscall.SIGINT, p.Master.Restart)
	sys.Ignore(syscall.SIGHUP) // the originals open their logs anew; ours are standard error
	r, err := newQueueRunner(p, c.dir, c.queue, *slice, *of, say)
	if err != nil {
		return die(p, err)
	}
	r.lists, r.locks, r.lifetime = *lists, *locks, *lifetime
	if c.queue == queue.Bounces {
		r.events = bounce.Open(*data, p.Bugs)
	}
	r.send = mailServer{port: uint16(*port)}.send
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
	if to := r.goesTo(); to != "" {
		r.to, err = r.open(to)
	}
	return err
}

func (r *queueRunner) has(bug string) bool { return r.profile.Bugs.Has(bug) }

// run is the loop: a listing, each entry on it, and a sleep if there was none.
// After each entry, and after the list, it does what is due from time to time, and
// looks for a stop signal; its result is the exit status.
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
			if err := r.periodic(); err != nil {
				return die(r.profile, err)
			}
			if sys.Stopped() != 0 {
				break
			}
		}
		if err := r.periodic(); err != nil {
			return die(r.profile, err)
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

// periodic is what the runner does besides, when its time has come or when it has
// been told to stop: that of the queue bounces counts what it has collected. (That
// it does so at a stop is assumed.) An error ends the runner.
func (r *queueRunner) periodic() error {
	if r.events == nil || !r.events.Due() && sys.Stopped() == 0 {
		return nil
	}
	return r.events.Count(r.list)
}
