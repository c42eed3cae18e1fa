package harness

import (
	"fmt"
	"hash/fnv"
	"slices"
)

// A Cover is what a campaign has met besides traces.
type Cover struct {
	// Ends counts schedules by what they came to: a digest of what lay where,
	// who had delivered what, and what was wrong with it.
	Ends map[uint64]int
	// pairs are pairs of calls of two processes that met, the one before the
	// other, by what they are.
	pairs map[[2]string]bool
}

// add takes in a schedule by its end and the pairs that met in it.
func (c *Cover) add(end uint64, pairs [][2]string) {
	if c.Ends == nil {
		c.Ends, c.pairs = map[uint64]int{}, map[[2]string]bool{}
	}
	c.Ends[end]++
	for _, p := range pairs {
		c.pairs[p] = true
	}
}

// pairs are the calls of a schedule that met; see Cover.
func pairs(r *Result) [][2]string {
	var list [][2]string
	for _, s := range r.Steps {
		if s.Conflict >= 0 {
			list = append(list, [2]string{undecided(r, s.Conflict), undecided(r, s.Index)})
		}
	}
	return list
}

// undecided is a step without what came of it.
func undecided(r *Result, step int) string {
	d := r.Steps[step].Decision
	d.Outcome = ""
	return d.String()
}

// Pairs counts the pairs of calls that met and whose order can matter, and those
// of them that were seen in both orders.
func (c *Cover) Pairs() (all, both int) {
	for pair := range c.pairs {
		turned := c.pairs[[2]string{pair[1], pair[0]}]
		switch {
		case !turned:
			all++
		case pair[0] < pair[1]:
			all++
			both++
		}
	}
	return all, both
}

// end is a digest of what the schedule that has just been played came to.
func (w *World) end(r *Result) uint64 {
	h := fnv.New64a()
	list, _ := w.tree()
	for _, c := range list {
		fmt.Fprintf(h, "%s %d %d %s\n", c.Path, c.Size, c.Link, c.Note)
	}
	var did []string
	for _, op := range r.History {
		if op.F == "deliver" {
			did = append(did, fmt.Sprintf("%s %s %s %s", op.Process, op.Type, op.Value, op.Error))
		}
	}
	slices.Sort(did)
	fmt.Fprintln(h, did, r.Kinds())
	return h.Sum64()
}
