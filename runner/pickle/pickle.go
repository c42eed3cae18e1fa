// Package pickle writes and reads queue entries: two Python pickles back to
// back, the message and its metadata, as Mailman writes them and reads them.
//
// Entries are written in the form that Mailman calls _plaintext: the message is
// a pickle of its text, protocol 0, rather than one of a parsed message, which
// only Mailman's own classes could read; the metadata says so by _parsemsg.
package pickle

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	ogorek "github.com/kisielk/og-rek"
)

// Metadata is an entry's metadata. The values are Go's bool, int64, float64,
// string, []any of them, and [Strings] for a set.
type Metadata map[string]any

// Strings is a Python set of strings, written in its order.
type Strings []string

// ErrTruncated is what an entry has that ends too early.
var ErrTruncated = errors.New("entry is truncated")

// Encode gives the two pickles, with unicode as Python 3's str or else as
// Python 2's.
func Encode(text []byte, unicode bool, meta Metadata) (message, metadata []byte, err error) {
	message = encodeText(text, unicode)
	metadata, err = EncodeMetadata(meta)
	return message, metadata, err
}

// EncodeMetadata gives the metadata's pickle, keys in order.
func EncodeMetadata(meta Metadata) ([]byte, error) {
	// The encoder writes maps in Go's order, a new one each time, so that
	// the dictionary is put together here.
	out := []byte("(d")
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		for _, v := range []any{key, meta[key]} {
			p, err := encodeValue(v)
			if err != nil {
				return nil, fmt.Errorf("metadata %s: %w", key, err)
			}
			out = append(out, p...)
		}
		out = append(out, 's')
	}
	return append(out, '.'), nil
}

// encodeValue gives what puts one value on the unpickler's stack.
func encodeValue(v any) ([]byte, error) {
	switch x := v.(type) {
	case float64:
		// Python's own form, so that the value is read as written.
		return fmt.Appendf(nil, "F%s\n", FloatRepr(x)), nil
	case Strings:
		items := make([]any, len(x))
		for i, s := range x {
			items[i] = s
		}
		v = ogorek.Call{
			Callable: ogorek.Class{Module: "__builtin__", Name: "set"},
			Args:     ogorek.Tuple{items},
		}
	}
	var buf bytes.Buffer
	enc := ogorek.NewEncoderWithConfig(&buf, &ogorek.EncoderConfig{Protocol: 0})
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte(".")), nil
}

// An Entry is what one file of a queue holds.
type Entry struct {
	// Text is the message, headers and body, lines ending in \n.
	Text []byte
	Meta Metadata
	// MetaAt is where in the file the metadata's pickle begins.
	MetaAt int
}

// Decode reads an entry. It fails with [ErrTruncated] when the entry ends too
// early, and with another error for what is no entry of text: one that holds a
// parsed message, an object of Mailman's, is none. Sets in Python's protocol 4
// and above, which only such entries have, are not read.
func Decode(data []byte) (e Entry, err error) {
	// The unpickler is given damaged files; should it panic on one, that is
	// this file's error and nobody else's.
	defer func() {
		if p := recover(); p != nil {
			e, err = Entry{}, fmt.Errorf("pickle: %v", p)
		}
	}()
	text, n, err := decodeText(data)
	if err != nil {
		return Entry{}, err
	}
	meta, _, err := decodeMetadata(data[n:])
	if err != nil {
		return Entry{}, err
	}
	return Entry{Text: text, Meta: meta, MetaAt: n}, nil
}

// DecodeMetadata reads the dictionary at the begin of data, as EncodeMetadata
// writes it, and says where it ends. It fails as Decode does.
func DecodeMetadata(data []byte) (meta Metadata, n int, err error) {
	defer func() { // as in Decode
		if p := recover(); p != nil {
			meta, n, err = nil, 0, fmt.Errorf("pickle: %v", p)
		}
	}()
	return decodeMetadata(data)
}

func decodeMetadata(data []byte) (Metadata, int, error) {
	v, n, err := decodeValue(data)
	if err != nil {
		return nil, 0, err
	}
	dict, ok := v.(map[any]any)
	if !ok {
		return nil, 0, fmt.Errorf("metadata is a %T, not a dictionary", v)
	}
	meta := Metadata{}
	for k, v := range dict {
		key, ok := k.(string)
		if !ok {
			return nil, 0, fmt.Errorf("metadata has the key %v, which is no string", k)
		}
		meta[key] = fromPython(v)
	}
	return meta, n, nil
}

// decodeText reads the message's pickle, and says where it ends.
func decodeText(data []byte) ([]byte, int, error) {
	if len(data) > 0 && data[0] == 'V' {
		return decodeUnicodeText(data)
	}
	v, n, err := decodeValue(data)
	if err != nil {
		return nil, 0, err
	}
	switch s := v.(type) {
	case string:
		return []byte(s), n, nil
	case ogorek.Bytes:
		return []byte(s), n, nil
	}
	return nil, 0, fmt.Errorf("message is a %T, not a text", v)
}

// decodeValue reads the pickle at the begin of data, and says where it ends.
func decodeValue(data []byte) (any, int, error) {
	rest := bytes.NewReader(data)
	// The decoder buffers what it reads, unless it is given a buffer: then
	// what that has not given out is what comes after the pickle.
	buf := bufio.NewReader(rest)
	v, err := ogorek.NewDecoder(buf).Decode()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = ErrTruncated
	}
	return v, len(data) - rest.Len() - buf.Buffered(), err
}

// fromPython makes of a decoded value one of those that Metadata holds, as far
// as there is one.
func fromPython(v any) any {
	call, ok := v.(ogorek.Call)
	if !ok || call.Callable.Name != "set" || len(call.Args) != 1 {
		return v
	}
	items, ok := call.Args[0].([]any)
	if !ok {
		return v
	}
	set := Strings{}
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			return v
		}
		set = append(set, s)
	}
	return set
}

// FloatRepr is Python's repr of a float: the fewest digits that give the float
// again, with an exponent below 1e-4 and from 1e16 on.
func FloatRepr(f float64) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, ok := strings.Cut(s, "e")
	if !ok { // NaN and infinities
		return map[string]string{"NaN": "nan", "+Inf": "inf", "-Inf": "-inf"}[s]
	}
	exp, _ := strconv.Atoi(exponent)
	if exp < -4 || exp >= 16 {
		return mantissa + "e" + exponent
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if _, _, ok := strings.Cut(s, "."); !ok {
		s += ".0"
	}
	return s
}
