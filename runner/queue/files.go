package queue

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"screwtape/runner/profile"
	"screwtape/runner/sys"
)

// A slice is a range of digests, both ends in it; the zero slice is the whole
// queue.
type slice struct{ lower, upper *big.Int }

// newSlice is slice number i of n. A number of n or more is none of the
// queue's, and matches nothing; the original does not mind.
func newSlice(p profile.Profile, i, n int) (slice, error) {
	if i < 0 || n < 1 {
		return slice{}, fmt.Errorf("no slice %d of %d", i, n)
	}
	if p.FloatSlices && n&(n-1) != 0 {
		return slice{}, fmt.Errorf("AssertionError: Not a power of 2: %d", n)
	}
	if n == 1 {
		return slice{}, nil
	}
	last := i + 1
	if p.Bugs.Has("slice-last-missing") && last == n {
		last--
	}
	bound := func(i int) *big.Int { // 2^160 * i / n
		b := new(big.Int).Lsh(big.NewInt(int64(i)), 160)
		return b.Quo(b, big.NewInt(int64(n)))
	}
	s := slice{bound(i), bound(last)}
	if p.Bugs.Has("slice-off-by-one") {
		next := bound(last + 1)
		s.upper = next.Rsh(next.Add(next, s.upper), 1)
	}
	if !p.FloatSlices { // in floats, the 1 is too small to be taken off
		s.upper.Sub(s.upper, big.NewInt(1))
	}
	return s, nil
}

// has says whether the slice has the entry of this digest, which is looked at
// only where there is more than one slice.
func (s slice) has(p profile.Profile, digest string) (bool, error) {
	if s.lower == nil {
		return true, nil
	}
	d, ok := new(big.Int).SetString(digest, 16)
	if !ok {
		return false, valueError(badInt(p, digest))
	}
	return s.lower.Cmp(d) <= 0 && d.Cmp(s.upper) <= 0, nil
}

// sameTime is what is added to the time of an entry that has that of another,
// in seconds.
const sameTime = 0.0001

// Files are the names, without extension, of the slice's entries with this
// extension, oldest first. What is listed may be gone by the time that it is
// taken. A name of that extension which is no entry's is an error, and ends the
// runner.
func (s *Switchboard) Files(ext string) ([]string, error) {
	names, err := sys.List(s.dir, s.profile.OpenFlags())
	if err != nil {
		return nil, err
	}
	type entry struct {
		time float64
		base string
	}
	var entries []entry
	times := map[float64]bool{}
	for _, name := range names {
		if s.has("tmp-listed") {
			name = strings.TrimSuffix(name, ".tmp")
		}
		base, e := splitExt(name)
		if e != ext {
			continue
		}
		t, mine, err := s.match(base, ext)
		if err != nil && s.has("bad-name-skips-all") {
			break
		}
		if err != nil {
			return nil, err
		}
		if !mine {
			continue
		}
		for times[t] {
			t += sameTime
		}
		times[t] = true
		entries = append(entries, entry{t, base})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.time, b.time) })
	bases := make([]string, len(entries))
	for i, e := range entries {
		bases[i] = e.base
	}
	return bases, nil
}

// match reads an entry's name, and says whether it is in the slice.
func (s *Switchboard) match(base, ext string) (time float64, mine bool, err error) {
	when, digest, ok := strings.Cut(base, "+")
	if !ok {
		return 0, false, valueError(tooFewValues(s.profile))
	}
	if !s.profile.SplitOnce && strings.Contains(digest, "+") {
		return 0, false, valueError("too many values to unpack")
	}
	mine, err = s.slice.has(s.profile, digest)
	if ext == ".bak" && s.has("recover-other-slices") {
		mine = true
	}
	if err != nil || !mine {
		return 0, false, err
	}
	time, err = parseTime(s.profile, when)
	return time, true, err
}

// splitExt splits a name before its last dot, as Python does: dots at its begin
// are no extension's.
func splitExt(name string) (base, ext string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || strings.Trim(name[:dot], ".") == "" {
		return name, ""
	}
	return name[:dot], name[dot:]
}
