package schedule

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
)

// A Trace computes the digest of a schedule's Mazurkiewicz trace: schedules
// that differ only in the order of independent steps have the same, and others
// have the same by accident only (64 bits). Its zero value is ready for use.
//
// The digest of a step is made from what it is and from the digests of the last
// step of its process and of the last writer of each resource that it touches,
// with those that have added to it since unless it only adds itself.
// So it says, with its whole past, which of its writers each step comes after;
// and that, said of all steps, is the order of all that conflict (that a writer
// comes after a reader is said by the reader, which came after another writer).
// The digests' sum is the trace's, since a sum has no order.
type Trace struct {
	last   map[string]uint64   // digest of the last step of each process
	writer map[Resource]uint64 // digest of the last step that wrote it
	added  map[Resource]uint64 // sum of the digests of those that have added to it since
	sum    uint64
}

// Step adds the next step. The label is what the step is besides its process
// and footprint: verb, names and outcome.
func (t *Trace) Step(process, label string, f Footprint) {
	if t.last == nil {
		t.last, t.writer, t.added = map[string]uint64{}, map[Resource]uint64{}, map[Resource]uint64{}
	}
	var h digest
	h.text(process)
	h.text(label)
	h.number(t.last[process])
	writes := sorted(f.Writes)
	for _, list := range [][]Resource{sorted(f.Reads), writes} {
		h.number(uint64(len(list)))
		for _, r := range list {
			h.text(string(r))
			h.number(t.writer[r])
			h.number(t.added[r])
		}
	}
	adds := sorted(f.Adds)
	h.number(uint64(len(adds)))
	for _, r := range adds {
		h.text(string(r))
		h.number(t.writer[r])
	}
	step := h.sum()

	t.last[process] = step
	for _, r := range writes {
		t.writer[r] = step
		delete(t.added, r)
	}
	for _, r := range adds {
		t.added[r] += step
	}
	t.sum += step
}

// Digest is the digest of the steps so far.
func (t *Trace) Digest() uint64 { return t.sum }

func sorted(list []Resource) []Resource {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// A digest hashes a sequence of texts and numbers.
type digest struct{ buf []byte }

func (d *digest) text(s string) {
	d.number(uint64(len(s)))
	d.buf = append(d.buf, s...)
}

func (d *digest) number(n uint64) { d.buf = binary.LittleEndian.AppendUint64(d.buf, n) }

func (d *digest) sum() uint64 {
	h := fnv.New64a()
	h.Write(d.buf)
	// FNV alone is too regular to be summed up; this is the finish of
	// splitmix64 (Steele, Lea and Flood 2014), which mixes all bits.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Coverage counts the traces of a search's schedules.
type Coverage struct {
	seen      map[uint64]bool // by digest: whether it was met more than once
	schedules int
	once      int // traces met exactly once
}

// Add counts a schedule by the digest of its trace, and reports whether the
// trace is new.
func (c *Coverage) Add(digest uint64) bool {
	if c.seen == nil {
		c.seen = map[uint64]bool{}
	}
	c.schedules++
	again, old := c.seen[digest]
	switch {
	case !old:
		c.seen[digest] = false
		c.once++
	case !again:
		c.seen[digest] = true
		c.once--
	}
	return !old
}

// Schedules is the number of schedules counted.
func (c *Coverage) Schedules() int { return c.schedules }

// Traces is the number of distinct traces among them.
func (c *Coverage) Traces() int { return len(c.seen) }

// Residual estimates the chance that the next schedule's trace is a new one,
// as Good and Turing do (I. J. Good, Biometrika 1953): the share of schedules
// whose trace was met once. It is 1 before the first.
//
// It speaks of the search that made the schedules, were it to go on as it
// does: a search that learns does not quite, and a trace that it hardly ever
// makes is no less possible for that. Near 0 means that more of the same is of
// little use, never that there is nothing left to find.
func (c *Coverage) Residual() float64 {
	if c.schedules == 0 {
		return 1
	}
	return float64(c.once) / float64(c.schedules)
}
