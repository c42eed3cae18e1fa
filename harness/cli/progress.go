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

// A progress tells on one line how far a campaign has come: on a terminal over
// and over on the same one, elsewhere every few seconds on a new one.
type progress struct {
	w        io.Writer
	run      *results.Run // its log gets what is found, in case that we are killed
	of       int          // schedules that were asked for; 0 where that has no bound
	written  float64      // seconds after which the run's progress was written last
	terminal bool
	last     harness.Progress // when it was told last
	logged   int              // kinds that the log has
	shown    bool             // a line stands on the terminal
}

func newProgress(w io.Writer, run *results.Run, of int) *progress {
	return &progress{w: w, run: run, of: of, written: -1, terminal: isTerminal(w)}
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
	every := 5 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	since := now.Elapsed - p.last.Elapsed
	if since < every {
		return
	}
	rate := float64(now.Schedules-p.last.Schedules) / since.Seconds()
	line := fmt.Sprintf("%s: %d schedules, %.0f/s, %d traces (%d new), %s", now.Elapsed.Round(time.Second),
		now.Schedules, rate, now.Traces, now.Traces-p.last.Traces, found(now.Found))
	if now.Explored > 0 {
		line += "; " + timeLeft(now)
	}
	p.last = now
	if p.terminal {
		fmt.Fprintf(p.w, "\r\033[K%s", line)
		p.shown = true
		return
	}
	fmt.Fprintln(p.w, line)
}

// clear takes the line away from the terminal.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\033[K")
		p.shown = false
	}
}

// timeLeft says how long an exhaustive search may still take, going on as it
// has; see schedule.Account.
func timeLeft(p harness.Progress) string {
	done := p.Explored - p.Resumed
	if done <= 0 {
		return "time left: not to be estimated yet"
	}
	left := (p.Elapsed - p.Since).Seconds() * (1 - p.Explored) / done
	const year = 365 * 24 * 3600
	if left > year {
		return "estimated time left: more than a year"
	}
	return fmt.Sprintf("estimated time left: at least %v", (time.Duration(left) * time.Second).Round(time.Second))
}

func found(kinds []string) string {
	if len(kinds) == 0 {
		return "no anomalies"
	}
	return "found " + strings.Join(kinds, ", ")
}
