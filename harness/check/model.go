package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"screwtape/harness/history"
)

// MessageModel is what one message may do under a promise, as a porcupine
// model of the operations that MessageOperations makes. It is written without
// the table, so that the two can be held against each other.
func MessageModel(p Promise) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return messageState{} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(messageState)
			in := input.(messageInput)
			switch in.f {
			case "enqueue":
				s.enqueued = true
				s.accepted = output.(bool)
			case "deliver":
				again := s.delivered > 0
				excused := s.excuses > 0
				if !s.enqueued || again && !(excused && p == AtLeastOnce) {
					return false, state
				}
				if again {
					s.excuses--
				}
				s.delivered++
				s.pending = s.drop(in.process) + in.process + "\n"
			case "forward":
				s.pending = s.drop(in.process) + in.process + "\n"
			case "remove":
				s.pending = s.drop(in.process)
			case "crash":
				for process := range strings.Lines(s.pending) {
					process = strings.TrimSuffix(process, "\n")
					if process == in.process || strings.HasPrefix(process, in.process) && strings.ContainsAny(process[len(in.process):][:1], "/.#") {
						s.excuses++
						s.pending = s.drop(process)
					}
				}
			case "read":
				return s.mayEnd(p, output.([]string)), s
			}
			return true, s
		},
		DescribeOperation: func(input, output any) string {
			switch in := input.(messageInput); in.f {
			case "crash":
				return "crash of " + in.process
			case "enqueue":
				if !output.(bool) {
					return in.f + ", never answered"
				}
				return in.f
			case "read":
				if places := output.([]string); len(places) > 0 {
					return "in the end it lies in " + strings.Join(places, ", ")
				}
				return "in the end it lies nowhere"
			default:
				return in.f + " by " + in.process
			}
		},
		DescribeState: func(state any) string {
			s := state.(messageState)
			text := fmt.Sprintf("delivered %d times", s.delivered)
			if !s.enqueued {
				text = "not there yet"
			}
			if s.excuses > 0 {
				text += fmt.Sprintf("; crashes excuse %d more", s.excuses)
			}
			return text
		},
	}
}

// An Object is what one message, lock or list went through, for porcupine.
type Object struct {
	Name       string                // the message's id, the lock's path, or the key of the list
	Operations []porcupine.Operation // ClientId is an index into Clients
}

// Clients are the processes of a history, in the order in which they first come
// in it. The ClientId of a porcupine.Operation is an index into them, or past
// them where nobody of the history acts.
func Clients(ops []history.Op) []string {
	var list []string
	seen := map[string]bool{}
	for _, op := range ops {
		if !seen[op.Process] {
			seen[op.Process] = true
			list = append(list, op.Process)
		}
	}
	return list
}

type messageInput struct{ f, process string }

type messageState struct {
	enqueued, accepted bool
	delivered          int
	excuses            int    // crashes that excuse one further delivery each
	pending            string // processes that delivered or forwarded it and have not removed it, a line each
}

func (s messageState) drop(process string) string {
	return strings.Replace(s.pending, process+"\n", "", 1)
}

// mayEnd reports whether the promise is kept when the message's copies lie in
// these places at the end.
func (s messageState) mayEnd(p Promise, places []string) bool {
	waits := slices.Contains(places, Pck)
	switch p {
	case AtLeastOnce:
		return !s.accepted || s.delivered > 0 || waits
	case ExactlyOnce:
		for _, place := range places {
			switch place {
			case Pck, Nowhere:
			case Psv:
				if s.delivered > 0 {
					return false
				}
			default:
				if s.accepted || s.delivered > 0 {
					return false
				}
			}
		}
		return !s.accepted || s.delivered > 0 || waits
	}
	return true
}

// MessageOperations picks from a history what concerns one message, for
// MessageModel. A delivery, a forwarding, a removal and a crash are points in time; an
// enqueue lasts from its invocation to its completion, and one that never
// completes returns at infinity. Where the message lies at the end is a read
// after all else. Times are twice the place in the history.
func MessageOperations(ops []history.Op, id string, places []string) []porcupine.Operation {
	var operations []porcupine.Operation
	clients := Clients(ops)
	client := func(op history.Op) int { return slices.Index(clients, op.Process) }
	begun, asker := int64(-1), 0
	enqueue := func(returned int64, accepted bool) {
		if begun >= 0 {
			operations = append(operations, porcupine.Operation{ClientId: asker, Input: messageInput{f: "enqueue"}, Output: accepted, Call: begun, Return: returned})
		}
		begun = -1
	}
	end := int64(2 * len(ops))
	for i, op := range ops {
		now := int64(2 * i)
		switch {
		case op.F == "crash":
			operations = append(operations, porcupine.Operation{ClientId: client(op), Input: messageInput{"crash", op.Value}, Call: now, Return: now + 1})
		case op.Value != id:
		case op.F == "enqueue" && op.Type == history.Invoke:
			begun, asker = now, client(op)
		case op.F == "enqueue" && op.Type == history.OK:
			enqueue(now+1, true)
		case op.F == "enqueue" && op.Type == history.Fail:
			begun = -1
		case (op.F == "deliver" || op.F == "forward" || op.F == "remove") && op.Type == history.OK:
			operations = append(operations, porcupine.Operation{ClientId: client(op), Input: messageInput{op.F, op.Process}, Call: now, Return: now + 1})
		}
	}
	enqueue(end+2, false)
	return append(operations, porcupine.Operation{ClientId: len(clients), Input: messageInput{f: "read"}, Output: places, Call: end, Return: end + 1})
}
