package schedule

import "slices"

// maxTries bounds how many candidates Shrink tries: each starts all programs
// anew, which is a matter of 20 to 100 milliseconds.
const maxTries = 1000

// A Result is what Shrink made of a tape.
type Result struct {
	// Tape is the shrunk tape: sparse, its outcomes as they were played.
	Tape *Tape
	// Tries is how many candidates were played.
	Tries int
	// Minimal says that the finding is gone without any one of the lines.
	// It is not said if the tries ran out, or if the sparse form of the tape
	// did not show the finding at all; then Tape is the one given.
	Minimal bool
}

// Shrink takes away from a tape what its finding does not need: first faults,
// then lines, then switches from one process to another, and at last what is
// left comes as near to canonical order as it can.
//
// try plays candidates, at most so many at a time, each on fresh processes. Of each
// it returns the tape of what was done, or nil where the finding is gone; a candidate
// that diverges has lost it. When it is not ok, nothing more is tried. What comes of
// all is the same however many are played at a time.
func Shrink(t *Tape, most int, try func(candidates []*Tape) (played []*Tape, ok bool)) Result {
	s := &shrinker{try: try, most: most, known: map[string]bool{}}
	s.best = t.Named()
	s.best.File = ""
	for i := range s.best.Lines {
		l := &s.best.Lines[i]
		// An outcome or a number would tie a line to the schedule it is from.
		l.Outcome, l.Comment, l.Number = "", "", 0
	}
	if !s.accepts(s.best.Lines) {
		return Result{Tape: t, Tries: s.tries}
	}
	s.leaveWays()
	for !s.out {
		before := s.best.String()
		s.dropFaults()
		s.dropChunks()
		s.dropLines()
		s.joinRuns()
		s.sort()
		if s.best.String() == before {
			return Result{Tape: s.told(), Tries: s.tries, Minimal: !s.out}
		}
	}
	return Result{Tape: s.told(), Tries: s.tries}
}

type shrinker struct {
	try    func([]*Tape) ([]*Tape, bool)
	most   int   // so many at a time
	best   *Tape // the smallest that shows the finding
	played *Tape // what was done when it was tried
	known  map[string]bool
	tries  int
	out    bool // a candidate was not tried, because the tries had run out or try was not ok
}

// accepts tries the lines, and makes them the best if the finding is there.
func (s *shrinker) accepts(lines []Line) bool {
	return s.first(1, func(int) []Line { return append([]Line{}, lines...) }) != None // they may be none at all
}

// first tries n candidates in their order, until the finding is there; that one
// becomes the best, and its number is returned, None if there was none. A candidate
// that is nil is left out.
//
// Those that are played beside one that is accepted, and come after it, are as if
// they had not been.
func (s *shrinker) first(n int, candidate func(i int) []Line) int {
	for next := 0; next < n && !s.out; {
		var (
			batch []*Tape
			keys  []string
			at    []int
			full  bool // there is one more, and no try for it
		)
		for ; next < n && len(batch) < s.most && !full; next++ {
			lines := candidate(next)
			if lines == nil {
				continue
			}
			c := &Tape{Header: s.best.Header, Sparse: true, Lines: lines}
			key := c.String()
			if s.known[key] || slices.Contains(keys, key) {
				continue // it was tried before, and then left behind or refused
			}
			if full = s.tries+len(batch) == maxTries; !full {
				batch, keys, at = append(batch, c), append(keys, key), append(at, next)
			}
		}
		if len(batch) > 0 {
			played, ok := s.try(batch)
			if !ok {
				s.out = true
				return None
			}
			for i, c := range batch {
				s.known[keys[i]] = true
				s.tries++
				if played[i] != nil {
					s.best, s.played = c, played[i]
					return at[i]
				}
			}
		}
		s.out = full
	}
	return None
}

// backward tries a candidate for each line, from the last on, and goes on before the
// one that was accepted. It reports whether there was any.
func (s *shrinker) backward(candidate func(i int) []Line) (some bool) {
	for i := len(s.best.Lines) - 1; i >= 0; {
		k := s.first(i+1, func(k int) []Line { return candidate(i - k) })
		if k == None {
			break
		}
		i -= k + 1
		some = true
	}
	return some
}

// without returns the lines but those from i to before j.
func (s *shrinker) without(i, j int) []Line {
	return append(slices.Clone(s.best.Lines[:i:i]), s.best.Lines[j:]...)
}

