package runner

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"screwtape/runner/list"
	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

// withList makes the list test, of one member, and puts one message for it into
// the queue in. Its entry names no recipients, nor what else is left out.
func (s *stage) withList(leftOut ...string) {
	s.t.Helper()
	for _, d := range []string{"lists/test", "locks", "qfiles/in"} {
		if err := os.MkdirAll(s.root+"/"+d, 0o770); err != nil {
			s.t.Fatal(err)
		}
	}
	data, err := list.NewState("test", queue.Member).Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("../lists/test/config.pck", string(data))
	s.put("m0", func(m pickle.Metadata) {
		for _, key := range append(leftOut, s.profile.RecipsKey) {
			delete(m, key)
		}
	})
	if err := os.Rename(s.dir+"/out/"+s.x+".pck", s.dir+"/in/"+s.x+".pck"); err != nil {
		s.t.Fatal(err)
	}
}

// serving starts the runner of a queue, which knows the lists.
func (s *stage) serving(name string) *queueRunner {
	s.t.Helper()
	r, err := newQueueRunner(s.profile, s.dir, name, 0, 1, func(line string) { s.log = append(s.log, name+": "+line) })
	if err != nil {
		s.t.Fatal(err)
	}
	r.send, r.lists, r.locks, r.lifetime = s.send, s.root+"/lists", s.root+"/locks", list.Lifetime
	return r
}

// pass has each queue's runner look once, in the order of the queues.
func (s *stage) pass() {
	for _, name := range s.profile.Queues {
		s.serving(name).run(true, false)
	}
}

// unshunt is the command; it looks into shunt.
func (s *stage) unshunt() {
	err := unshunt(s.profile, s.dir, s.dir+"/shunt", false, func(line string) { s.log = append(s.log, "unshunt: "+line) })
	if err != nil {
		s.log = append(s.log, "unshunt: "+queue.Uncaught(s.profile, err))
	}
}

// posts says how many posts the list counts.
func (s *stage) posts() {
	data, err := os.ReadFile(s.root + "/lists/test/config.pck")
	state, derr := list.Decode(data)
	s.log = append(s.log, fmt.Sprintf("posts %q, %v, %v", state.Attribute(list.Posts), err, derr))
}

// What comes of a message to a list.
var posted = map[string]func(*stage){
	// It goes through all queues.
	"passed-on": func(s *stage) {
		s.withList()
		s.pass()
		s.posts()
	},
	// There is no such list.
	"missing-list": func(s *stage) {
		s.withList()
		os.RemoveAll(s.root + "/lists/test")
		if !s.profile.ListFiles {
			s.profile.List = "nowhere"
		}
		s.pass()
	},
	// The entry names no list.
	"no-list-named": func(s *stage) {
		s.withList(s.profile.ListKey)
		s.pass()
	},
	// A runner that is not told of lists has the recipients that the entry names,
	// and sets aside one that names none.
	"without-lists": func(s *stage) {
		s.withList()
		for _, name := range s.profile.Queues {
			r := s.serving(name)
			r.lists = ""
			r.run(true, false)
		}
	},
	// The list cannot be read.
	"unreadable-list": func(s *stage) {
		s.withList()
		os.Truncate(s.root+"/lists/test/config.pck", 7)
		s.pass()
	},
	// C7b in the incoming runner: another one saves between unlink and link. The
	// message was passed on, and is shunted all the same; unshunt sends it again.
	"save-fails": func(s *stage) {
		s.withList()
		in := s.serving(queue.In)
		s.at("link", "lists/test/config.pck", func() { s.write("../lists/test/config.pck.last", "") })
		in.run(true, false)
		sys.Trace = nil
		s.pass()
		s.unshunt()
		s.pass()
		s.posts()
	},
	// The runner dies when it has passed the message on, and has not saved.
	"dies-before-save": func(s *stage) {
		s.withList()
		if s.profile.ListFiles {
			s.crashAt("unlink", "config.pck.last", func() { s.serving(queue.In).run(true, false) })
			os.Remove(s.root + "/locks/test.lock") // which it leaves, for five hours
		} else {
			s.crashAt("unlink", s.x+".bak", func() { s.serving(queue.In).run(true, false) })
		}
		s.pass()
		s.pass()
		s.posts()
	},
	// The lock is lost while the runner is at it: nothing is saved.
	"lock-stolen": func(s *stage) {
		s.withList()
		s.at("open", ".pck.tmp", func() { os.Remove(s.root + "/locks/test.lock") })
		s.serving(queue.In).run(true, false)
		sys.Trace = nil
		s.posts()
	},
	// When the list is there again, what was shunted for want of it is put back to
	// where it came from, and delivered.
	"unshunt": func(s *stage) {
		s.withList()
		s.put("m1")
		there, gone := s.root+"/lists/test", s.root+"/lists/gone"
		name := s.profile.List
		os.Rename(there, gone)
		s.profile.List = "nowhere"
		s.serving(queue.Out).run(true, false)
		os.Rename(gone, there)
		s.profile.List = name
		s.unshunt()
		s.serving(queue.Out).run(true, false)
	},
	// Of what is in shunt one entry is damaged, one names a queue that cannot be
	// made, one no queue, and one is left from an unshunt that has died.
	"unshunt-hard": func(s *stage) {
		s.withList()
		shunt := s.serving(queue.Out).shunt
		var bases [4]string
		for i := range bases {
			meta := pickle.Metadata{"whichq": "out", "received_time": float64(i)}
			if i == 1 {
				meta["whichq"] = "bad/none/out"
			}
			if i == 2 {
				delete(meta, "whichq")
			}
			bases[i], _ = shunt.Enqueue([]byte("Message-ID: <m>\n"), meta)
		}
		os.Truncate(s.dir+"/shunt/"+bases[0]+".pck", 5)
		os.Rename(s.dir+"/shunt/"+bases[3]+".pck", s.dir+"/shunt/"+bases[3]+".bak")
		s.unshunt()
	},
}

