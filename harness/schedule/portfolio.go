package schedule

// Portfolio returns a search that gives its turns to several: more of them to
// those that bring new traces, and some to each, since none is best at all
// (and what is old today may find a new trace tomorrow).
func Portfolio(searches ...Search) Search {
	p := &portfolio{}
	for _, s := range searches {
		p.members = append(p.members, &member{Search: s, fresh: whole})
	}
	return p
}

type portfolio struct {
	members []*member
	told    []*member // whose plans have not been heard of yet; oldest first
}

type member struct {
	Search
	fresh  int // how much of its latest schedules were new traces, of whole
	credit int // turns that it has a claim to, in the unit of weight
	turns  int // that it has had
}

// Whole numbers, so that every machine makes the same choices.
const whole = 1 << 10

// weight is never less than a tenth of the most, so none is given up.
func (m *member) weight() int { return whole + 9*m.fresh }

func (p *portfolio) Name() string { return portfolioName }

// Next gives the turn to who has the greatest claim (smooth weighted round
// robin): turns are spread evenly, and nothing is left to chance.
func (p *portfolio) Next() (Plan, bool) {
	total := 0
	var chosen *member
	for _, m := range p.members {
		m.credit += m.weight()
		total += m.weight()
		if chosen == nil || m.credit > chosen.credit {
			chosen = m
		}
	}
	chosen.credit -= total
	chosen.turns++
	p.told = append(p.told, chosen)
	return chosen.Search.Next()
}

func (p *portfolio) Learn(newTrace bool, l Lesson) {
	if len(p.told) == 0 {
		return
	}
	m := p.told[0]
	p.told = p.told[1:]
	m.Search.Learn(newTrace, l)
	latest := 0
	if newTrace {
		latest = whole
	}
	m.fresh += (latest - m.fresh) / 16
}
