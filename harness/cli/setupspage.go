package cli

import (
	"fmt"
	"io"
	"strings"

	"screwtape/harness/check"
	"screwtape/results"
)

// tellSetUps prints the page for a terminal.
func tellSetUps(w io.Writer, r results.Report) {
	t := table{head: []string{"set-up", "what it is", "what holds", "whatever of this happens", "comes out", "explored"}}
	for _, s := range r.SetUps {
		t.add(s.ID, s.Is, s.Promise, s.Faults, comesOut(s), explored(s))
	}
	t.print(w)
	fmt.Fprintln(w, "\nwhat goes wrong in those that are not safe, step by step:")
	for _, s := range r.SetUps {
		if s.Replay != "" {
			fmt.Fprintf(w, "  %s\n", s.Replay)
		}
	}
	fmt.Fprintf(w, "%s\nin %.0f s, seed %d: %s", afterALoss, r.Seconds, r.Seed, r.Verdict)
	if r.Why != "" {
		fmt.Fprintf(w, ": %s", r.Why)
	}
	fmt.Fprintf(w, "\nrun: %s\n", r.Run)
}

// outcome is what comes of a set-up, for a table in Markdown.
func outcome(s results.SetUp) string {
	if said, kind, unsafe := strings.Cut(comesOut(s), ": "); unsafe {
		return fmt.Sprintf("**%s**: %s", strings.ToLower(said), kind)
	}
	return comesOut(s)
}

// setUpsPage is the page as docs/setups.md has it.
func setUpsPage(r results.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, setUpsHead, r.Seconds, r.Seed)
	b.WriteString("| set-up | what it is | what holds | whatever of this happens | comes out | explored |\n|---|---|---|---|---|---|\n")
	for _, s := range r.SetUps {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", s.ID, s.Is, s.Promise, s.Faults, outcome(s), explored(s))
	}
	b.WriteString(setUpsNotes)
	for _, s := range r.SetUps {
		if s.Tape != "" {
			fmt.Fprintf(&b, "- `screwtape setups %s`\n", s.ID)
		}
	}
	b.WriteString(afterALoss)
	if r.Verdict != check.Valid {
		fmt.Fprintf(&b, "\n**This page is not whole: %s.**\n", r.Why)
	}
	return b.String()
}

const setUpsHead = `# Ways to run Mailman on several hosts

Which of them are safe, what can be relied on in each, and what comes of those
that are not. ` + "`screwtape setups`" + ` tries each with real processes and prints this
page; the figures are those of a run of %.0f s with seed %d. Where no version is
named, it is 2.1.39.

"Safe" says that nothing was found that breaks what holds, in as much as the last
column says was explored: all traces (a trace is a schedule up to the order of
steps that do not conflict), or so many drawn ones, with the chance that the next
would have been one not seen before. The share is one that all hosts see alike at
once; what the caches of NFS add to that is not in this table.

`

const setUpsNotes = `
- Mailman's own start gives every slice to every host: slices of its own for each
  host want runners that are started by hand, or a changed list of runners.
- Two changes of a list at the same time are safe. With three a waiter that looks in
  the wrong moment breaks the lock of the next holder (LP 827052). When a program
  dies that has the lock, two that wait for it can both find it expired, five hours
  later, and the second breaks the lock that the first has just taken; local locks
  are no better there. Whose lock is broken finds it gone when it saves, and fails;
  do its change again. In rare orders a change is lost (` + "`screwtape replay N9c`" + `). After such a death remove
  the lock by hand, at once.
- The clocks of all hosts must agree: by a wrong one a lock looks expired, or a
  save by another host looks old.
- 2.1.39 advises ` + "`start -s`" + ` for the lock of another host, and then refuses it. Once
  that host is dead, remove ` + "`locks/master-qrunner`" + ` and
  ` + "`locks/master-qrunner.HOST.PID`" + ` by hand, or wait 30 hours.
- 2.1.15's ` + "`start -s`" + ` takes the lock of a dead host, but for one that died in the midst of
  its own start and left an empty lock (` + "`screwtape replay N25`" + `). Then it ends with a
  ValueError, as any start of 2.1 does; one of ten seconds later takes that lock.
- 3.3.8's ` + "`start`" + ` says of a master that runs on another host that it did not exit
  cleanly, and to use --force. Look first: by --force there are two.
- Dead means that the host is off, not that it does not answer.

Each of these writes the tape of what goes wrong, and prints the command that
plays it, step by step:

`

const afterALoss = `
## After a loss

- **Messages set aside as damaged**: ` + "`qfiles/bad/*.psv`" + `. Nothing reads them again, and
  cull_bad_shunt deletes them after 7 days. If two runners served one slice, the
  message is not damaged at all; the log has "Skipping and preserving unparseable
  message". Look in the mail server's log whether it was delivered. If it was not:
  ` + "`mv qfiles/bad/X.psv qfiles/out/X.pck`" + ` (or the queue that it was in); a runner of its
  slice takes it.
- **Messages whose processing failed**: ` + "`qfiles/shunt/*.pck`" + `. Put the cause right, then
  unshunt puts them back into their queues. One that failed when its list was
  saved may have been sent on already, and is sent twice then.
- **Messages that a dead runner had**: ` + "`qfiles/*/*.bak`" + `. They come back when a runner of
  their slice is started, not before; at the third time they become .psv. Do not
  rename them while a runner of the slice is up.
- **Messages half put in**: ` + "`qfiles/*/*.pck.tmp`" + `. Nothing reads them; whoever sent them was
  not told that they are accepted.
- **Changes of a list**: one that is lost leaves no trace and no log line.
  ` + "`config.pck.last`" + ` is the state before the last save, ` + "`config.pck.tmp.HOST.PID`" + ` what a
  program that died had not put in place.
- **Locks of the dead**: a list's lasts 5 hours, the master's 30; whoever wants it waits
  so long, or you remove the lock and the claim that it names by hand.
`
