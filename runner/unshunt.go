package runner

import (
	"path"

	"screwtape/runner/profile"
	"screwtape/runner/queue"
)

// unshuntMain is bin/unshunt of 2.1 and "mailman unshunt" of 3.3.8: it puts what
// runners have set aside back into the queues that it came from. What lies there
// as .psv it does not see.
func unshuntMain(args []string) int {
	fs := newFlags("unshunt", "unshunt [flags] [DIRECTORY]")
	root := fs.String("dir", "/shared/qfiles", "the `directory` of the queues")
	version := profileFlag(fs)
	discard := fs.Bool("discard", false, "throw the messages away (3.3.8)")
	if status, ok := parse(fs, args, 1); !ok {
		return status
	}
	p, err := profile.Get(*version)
	if err != nil {
		say("runner: " + err.Error())
		return exitUsage
	}
	dir := path.Join(*root, queue.Shunt)
	switch {
	case fs.NArg() == 1 && !p.UnshuntsAny:
		say("runner: " + p.Name + " unshunts the queue shunt alone; leave out " + fs.Arg(0))
		return exitUsage
	case *discard && !p.Discards:
		say("runner: " + p.Name + " has no --discard; leave it out")
		return exitUsage
	case fs.NArg() == 1:
		dir = fs.Arg(0)
	}
	if err := unshunt(p, *root, dir, *discard, say); err != nil {
		return die(p, err)
	}
	return 0
}

// unshunt puts all entries of dir back, or throws them away. One that it cannot
// put back it says and skips. Where that was taken already it is a .bak from then
// on, of which the next time does what [queue.Switchboard.Recover] says.
func unshunt(p profile.Profile, root, dir string, discard bool, log func(line string)) error {
	from, err := queue.Open(p, path.Dir(dir), path.Base(dir), 0, 1, log)
	if err != nil {
		return err
	}
	if err := from.Recover(); err != nil {
		return err
	}
	bases, err := from.Files(".pck")
	if err != nil {
		return err
	}
	for _, base := range bases {
		if err := putBack(p, root, from, base, discard, log); err != nil {
			log("Cannot unshunt message " + base + ", skipping: " + queue.ErrorText(p, err))
			continue
		}
		from.Finish(base, false)
	}
	return nil
}

// putBack puts one entry into the queue that it names, or else into in.
func putBack(p profile.Profile, root string, from *queue.Switchboard, base string, discard bool, log func(line string)) error {
	entry, err := from.Dequeue(base)
	if err != nil || discard {
		return err
	}
	name, ok := entry.Meta["whichq"].(string)
	if !ok {
		name = queue.In
	}
	to, err := queue.Open(p, root, name, 0, 1, log)
	if err != nil {
		return err
	}
	_, err = to.Enqueue(entry.Text, entry.Meta)
	return err
}
