package harness

import (
	"bytes"
	"fmt"
	"net/mail"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// Where programs of one node talk to each other by TCP, on a port that the test
// names, each send is held at its entry, by whichever side, so that a crash can
// come between any two steps of their dialogue. What is received is no decision:
// it is there as soon as it was sent, since the kernel carries it over loopback
// within the call that sends.

// said is what tapes call a send. It is ordinary on any other connection than those
// of the test's ports.
func (w *World) said(t *Thread, h *node.Held) (names []string, ordinary bool) {
	if len(w.test.Ports) == 0 || !w.onPort(t, int(int32(h.Args[0]))) {
		return nil, true
	}
	return []string{word(sent(t.tid, h))}, false
}

// onPort reports whether one end of the thread's connection is on a port of the
// test. What is sent there goes at once, however small it is (tcp(7), TCP_NODELAY):
// the kernel would wait for up to 40 ms of real time, and all look as if at rest.
func (w *World) onPort(t *Thread, fd int) bool {
	ours, err := node.CloneFile(t.proc.pid, fd)
	if err != nil {
		return false
	}
	defer unix.Close(ours)
	at, _ := unix.Getsockname(ours)
	to, err := unix.Getpeername(ours)
	if err != nil || !slices.Contains(w.test.Ports, port(at)) && !slices.Contains(w.test.Ports, port(to)) {
		return false
	}
	return unix.SetsockoptInt(ours, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) == nil // else it is not TCP
}

// port is that of an address of the internet, or 0.
func port(a unix.Sockaddr) int {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}

// sent is what a call sends, up to a limit.
func sent(tid int, h *node.Held) []byte {
	const limit = 1 << 20
	parts := []uint64{h.Args[1], h.Args[2]} // addresses and lengths
	switch h.Nr {
	case unix.SYS_SENDMSG: // struct msghdr, with msg_iov and msg_iovlen
		if header, err := node.ReadWords(tid, h.Args[1]+16, 2); err == nil {
			parts, _ = node.ReadWords(tid, header[0], 2*int(min(header[1], unix.PathMax)))
		}
	case unix.SYS_WRITEV:
		parts, _ = node.ReadWords(tid, h.Args[1], 2*int(min(h.Args[2], unix.PathMax)))
	}
	var all []byte
	for ; len(parts) > 1; parts = parts[2:] {
		b, err := node.ReadBytes(tid, parts[0], int(min(parts[1], uint64(limit-len(all)))))
		if err != nil {
			break // a bad pointer: the kernel will refuse it
		}
		all = append(all, b...)
	}
	return all
}

// word is what stands for what is said: of a message its id, of anything else the
// first word, such as EHLO or, of a reply, 250.
func word(said []byte) string {
	if bytes.HasSuffix(said, []byte("\r\n.\r\n")) {
		if m, err := mail.ReadMessage(bytes.NewReader(said)); err == nil && m.Header.Get("Message-Id") != "" {
			return mailID(m)
		}
	}
	line, _, _ := bytes.Cut(said, []byte("\r\n"))
	first, _, _ := strings.Cut(string(line), " ")
	first, _, _ = strings.Cut(first, "-") // a reply of which more lines follow
	return first
}

// served reports whether somebody listens where the program is a client, if it is one.
func (w *World) served(p *Process) bool {
	return p.program.Port == 0 || len(sockets(p.host.AgentPID(), tcpListen, p.program.Port)) > 0
}

// unserved reports whether an option is the start of a client that is not served.
func (w *World) unserved(o schedule.Option) bool {
	if o.Verb != schedule.Start {
		return false
	}
	p := w.actor(o.Process)
	return p != nil && !w.served(p)
}

// listens reports whether the process waits for clients on a port of the test.
func (w *World) listens(p *Process) bool { return w.serves(p, tcpListen) }

// norListens says that of a program, where some should.
func (w *World) norListens() string {
	if len(w.test.Ports) == 0 {
		return ""
	}
	return fmt.Sprintf(", nor listens on port %s", strings.Trim(fmt.Sprint(w.test.Ports), "[]"))
}

// awaitsClient reports whether the thread waits, up to a time-out, for what may be
// the next thing that a client says. That does not come early, whatever time it is:
// what clients do takes none, and a server gives them minutes (RFC 5321, 4.5.3.2).
func (w *World) awaitsClient(t *Thread) bool {
	return t.wait != nil && len(t.wait.files) > 0 && w.serves(t.proc, tcpEstablished)
}

// serves reports whether the process has a socket in this state on a port of the test.
func (w *World) serves(p *Process, state string) bool {
	if len(w.test.Ports) == 0 {
		return false
	}
	names := sockets(p.pid, state, w.test.Ports...)
	if len(names) == 0 {
		return false
	}
	dir := "/proc/" + strconv.Itoa(p.pid) + "/fd/"
	files, _ := os.ReadDir(dir)
	return slices.ContainsFunc(files, func(f os.DirEntry) bool {
		name, err := os.Readlink(dir + f.Name())
		return err == nil && slices.Contains(names, name)
	})
}

// States of TCP sockets, by their numbers in the kernel (proc_pid_net(5)).
const (
	tcpEstablished = "01"
	tcpListen      = "0A"
)

// sockets are what descriptors of the TCP sockets are called that are in this state,
// on these ports, on the node of the process.
func sockets(pid int, state string, ports ...int) []string {
	var names []string
	for _, table := range []string{"tcp", "tcp6"} {
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/" + table)
		for line := range strings.Lines(string(data)) {
			const localAddress, st, inode = 1, 3, 9
			f := strings.Fields(line)
			if len(f) <= inode || f[st] != state {
				continue
			}
			_, number, _ := strings.Cut(f[localAddress], ":")
			if at, err := strconv.ParseUint(number, 16, 16); err == nil && slices.Contains(ports, int(at)) {
				names = append(names, "socket:["+f[inode]+"]")
			}
		}
	}
	return names
}
