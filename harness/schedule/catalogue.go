package schedule

import (
	"fmt"
	"strings"
)

// catalogue holds every search, by the name that the command knows it by.
var catalogue = []struct {
	name string
	make func(seed uint64) Search
}{
	{"portfolio", func(seed uint64) Search {
		return Portfolio(NewRandom(seed), NewPCT(seed, 2), NewPCT(seed, 3), NewPOS(seed))
	}},
	{"random", NewRandom},
	{"pct2", func(seed uint64) Search { return NewPCT(seed, 2) }},
	{"pct3", func(seed uint64) Search { return NewPCT(seed, 3) }},
	{"pos", NewPOS},
	{"exhaustive", func(uint64) Search { return NewExhaustive(Unbounded) }},
}

// SearchNames lists the names that NewSearch knows, the usual choice first.
func SearchNames() []string {
	var names []string
	for _, c := range catalogue {
		names = append(names, c.name)
	}
	return names
}

// NewSearch returns the search of that name. What it does is the same for the
// same seed.
func NewSearch(name string, seed uint64) (Search, error) {
	for _, c := range catalogue {
		if c.name == name {
			return c.make(seed), nil
		}
	}
	return nil, fmt.Errorf("no strategy is called %q; there are %s", name, strings.Join(SearchNames(), ", "))
}
