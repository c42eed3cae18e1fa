package harness

import (
	"io"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/emersion/go-smtp"
	"golang.org/x/sys/unix"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// A sink is a node's mail server. It takes a message in by a real SMTP
// dialogue and then waits: whether and when it answers is a decision.
type sink struct {
	node   string
	server *smtp.Server
	wake   int // an eventfd, written when something below has changed

	mu      sync.Mutex
	held    []*mailing // handed over and not answered, in order of arrival
	callers []string   // whose connections are to be accepted yet, in order
	open    map[*owned]bool
}

// A mailing is one message on its way.
type mailing struct {
	id     string // its Message-ID, up to the "@"
	from   string // the process that sends it
	conn   *owned
	answer chan *smtp.SMTPError
}

// refusals are the answers by which the sink does not take a message, by the
// decision (RFC 5321, 4.2.3: 421 closes the transmission channel).
var refusals = map[string]*smtp.SMTPError{
	schedule.Defer:  {Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again later"},
	schedule.Hangup: {Code: closing, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "shutting down"},
}

// closing is the code of the reply after which the sink closes the connection.
const closing = 421

// newSink serves a node's mail port until the listener is closed.
func newSink(node string, l net.Listener, wake int) *sink {
	s := &sink{node: node, wake: wake, open: map[*owned]bool{}}
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{sink: s, conn: c.Conn().(*owned)}, nil
	}))
	s.server.Domain = node + ".screwtape.example"
	s.server.MaxMessageBytes = 64 << 20
	s.server.ErrorLog = quiet{}
	go s.server.Serve(&counted{l, s})
	return s
}

// quiet drops what go-smtp says of clients that were killed.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (s *sink) poke() {
	var one = [8]byte{1}
	unix.Write(s.wake, one[:])
}

// connect makes a connection in the place of a thread that is about to, so that
// the sink knows whose it is, and that there is none where it fails. (A
// connection itself says nothing of who made it.)
func (s *sink) connect(t *Thread, h *node.Held) error {
	fd, err := node.CloneFile(t.proc.pid, int(int32(h.Args[0])))
	if err != nil {
		h.Return(0, unix.EBADF)
		return nil
	}
	defer unix.Close(fd)
	// Else a client that sends a message in small pieces waits for the kernel to
	// acknowledge the one before, which takes 40 ms of real time: it would look as
	// if all were at rest.
	if unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) != nil {
		h.Continue() // it is not TCP
		return nil
	}
	s.expect(t.proc.label)
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: MailPort})
	errno, _ := err.(unix.Errno)
	if errno != 0 && errno != unix.EINPROGRESS {
		s.unexpect(t.proc.label)
	}
	h.Return(0, errno)
	return nil
}

// expect announces a connection of process.
func (s *sink) expect(process string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callers = append(s.callers, process)
}

// unexpect takes the last such announcement back: nothing came of it.
func (s *sink) unexpect(process string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range slices.Backward(s.callers) {
		if c == process {
			s.callers = slices.Delete(s.callers, i, i+1)
			return
		}
	}
}

// holding is the message of process that waits for its answer, or nil.
func (s *sink) holding(process string) *mailing {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.held {
		if m.from == process {
			return m
		}
	}
	return nil
}

// talking reports whether the sink is at something, so that it will go on by
// itself: it is about to take a connection, or has one and neither waits for what
// its client says next, nor for the decision on a message. That its client has
// ended makes no difference: what it has sent is yet to be read.
func (s *sink) talking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if c.state == busy || c.state == listening && c.readable() {
			return true
		}
	}
	return len(s.callers) > 0
}

// answer ends the wait of the message: accepted, or refused with an error.
func (s *sink) answer(m *mailing, refusal *smtp.SMTPError) {
	s.drop(m)
	m.answer <- refusal
}

// drop forgets the message: its client is gone, or it has been answered.
func (s *sink) drop(m *mailing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = slices.DeleteFunc(s.held, func(h *mailing) bool { return h == m })
	m.conn.state = busy
}

