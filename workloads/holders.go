package workloads

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"screwtape/harness/check"
	"screwtape/harness/history"
)

// This file judges histories of locks. The operations are
//
//	PROCESS  ok    acquire      LOCK  it is in the lock's section from now on
//	PROCESS  ok    release      LOCK  it has left
//	PROCESS  ok    make-lock    LOCK  it has made the lock's file
//	PROCESS  ok    remove-lock  LOCK  it has removed it, be it its own or not
//	PROCESS  info  exit         HOW   it has ended
//	nemesis  info  crash        WHO   a process with its children, or a node
//	nemesis  info  start        WHO   the same is up

// covers reports whether a crash of who takes the process too.
func covers(who, process string) bool {
	return process == who || strings.HasPrefix(process, who) && strings.ContainsAny(process[len(who):][:1], "/.#")
}

// ends says for an operation with which a process ends, by itself or not,
// which do.
func ends(op history.Op) func(process string) bool {
	switch op.F {
	case "exit":
		return func(p string) bool { return p == op.Process }
	case "crash":
		return func(p string) bool { return covers(op.Value, p) }
	}
	return func(string) bool { return false }
}

// splitBrain finds, in one pass, that two were in a lock's section at once.
func splitBrain(ops []history.Op, lock string) []check.Anomaly {
	var inside []string
	for _, op := range ops {
		inside = slices.DeleteFunc(inside, ends(op))
		switch {
		case op.Type != history.OK || op.Value != lock:
		case op.F == "acquire" && len(inside) > 0 && inside[0] != op.Process:
			return []check.Anomaly{{Kind: check.SplitBrain, Subject: lock, Step: op.Step,
				Explanation: fmt.Sprintf("%s and %s both hold %s", inside[0], op.Process, lock)}}
		case op.F == "acquire":
			inside = append(inside, op.Process)
		case op.F == "release":
			inside = slices.DeleteFunc(inside, func(p string) bool { return p == op.Process })
		}
	}
	return nil
}

// stolenLocks finds locks that somebody else than their living holder removed.
func stolenLocks(ops []history.Op, lock string) []check.Anomaly {
	holder := ""
	for _, op := range ops {
		if holder != "" && ends(op)(holder) {
			holder = ""
		}
		switch {
		case op.Type != history.OK || op.Value != lock:
		case op.F == "make-lock":
			holder = op.Process
		case op.F == "remove-lock" && holder != "" && holder != op.Process:
			return []check.Anomaly{{Kind: check.StolenLock, Subject: lock, Step: op.Step,
				Explanation: fmt.Sprintf("%s removed %s, which %s held, and %s was alive", op.Process, lock, holder, holder)}}
		case op.F == "remove-lock":
			holder = ""
		}
	}
	return nil
}

// inSection are who is in a lock's section after so many decisions.
func inSection(ops []history.Op, lock string, step int) []string {
	var list []string
	for _, op := range ops {
		if op.Step > step {
			break
		}
		list = slices.DeleteFunc(list, ends(op))
		switch {
		case op.Type != history.OK || op.Value != lock:
		case op.F == "acquire":
			list = append(list, op.Process)
		case op.F == "release":
			list = slices.DeleteFunc(list, func(p string) bool { return p == op.Process })
		}
	}
	return list
}

// waiting finds programs that are still there when nothing is left to happen:
// they wait for what never comes.
func waiting(ops []history.Op) []check.Anomaly {
	up := map[string]bool{}
	for _, op := range ops {
		maps.DeleteFunc(up, func(p string, _ bool) bool { return ends(op)(p) })
		if op.F == "start" && strings.Contains(op.Value, "/") {
			up[op.Value] = true
		}
	}
	var list []check.Anomaly
	for _, p := range slices.Sorted(maps.Keys(up)) {
		list = append(list, check.Anomaly{Kind: check.Stuck, Subject: p, Step: -1, Explanation: p + " waits for ever"})
	}
	return list
}

// A holdInput is an operation of holderModel.
type holdInput struct {
	f, process string
	ended      func(process string) bool
}

// holderModel is a lock as a porcupine model: one holder at a time. It is
// written without splitBrain, so that the two can be held against each other.
var holderModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		holder, in := state.(string), input.(holdInput)
		switch in.f {
		case "acquire":
			return holder == "" || holder == in.process, in.process
		case "release":
			if holder == in.process {
				holder = ""
			}
		case "end":
			if holder != "" && in.ended(holder) {
				holder = ""
			}
		}
		return true, holder
	},
	DescribeOperation: func(input, _ any) string {
		in := input.(holdInput)
		if in.f == "end" {
			return "end of " + in.process
		}
		return in.f + " by " + in.process
	},
	DescribeState: func(state any) string {
		if state == "" {
			return "free"
		}
		return "held by " + state.(string)
	},
}

// holderOperations picks from a history what concerns one lock, for
// holderModel. An acquisition lasts from when it was asked for; one that never
// came about is left out. Times are twice the place in the history.
func holderOperations(ops []history.Op, lock string) []porcupine.Operation {
	var list []porcupine.Operation
	clients := check.Clients(ops)
	asked := map[string]int64{}
	for i, op := range ops {
		now := int64(2 * i)
		call := now
		in := holdInput{f: op.F, process: op.Process, ended: ends(op)}
		switch {
		case op.F == "exit" || op.F == "crash":
			in.f = "end"
			if op.F == "crash" {
				in.process = op.Value
			}
		case op.Value != lock || op.F != "acquire" && op.F != "release":
			continue
		case op.F == "acquire" && op.Type == history.Invoke:
			asked[op.Process] = now
			continue
		case op.Type != history.OK:
			continue
		case op.F == "acquire":
			if at, ok := asked[op.Process]; ok {
				call = at
				delete(asked, op.Process)
			}
		}
		list = append(list, porcupine.Operation{ClientId: slices.Index(clients, op.Process), Input: in, Call: call, Return: now + 1})
	}
	return list
}
