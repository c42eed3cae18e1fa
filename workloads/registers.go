package workloads

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

// This file judges histories of registers: of one key of a list's state, which
// operations write and reads read.

// A regOp is one operation on a register.
type regOp struct {
	who       string // for people: what was done by whom
	write     bool
	value     string // written, or read
	call, ret int    // moments; no two are the same
}

// forever is when an operation returns that may never have come about.
const forever = math.MaxInt

// A zone is the time from the first return to the last call of all that has to
// do with one value of a register: its write and its reads. When the return is
// first, the register must have the value for all of that time: the zone is
// forward. Otherwise one moment of it will do.
type zone struct {
	first, last int // the zone's ends
	forward     bool
	write       regOp
}

// registerLost judges in the time of a sort whether the operations on a register
// of which all values are different are linearizable (Gibbons and Korach,
// Testing Shared Memories, 1997), and says what is wrong if they are not. The
// register begins with the value initial. ok is false when a value was written
// twice.
func registerLost(initial string, ops []regOp) (lost string, ok bool) {
	zones, problem, ok := zonesOf(initial, ops)
	if problem != "" || !ok {
		return problem, ok
	}
	slices.SortFunc(zones, func(a, b zone) int { return cmp.Compare(a.first, b.first) })
	end := zone{last: math.MinInt} // of the forward zones so far, that which ends last
	for _, z := range zones {
		if z.first < end.last && (z.forward || z.last < end.last) {
			// One of the two values must have overwritten the other, and
			// was still, or again, seen.
			return undone(end.write, z.write), true
		}
		if z.forward && z.last > end.last {
			end = z
		}
	}
	return "", true
}

// undone says in words that of two writes each was seen when the other had
// overwritten it.
func undone(a, b regOp) string {
	if b.who == beginning {
		a, b = b, a
	}
	if a.who == beginning {
		return b.who + " was done, and later what was there before it was seen again"
	}
	return fmt.Sprintf("%s and %s were both done, and whichever came last, the other's value was seen after it", a.who, b.who)
}

// beginning is who wrote what a register begins with.
const beginning = "the beginning"

func zonesOf(initial string, ops []regOp) (zones []zone, problem string, ok bool) {
	writes := []regOp{{who: beginning, write: true, value: initial, call: -2, ret: -1}}
	for _, o := range ops {
		if o.write {
			writes = append(writes, o)
		}
	}
	at := map[string]int{}
	for _, w := range writes {
		if _, twice := at[w.value]; twice {
			return nil, "", false
		}
		at[w.value] = len(zones)
		zones = append(zones, zone{first: w.ret, last: w.call, write: w})
	}
	wasRead := map[string]bool{}
	for _, o := range ops {
		if o.write || o.ret == forever {
			continue
		}
		i, ok := at[o.value]
		if !ok {
			return nil, fmt.Sprintf("%s saw %q, which nobody wrote", o.who, o.value), true
		}
		if zones[i].write.call > o.ret {
			return nil, fmt.Sprintf("%s saw %q before it was written", o.who, o.value), true
		}
		wasRead[o.value] = true
		zones[i].first, zones[i].last = min(zones[i].first, o.ret), max(zones[i].last, o.call)
	}
	zones = slices.DeleteFunc(zones, func(z zone) bool { return z.write.ret == forever && !wasRead[z.write.value] })
	for i := range zones {
		z := &zones[i]
		z.forward = z.first < z.last
		z.first, z.last = min(z.first, z.last), max(z.first, z.last)
	}
	return zones, "", true
}

// registerModel is a register as a porcupine model, its inputs being regOps. It
// is written without zones, so that the two can be held against each other.
func registerModel(initial string) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (bool, any) {
			o := input.(regOp)
			if o.write {
				return true, o.value
			}
			return o.value == state.(string), state
		},
		DescribeOperation: func(input, _ any) string {
			o := input.(regOp)
			if o.write {
				return o.who
			}
			return fmt.Sprintf("%s: %q is seen", o.who, o.value)
		},
		DescribeState: func(state any) string { return state.(string) },
	}
}

// linearizable judges by registerModel, also where values are written twice.
func linearizable(initial string, ops []regOp) bool {
	var list []porcupine.Operation
	for _, o := range ops {
		if o.write || o.ret != forever {
			list = append(list, porcupine.Operation{Input: o, Call: int64(o.call), Return: int64(o.ret)})
		}
	}
	return porcupine.CheckOperations(registerModel(initial), list)
}
