package runner

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"screwtape/runner/pickle"
	"screwtape/runner/queue"
	"screwtape/runner/sys"
)

func showMain(args []string) int {
	fs := newFlags("show", "show FILE")
	if status, ok := parse(fs, args, 1); !ok {
		return status
	}
	if fs.NArg() == 0 {
		return misused(fs, "say which FILE")
	}
	file := fs.Arg(0)
	f, err := sys.Open(file, 0, 0)
	if err != nil {
		say("runner: " + err.Error())
		return 1
	}
	data, err := f.ReadAll()
	if err == nil {
		var out []byte
		out, err = show(data)
		sys.Stdout.Write(out)
	}
	if err != nil {
		say("runner: " + file + ": " + err.Error())
		return 1
	}
	return 0
}

// show is an entry for people: its metadata, a line each, then the message.
// What it can tell of a damaged entry it tells, beside the error.
func show(data []byte) ([]byte, error) {
	var out bytes.Buffer
	if id, err := queue.MessageID(data); err == nil {
		fmt.Fprintf(&out, "message %q\n", id)
	}
	entry, err := pickle.Decode(data)
	if err != nil {
		return out.Bytes(), err
	}
	for _, key := range slices.Sorted(maps.Keys(entry.Meta)) {
		switch v := entry.Meta[key].(type) {
		case float64:
			fmt.Fprintf(&out, "%s = %s\n", key, pickle.FloatRepr(v))
		default:
			fmt.Fprintf(&out, "%s = %#v\n", key, v)
		}
	}
	out.WriteString("\n")
	out.Write(entry.Text)
	return out.Bytes(), nil
}
