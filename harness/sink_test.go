package harness

import (
	"fmt"
	"net/smtp"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

// mailerName is the argv[0] under which the test binary is a mailer: it hands
// one message over to the mail sink ("send", "doze", "pieces"), and says how that
// ended; hands it over and ends at once ("leave"); is a mail server itself, or its
// client ("listen", "ask"; see talk_test.go); or it tries to connect in ways
// that fail ("fail"), or with sockets of other kinds.
const mailerName = "screwtape-mailer"

func init() {
	if os.Args[0] == mailerName {
		runtime.LockOSThread() // the tapes below name its main thread
	}
}

func mailer(args []string) int {
	switch args[0] {
	case "send":
		return sendMail()
	case "doze": // while another thread sleeps
		go func() {
			runtime.LockOSThread()
			unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &unix.Timespec{Sec: 3600}, nil)
		}()
		return sendMail()
	case "pieces":
		return sendPieces()
	case "listen":
		return listen()
	case "ask":
		return ask()
	}
	sink := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: MailPort}
	if args[0] == "leave" {
		fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		unix.Connect(fd, sink)
		unix.Write(fd, []byte("EHLO x\r\nMAIL FROM:<x@x>\r\nRCPT TO:<y@x>\r\nDATA\r\nMessage-ID: <m0@x>\r\n\r\n.\r\n"))
		return 0
	}
	listener, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	datagram, _ := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	local, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	unix.Listen(listener, 1)
	for _, fd := range []int{999, listener, datagram, local} {
		fmt.Println("connect:", unix.Connect(fd, sink))
	}
	f, err := os.Create("/shared/failed")
	if err != nil {
		return 1
	}
	f.Close()
	for { // not by its end is it forgotten
		unix.Pause()
	}
}

// sendMail says how the message was answered, and what came of the next command.
func sendMail() int {
	c, err := smtp.Dial("127.0.0.1:25")
	if err != nil {
		return 1
	}
	c.Mail("x@screwtape.example")
	c.Rcpt("y@screwtape.example")
	w, err := c.Data()
	if err != nil {
		return 1
	}
	fmt.Fprint(w, "Message-ID: <m0@screwtape.example>\r\n\r\n")
	fmt.Println("sent:", w.Close())
	fmt.Println("noop:", c.Noop())
	c.Close()
	return 0
}

// sendPieces sends a message line by line, by a socket as it is made, and says
// what the last answer is.
func sendPieces() int {
	fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: MailPort}); err != nil {
		return 1
	}
	answer := make([]byte, 512)
	n, _ := unix.Read(fd, answer)
	for _, command := range []string{"HELO x", "MAIL FROM:<x@x>", "RCPT TO:<y@x>", "DATA", "Message-ID: <m0@x>", "", "Some", "words", "."} {
		unix.Write(fd, []byte(command+"\r\n"))
		switch command {
		case "Message-ID: <m0@x>", "", "Some", "words":
		default:
			n, _ = unix.Read(fd, answer)
		}
	}
	fmt.Println(string(answer[:min(n, 3)]))
	return 0
}

// A message that comes in small pieces is there when all is at rest, not when
// the kernel has acknowledged one piece after the other, in its own time.
func TestMailInPieces(t *testing.T) {
	r := playMail(t, []string{"pieces"}, `
a/pieces start
a/pieces deliver m0 = 250
`)
	if got := said(r); got != "a/pieces: 250" {
		t.Errorf("said %q", got)
	}
}

// What a client has handed over that is there no more is not answered, neither in
// this schedule nor in the next one.
func TestMailOfTheGone(t *testing.T) {
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{{Node: "a", Name: "leave", Path: "/proc/self/exe",
		Args: []string{mailerName, "leave"}, Env: []string{"GOMAXPROCS=1"}, Late: true, Once: true}}})
	for range 5 {
		r, err := w.Play(schedule.Canonical(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Steps) != 1 {
			t.Errorf("want the start alone:\n%s", r.Log())
		}
		if n := len(w.hosts[0].mail.held); n > 0 {
			t.Errorf("the sink holds %d messages when the schedule is over", n)
		}
	}
}

// A connection that did not come about is nobody's: the next one is still taken
// for that of who made it.
func TestFailedConnect(t *testing.T) {
	r := playMail(t, []string{"fail", "send"}, `
a/fail start
a/fail open failed = ok
a/send start
a/send deliver m0 = 250
`)
	want := "a/fail: connect: bad file descriptor, a/fail: connect: transport endpoint is already connected, a/fail: connect: <nil>, a/fail: connect: invalid argument, a/send: sent: <nil>, a/send: noop: <nil>"
	if got := said(r); got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// The sink is waited for also while another thread of its client is asleep.
func TestMailOfThreads(t *testing.T) {
	r := playMail(t, []string{"doze"}, `
a/doze start
a/doze deliver m0 = 250
`)
	if got := said(r); got != "a/doze: sent: <nil>, a/doze: noop: <nil>" {
		t.Errorf("said %q", got)
	}
}

// A mail sink that hangs up says 421, and closes the connection.
func TestHangup(t *testing.T) {
	r := playMail(t, []string{"send"}, `
a/send start
a/send hangup m0 = 421
`)
	if got := said(r); got != `a/send: sent: 421 "4.3.2 shutting down", a/send: noop: EOF` {
		t.Errorf("said %q", got)
	}
	if r.Faults[schedule.Hangup] != 1 {
		t.Errorf("faults: %v", r.Faults)
	}
}

// playMail plays a tape of mailers on one node, each named by what it does.
func playMail(t *testing.T, mailers []string, lines string) *Result {
	t.Helper()
	test := &Test{Name: "mail", Nodes: []string{"a"}, Workload: plain{}}
	for _, m := range mailers {
		test.Programs = append(test.Programs, Program{Node: "a", Name: m, Path: "/proc/self/exe", Args: []string{mailerName, m},
			Env: []string{"GOMAXPROCS=1"}, Late: true, Once: true})
	}
	w, err := NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	tape, err := schedule.Parse("mail.tape", strings.NewReader("screwtape tape 1\ncalls: named\n"+lines))
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Replay(tape, Options{Fresh: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.Log())
	}
	if r.Bounded != "" {
		t.Fatalf("bounded: %s", r.Bounded)
	}
	return r
}

// said is what programs have written.
func said(r *Result) string {
	var lines []string
	for _, l := range r.Logs {
		lines = append(lines, l.Process+": "+l.Text)
	}
	return strings.Join(lines, ", ")
}
