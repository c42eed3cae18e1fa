package workloads

import (
	"slices"
	"strings"
)

// A promise is what a help text says of a way to start, in our words, and which
// holders of the lock it says not to be in the way. It is of the flag for stale
// locks: of mailmanctl -s (mailmanctl(8); that its help means so, and is not right,
// the maintainer says in the thread), and, with the same meaning, of mailman start
// --force and master --force in 3.3.8. What its flag changes is what it says of a
// start without it.
type promise struct {
	says   string
	starts []string
}

var (
	withoutFlag = promise{"It gives up, with an error, when it finds another's lock.",
		[]string{"none"}}
	withFlag = promise{"It gives up only if a process of the host and the number that the lock names is running; otherwise it removes the lock and starts.",
		[]string{"none", "dead here", "dead elsewhere", "dead elsewhere, expired"}}
)

// helpFor is what the help text says of a way to start; all versions say it of
// theirs.
func helpFor(flag string) promise {
	if strings.Contains(flag, " -") {
		return withFlag
	}
	return withoutFlag
}

// Help is what the help text says of the cell's way to start, in our words.
func (c Cell) Help() string { return helpFor(c.Flag).says }

// Promised is the outcome that the help text says the cell has.
func (c Cell) Promised() string {
	if slices.Contains(helpFor(c.Flag).starts, c.Holder) {
		return cellStarted
	}
	return cellRefused
}

// AsPromised reports whether the start did what its help text says.
func (c Cell) AsPromised() bool { return c.Outcome == c.Promised() }
