package workloads

import (
	"fmt"
	"slices"
	"strings"

	"screwtape/harness/schedule"
)

// OnSystem gives the claims as they are played on a system: each on its programs,
// and, for what is to be expected, by the built-in programs with the profile that
// the system file names. The tapes are the claims' own. What cannot be played
// there is left out, with the reason, as "C1 (workload master)".
func OnSystem(claims []Claim, name string) (played []Claim, leftOut []string, err error) {
	text, err := ReadSystem(name)
	if err != nil {
		return nil, nil, err
	}
	s, err := parseSystem(text)
	if err != nil {
		return nil, nil, err
	}
	if err := s.missing(); err != nil {
		return nil, nil, err
	}
	if s.Profile == "" || s.Workload != "queue" || len(s.Programs) != 1 {
		return nil, nil, fmt.Errorf("the claims cannot be played on %s: it is no queue of one program with a profile (see docs/systems.md)", s.Name)
	}
	for _, c := range claims {
		if why := elsewhere(c); why != "" {
			leftOut = append(leftOut, c.ID+" ("+why+")")
			continue
		}
		model, real := *c.Tape, *c.Tape
		model.Header = slices.Clone(c.Tape.Header)
		model.Header.Set("profile", s.Profile)
		real.Header = schedule.Header{}
		for _, f := range c.Tape.Header {
			switch f.Key {
			case "workload":
				real.Header.Set("workload", "system")
				real.Header.Set("system", text)
			case "profile": // is for the built-in programs
			default:
				real.Header.Set(f.Key, renamed(f.Value, s))
			}
		}
		real.Lines = slices.Clone(c.Tape.Lines)
		for i, l := range real.Lines {
			real.Lines[i].Process = renamed(l.Process, s)
		}
		c.Tape, c.Model = &real, &model
		played = append(played, c)
	}
	return played, leftOut, nil
}

// renamed puts the system's program in the place of the built-in one in a text
// that names processes.
func renamed(text string, s *System) string {
	return strings.ReplaceAll(text, "/"+runnerName, "/"+s.Programs[0].Name)
}

// runnerName is what tapes call the built-in runner of a queue.
const runnerName = "runner"

// elsewhere says why a claim cannot be played on a system; "" is that it can.
func elsewhere(c Claim) string {
	switch w := c.Tape.Header.Get("workload"); {
	case w != "queue":
		return "workload " + w
	case c.Schedules > 0:
		return "drawn at random"
	case c.Open():
		return "open"
	}
	for _, f := range c.Tape.Header {
		known := []string{"workload", "profile", "nodes", "nemesis", "crashes", "late", "messages", "promise"}
		if !slices.Contains(known, f.Key) && !slices.Contains(noteKeys, f.Key) {
			return f.Key + ": " + f.Value
		}
	}
	return ""
}