func TestPosted(t *testing.T) {
	for name, play := range posted {
		for _, version := range profile.Names() {
			t.Run(name+"/"+version, func(t *testing.T) {
				s := newStage(t, version, nil)
				play(s)
				golden(t, name+"-"+version, s.outcome())
			})
		}
	}
}

// The calls of the incoming runner, of the retry runner and of unshunt.
func TestCallsOfOthers(t *testing.T) {
	for _, version := range profile.Names() {
		t.Run(version, func(t *testing.T) {
			s := newStage(t, version, nil)
			s.withList()
			var b strings.Builder
			record := func(title string, f func()) {
				b.WriteString("# " + title + "\n")
				sys.Trace = func(op string, paths ...string) {
					b.WriteString(strings.Join(append([]string{op}, paths...), " ") + "\n")
				}
				f()
				sys.Trace = nil
			}
			var in *queueRunner
			record("start of in", func() { in = s.serving(queue.In) })
			record("in serves", func() { in.serve(s.x) })
			retry := s.serving(queue.Retry)
			due := pickle.Metadata{"deliver_after": float64(time.Now().Add(time.Hour).Unix()), s.profile.ListKey: s.profile.List}
			base, err := retry.queue.Enqueue([]byte("x"), due)
			if err != nil {
				t.Fatal(err)
			}
			record("retry serves what is not due", func() { retry.serve(base) })
			due["deliver_after"] = 0.0
			base, _ = retry.queue.Enqueue([]byte("x"), due)
			record("retry serves what is due", func() { retry.serve(base) })
			due["whichq"] = "out"
			retry.shunt.Enqueue([]byte("x"), due)
			record("unshunt", s.unshunt)
			golden(t, "calls-of-others-"+version, s.anonymous(b.String()))
		})
	}
}

// A discarded message is gone; the directory that unshunt is told of is looked
// into, and in it nothing that is .psv.
func TestUnshuntOptions(t *testing.T) {
	s := newStage(t, "3.3.8", nil)
	s.put("m0", func(m pickle.Metadata) { delete(m, s.profile.RecipsKey) })
	s.start("A").run(true, false)
	if status, out, log := run(t, "unshunt", "--dir", s.dir, "--profile", "3.3.8", "--discard"); status != 0 || out+log != "" {
		t.Errorf("--discard: status %d, %s%s", status, out, log)
	}
	want(t, "left after --discard", tree(t, s.dir), []string(nil))

	name := inject(t, s.dir, "2.1.39", "plain", "m1")
	base := strings.TrimSuffix(name, ".pck")
	for _, ending := range []string{".pck", ".psv"} {
		data, _ := os.ReadFile(s.dir + "/out/" + name)
		s.write("bad/"+base+ending, string(data))
	}
	os.Remove(s.dir + "/out/" + name)
	if status, out, log := run(t, "unshunt", "--dir", s.dir, s.dir+"/bad"); status != 0 || out+log != "" {
		t.Errorf("DIRECTORY: status %d, %s%s", status, out, log)
	}
	left := tree(t, s.dir)
	if len(left) != 2 || left[0] != "bad/"+base+".psv" || !strings.HasPrefix(left[1], "in/") {
		t.Errorf("left %q", left)
	}

	for _, args := range [][]string{{"--discard"}, {"a", "b"}, {"--profile", "3.3.8", "bad"}, {"--profile", "1.0"}, {"--nonsense"}} {
		if status, _, log := run(t, append([]string{"unshunt", "--dir", s.dir}, args...)...); status != exitUsage || log == "" {
			t.Errorf("%v: status %d, %q", args, status, log)
		}
	}
}
