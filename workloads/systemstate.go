package workloads

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// A systemState is the workload of a state that commands read, change and write:
// what a command has done must be there in the end.
type systemState struct{ system }

// Act does nothing: the clients are commands.
func (*systemState) Act(*harness.Acts) error { return nil }

// Note says nothing.
func (*systemState) Note(string, []byte) string { return "" }

// Judge has the state printed, and looks whether all is in it that commands have
// said they did; and whether a command waits for ever, as daemons do, or failed
// although nobody was in its way.
func (s *systemState) Judge(e *harness.End) check.Verdict {
	acts := s.acts(e.History)
	list := s.lost(e.Share, acts)
	if e.Bounded == "" {
		list = append(list, slices.DeleteFunc(waiting(e.History), func(a check.Anomaly) bool { return !s.isAct(a.Subject) })...)
		list = append(list, s.failedAlone(e.History)...)
	}
	return verdict(list)
}

// lost finds what was acknowledged and is not in the state.
func (s *systemState) lost(store *share.Store, acts []*life) []check.Anomaly {
	dir, err := os.MkdirTemp("", "screwtape-state-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = exportTree(store, "/shared", filepath.Join(dir, "shared"))
	}
	if err != nil {
		panic(fmt.Errorf("copy the share to judge it: %w", err))
	}
	state, err := s.run(s.Read, filepath.Join(dir, "shared"), dir)
	if err != nil {
		text := strings.ReplaceAll(strings.ReplaceAll(err.Error(), dir+"/shared/", ""), "\n", "; ")
		return []check.Anomaly{{Kind: check.CorruptState, Subject: s.Name, Step: -1, Explanation: "the state cannot be read: " + text}}
	}
	var list []check.Anomaly
	for _, l := range acts {
		if l.entered && !hasWord(state, l.id()) {
			list = append(list, check.Anomaly{Kind: check.LostUpdate, Subject: l.id(), Step: l.step,
				Explanation: fmt.Sprintf("%s said that it had done %s, and nothing of that is in the state", l.process, l.id())})
		}
	}
	return list
}

// hasWord reports whether the word is in the text, and not as a part of another.
func hasWord(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
	}), word)
}

// failedAlone finds acts that failed although no other that did, was killed, or is
// still at it, was at it at the same time, no daemon was down, and none of all stood
// still.
func (s *system) failedAlone(ops []history.Op) []check.Anomaly {
	var list []check.Anomaly
	outages := s.outages(ops)
	for _, l := range hindered(s.acts(ops)) {
		if !slices.ContainsFunc(outages, l.overlaps) {
			list = append(list, check.Anomaly{Kind: check.Stuck, Subject: l.process, Step: l.step,
				Explanation: fmt.Sprintf("%s failed (%s) although nobody was in its way", l.process, l.how)})
		}
	}
	return list
}

// outages are the spans of the history in which a daemon was down, or a daemon or an
// act stood still.
func (s *system) outages(ops []history.Op) []*life {
	var list []*life
	find := func(label string, daemon bool) {
		var down *life
		falls := func(at int) {
			if down == nil {
				down = &life{process: label, start: at, end: len(ops)}
				list = append(list, down)
			}
		}
		if slices.Contains(s.config.Late, label) {
			falls(0)
		}
		for i, op := range ops {
			switch {
			case daemon && ends(op)(label), op.F == schedule.Pause && op.Value == label:
				falls(i)
			case (op.F == schedule.Start || op.F == schedule.Resume) && covers(op.Value, label) && down != nil:
				down.end, down = i, nil
			}
		}
	}
	for _, node := range s.config.Nodes {
		for _, p := range s.Programs {
			if on(p.Nodes, node) {
				find(node+"/"+p.Name, true)
			}
		}
		for _, a := range s.Acts {
			find(node+"/"+a.Name, false)
		}
	}
	return list
}
