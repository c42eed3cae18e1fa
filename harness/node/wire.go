package node

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"
)

// A wire is one end of a node's control socket, a SOCK_SEQPACKET one: each
// message is JSON, with descriptors.
type wire struct {
	fd  int
	buf []byte // what is received, as long as a message may be
}

func newWire(fd int) *wire { return &wire{fd, make([]byte, 256<<10)} }

// send writes one message with descriptors.
func (w *wire) send(message any, files ...int) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	return unix.Sendmsg(w.fd, b, rights, nil, unix.MSG_NOSIGNAL)
}

// receive reads one message and the descriptors that came with it.
func (w *wire) receive(message any) ([]int, error) {
	oob := make([]byte, unix.CmsgSpace(4*16))
	for {
		n, oobn, _, _, err := unix.Recvmsg(w.fd, w.buf, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return nil, fmt.Errorf("the other end is gone")
		}
		files, err := rightsOf(oob[:oobn])
		if err != nil {
			return nil, err
		}
		return files, json.Unmarshal(w.buf[:n], message)
	}
}

func rightsOf(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []int
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		files = append(files, fds...)
	}
	return files, nil
}
