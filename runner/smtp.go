package runner

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

// A refusal is a mail server's reply that it does not do what it was asked.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.code, r.text) }

// permanent says whether asking again is in vain.
func (r *refusal) permanent() bool { return r.code >= 500 }

// A mailServer is one that listens on 127.0.0.1.
type mailServer struct {
	port uint16
	lmtp bool // it speaks LMTP (RFC 2033), which is SMTP but for the greeting where there is one recipient
}

// send gives a message to the mail server, over a connection of its own, with one
// call for each command and one for the message. After nil, the server has taken
// it. A *refusal is the server's no; any other error is that of the connection.
func (m mailServer) send(from string, to []string, text []byte) error {
	conn, err := sys.Dial(m.port, fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	s := dialog{conn: conn}
	if err := s.reply(2); err != nil { // the greeting
		return err
	}
	if err := s.hello(m.lmtp); err != nil {
		return err
	}
	if err := s.ask(2, "MAIL FROM:<"+from+">"); err != nil {
		return err
	}
	for _, addr := range to {
		if err := s.ask(2, "RCPT TO:<"+addr+">"); err != nil {
			return err
		}
	}
	if err := s.ask(3, "DATA"); err != nil {
		return err
	}
	if err := conn.Send(body(text)); err != nil {
		return err
	}
	if err := s.reply(2); err != nil {
		return err
	}
	s.ask(2, "QUIT") // the message is taken, whatever comes of this
	return nil
}

// A dialog is a connection with what has come on it and was not read yet.
type dialog struct {
	conn *sys.Conn
	in   []byte
}

// hello greets by LHLO, or by EHLO, or by HELO a server that does not know that.
func (s *dialog) hello(lmtp bool) error {
	if lmtp {
		return s.ask(2, "LHLO "+queue.Domain)
	}
	err := s.ask(2, "EHLO "+queue.Domain)
	var refused *refusal
	if errors.As(err, &refused) && refused.permanent() {
		return s.ask(2, "HELO "+queue.Domain)
	}
	return err
}

// ask sends a command and reads the reply.
func (s *dialog) ask(class int, command string) error {
	if err := s.conn.Send([]byte(command + "\r\n")); err != nil {
		return err
	}
	return s.reply(class)
}

// reply reads a reply; one that is not of this class (its code's first digit) is
// a *refusal.
func (s *dialog) reply(class int) error {
	for {
		line, err := s.line()
		if err != nil {
			return err
		}
		if len(line) > 3 && line[3] == '-' {
			continue // more lines follow
		}
		code, err := strconv.Atoi(string(line[:min(3, len(line))]))
		if err != nil || code < 100 {
			return fmt.Errorf("mail server says %q", line)
		}
		if code/100 != class {
			return &refusal{code, string(bytes.TrimSpace(line[3:]))}
		}
		return nil
	}
}

var (
	errHungUp  = errors.New("mail server has closed the connection")
	errTooLong = errors.New("mail server's line is too long")
)

// line reads a line, without its end.
func (s *dialog) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(s.in, '\n'); i >= 0 {
			line := bytes.TrimSuffix(s.in[:i], []byte("\r"))
			s.in = s.in[i+1:]
			return line, nil
		}
		if len(s.in) > 64<<10 {
			return nil, errTooLong
		}
		buf := make([]byte, 4096)
		n, err := s.conn.Receive(buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errHungUp
		}
		s.in = append(s.in, buf[:n]...)
	}
}

// body is a message as DATA wants it: lines ending in CRLF, a dot more where one
// begins a line, and a dot alone at the end.
func body(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/32+8)
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if bytes.HasPrefix(line, []byte(".")) {
			out = append(out, '.')
		}
		out = append(out, bytes.TrimSuffix(line, []byte("\r"))...)
		out = append(out, "\r\n"...)
		text = rest
	}
	return append(out, ".\r\n"...)
}
