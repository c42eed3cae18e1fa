package queue

import (
	"bytes"
	"errors"
	"strings"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/samples"
)

// Domain is the domain of all addresses and message ids.
const Domain = "screwtape.example"

// NewMessage is the sample of this name as a message of this id, with the
// metadata with which it comes into the queue out: for the list, to one member.
func NewMessage(sample, id string, p profile.Profile) (text []byte, meta pickle.Metadata, err error) {
	body, err := samples.Get(sample)
	if err != nil {
		return nil, nil, err
	}
	text = append([]byte("Message-ID: <"+id+"@"+Domain+">\n"), body...)
	meta = pickle.Metadata{
		p.ListKey:   p.List,
		"listname":  "test",
		p.RecipsKey: Recipients(p, Member),
	}
	return text, meta, nil
}

// Member is who is on the list.
const Member = "anna"

// Recipients are these members as the metadata has them.
func Recipients(p profile.Profile, members ...string) any {
	set, list := pickle.Strings{}, []any{}
	for _, m := range members {
		set, list = append(set, m+"@"+Domain), append(list, m+"@"+Domain)
	}
	if p.RecipsAreSet {
		return set
	}
	return list
}

// Entry is the file that the enqueue of a sample at this time (in seconds since
// 1970) makes: its name, with .pck, and its bytes. It is a function of its
// arguments alone. It fails for a sample that does not exist.
func Entry(now float64, sample, id string, p profile.Profile) (name string, data []byte, err error) {
	text, meta, err := NewMessage(sample, id, p)
	if err != nil {
		return "", nil, err
	}
	base, data, err := encode(p, now, text, meta)
	return base + ".pck", data, err
}

// ErrNoID is that no message id was found.
var ErrNoID = errors.New("no Message-ID")

// MessageID is the id of the message in an entry, or in a message as text,
// without the angle brackets and without "@" and [Domain]. It looks for the
// header in the bytes as they are, which also finds it in an entry that is cut
// off behind it, and in one that Mailman has pickled as an object of its own.
func MessageID(data []byte) (string, error) {
	const header = "message-id"
	for rest := data; ; {
		i := indexFold(rest, header)
		if i < 0 {
			return "", ErrNoID
		}
		rest = rest[i+len(header):]
		// Between the header's name and its value stand ": " in a text,
		// and a few opcodes in a pickled object.
		start := bytes.IndexByte(rest[:min(len(rest), 64)], '<')
		if start < 0 {
			continue
		}
		end := bytes.IndexAny(rest[start+1:min(len(rest), start+1000)], "> \n")
		if end <= 0 || rest[start+1+end] != '>' {
			continue
		}
		id := string(rest[start+1 : start+1+end])
		return strings.TrimSuffix(id, "@"+Domain), nil
	}
}

// indexFold is where word, in lower-case ASCII, first stands in data, in
// whatever case; -1 where it does not.
func indexFold(data []byte, word string) int {
	first := string([]byte{word[0], word[0] - 'a' + 'A'})
	for from := 0; ; from++ {
		i := bytes.IndexAny(data[from:], first)
		if i < 0 || from+i+len(word) > len(data) {
			return -1
		}
		from += i
		if strings.EqualFold(string(data[from:from+len(word)]), word) {
			return from
		}
	}
}
