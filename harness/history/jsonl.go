package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSONL writes a history, one JSON object a line.
func WriteJSONL(w io.Writer, ops []Op) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for _, op := range ops {
		if err := enc.Encode(op); err != nil {
			return err
		}
	}
	return b.Flush()
}

// maxLine bounds a line that ReadJSONL takes, in bytes.
const maxLine = 1 << 20

// ReadJSONL reads what WriteJSONL wrote. The name is that of the file, for
// errors, which are one line each: NAME:LINE: what is wrong; what to do.
// Empty lines are skipped, so that a history can be edited by hand.
func ReadJSONL(name string, r io.Reader) ([]Op, error) {
	var ops []Op
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	line := 0
	wrong := func(format string, args ...any) ([]Op, error) {
		return nil, fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...))
	}
	for s.Scan() {
		line++
		text := bytes.TrimSpace(s.Bytes())
		if len(text) == 0 {
			continue
		}
		var op Op
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&op); err != nil {
			return wrong("not an operation (%v); each line is one JSON object with index, step, time, process, type, f and value", err)
		}
		if dec.More() {
			return wrong("more than one operation; begin a new line after each")
		}
		switch op.Type {
		case Invoke, OK, Fail, Info:
		default:
			return wrong("type is %q; use invoke, ok, fail or info", op.Type)
		}
		if op.Index != len(ops) {
			return wrong("index is %d where %d comes next; number the operations from 0 without a gap", op.Index, len(ops))
		}
		if op.F == "" || op.Process == "" {
			return wrong("process or f is empty; say who did what")
		}
		ops = append(ops, op)
	}
	if err := s.Err(); err != nil {
		line++
		return wrong("cannot be read (%v); a line has at most %d bytes", err, maxLine)
	}
	return ops, nil
}
