package harness

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

// talkPort is where the mailer "listen" does.
const talkPort = 2525

// listen is a mail server that waits, for five minutes at most, for what its client
// says, replies in small pieces by each of the calls that send, and hangs up.
func listen() int {
	l, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: talkPort}); err != nil {
		fmt.Println("bind:", err)
		return 1
	}
	unix.Listen(l, 1)
	for {
		fd, _, err := unix.Accept(l)
		if err != nil {
			return 1
		}
		hear := func() bool {
			n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 300_000)
			unix.Read(fd, make([]byte, 512))
			return n == 1
		}
		unix.Write(fd, []byte("220 lis"))
		unix.Writev(fd, [][]byte{[]byte("te"), []byte("ns\r\n")})
		heard := hear()
		unix.Sendto(fd, []byte("250-yes\r\n"), 0, nil)
		unix.SendmsgBuffers(fd, [][]byte{[]byte("250 "), []byte("well\r\n")}, nil, nil, 0)
		if !hear() || !heard {
			fmt.Println("its client is slow")
		}
		unix.Close(fd)
	}
}

// ask is its client, which hands a message over, and says what it was told.
func ask() int {
	fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: talkPort}); err != nil {
		return 1
	}
	var told []byte
	until := func(end string) {
		b := make([]byte, 512)
		for !bytes.HasSuffix(told, []byte(end)) {
			n, err := unix.Read(fd, b)
			if n <= 0 || err != nil {
				return
			}
			told = append(told, b[:n]...)
		}
	}
	until("listens\r\n")
	unix.Write(fd, []byte("EHLO x\r\n"))
	until("well\r\n")
	unix.Write(fd, []byte("Message-ID: <m0@x>\r\n\r\nWords.\r\n.\r\n"))
	until("never")
	fmt.Println(strings.ReplaceAll(string(told), "\r\n", "|"))
	return 0
}

// watcher is a strategy and a nemesis that take the plainest schedule and note what
// else was possible.
type watcher struct {
	schedule.Strategy
	early   bool     // a wake-up was on offer while something else was
	mutated []string // who could crash with an effect, at each step
}

func (w *watcher) Pick(options []schedule.Option) (int, error) {
	isWake := func(o schedule.Option) bool { return o.Verb == schedule.Wake }
	if slices.ContainsFunc(options, isWake) && !isWake(options[0]) {
		w.early = true
	}
	return w.Strategy.Pick(options)
}

func (*watcher) Name() string           { return "watcher" }
func (*watcher) Reset()                 {}
func (*watcher) Took(schedule.Decision) {}
func (w *watcher) Faults(s Situation) []schedule.Option {
	for _, p := range s.Processes {
		if p.Alive && p.Mutated && p.Label == "a/listen" {
			w.mutated = append(w.mutated, p.Label)
		}
	}
	return nil
}

// What is said on a port of the test is a decision, whoever says it and by whatever
// call; after each a crash can come. A server that listens is idle, gives its client
// time, and finds its port free when it is started again.
func TestTalk(t *testing.T) {
	mailer := func(name string, late bool) Program {
		return Program{Node: "a", Name: name, Path: "/proc/self/exe", Args: []string{mailerName, name},
			Env: []string{"GOMAXPROCS=1"}, Timed: true, OneThread: true, Late: late, Once: late}
	}
	watch := &watcher{}
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Ports: []int{talkPort}, Nemeses: []Nemesis{watch},
		Programs: []Program{mailer("listen", false), mailer("ask", true)}})
	const want = `a/ask start
a/listen send 220
a/listen send tens
a/ask send EHLO
a/listen send 250
a/listen send 250
a/ask send m0
`
	for range 2 {
		*watch = watcher{Strategy: schedule.Canonical()}
		r, err := w.Play(watch, Options{Fresh: true})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, s := range r.Steps {
			fmt.Fprintln(&got, s.Decision)
		}
		if got.String() != want {
			t.Errorf("decisions:\n%s", got.String())
		}
		if said := said(r); said != "a/ask: 220 listens|250-yes|250 well|" {
			t.Errorf("said %q", said)
		}
		if watch.early {
			t.Error("the server's patience could end while its client was at work")
		}
		if n := len(watch.mutated); n != len(r.Steps)+1 { // before it does anything too
			t.Errorf("a crash of the server could come at %d of %d points", n, len(r.Steps)+1)
		}
	}
}

