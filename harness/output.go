package harness

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"screwtape/harness/history"
)

// outputPipe gives a pipe: where a program writes, and where we read.
func outputPipe() (r int, wr *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return 0, nil, fmt.Errorf("pipe for a program's output: %w", err)
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		return 0, nil, err
	}
	return p[0], os.NewFile(uintptr(p[1]), "output"), nil
}

// onOutput takes in what a program has written, line by line.
func (w *World) onOutput(p *Process) error {
	var buf [32 << 10]byte
	n, err := unix.Read(p.output, buf[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if n <= 0 {
		if len(p.partial) > 0 {
			w.say(p, string(p.partial))
			p.partial = nil
		}
		p.closeOutput(w)
		return nil
	}
	p.partial = append(p.partial, buf[:n]...)
	for {
		line, rest, ok := bytes.Cut(p.partial, []byte("\n"))
		if !ok {
			return nil
		}
		w.say(p, string(line))
		p.partial = rest
	}
}

// say notes a line of a program's output.
func (w *World) say(p *Process, text string) {
	p.said = text
	line := history.Line{Process: p.label, Text: text}
	if w.play == nil || !w.play.begun {
		p.greeting = append(p.greeting, line)
		return
	}
	w.play.lines = append(w.play.lines, line)
}

// closeOutput closes both ends of the program's output that we have.
func (p *Process) closeOutput(w *World) {
	if p.unborn != nil {
		p.unborn.Close()
		p.unborn = nil
	}
	if p.output != 0 {
		w.unwatch(p.output)
		unix.Close(p.output)
		p.output, p.partial = 0, nil
	}
}
