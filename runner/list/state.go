package list

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	ogorek "github.com/kisielk/og-rek"

	"screwtape/runner/pickle"
)

// A State is what a list's state file holds: a pickled dictionary, of which
// members are sorted addresses, and each other key an attribute of the list.
type State pickle.Metadata

// NewState is the state of a list that has just been made.
func NewState(name string, members ...string) State {
	s := State{"internal_name": name, NextRequest: int64(1)}
	s.setMembers(members)
	return s
}

// Members are the list's members, sorted.
func (s State) Members() []string {
	var list []string
	items, _ := s[keyMembers].([]any)
	for _, item := range items {
		if m, ok := item.(string); ok {
			list = append(list, m)
		}
	}
	return list
}

// CountPost counts a message that was sent to the list.
func (s State) CountPost() {
	n, _ := s[Posts].(int64)
	s[Posts] = n + 1
}

// CountBounce counts that a message to the list came back from an address. (The
// originals make a score of it, which rises once a day at most: the Mailman List
// Administration Manual, "The Bounce Processing Category". What is counted here is
// each event.)
func (s State) CountBounce(address string) {
	n, _ := s[Bounces(address)].(int64)
	s[Bounces(address)] = n + 1
}

// Bounces is the key of the number of bounces from an address.
func Bounces(address string) string { return "bounces/" + address }

// Keys of a state that programs change by themselves.
const (
	keyMembers  = "members"
	Posts       = "post_id"         // the number of messages that were sent to the list
	NextRequest = "next_request_id" // the number that the next request will have
)

func (s State) setMembers(members []string) {
	slices.Sort(members)
	items := []any{}
	for _, m := range members {
		items = append(items, m)
	}
	s[keyMembers] = items
}

// Attribute is the value of a key as text, "" if there is none.
func (s State) Attribute(key string) string {
	if v, ok := s[key]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// Words tell what the state has, a word for each member, member:NAME, and then for
// each attribute, attribute:KEY:VALUE.
func (s State) Words() []string {
	var words []string
	for _, m := range s.Members() {
		words = append(words, "member:"+m)
	}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if key != keyMembers {
			words = append(words, "attribute:"+key+":"+s.Attribute(key))
		}
	}
	return words
}

// RequestWords tell which requests there are, each in a word request:ID:MESSAGE.
func RequestWords(requests map[string]string) []string {
	var words []string
	for _, id := range slices.Sorted(maps.Keys(requests)) {
		words = append(words, requestWord(id, requests[id]))
	}
	return words
}

func requestWord(id, message string) string { return "request:" + id + ":" + message }

// Encode gives the pickle.
func (s State) Encode() ([]byte, error) { return pickle.EncodeMetadata(pickle.Metadata(s)) }

// errDamaged is what a file that holds no state is.
var errDamaged = errors.New("bad pickle data")

// DecodeRequests reads request.pck: messages by their numbers. Errors are those of
// Decode.
func DecodeRequests(data []byte) (map[string]string, error) {
	state, err := Decode(data)
	requests := map[string]string{}
	for id := range state {
		requests[id] = state.Attribute(id)
	}
	return requests, err
}

// Decode reads a pickle. One that is cut off is pickle.ErrTruncated.
func Decode(data []byte) (s State, err error) {
	defer func() { // the unpickler is given damaged files
		if recover() != nil {
			s, err = nil, errDamaged
		}
	}()
	v, err := ogorek.NewDecoder(bufio.NewReader(bytes.NewReader(data))).Decode()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, pickle.ErrTruncated
	}
	dict, ok := v.(map[any]any)
	if err != nil || !ok {
		return nil, errDamaged
	}
	s = State{}
	for k, v := range dict {
		key, ok := k.(string)
		if !ok {
			return nil, errDamaged
		}
		s[key] = v
	}
	return s, nil
}
