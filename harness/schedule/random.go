package schedule

// Random is the random walk: at each step each process that can go on is
// equally likely to. (Choosing among the options instead would favour whoever
// has many.) Every other walk is a slow one, which mostly stays with a process:
// that one does ten steps while another does none, as it takes to recover an
// entry under a live delivery, hardly ever happens in a quick walk.
func Random(d Draw) Strategy { return newWalk(d) }

// NewRandom returns the search by random walks.
func NewRandom(seed uint64) Search { return newSearch("random", seed) }

type random struct {
	chance
	slow bool
	last string // the process that was chosen last
}

func newWalk(d Draw) *random {
	r := &random{chance: newChance("random", d)}
	r.slow = r.rng.IntN(2) == 0
	return r
}

// A sleeper that need not wake yet is chosen less often than a process that
// is at a call, or programs that poll would do little else.
const (
	callWeight  = 4
	earlyWeight = 1
)

func (r *random) Pick(options []Option) (int, error) {
	if i, ok := r.fault(options); ok {
		return i, nil
	}
	var groups []group
	total := 0
	for _, i := range r.candidates(options) {
		if len(groups) == 0 || groups[len(groups)-1].process != options[i].Process {
			groups = append(groups, group{process: options[i].Process})
		}
		g := &groups[len(groups)-1]
		g.options = append(g.options, i)
		weight := callWeight
		if options[i].Early {
			weight = earlyWeight
		}
		total += max(weight-g.weight, 0)
		g.weight = max(weight, g.weight)
	}
	if len(groups) == 0 {
		return None, nil
	}
	if r.slow && r.rng.IntN(4) > 0 {
		for _, g := range groups {
			if g.process == r.last && g.weight == callWeight {
				return g.options[r.rng.IntN(len(g.options))], nil
			}
		}
	}
	at := r.rng.IntN(total)
	for _, g := range groups {
		if at < g.weight {
			r.last = g.process
			return g.options[r.rng.IntN(len(g.options))], nil
		}
		at -= g.weight
	}
	panic("unreachable: the weights add up to the total")
}

// A group is what one process can do.
type group struct {
	process string
	options []int
	weight  int
}
