package runner

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
)

func take(*smtp.Conn) error { return nil }

func hangUp(c *smtp.Conn) error {
	c.Conn().Close()
	return refuse(451)
}

// What became of a message that was handed over is the exit status; why, the last
// line of the log.
func TestSend(t *testing.T) {
	const text = "From: anne@example.org\nTo: bart@example.org\nMessage-ID: <m0@x>\n\n.hidden\n"
	for _, c := range []struct {
		name   string
		lmtp   bool
		answer func(*smtp.Conn) error
		status int
		says   string
	}{
		{"SMTP", false, take, 0, ""},
		{"LMTP", true, take, 0, ""},
		{"refused", false, func(*smtp.Conn) error { return refuse(451) }, exitNotTaken, "the mail server says 451 not now\n"},
		{"LMTP refused", true, func(*smtp.Conn) error { return refuse(550) }, exitNotTaken, "the mail server says 550 <bart@example.org> not now\n"},
		{"hung up", false, hangUp, exitNoAnswer, "no answer from the mail server: mail server has closed the connection\n"},
		{"nobody", false, nil, exitNoAnswer, "connection refused\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"send", "--from", "anne@example.org", "--to", "bart@example.org", "--port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}
			if c.lmtp {
				args = append(args, "--lmtp")
			}
			s := &sink{}
			if c.answer == nil {
				l.Close()
			} else {
				server := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
					s.answer = func(string) error { return c.answer(conn) }
					return &session{s}, nil
				}))
				server.LMTP = c.lmtp
				go server.Serve(l)
				defer server.Close()
			}
			status, _, log := run(t, append(args, text)...)
			if status != c.status || !strings.HasSuffix(log, c.says) || c.says == "" && log != "" {
				t.Errorf("status %d, log %q, want %d and %q", status, log, c.status, c.says)
			}
			var want []string
			if c.status == 0 {
				want = []string{text}
			}
			if diff := cmp.Diff(want, s.texts); diff != "" {
				t.Error(diff)
			}
		})
	}
}
