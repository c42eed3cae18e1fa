package workloads

import (
	"maps"
	"slices"
	"strings"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/share"
	"screwtape/runner/list"
)

// This file judges the state of a list: of each thing that it holds, what commands
// did to it and saw of it, and what is there in the end. Each is a register, whose
// key says what it is and which:
//
//	member NAME     there or not, by config.pck
//	attribute KEY   its value, by config.pck
//	request NUMBER  the message that is held under it, by request.pck
//
// By numbers, and not by messages, a number that was given twice cannot hide that the
// second message took the place of the first.

// kinds of registers, and which file holds those of a kind.
const (
	aMember     = "member"
	anAttribute = "attribute"
	aRequest    = "request"
)

var fileOf = map[string]string{aMember: "config.pck", anAttribute: "config.pck", aRequest: "request.pck"}

// absent is what a register of a kind has that is not there: nothing that a command
// could write.
var absent = map[string]string{aMember: "not there", anAttribute: "not set", aRequest: "no message"}

// there is what a register of a member has who is on the list.
const there = "there"

// initialValues are those of a list that makeList has made with initialMember.
var initialValues = map[string]string{aMember + " " + initialMember: there, anAttribute + " internal_name": "test"}

// valueOf is what a register has.
func valueOf(values map[string]string, key string) string {
	if v, ok := values[key]; ok {
		return v
	}
	kind, _, _ := strings.Cut(key, " ")
	return absent[kind]
}

// A view is what somebody saw of a list: all that is in some of its files.
type view struct {
	read   regOp // by whom, and when
	kinds  []string
	values map[string]string
}

// see adds what words tell, which are those of list.State or of list.RequestWords. The
// number that the next request will have is left out: no command writes it.
func (v *view) see(words []string) {
	for _, word := range words {
		if key, value := register(word); key != anAttribute+" "+list.NextRequest {
			v.values[key] = value
		}
	}
}

// register is the key of which a word tells, and what is there.
func register(word string) (key, value string) {
	kind, rest, _ := strings.Cut(word, ":")
	name, value, valued := strings.Cut(rest, ":")
	if !valued {
		value = there
	}
	return kind + " " + name, value
}

// inTheEnd is who sees a list when all is over.
const inTheEnd = "whoever looks in the end"

// finalList is what somebody sees of the list who looks when all is over, and what is
// wrong with its files.
func finalList(e *harness.End) (final view, found []check.Anomaly) {
	final = view{read: regOp{who: inTheEnd, call: 1 << 40, ret: 1<<40 + 1}, kinds: []string{aMember, anAttribute, aRequest}, values: map[string]string{}}
	missing := true
	e.Share.Walk("/shared/"+listDir, func(name string, entry share.Entry) {
		data, _ := e.Share.ReadFile("/shared/" + listDir + "/" + name)
		switch {
		case strings.Contains(name, ".tmp"):
			found = append(found, check.Anomaly{Kind: check.Stranded, Subject: name, Step: -1,
				Explanation: name + " is left, which nothing will pick up"})
		case name == "config.pck" || name == "config.pck.last":
			state, err := list.Decode(data)
			if err != nil {
				found = append(found, corrupt(name, "cannot be read: "+err.Error()))
			}
			if name == "config.pck" {
				missing = false
				final.see(state.Words())
			}
		case name == "request.pck":
			requests, err := list.DecodeRequests(data)
			if err != nil {
				found = append(found, corrupt(name, "cannot be read: "+err.Error()))
			}
			final.see(list.RequestWords(requests))
		}
	})
	if missing {
		found = append(found, corrupt("config.pck", "is missing"))
	}
	final.kinds = slices.DeleteFunc(final.kinds, func(kind string) bool { return unreadable(found, fileOf[kind]) })
	return final, found
}

func corrupt(name, what string) check.Anomaly {
	return check.Anomaly{Kind: check.CorruptState, Subject: name, Step: -1, Explanation: name + " " + what}
}

// unreadable reports whether a file of the list's state is damaged, so that nothing
// is to be said of what it has in the end.
func unreadable(found []check.Anomaly, file string) bool {
	return slices.ContainsFunc(found, func(a check.Anomaly) bool { return a.Kind == check.CorruptState && a.Subject == file })
}

// An act is one command on a list, from its program's start to its end. A program that
// was killed may be started again, and then it is another one.
type act struct {
	process string
	command []string
	step    int // of its start
	call    int
	ret     int    // forever where it is not known whether it was done
	how     string // with which it ended; "" where it has not, or was killed
	// state is what it has seen of the list, and about, before it changed anything,
	// what is to change.
	state, about []string
}

// What an act ends with.
const (
	done          = "exit 0"
	refused       = "exit 3" // nothing was changed
	sawNoState    = "exit 4" // of config.pck and what takes its place nothing can be read
	sawNoRequests = "exit 5" // request.pck cannot be read
)

