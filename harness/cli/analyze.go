package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
	"screwtape/results"
	"screwtape/workloads"
)

func (c *command) newAnalyze() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "analyze [RUN]",
		Short: "Judge a stored run again, without running anything",
		Long: `Judge a stored run again by its histories, without running anything: that of
the run and those of its findings, each with what lay on the share in the end.
The run stays as it is. Without RUN it is the latest one. What setups and truth
keep is judged while it is played, and not again.`,
		Example: `  screwtape analyze
  screwtape analyze results/runs/queue/latest --json`,
		Args: arguments(0, 1, "[RUN]"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := filepath.Join(c.root, "latest")
			if len(args) > 0 {
				dir = args[0]
			}
			return c.analyze(dir, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as one JSON object")
	return cmd
}

func (c *command) analyze(dir string, asJSON bool) error {
	run, err := results.Open(dir)
	if err != nil {
		return badArgs{err}
	}
	switch {
	case isOf(run, "setups", "truth"):
		return badArgs{fmt.Errorf("%s is a run of %s, which is judged while it is played; play it again, or a tape of it with screwtape replay", dir, run.Test.Name)}
	case run.Phase == results.Started:
		return badArgs{fmt.Errorf("%s was killed before it had a history; run the test again", dir)}
	}
	report, err := judgeRun(run, dir)
	if err != nil {
		return badArgs{err}
	}
	if asJSON {
		if err := printJSON(c.out, report); err != nil {
			return err
		}
		return exitFor(report.Verdict)
	}
	fmt.Fprintf(c.out, "%s: %s: ", dir, plural(report.Schedules, "history", "histories"))
	tellVerdict(c.out, report, results.Shortener(nil, nil)) // of several histories
	for _, claim := range report.Claims {
		fmt.Fprintf(c.out, "  %s: %s; expected %s\n", claim.ID, claim.Observed, claim.Expected)
	}
	if run.Report != nil {
		fmt.Fprintf(c.out, "when it was run: %s\n", run.Report.Verdict)
	}
	return exitFor(report.Verdict)
}

// isOf reports whether it is a run of one of these verbs, and not of a system that
// somebody has called so: a verb's run has no workload.
func isOf(run *results.Run, verbs ...string) bool {
	return run.Test.Workload == "" && slices.Contains(verbs, run.Test.Name)
}

// judgeRun judges all histories that a run has kept.
func judgeRun(run *results.Run, dir string) (results.Report, error) {
	report := results.Report{Test: run.Test.Name, Workload: run.Test.Workload, Profile: run.Test.Profile,
		Promise: run.Test.Promise, Seed: run.Test.Seed, Run: dir, Faults: map[string]int{}, Verdict: check.Valid}
	if run.Report != nil {
		report.Outside = run.Report.Outside
	}
	places, err := histories(dir)
	if err != nil {
		return report, err
	}
	for _, place := range places {
		r, k, err := judgeStored(filepath.Join(dir, place))
		if err != nil {
			return report, err
		}
		report.Schedules++
		if k.Bounded != "" {
			report.Bounded++
		}
		for _, s := range k.Steps {
			if s.Fault() {
				report.Faults[s.FaultKind()]++
			}
		}
		if isOf(run, "reproduce") {
			tape, err := schedule.Parse(filepath.Join(dir, place, scheduleFile), strings.NewReader(k.Tape))
			if err != nil {
				return report, err
			}
			observed := workloads.Observed(tape.Header, r)
			report.Claims = append(report.Claims, judgeClaim(run, dir, path.Base(place), observed, k.Bounded))
			continue
		}
		tape := ""
		if place != "." {
			tape = filepath.Join(dir, "tapes", path.Base(place)+".tape")
		}
		addVerdict(&report, r.Verdict, tape)
	}
	report.Traces = report.Schedules
	for _, c := range report.Claims {
		switch {
		case c.OK || c.Open:
		case strings.HasPrefix(c.Observed, cutOff):
			report.Verdict, report.Why = check.Unknown, c.ID+": "+c.Observed
		default:
			report.Verdict, report.Why = check.Invalid, ""
			return report, nil
		}
	}
	return report, nil
}

// histories are the directories of a run in which a history lies: those of
// findings, or else the run's own.
func histories(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "findings"))
	if errors.Is(err, fs.ErrNotExist) {
		return []string{"."}, nil
	}
	var list []string
	for _, e := range entries {
		list = append(list, "findings/"+e.Name())
	}
	return list, err
}

// addVerdict adds what one history shows; of each kind and subject the first
// that does.
func addVerdict(report *results.Report, v check.Verdict, tape string) {
	add := func(to *[]results.Anomaly, list []check.Anomaly) {
		for _, a := range list {
			if !slices.ContainsFunc(*to, func(b results.Anomaly) bool { return b.Kind == a.Kind && b.Subject == a.Subject }) {
				found := results.Anomaly{Anomaly: a, Tape: tape}
				if tape != "" {
					found.Replay = results.ReplayCommand(tape)
				}
				*to = append(*to, found)
			}
		}
		slices.SortStableFunc(*to, func(a, b results.Anomaly) int {
			return cmp.Or(check.CompareKinds(a.Kind, b.Kind), strings.Compare(a.Subject, b.Subject))
		})
	}
	add(&report.Anomalies, v.Anomalies)
	add(&report.Allowed, v.Allowed)
	switch {
	case len(report.Anomalies) > 0:
		report.Verdict, report.Why = check.Invalid, ""
	case v.Verdict == check.Unknown:
		report.Verdict, report.Why = v.Verdict, v.Why
	}
}

// cutOff is how the reason begins for which a schedule's end is not known.
const cutOff = "the schedule was cut off at "

