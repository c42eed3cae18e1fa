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
	who   string // for people: what was done by whom
	write bool
	value string // written, or read
	// found is what was there when it wrote; "" where it did not look, or where it
	// is not known whether it ever wrote.
	found     string
	call, ret int // moments; no two are the same
}

// forever is when an operation returns that may never have come about.
const forever = math.MaxInt

// A block is all that has to do with one value of a register, its write and its
// reads, and with those values that came in its place by writes which had found it
// there: in any order of all operations they follow each other, with nothing in
// between.
type block struct {
	first, last int // the first return of an operation, and the last call of one
	write       regOp
	seer        string // whose that last call was
}

// forward reports whether the register must have a value of the block from first to
// last. Otherwise all of it can be at any one moment from last to first.
func (b block) forward() bool { return b.first < b.last }

// before reports whether all of b may come before c: whether none of c had returned
// when one of b was called.
func (b block) before(c block) bool { return b.last < c.first }

// registerLost judges in the time of a sort whether the operations on a register
// of which all values are different are linearizable, and says what is wrong if they
// are not. The register begins with the value initial. ok is false when a value was
// written twice.
//
// That it is enough to look at two values at a time is Gibbons and Korach's (Testing
// Shared Memories, 1997). What they say of a value is true of a block too: it only
// needs that its operations stand together.
func registerLost(initial string, ops []regOp) (lost string, ok bool) {
	values, problem, ok := valuesOf(initial, ops)
	if problem != "" || !ok {
		return problem, ok
	}
	blocks, problem := blocksOf(values)
	if problem != "" {
		return problem, true
	}
	slices.SortFunc(blocks, func(a, b block) int { return cmp.Compare(min(a.first, a.last), min(b.first, b.last)) })
	end := block{first: math.MinInt, last: math.MinInt} // the last forward block so far; these do not overlap
	for _, b := range blocks {
		if !b.before(end) && !end.before(b) {
			// One of the two must have overwritten the other, which was still,
			// or again, seen.
			return undone(end, b), true
		}
		if b.forward() {
			end = b
		}
	}
	return "", true
}

// undone says in words that of two blocks each was seen when the other had
// overwritten it.
func undone(a, b block) string {
	if b.write.who == beginning {
		a, b = b, a
	}
	if a.write.who == beginning {
		return fmt.Sprintf("%s was done, and %s saw later what was there before it", b.write.who, a.seer)
	}
	return fmt.Sprintf("%s and %s were both done, and whichever came last, the other's value was seen after it", a.write.who, b.write.who)
}

// beginning is who wrote what a register begins with.
const beginning = "the beginning"

// valuesOf gives a block for each value by itself, in the order of the operations.
func valuesOf(initial string, ops []regOp) (values []block, problem string, ok bool) {
	at := map[string]int{}
	for _, w := range slices.Concat([]regOp{{who: beginning, write: true, value: initial, call: -2, ret: -1}}, ops) {
		if !w.write {
			continue
		}
		if _, twice := at[w.value]; twice {
			return nil, "", false
		}
		at[w.value] = len(values)
		values = append(values, block{first: w.ret, last: w.call, write: w, seer: w.who})
	}
	seen := map[string]bool{}
	for _, o := range ops {
		value := o.value
		if o.write {
			value = o.found
		}
		if value == "" || o.ret == forever {
			continue
		}
		i, written := at[value]
		if !written {
			return nil, fmt.Sprintf("%s saw %q, which nobody wrote", o.who, value), true
		}
		if values[i].write.call > o.ret {
			return nil, fmt.Sprintf("%s saw %q before it was written", o.who, value), true
		}
		seen[value] = true
		if v := &values[i]; !o.write {
			v.first = min(v.first, o.ret)
			if o.call > v.last {
				v.last, v.seer = o.call, o.who
			}
		}
	}
	return slices.DeleteFunc(values, func(b block) bool { return b.write.ret == forever && !seen[b.write.value] }), "", true
}

// blocksOf puts together the values of which one was found by the write of the next.
func blocksOf(values []block) (blocks []block, problem string) {
	next := map[string]block{} // by the value that was found
	for _, b := range values {
		found := b.write.found
		if found == "" {
			continue
		}
		if other, twice := next[found]; twice {
			return nil, fmt.Sprintf("%s and %s both found %q there, and each put something else in its place", other.write.who, b.write.who, found)
		}
		next[found] = b
	}
	joined := 0
	for _, b := range values {
		if b.write.found != "" {
			continue
		}
		for after, more := next[b.write.value]; more; after, more = next[after.write.value] {
			if !b.before(after) {
				return nil, fmt.Sprintf("%s was done, and %s saw later what was there before it", after.write.who, b.seer)
			}
			b.first = min(b.first, after.first)
			if after.last > b.last {
				b.last, b.seer = after.last, after.seer
			}
			joined++
		}
		blocks = append(blocks, b)
	}
	if joined < len(next) {
		return nil, "each of its values was found by a write before it came about"
	}
	return blocks, ""
}

// registerModel is a register as a porcupine model, its inputs being regOps. It
// is written without blocks, so that the two can be held against each other.
func registerModel(initial string) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (bool, any) {
			o := input.(regOp)
			if o.write {
				return o.found == "" || o.found == state.(string), o.value
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