// leaveWays keeps, of what a process does in one go, the last line, and those
// that must not be passed over: faults, what they follow on, and what could be
// taken for the last. The rest is on the way, which a process finds by itself.
func (s *shrinker) leaveWays() {
	all := s.best.Lines
	var kept []Line
	for i := 0; i < len(all); {
		end := runEnd(all, i)
		for ; i < end; i++ {
			if all[i].Fault() || all[i].Verb == Start || all[end-1].MatchesCall(all[i].Decision) || i+1 < end && all[i+1].Fault() {
				kept = append(kept, all[i])
			}
		}
	}
	if len(kept) < len(all) {
		s.accepts(kept)
	}
}

// runEnd is where the run of one process's lines that begins at i ends.
func runEnd(lines []Line, i int) int {
	end := i
	for end < len(lines) && lines[end].Process == lines[i].Process {
		end++
	}
	return end
}

// dropFaults leaves out each fault, together with the start that follows it.
func (s *shrinker) dropFaults() {
	s.backward(func(i int) []Line {
		fault := s.best.Lines[i]
		if !fault.Fault() {
			return nil
		}
		lines := s.without(i, i+1)
		if fault.Verb == Crash {
			back := func(l Line) bool { return l.Verb == Start && l.Process == fault.Process }
			if j := slices.IndexFunc(lines[i:], back); j >= 0 {
				lines = slices.Delete(lines, i+j, i+j+1)
			}
		}
		return lines
	})
}

// dropChunks leaves out halves, quarters and so on.
func (s *shrinker) dropChunks() {
	for size := len(s.best.Lines) / 2; size > 1; size /= 2 {
		for i := 0; i+size <= len(s.best.Lines); {
			k := s.first((len(s.best.Lines)-i)/size, func(k int) []Line { return s.without(i+k*size, i+(k+1)*size) })
			if k == None {
				break
			}
			i += k * size
		}
	}
}

// dropLines leaves out single lines, from the end, until none can be.
func (s *shrinker) dropLines() {
	for s.backward(func(i int) []Line { return s.without(i, i+1) }) {
	}
}

// joinRuns moves what a process does in one go to where it last did something,
// or next does, so that it is interrupted less often.
func (s *shrinker) joinRuns() {
	for s.first(2*len(s.best.Lines), func(k int) []Line { return s.joined(k/2, k%2 == 0) }) != None {
	}
}

// joined moves the run that begins at i to the one before it, or after it, of the
// same process; nil where no run begins, or that makes no fewer switches.
func (s *shrinker) joined(i int, before bool) []Line {
	lines := s.best.Lines
	process := lines[i].Process
	if i > 0 && lines[i-1].Process == process {
		return nil
	}
	end := runEnd(lines, i)
	joined := lines
	if before {
		if j := lastOf(lines[:i], process); j >= 0 {
			joined = slices.Concat(lines[:j+1], lines[i:end], lines[j+1:i], lines[end:])
		}
	} else if j := firstOf(lines[end:], process); j >= 0 {
		joined = slices.Concat(lines[:i], lines[end:end+j], lines[i:end], lines[end+j:])
	}
	if switches(joined) >= switches(lines) {
		return nil
	}
	return joined
}

func switches(lines []Line) int {
	n := 0
	for i := 1; i < len(lines); i++ {
		if lines[i].Process != lines[i-1].Process {
			n++
		}
	}
	return n
}

func firstOf(lines []Line, process string) int {
	return slices.IndexFunc(lines, func(l Line) bool { return l.Process == process })
}

func lastOf(lines []Line, process string) int {
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].Process == process {
			return i
		}
	}
	return -1
}

// sort swaps what two processes do in one go, one after the other, where they
// are not in the processes' order and that costs no switch.
func (s *shrinker) sort() {
	for s.first(len(s.best.Lines), s.swapped) != None {
	}
}

// swapped is the lines with the run that begins at i after the next one; nil where
// that is not wanted.
func (s *shrinker) swapped(i int) []Line {
	lines := s.best.Lines
	mid := runEnd(lines, i)
	if mid == len(lines) || i > 0 && lines[i-1].Process == lines[i].Process || lines[mid].Process >= lines[i].Process {
		return nil
	}
	end := runEnd(lines, mid)
	swapped := slices.Concat(lines[:i], lines[mid:end], lines[i:mid], lines[end:])
	if switches(swapped) > switches(lines) {
		return nil
	}
	return swapped
}

// told returns the best with the outcomes that its lines had when it was
// played. That is plain to see: the process of a line runs alone until the
// first call that is as the line says.
func (s *shrinker) told() *Tape {
	next := 0
	for _, l := range s.played.Lines {
		if next < len(s.best.Lines) && s.best.Lines[next].MatchesCall(l.Decision) {
			s.best.Lines[next].Outcome = l.Outcome
			next++
		}
	}
	return s.best
}
