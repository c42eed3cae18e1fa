package schedule

// Canonical makes the plainest schedule: a process goes on for as long as it
// can, then the first of the others does; no fault is taken, no crashed
// program is started again, and a wake-up comes when nothing else can.
func Canonical() Strategy { return &canonical{} }

type canonical struct {
	last  string         // the process that went last
	steps int            // decisions so far
	woken map[string]int // when each process last woke
}

func (c *canonical) Pick(options []Option) (int, error) {
	best := None
	for i, o := range options {
		if o.free() && (best == None || c.before(o, options[best])) {
			best = i
		}
	}
	return best, nil
}

// before reports whether a is to come before b, which precedes it in canonical
// order. Sleepers take turns, or one that polls would keep the rest asleep.
func (c *canonical) before(a, b Option) bool {
	if ra, rb := rank(a), rank(b); ra != rb {
		return ra < rb
	}
	if a.timely() {
		return c.woken[a.Process] < c.woken[b.Process]
	}
	return a.Process == c.last && b.Process != c.last
}

func rank(o Option) int {
	switch {
	case !o.timely():
		return 0
	case !o.Early:
		return 1
	default:
		return 2
	}
}

func (c *canonical) Done(d Decision, _ Footprint) error {
	c.steps++
	c.last = d.Process
	if d.timely() {
		if c.woken == nil {
			c.woken = map[string]int{}
		}
		c.woken[d.Process] = c.steps
	}
	return nil
}
