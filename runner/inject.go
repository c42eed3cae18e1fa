package runner

import (
	"strings"

	"screwtape/runner/queue"
	"screwtape/runner/samples"
	"screwtape/runner/sys"
)

func injectMain(args []string) int {
	var c common
	fs := newFlags("inject", "inject [flags] --id ID")
	c.define(fs)
	sample := fs.String("message", "plain", "the `sample`: "+strings.Join(samples.Names(), ", "))
	id := fs.String("id", "", "the message's `id`: its Message-ID is <ID@"+queue.Domain+">")
	p, status, ok := c.parse(fs, args)
	if !ok {
		return status
	}
	if *id == "" || strings.ContainsAny(*id, "<>@ \t\r\n") {
		say("runner: --id wants a word without <, > and @")
		return exitUsage
	}
	text, meta, err := queue.NewMessage(*sample, *id, p)
	if err != nil {
		say("runner: " + err.Error())
		return exitUsage
	}
	s, err := queue.Open(p, c.dir, c.queue, 0, 1, say)
	if err != nil {
		return die(p, err)
	}
	base, err := s.Enqueue(text, meta)
	if err != nil {
		return die(p, err)
	}
	sys.Stdout.Write([]byte(base + ".pck\n"))
	return 0
}
