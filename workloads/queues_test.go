package workloads

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/runner/profile"
)

// playLines plays lines of a tape under a queue test's header.
func playLines(t *testing.T, header, lines string) *harness.Result {
	t.Helper()
	tape, err := schedule.Parse("tape", strings.NewReader("screwtape tape 1\nworkload: queue\ncalls: named\n"+header+"\n"+lines))
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay(tape)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Set-ups in which a message goes through all queues keep what they promise, in
// each version: exactly once while the mail server refuses and hangs up, and at
// least once where runners crash.
func TestSoundThroughAllQueues(t *testing.T) {
	perCase := long(10, 1000)
	for _, version := range profile.Names() {
		for name, config := range map[string]func(*QueueConfig){
			"refused": func(c *QueueConfig) { c.Queues, c.Nemeses = []string{"all"}, []string{"tempfail", "hangup"} },
			"crash": func(c *QueueConfig) {
				crashing(1)(c)
				c.Queues = []string{"in", "out"}
				if version == "3.3.8" {
					c.Queues = []string{"in", "pipeline", "out"}
				}
			},
		} {
			t.Run(version+"/"+name, func(t *testing.T) {
				c := DefaultQueue()
				c.Profile = version
				config(&c)
				draw(t, c, portfolio(), perCase, func(r *harness.Result) bool {
					if r.Verdict.Verdict != check.Valid {
						t.Fatalf("%s: %+v\n%s", c.Promise, r.Verdict, r.Tape)
					}
					return true
				})
			})
		}
	}
}

// A delivery that the mail server has put off, or hung up on, is tried again by
// way of the queue retry: by 2.1.39 an hour later, by others when its runner comes round.
func TestRetried(t *testing.T) {
	for _, version := range profile.Names() {
		for _, verb := range []string{schedule.Defer, schedule.Hangup} {
			t.Run(version+"/"+verb, func(t *testing.T) {
				r := playLines(t, "nodes: a\nqueues: out retry\nprofile: "+version, "a/runner "+verb+" m0\n")
				if r.Verdict.Verdict != check.Valid || deliveries(r, "m0") != 1 {
					t.Fatalf("%d deliveries, %+v\n%s", deliveries(r, "m0"), r.Verdict, r.Log())
				}
				i := slices.IndexFunc(r.Steps, func(s history.Step) bool { return s.Verb == schedule.Deliver })
				if at := r.Steps[i].Time; (at >= time.Hour) != (version == "2.1.39") {
					t.Errorf("delivered after %v", at)
				}
			})
		}
	}
}

// What no runner can work on is shunted, and unshunt puts it back to be shunted
// again.
func TestShunted(t *testing.T) {
	for _, version := range profile.Names() {
		for _, queues := range []string{"out", "all"} {
			for _, unshunt := range []string{"no", "yes"} {
				t.Run(version+"/"+queues+"/unshunt "+unshunt, func(t *testing.T) {
					r := playLines(t, fmt.Sprintf("nodes: a\nqueues: %s\nprofile: %s\ndamage: unprocessable\nunshunt: %s", queues, version, unshunt), "")
					if kinds := r.Kinds(); !slices.Equal(kinds, []string{check.Shunted}) {
						t.Errorf("shows %v\n%s", kinds, r.Log())
					}
				})
			}
		}
	}
}

// An incoming runner that waits in vain for a list's lock puts its message back,
// again and again until the lock of the dead has expired.
func TestPutBack(t *testing.T) {
	r := playLines(t, "nodes: a b\nqueues: in out\nmessages: 4\nslices: a:0/2 b:1/2\npromise: at-least-once", `
a/in wake
a/in link * locks/test.lock = ok
a/in crash
`)
	putBack := 0
	for _, s := range r.Steps {
		if s.Process == "b/in" && s.Verb == "rename" && strings.HasPrefix(s.Names[1], "qfiles/in/") && strings.HasSuffix(s.Names[0], ".tmp") {
			putBack++
		}
	}
	if r.Verdict.Verdict != check.Valid || putBack < 2 || deliveries(r, "m0") != 1 {
		t.Errorf("put back %d times, m0 delivered %d times, %+v\n%s", putBack, deliveries(r, "m0"), r.Verdict, r.Log())
	}
}
