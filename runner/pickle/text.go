package pickle

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// encodeText gives the protocol 0 pickle of a text.
func encodeText(text []byte, unicode bool) []byte {
	if unicode {
		return encodeUnicodeText(text)
	}
	// Python 2's str: its repr, as one line. Every byte that is not plain
	// is escaped, so that no newline is left in it.
	out := append(make([]byte, 0, len(text)+len(text)/8+8), "S'"...)
	for _, c := range text {
		switch {
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\'' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ' || c >= 0x7f:
			out = append(out, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, "'\n."...)
}

// encodeUnicodeText gives the pickle of a Python 3 str. A byte that is not ASCII
// stands in it as the surrogate U+DC80 to U+DCFF, which is how Python's email
// package holds 8-bit bytes in a str.
func encodeUnicodeText(text []byte) []byte {
	out := append(make([]byte, 0, len(text)+len(text)/8+8), 'V')
	for _, c := range text {
		switch {
		case c >= 0x80:
			out = append(out, '\\', 'u', 'd', 'c', hexDigits[c>>4], hexDigits[c&15])
		case c == '\\' || c < ' ' && c != '\t' || c == 0x7f:
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, "\n."...)
}

// decodeUnicodeText reads what encodeUnicodeText or Python writes: a line in
// raw-unicode-escape, a memo mark or none, and the stop. The unpickler does not
// do here, as surrogates have no place in Go's strings.
func decodeUnicodeText(data []byte) ([]byte, int, error) {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return nil, 0, ErrTruncated
	}
	n := end + 1
	if n < len(data) && data[n] == 'p' { // memo: p0\n
		m := bytes.IndexByte(data[n:], '\n')
		if m < 0 {
			return nil, 0, ErrTruncated
		}
		n += m + 1
	}
	if n >= len(data) {
		return nil, 0, ErrTruncated
	}
	if data[n] != '.' {
		return nil, 0, fmt.Errorf("message is more than a text: opcode %q follows it", data[n])
	}
	text, err := unescapeUnicode(data[1:end])
	return text, n + 1, err
}

// unescapeUnicode turns raw-unicode-escape into the bytes that were meant:
// surrogate escapes to their byte, other characters to UTF-8.
func unescapeUnicode(line []byte) ([]byte, error) {
	text := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		c := line[i]
		width := 0
		if c == '\\' && i+1 < len(line) {
			switch line[i+1] {
			case 'u':
				width = 4
			case 'U':
				width = 8
			}
		}
		if width == 0 {
			text = utf8.AppendRune(text, rune(c)) // Latin-1, or an escape of nothing
			continue
		}
		if i+2+width > len(line) {
			return nil, fmt.Errorf("message has a cut-off escape %q", line[i:])
		}
		r, err := strconv.ParseUint(string(line[i+2:i+2+width]), 16, 32)
		if err != nil || r > utf8.MaxRune {
			return nil, fmt.Errorf("message has a bad escape %q", line[i:i+2+width])
		}
		if r >= 0xdc80 && r <= 0xdcff {
			text = append(text, byte(r))
		} else {
			text = utf8.AppendRune(text, rune(r))
		}
		i += 1 + width
	}
	return text, nil
}
