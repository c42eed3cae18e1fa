package history

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteEDN writes a history as Jepsen's history.edn: one map a line, with the
// keys of jepsen.history/op.
//
// Jepsen tells a client from the nemesis by its process being an integer, and
// a process does one thing at a time: one whose operation stays open never
// acts again. So each process gets a number when it is first seen, and a fresh
// one when it begins something anew while an operation of its is still open.
// Its own name stays in :node. "nemesis" becomes :nemesis.
func WriteEDN(w io.Writer, ops []Op) error {
	b := bufio.NewWriter(w)
	numbers := map[string]int{}
	open := map[string]bool{}
	next := 0
	for _, op := range ops {
		process := ":nemesis"
		if op.Process != "nemesis" {
			_, seen := numbers[op.Process]
			if !seen || op.Type == Invoke && open[op.Process] {
				numbers[op.Process] = next
				next++
			}
			// An Info that completes an operation leaves it open: unknown.
			open[op.Process] = op.Type == Invoke || op.Type == Info && open[op.Process]
			process = fmt.Sprint(numbers[op.Process])
		}
		fmt.Fprintf(b, "{:index %d, :time %d, :type :%s, :process %s, :f %s, :value %s, :node %s, :step %d",
			op.Index, op.Time.Nanoseconds(), op.Type, process, keyword(op.F), ednString(op.Value), ednString(op.Process), op.Step)
		if op.Error != "" {
			fmt.Fprintf(b, ", :error %s", ednString(op.Error))
		}
		fmt.Fprintln(b, "}")
	}
	return b.Flush()
}

// keyword returns the name as an EDN keyword, or as a string where a keyword
// cannot hold it.
func keyword(name string) string {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return ednString(name)
		}
	}
	if name == "" {
		return ednString(name)
	}
	return ":" + name
}

// ednString quotes a string for EDN. Bytes that are no UTF-8 become U+FFFD, as
// they do in JSON.
func ednString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(string(validRune(r)))
		}
	}
	b.WriteByte('"')
	return b.String()
}

func validRune(r rune) rune {
	if utf8.ValidRune(r) {
		return r
	}
	return utf8.RuneError
}
