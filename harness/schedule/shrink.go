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
// try plays a candidate on fresh processes; it returns the tape of what was
// done, and whether the finding is still there. A candidate that diverges has
// lost it.
func Shrink(t *Tape, try func(*Tape) (*Tape, bool)) Result {
	s := &shrinker{try: try, known: map[string]bool{}}
	s.best = t.Named()
	s.best.File = ""
	for i := range s.best.Lines {
		l := &s.best.Lines[i]
		// An outcome or a number would tie a line to the schedule it is from.
		l.Outcome, l.Comment, l.Number = "", "", 0
	}
	if !s.accept(s.best.Lines) {
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
	try    func(*Tape) (*Tape, bool)
	best   *Tape // the smallest that shows the finding
	played *Tape // what was done when it was tried
	known  map[string]bool
	tries  int
	out    bool // a candidate was not tried because the tries had run out
}

// accept tries the lines, and makes them the best if the finding is there.
func (s *shrinker) accept(lines []Line) bool {
	candidate := &Tape{Header: s.best.Header, Sparse: true, Lines: lines}
	key := candidate.String()
	if s.known[key] {
		return false // it was tried before, and then left behind or refused
	}
	if s.tries == maxTries {
		s.out = true
		return false
	}
	s.known[key] = true
	s.tries++
	played, ok := s.try(candidate)
	if ok {
		s.best, s.played = candidate, played
	}
	return ok
}

// without returns the lines but those from i to before j.
func (s *shrinker) without(i, j int) []Line {
	return slices.Concat(s.best.Lines[:i], s.best.Lines[j:])
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
		s.accept(kept)
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
	for i := len(s.best.Lines) - 1; i >= 0; i-- {
		if i >= len(s.best.Lines) || !s.best.Lines[i].Fault() {
			continue
		}
		fault := s.best.Lines[i]
		lines := s.without(i, i+1)
		if fault.Verb == Crash {
			back := func(l Line) bool { return l.Verb == Start && l.Process == fault.Process }
			if j := slices.IndexFunc(lines[i:], back); j >= 0 {
				lines = slices.Delete(lines, i+j, i+j+1)
			}
		}
		s.accept(lines)
	}
}

// dropChunks leaves out halves, quarters and so on.
func (s *shrinker) dropChunks() {
	for size := len(s.best.Lines) / 2; size > 1; size /= 2 {
		for i := 0; i+size <= len(s.best.Lines); {
			if !s.accept(s.without(i, i+size)) {
				i += size
			}
		}
	}
}

// dropLines leaves out single lines, from the end, until none can be.
func (s *shrinker) dropLines() {
	for again := true; again; {
		again = false
		for i := len(s.best.Lines) - 1; i >= 0; i-- {
			again = s.accept(s.without(i, i+1)) || again
		}
	}
}

// joinRuns moves what a process does in one go to where it last did something,
// or next does, so that it is interrupted less often.
func (s *shrinker) joinRuns() {
	for i := 0; i < len(s.best.Lines); i++ {
		lines := s.best.Lines
		process := lines[i].Process
		if i > 0 && lines[i-1].Process == process {
			continue
		}
		end := runEnd(lines, i)
		run, before, after := lines[i:end], lines[:i], lines[end:]
		joined := false
		if j := lastOf(before, process); j >= 0 {
			joined = s.acceptFewer(slices.Concat(before[:j+1], run, before[j+1:], after))
		}
		if j := firstOf(after, process); j >= 0 && !joined {
			joined = s.acceptFewer(slices.Concat(before, after[:j], run, after[j:]))
		}
		if joined {
			i = -1 // the runs are others now
		}
	}
}

func (s *shrinker) acceptFewer(lines []Line) bool {
	return switches(lines) < switches(s.best.Lines) && s.accept(lines)
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
	for i := 0; i < len(s.best.Lines); {
		lines := s.best.Lines
		mid := runEnd(lines, i)
		if mid == len(lines) {
			return
		}
		end := runEnd(lines, mid)
		swapped := slices.Concat(lines[:i], lines[mid:end], lines[i:mid], lines[end:])
		if lines[mid].Process < lines[i].Process && switches(swapped) <= switches(lines) && s.accept(swapped) {
			i = 0
		} else {
			i = mid
		}
	}
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
