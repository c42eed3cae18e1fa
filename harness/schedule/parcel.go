package schedule

// A Parcel is a plan on its way to another process, with what that process needs
// to know besides. It is sent as gob.
type Parcel struct {
	Plan Plan
	News []News
}

// News is what a relation has learnt of one label.
type News struct {
	Number int
	Label  label
}

// A Sender makes parcels for one receiver, of the plans of one search, in the
// order in which they are sent. Its zero value is ready for use.
type Sender struct{ told int }

// Pack makes the parcel of a plan.
func (s *Sender) Pack(p Plan) Parcel {
	parcel := Parcel{Plan: p}
	if p.Beginning != nil {
		r := p.Beginning.relation
		for _, id := range r.changed[s.told:] {
			parcel.News = append(parcel.News, News{id, *r.labels[id]})
		}
		s.told = len(r.changed)
	}
	return parcel
}

// A Receiver opens the parcels of one sender. Its zero value is ready for use.
type Receiver struct{ relation relation }

// Open gives back the plan.
func (r *Receiver) Open(p Parcel) Plan {
	for _, n := range p.News {
		if n.Number == len(r.relation.labels) {
			r.relation.add(&n.Label)
		} else {
			r.relation.labels[n.Number] = &n.Label
		}
		r.relation.clocked = r.relation.clocked || n.Label.Touches[timeGone]&reads != 0
	}
	if p.Plan.Beginning != nil {
		p.Plan.Beginning.relation = &r.relation
	}
	return p.Plan
}
