package schedule

import (
	"slices"
	"strings"
)

// A pos makes a schedule by partial order sampling (Yuan, Yang and Gu, "Partial order aware
// concurrency sampling", CAV 2018): every pending step has a random priority,
// the highest is done, and the pending ones that conflict with it draw anew.
// That samples the orders of conflicting steps more evenly than a walk does,
// which spends its choices on orders that make no difference.
//
// What a pending step will touch is not known before it runs, so conflicts are
// told by verb and names.
type pos struct {
	chance
	pending map[string]float64 // priority of each pending step, by its text
}

func newPOS(d Draw) *pos { return &pos{newChance("pos", d), map[string]float64{}} }

func (p *pos) Pick(options []Option) (int, error) {
	if i, ok := p.fault(options); ok {
		return i, nil
	}
	best, high := None, 0.0
	for _, i := range p.candidates(options) {
		key := options[i].Decision.String()
		if _, known := p.pending[key]; !known {
			p.pending[key] = p.rng.Float64()
		}
		if best == None || p.pending[key] > high {
			best, high = i, p.pending[key]
		}
	}
	if best != None {
		p.redraw(options, options[best].Decision)
	}
	return best, nil
}

// redraw forgets the priorities of the step that is done and of those it
// conflicts with, so that they are drawn anew. A wake-up moves time and so
// touches all: otherwise programs that poll would keep what has a low priority
// waiting for ever.
func (p *pos) redraw(options []Option, done Decision) {
	if done.timely() {
		clear(p.pending)
		return
	}
	for _, o := range options {
		if o.Process == done.Process || mayConflict(o.Decision, done) {
			delete(p.pending, o.Decision.String())
		}
	}
}

// mayConflict guesses whether the order of two calls matters: one of them
// changes something, and they name the same path or one names a directory that
// holds the other.
func mayConflict(a, b Decision) bool {
	if readsOnly(a.Verb) && readsOnly(b.Verb) {
		return false
	}
	for _, x := range a.Names {
		for _, y := range b.Names {
			if x == y || strings.HasPrefix(x, y+"/") || strings.HasPrefix(y, x+"/") {
				return true
			}
		}
	}
	return false
}

// readsOnly reports whether a verb changes nothing. An open may create, and a
// verb that is not known may do anything.
func readsOnly(verb string) bool {
	return slices.Contains([]string{
		Wake, "access", "chdir", "close", "exec", "getdents", "getxattr", "list", "listxattr", "lseek", "opendir", "read", "readdir", "readlink", "stat", "statfs",
	}, verb)
}