// listActs are the commands of a history, in the order in which they began.
func listActs(e *harness.End) []*act {
	var acts []*act
	last := map[string]*act{} // by process
	for _, o := range e.History {
		switch a := last[o.Process]; {
		case o.Type == history.Invoke:
			a = &act{process: o.Process, command: append([]string{o.F}, strings.Fields(o.Value)...), step: o.Step, call: 2 * o.Index, ret: forever}
			acts = append(acts, a)
			last[o.Process] = a
		case o.F == "exit" && a != nil:
			if a.how = o.Value; a.how == done || a.how == refused {
				a.ret = 2*o.Index + 1
			}
		}
	}
	for _, s := range e.Steps {
		for _, l := range s.Lines {
			words := strings.Fields(l.Text)
			for _, a := range slices.Backward(acts) {
				if a.process != l.Process || a.step > s.Index || len(words) == 0 {
					continue
				}
				switch words[0] {
				case "state":
					a.state = words[1:]
				case "about":
					a.about = words[1:]
				}
				break
			}
		}
	}
	return acts
}

// damageSeen are the files of which a command has found that they cannot be read,
// though they may be in order in the end.
func damageSeen(acts []*act) []check.Anomaly {
	files := map[string]string{sawNoState: "config.pck", sawNoRequests: "request.pck"}
	var found []check.Anomaly
	for _, a := range acts {
		if file := files[a.how]; file != "" {
			found = append(found, corrupt(file, "could not be read by "+a.process))
		}
	}
	return found
}

// A listRegister is one register of a list, and what was done to it.
type listRegister struct {
	key string
	ops []regOp
}

// listRegisters takes what was done to a list apart, by keys. Each write lasts from
// its command's start to its end, and for ever if it is not known whether it was done.
// What somebody saw of a file is a read of all its registers, of those too that were
// not there. Registers that nobody wrote, and that all saw as they were in the
// beginning, are left out.
func listRegisters(acts []*act, final view) []listRegister {
	ops := map[string][]regOp{}
	views := []view{final}
	for _, a := range acts {
		if key, op := a.op(); key != "" {
			ops[key] = append(ops[key], op)
		}
		if kinds, reads := showsKinds[a.command[0]]; reads {
			v := view{read: a.read(""), kinds: kinds, values: map[string]string{}}
			v.see(a.state)
			views = append(views, v)
		}
	}
	keys := maps.Clone(initialValues)
	for _, v := range views {
		maps.Copy(keys, v.values)
	}
	for key := range ops {
		keys[key] = ""
	}
	var list []listRegister
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		kind, _, _ := strings.Cut(key, " ")
		r := listRegister{key, ops[key]}
		changed := len(r.ops) > 0
		for _, v := range views {
			if slices.Contains(v.kinds, kind) {
				v.read.value = valueOf(v.values, key)
				r.ops = append(r.ops, v.read)
				changed = changed || v.read.value != valueOf(initialValues, key)
			}
		}
		if changed {
			list = append(list, r)
		}
	}
	return list
}

// showsKinds are what commands show that change nothing.
var showsKinds = map[string][]string{"show": {aMember, anAttribute}, "requests": {aRequest}}

// op is what a command did to which register; the key is "" if it did nothing. One that
// was refused saw what there is. One that is about a request has not changed anything
// before it has said which.
func (a *act) op() (key string, op regOp) {
	argument := append(slices.Clone(a.command), "")[1]
	value, found := "", ""
	switch a.command[0] {
	case "add":
		key, value, found = aMember+" "+argument, there, absent[aMember]
	case "remove":
		key, value, found = aMember+" "+argument, absent[aMember], there
	case "set":
		key, value = anAttribute+" "+argument, a.command[2]
	case "hold":
		if len(a.about) > 0 {
			key, value = register(a.about[0])
			found = absent[aRequest]
		}
	case "handle":
		if len(a.about) > 0 {
			key, found = register(a.about[0])
			value = absent[aRequest]
		}
		if a.how == refused {
			key, value = aRequest+" "+argument, absent[aRequest]
		}
	}
	switch {
	case a.how == refused: // there was already what it wanted
		return key, a.read(value)
	case a.ret == forever:
		found = ""
	}
	op = a.read(value)
	op.write, op.found = true, found
	return key, op
}

// read is that a command saw the value.
func (a *act) read(value string) regOp {
	return regOp{who: a.process + "'s " + strings.Join(a.command, " "), value: value, call: a.call, ret: a.ret}
}

// lost says what is wrong with a register, in linear time where its values are all
// different.
func (r listRegister) lost() []check.Anomaly {
	initial := valueOf(initialValues, r.key)
	lost, unique := registerLost(initial, r.ops)
	if !unique && !linearizable(initial, r.ops) {
		lost = "what was done to it, and seen, fits no order"
	}
	if lost == "" {
		return nil
	}
	text := r.key
	for _, o := range r.ops {
		if o.who == inTheEnd {
			text += " is " + o.value + " in the end"
		}
	}
	return []check.Anomaly{{Kind: check.LostUpdate, Subject: r.key, Step: -1, Explanation: text + ": " + lost}}
}