// Tapes tell what was said by its first word, or its Message-ID.
func TestWord(t *testing.T) {
	for said, want := range map[string]string{
		"MAIL FROM:<a@x>\r\n": "MAIL",
		"QUIT\r\n":            "QUIT",
		"250-x\r\n250 y\r\n":  "250",
		"354 go on\r\n":       "354",
		"":                    "",
		"\r\n":                "",
		"no end":              "no",
		"From: a@x\r\nMessage-ID: <m1@x>\r\n\r\nText.\r\n.\r\n": "m1",
		"From: a@x\r\n\r\nText.\r\n.\r\n":                       "From:",
	} {
		if got := word([]byte(said)); got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}

// A program that listens elsewhere is told from one that is not ready.
func TestNorListens(t *testing.T) {
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Ports: []int{talkPort + 1}, Programs: []Program{{Node: "a", Name: "listen",
		Path: "/proc/self/exe", Args: []string{mailerName, "listen"}, Env: []string{"GOMAXPROCS=1"}, OneThread: true}}})
	_, err := w.Play(schedule.Canonical(), Options{})
	if err == nil || err.Error() != "a/listen is up but neither sleeps nor does anything on the share, nor listens on port 2526" {
		t.Errorf("error %v", err)
	}
}

// eager is a nemesis that offers to start whatever is down, and a strategy that does.
type eager struct{ schedule.Strategy }

func (e eager) Pick(options []schedule.Option) (int, error) {
	for i, o := range options {
		if o.Verb == schedule.Start {
			return i, nil
		}
	}
	return e.Strategy.Pick(options)
}

func (eager) Name() string           { return "eager" }
func (eager) Reset()                 {}
func (eager) Took(schedule.Decision) {}
func (eager) Faults(s Situation) (list []schedule.Option) {
	for _, p := range s.Processes {
		if !p.Alive {
			list = append(list, schedule.Option{Decision: schedule.Decision{Process: p.Label, Verb: schedule.Start}, Restart: true})
		}
	}
	return list
}

// A client is not started before its server listens, nor started again.
func TestServed(t *testing.T) {
	mailer := func(name string, port int) Program {
		return Program{Node: "a", Name: name, Path: "/proc/self/exe", Args: []string{mailerName, name},
			Env: []string{"GOMAXPROCS=1"}, OneThread: true, Late: true, Once: true, Port: port}
	}
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Ports: []int{talkPort}, Nemeses: []Nemesis{eager{}}, MaxDecisions: 4,
		Programs: []Program{mailer("ask", talkPort), mailer("listen", 0)}})
	r, err := w.Play(eager{schedule.Canonical()}, Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range r.Steps {
		got = append(got, s.Decision.String())
	}
	want := []string{"a/listen start", "a/ask start", "a/listen send 220", "a/listen send tens"}
	if !slices.Equal(got, want) {
		t.Errorf("decisions are %q, want %q", got, want)
	}
	// So it matters whether a client starts before its server crashes.
	start := w.footprint(schedule.Decision{Process: "a/ask", Verb: schedule.Start}, 0)
	for process, want := range map[string]bool{"a/listen": true, "a": true, "b/listen": false} {
		start.Writes = slices.DeleteFunc(start.Writes, func(r schedule.Resource) bool { return r == "faults" })
		if crash := w.footprint(schedule.Decision{Process: process, Verb: schedule.Crash}, 0); start.Conflicts(crash) != want {
			t.Errorf("a crash of %s conflicts with it: %v", process, !want)
		}
	}
}
