package sys

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"screwtape/harness/direct"
)

// A Conn is a TCP connection. It sends and receives by sendto and recvfrom, as
// Python's sockets do.
type Conn struct {
	fd   int
	addr string
}

// Dial connects to a port of 127.0.0.1. addr names it in errors.
func Dial(port uint16, addr string) (*Conn, error) {
	fd, errno := call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return nil, pathErr("socket", addr, errno)
	}
	sa := syscall.RawSockaddrInet4{Family: syscall.AF_INET, Addr: [4]byte{127, 0, 0, 1}}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], port)
	if Trace != nil {
		Trace("connect")
	}
	_, errno = call(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	if errno != 0 {
		direct.Call(syscall.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0)
		return nil, pathErr("connect", addr, errno)
	}
	return &Conn{fd, addr}, nil
}

func (c *Conn) call(op string, nr uintptr, p []byte, flags uintptr) (int, error) {
	if Trace != nil {
		Trace(op)
	}
	for {
		n, errno := direct.Call(nr, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
		if errno != syscall.EINTR {
			return int(n), pathErr(op, c.addr, errno)
		}
	}
}

// Send sends all of data.
func (c *Conn) Send(data []byte) error {
	for len(data) > 0 {
		n, err := c.call("send", syscall.SYS_SENDTO, data, syscall.MSG_NOSIGNAL)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Receive fills p with what has come, waiting for something to come; it gives 0
// when the other side has ended.
func (c *Conn) Receive(p []byte) (int, error) {
	n, err := c.call("recv", syscall.SYS_RECVFROM, p, 0)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Close ends the connection.
func (c *Conn) Close() { direct.Call(syscall.SYS_CLOSE, uintptr(c.fd), 0, 0, 0, 0, 0) }