// judgeClaim compares with what was expected of the claim; of a schedule that
// hit a bound nothing is. A claim of many schedules has kept one of them, and
// stands as it was judged.
func judgeClaim(run *results.Run, dir, id string, observed []string, bounded string) results.Claim {
	claim := results.Claim{ID: id, Expected: "not stored", Schedules: 1, Tape: filepath.Join(dir, "tapes", id+".tape")}
	if run.Report != nil {
		for _, c := range run.Report.Claims {
			if c.ID == id {
				claim = c
			}
		}
	}
	if claim.Schedules == 1 {
		claim.Observed = kinds(observed)
		claim.OK = claim.Observed == claim.Expected
		if bounded != "" {
			claim.Observed, claim.OK = cutOff+bounded, false
		}
	}
	return claim
}

// judgeStored judges the schedule that is kept in a directory.
func judgeStored(dir string) (r *harness.Result, k kept, err error) {
	name := filepath.Join(dir, scheduleFile)
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, k, err
	}
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, k, fmt.Errorf("%s cannot be read: %w; run the test again", name, err)
	}
	name = filepath.Join(dir, historyFile)
	if data, err = os.ReadFile(name); err != nil {
		return nil, k, err
	}
	r = &harness.Result{Steps: k.Steps}
	if r.History, err = history.ReadJSONL(name, bytes.NewReader(data)); err != nil {
		return nil, k, err
	}
	r.Verdict, err = k.judge(filepath.Join(dir, scheduleFile), r.History)
	return r, k, err
}

// judge has the workload judge the history, as it did when it was played.
func (k *kept) judge(name string, ops []history.Op) (check.Verdict, error) {
	test, err := k.test(name)
	if err != nil {
		return check.Verdict{}, err
	}
	end, err := k.end(name, test, ops)
	if err != nil {
		return check.Verdict{}, err
	}
	v := test.Workload.Judge(end)
	if k.Bounded != "" && v.Verdict == check.Valid {
		v.Verdict, v.Why = check.Unknown, cutOff+k.Bounded
	}
	return v, nil
}

// test makes the test that was played.
func (k *kept) test(name string) (*harness.Test, error) {
	tape, err := schedule.Parse(name, strings.NewReader(k.Tape))
	if err != nil {
		return nil, err
	}
	return workloads.FromTape(tape)
}

// end leads the workload to where it was when the schedule was over: it sees
// the clients act and each step, on a share that goes through the same changes.
func (k *kept) end(name string, test *harness.Test, ops []history.Op) (*harness.End, error) {
	store := share.NewStore(func() time.Time { return harness.Epoch })
	var again history.Recorder // what the workload notes now is not what is judged
	if err := lay(store, test, &again, k.Initial); err != nil {
		return nil, fmt.Errorf("%s: lay out the share: %w", name, err)
	}
	for _, s := range k.Steps {
		if err := apply(store, test, s.Changes); err != nil {
			return nil, fmt.Errorf("%s: step %d: %w", name, s.Index+1, err)
		}
		if o, ok := test.Workload.(harness.Observer); ok {
			again.Step = s.Index
			o.Observe(s.Decision, store, &again)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Files)) {
		if err := store.WriteFile(storePath(test, name), k.Files[name], 0o666); err != nil {
			return nil, err
		}
	}
	var logs []history.Line
	for _, s := range k.Steps {
		logs = append(logs, s.Lines...)
	}
	return &harness.End{Share: store, History: ops, Steps: k.Steps, Logs: logs, Down: down(ops), Bounded: k.Bounded}, nil
}

// lay lays out the share as it was before the first step.
func lay(s *share.Store, t *harness.Test, r *history.Recorder, initial []history.Change) error {
	for _, dir := range append([]string{"shared"}, t.Nodes...) {
		if err := s.MkdirAll("/"+dir, 0o755); err != nil {
			return err
		}
	}
	if err := t.Workload.Prepare(s); err != nil {
		return err
	}
	if err := t.Workload.Act(&harness.Acts{Share: s, History: r, Now: harness.Epoch}); err != nil {
		return err
	}
	return apply(s, t, initial)
}

// apply changes the share as a step did. What was in a file then is not kept,
// only what the workload said of it, so a file holds just that.
func apply(s *share.Store, t *harness.Test, changes []history.Change) error {
	for _, c := range slices.Backward(changes) { // what is in a directory goes first
		if c.Gone {
			if err := s.Remove(storePath(t, c.Path)); err != nil {
				return err
			}
		}
	}
	for _, c := range changes {
		var err error
		switch {
		case c.Gone:
		case c.Dir:
			err = s.MkdirAll(storePath(t, c.Path), 0o777)
		case c.Note == "":
			err = s.WriteFile(storePath(t, c.Path), nil, 0o666)
		default:
			err = s.WriteFile(storePath(t, c.Path), []byte("Message-ID: <"+c.Note+">\n"), 0o666)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// storePath is where in the store a path of a change lies: below a node's own
// directory when it begins with the node, else on the share.
func storePath(t *harness.Test, name string) string {
	if node, rest, ok := strings.Cut(name, ":"); ok && slices.Contains(t.Nodes, node) {
		return path.Join("/", node, rest)
	}
	return path.Join("/shared", name)
}

// restarts is how often the controller starts a program that ends by itself.
const restarts = 10

// down are the programs that ended by themselves too often.
func down(ops []history.Op) []string {
	ends := map[string]int{}
	var list []string
	for _, op := range ops {
		if op.F == "exit" && strings.HasPrefix(op.Value, "exit ") {
			if ends[op.Process]++; ends[op.Process] == restarts+1 {
				list = append(list, op.Process)
			}
		}
	}
	slices.Sort(list)
	return list
}
