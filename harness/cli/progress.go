package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness"
	"screwtape/results"
)

// A status tells on one line how far something has come: on a terminal over and over
// on the same one, elsewhere every few seconds on a new one.
type status struct {
	w        io.Writer
	terminal bool
	last     time.Duration // after how long it was told last
	shown    bool          // a line stands on the terminal
}

func newStatus(w io.Writer) *status { return &status{w: w, terminal: isTerminal(w)} }

// due reports whether after so long it is time to tell something.
func (s *status) due(elapsed time.Duration) bool {
	every := 5 * time.Second
	if s.terminal {
		every = 200 * time.Millisecond
	}
	return elapsed-s.last >= every
}

// tell tells what is so after so long.
func (s *status) tell(elapsed time.Duration, text string) {
	s.last = elapsed
	line := fmt.Sprintf("%s: %s", elapsed.Round(time.Second), text)
	if s.terminal {
		fmt.Fprintf(s.w, "\r\033[K%s", line)
		s.shown = true
		return
	}
	fmt.Fprintln(s.w, line)
}

// clear takes the line away from the terminal.
func (s *status) clear() {
	if s.shown {
		fmt.Fprint(s.w, "\r\033[K")
		s.shown = false
	}
}

// A progress is the status of a campaign.
type progress struct {
	*status
	run     *results.Run     // its log gets what is found, in case that we are killed
	of      int              // schedules that were asked for; 0 where that has no bound
	written float64          // seconds after which the run's progress was written last
	told    harness.Progress // last
	logged  int              // kinds that the log has
}

func newProgress(w io.Writer, run *results.Run, of int) *progress {
	return &progress{status: newStatus(w), run: run, of: of, written: -1}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// show tells it, if it is time to.
func (p *progress) show(now harness.Progress) {
	for ; p.logged < len(now.Found); p.logged++ {
		p.run.Logf("schedule %d: found %s", now.Schedules, now.Found[p.logged])
	}
	if seconds := now.Elapsed.Seconds(); seconds-p.written >= 1 {
		// For whoever looks at the run. That it cannot be written the run's
		// own files will show.
		p.run.WriteProgress(results.Progress{Done: now.Schedules, Of: p.of, Unit: "schedule", Traces: now.Traces, Found: now.Found, Seconds: seconds})
		p.written = seconds
	}
	if !p.due(now.Elapsed) {
		return
	}
	rate := float64(now.Schedules-p.told.Schedules) / (now.Elapsed - p.told.Elapsed).Seconds()
	text := fmt.Sprintf("%s, %.0f/s, %s (%d new), %s",
		count(now.Schedules, "schedule"), rate, count(now.Traces, "trace"), now.Traces-p.told.Traces, found(now.Found))
	if now.Open > 0 {
		least := now.Elapsed / time.Duration(max(now.Schedules, 1)) * time.Duration(now.Open) // a schedule each
		text += fmt.Sprintf("; choices left at %s, which take %v at least", count(now.Open, "point"), least.Round(time.Second))
	}
	if now.Doing != "" {
		text += "; " + now.Doing
	}
	p.told = now
	p.tell(now.Elapsed, text)
}

func found(kinds []string) string {
	if len(kinds) == 0 {
		return "no anomalies"
	}
	return "found " + strings.Join(kinds, ", ")
}
