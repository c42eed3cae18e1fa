package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"screwtape/harness"
	"screwtape/harness/history"
	"screwtape/results"
	"screwtape/workloads"
)

// A kept schedule is what, beside its history, is stored of it: enough to judge
// it again without running anything.
type kept struct {
	Tape    string           `json:"tape"` // as text
	Initial []history.Change `json:"initial"`
	Steps   []history.Step   `json:"steps"`
	Bounded string           `json:"bounded,omitempty"` // which bound was hit
	// Files is what was in the files of the share when it was judged, by path.
	Files map[string][]byte `json:"files"`
}

// Files of a kept schedule, in the run's directory for the run's own history
// and in findings/KIND for each finding's.
const (
	scheduleFile = "schedule.json"
	historyFile  = "history.jsonl"
	reportFile   = "report.html"
)

// keepSchedule stores a recorded schedule, and the page that shows it, in a
// directory of the run: "." or one below findings. tape is its file in the run,
// or "".
func keepSchedule(run *results.Run, dir, tape string, r *harness.Result, p results.Page) error {
	k := kept{r.Tape.String(), r.Initial, r.Steps, r.Bounded, r.Files}
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := run.WriteFile(path.Join(dir, scheduleFile), data); err != nil {
		return err
	}
	var ops bytes.Buffer
	if err := history.WriteJSONL(&ops, r.History); err != nil {
		return err
	}
	if err := run.WriteFile(path.Join(dir, historyFile), ops.Bytes()); err != nil {
		return err
	}
	p.Findings = "findings/"
	if dir != "." {
		p.Findings = "../"
	}
	if tape != "" {
		if p.Calls, err = filepath.Rel(filepath.Join(run.Dir, dir), strings.TrimSuffix(tape, ".tape")); err != nil {
			return err
		}
	}
	picture, err := k.picture(p.Title, r.History)
	if err != nil {
		return err
	}
	if picture != nil {
		p.Picture = results.PictureFile
		if err := run.WriteFile(path.Join(dir, results.PictureFile), picture); err != nil {
			return err
		}
	}
	html, err := results.HTML(p)
	if err != nil {
		return err
	}
	return run.WriteFile(path.Join(dir, reportFile), html)
}

// picture draws the history, where the workload has a model of it.
func (k *kept) picture(title string, ops []history.Op) ([]byte, error) {
	test, err := k.test(scheduleFile)
	if err != nil {
		return nil, err
	}
	linear, ok := test.Workload.(workloads.Linear)
	if !ok {
		return nil, nil
	}
	end, err := k.end(scheduleFile, test, ops)
	if err != nil {
		return nil, err
	}
	model, objects := linear.Objects(end)
	return results.Picture(title, model, objects, ops)
}

// page is a report that shows one schedule, which the tape plays again ("" if
// none was kept).
func page(title, tape string, report results.Report, r *harness.Result) results.Page {
	p := results.Page{Title: title, Report: report, Shown: r.Verdict, Steps: r.Steps, Initial: r.Initial, History: r.History, WarmUp: r.WarmUp}
	if tape != "" {
		p.Replay = results.ReplayCommand(tape)
	}
	return p
}

// canWrite reports early what would be noticed only when all is done: that the
// file which a flag names has no directory. No file is as good.
func canWrite(flag, file string) error {
	if file == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return fmt.Errorf("%s: there is no directory %s; make it, or name another", flag, filepath.Dir(file))
	}
	return nil
}

// finish writes what there is to show, and last of all the verdict.
func finish(run *results.Run, report results.Report, junitFile string) error {
	junit, err := results.JUnit(report)
	if err != nil {
		return err
	}
	if junitFile != "" {
		if err := os.WriteFile(junitFile, junit, 0o666); err != nil {
			return err
		}
	}
	if err := run.WriteFile("junit.xml", junit); err != nil {
		return err
	}
	if err := run.WriteFile("summary.md", []byte(results.Summary(report))); err != nil {
		return err
	}
	return run.WriteVerdict(report)
}