// abandon refuses what clients have handed over that are there no more, and
// reports whether there was any.
func (s *sink) abandon(lives func(process string) bool) bool {
	s.mu.Lock()
	gone := slices.DeleteFunc(slices.Clone(s.held), func(m *mailing) bool { return lives(m.from) })
	s.mu.Unlock()
	for _, m := range gone {
		s.answer(m, &smtp.SMTPError{Code: closing, Message: "the client is gone"})
	}
	return len(gone) > 0
}

type session struct {
	sink *sink
	conn *owned
}

func (*session) Reset()                               {}
func (*session) Logout() error                        { return nil }
func (*session) Mail(string, *smtp.MailOptions) error { return nil }
func (*session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Data(r io.Reader) error {
	m := &mailing{from: s.conn.owner, conn: s.conn, answer: make(chan *smtp.SMTPError, 1)}
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return &smtp.SMTPError{Code: 554, Message: "not a message: " + err.Error()}
	}
	m.id = mailID(msg)
	if _, err := io.Copy(io.Discard, msg.Body); err != nil {
		return err // the client died while it sent: not accepted
	}
	s.sink.mu.Lock()
	s.sink.held = append(s.sink.held, m)
	s.conn.state = asking
	s.sink.mu.Unlock()
	s.sink.poke()
	refusal := <-m.answer
	if refusal == nil {
		return nil
	}
	s.conn.last = refusal.Code == closing
	return refusal
}

// mailID is a message's Message-ID, up to the "@".
func mailID(m *mail.Message) string {
	id, _, _ := strings.Cut(strings.Trim(m.Header.Get("Message-Id"), "<> "), "@")
	return id
}

// counted keeps account of the connections that a sink has.
type counted struct {
	net.Listener
	sink *sink
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := l.sink
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &owned{TCPConn: c.(*net.TCPConn), sink: s}
	if o.raw, err = o.SyscallConn(); err != nil {
		return nil, err
	}
	if len(s.callers) > 0 {
		o.owner, s.callers = s.callers[0], s.callers[1:]
	}
	s.open[o] = true
	return o, nil
}

// owned is a connection of a known process.
type owned struct {
	*net.TCPConn
	raw   syscall.RawConn
	sink  *sink
	owner string
	last  bool      // what is written next is the last
	state connState // guarded by the sink's lock
}

// A connState is what the sink does on a connection.
type connState int

const (
	busy      connState = iota // it is about to say something
	listening                  // it reads what the client says next
	asking                     // whether it takes the message is to be decided
)

func (c *owned) enter(s connState) {
	c.sink.mu.Lock()
	c.state = s
	c.sink.mu.Unlock()
}

// Read is busy again before it takes what has come: at no moment is the
// connection found listening with nothing to read while there is something.
func (c *owned) Read(b []byte) (n int, err error) {
	c.enter(listening)
	c.sink.poke()
	failed := c.raw.Read(func(fd uintptr) bool {
		if !readable(int(fd)) {
			return false
		}
		c.enter(busy)
		n, err = unix.Read(int(fd), b)
		return true
	})
	c.enter(busy)
	switch {
	case failed != nil:
		return 0, failed
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// readable reports whether a listening connection has something to read, if only
// its end.
func (c *owned) readable() (yes bool) {
	c.raw.Control(func(fd uintptr) { yes = readable(int(fd)) })
	return yes
}

func readable(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return n > 0 && err == nil
}

// Write sends a reply. After the last one the connection is closed in this
// direction alone: were it in both, what the client sends now would decide
// between an end and a reset, by who is faster.
func (c *owned) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	if c.last {
		c.CloseWrite()
		c.ended()
	}
	return n, err
}

// ended notes that nothing more will come of the connection.
func (c *owned) ended() {
	c.sink.mu.Lock()
	delete(c.sink.open, c)
	c.sink.mu.Unlock()
	c.sink.poke()
}

// Close ends the connection. Until that is done, its owner may yet hear of it.
func (c *owned) Close() error {
	err := c.TCPConn.Close()
	c.ended()
	return err
}
