package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// catalogue holds every strategy by chance, by the name that the command knows
// it by.
var catalogue = []struct {
	name string
	make func(Draw) Player
}{
	{"random", func(d Draw) Player { return newWalk(d) }},
	{"pct2", func(d Draw) Player { return newPCT(2, d) }},
	{"pct3", func(d Draw) Player { return newPCT(3, d) }},
	{"pos", func(d Draw) Player { return newPOS(d) }},
}

// The searches that are made otherwise.
const (
	portfolioName  = "portfolio"  // all of the catalogue in turn
	exhaustiveName = "exhaustive" // every schedule
)

// SearchNames lists the names that NewSearch knows, the usual choice first.
func SearchNames() []string {
	names := []string{portfolioName}
	for _, c := range catalogue {
		names = append(names, c.name)
	}
	return append(names, exhaustiveName)
}

// NewSearch returns the search of that name. What it does is the same for the
// same seed. A name that is not among SearchNames is an error.
func NewSearch(name string, seed uint64) (Search, error) {
	switch {
	case name == exhaustiveName:
		return NewExhaustive(Unbounded), nil
	case name == portfolioName:
		var all []Search
		for _, c := range catalogue {
			all = append(all, newSearch(c.name, seed))
		}
		return Portfolio(all...), nil
	case slices.Contains(SearchNames(), name):
		return newSearch(name, seed), nil
	}
	return nil, fmt.Errorf("no strategy is called %q; there are %s", name, strings.Join(SearchNames(), ", "))
}

// Player makes the strategy that was planned.
func (p Plan) Player() Player {
	if p.Beginning != nil {
		return newFollower(p.Beginning)
	}
	for _, c := range catalogue {
		if c.name == p.Search {
			return c.make(p.Draw)
		}
	}
	panic(fmt.Sprintf("a plan of a search that there is not: %q", p.Search))
}
