package queue

import (
	"strings"

	"screwtape/runner/profile"
)

// InSlice reports whether the entry with this base name is in slice i of n, by
// the version's own arithmetic and without any planted bug.
func InSlice(p profile.Profile, base string, i, n int) (bool, error) {
	p.Bugs = nil
	s, err := newSlice(p, i, n)
	if err != nil {
		return false, err
	}
	_, digest, _ := strings.Cut(base, "+")
	return s.has(p, digest)
}
