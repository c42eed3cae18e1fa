package results

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"screwtape/harness/history"
)

// DefaultRoot is where runs are kept, below the working directory.
const DefaultRoot = "results/runs"

// A Test says what a run runs. It is the content of test.json, written before
// anything happens.
type Test struct {
	Name     string    `json:"name"`
	Workload string    `json:"workload,omitempty"`
	Profile  string    `json:"profile,omitempty"`
	Promise  string    `json:"promise,omitempty"`
	Nodes    []string  `json:"nodes,omitempty"`
	Seed     uint64    `json:"seed"`
	Args     []string  `json:"args,omitempty"`    // the command line
	Version  string    `json:"version,omitempty"` // of screwtape
	Started  time.Time `json:"started"`           // set by Create where it is zero
}

// A Phase is how far a run came. A run that was killed stays in its phase.
type Phase string

// The phases.
const (
	Created Phase = "created" // killed before it could say what it is
	Started Phase = "started" // test.json is there
	Played  Phase = "history" // the history is there
	Judged  Phase = "verdict" // the verdict is there: it is finished
)

// A Run is the directory of one run:
//
//	test.json        what is run                        phase started
//	log              the controller's own account
//	logs/PROCESS.log what a program wrote
//	tapes/*.tape     schedules that are worth keeping
//	tapes/*/PROCESS.calls what a program and its children did in one of them
//	history.edn      the history, as Jepsen reads it
//	history.jsonl    the history                        phase history
//	report.html, junit.xml, summary.md, and what else there is to show
//	findings/NAME/   the same of each finding or claim
//	verdict.json     the Report                         phase verdict
//	progress.json    how far it has come, until it is finished
//
// Each file but the log appears at once and whole, so that a run which is
// killed at any point can be read as far as it came.
type Run struct {
	Dir     string
	Test    Test
	Phase   Phase
	Report  *Report // nil before the phase verdict
	Problem string  // what cannot be read, of a damaged run that List shows
	Running bool    // it is not finished, and whoever makes it is still there
	// Progress is how far a run that is not finished had come, or nil.
	Progress *Progress

	alive *os.File // its directory, locked by whoever makes it until it is finished
}

// A Progress is how far a run has come: the content of progress.json, which is
// there until the run is finished.
type Progress struct {
	Done    int      `json:"done"`
	Of      int      `json:"of,omitempty"` // how many there will be; 0 where nobody knows
	Unit    string   `json:"unit"`         // what is counted: "schedule", "claim"
	Traces  int      `json:"traces,omitempty"`
	Found   []string `json:"found,omitempty"` // kinds of anomalies
	Seconds float64  `json:"seconds"`         // since the beginning
}

// String says it in a line.
func (p Progress) String() string {
	text := count(p.Done, p.Unit)
	if p.Of > 0 {
		text = fmt.Sprintf("%d of %s", p.Done, count(p.Of, p.Unit))
	}
	if p.Traces > 0 {
		text += ", " + count(p.Traces, "distinct trace")
	}
	if len(p.Found) > 0 {
		text += ", found " + strings.Join(p.Found, ", ")
	}
	return fmt.Sprintf("%s, in %.0f s", text, p.Seconds)
}

// Create begins a run: ROOT/TEST/TIMESTAMP-N/ with test.json, N being the first
// free number from 1. ROOT/latest and ROOT/TEST/latest lead to it.
func Create(root string, test Test) (*Run, error) {
	if test.Started.IsZero() {
		test.Started = time.Now()
	}
	test.Started = test.Started.UTC()
	name := dirName(test.Name)
	parent := filepath.Join(root, name)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, fmt.Errorf("the run's directory cannot be made: %w; name another place for runs, or make it writable", err)
	}
	base, err := mkdirFirstFree(parent, test.Started.Format(stamp))
	if err != nil {
		return nil, err
	}
	run := &Run{Dir: filepath.Join(parent, base), Test: test, Phase: Started}
	if run.alive, err = os.Open(run.Dir); err != nil {
		return nil, err
	}
	if err := lockDir(run.alive); err != nil {
		return nil, err
	}
	if err := run.writeJSON("test.json", test); err != nil {
		return nil, err
	}
	if err := relink(parent, base, base); err != nil {
		return nil, err
	}
	return run, relink(root, filepath.Join(name, base), name+"-"+base)
}

// lockDir locks a directory until it is closed or its opener is gone, however
// that comes about. A file system without locks is no hindrance: the run then
// looks as if it had stopped.
func lockDir(dir *os.File) error {
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
			return nil
		default:
			return err
		}
	}
}

// locked reports whether somebody has locked the directory.
func locked(fsys fs.FS, dir string) bool {
	f, err := fsys.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	file, ok := f.(*os.File)
	return ok && errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// stamp is the time in a run's name, UTC. Names sort as their times do.
const stamp = "20060102T150405"

func mkdirFirstFree(parent, stamp string) (string, error) {
	for n := 1; ; n++ {
		base := fmt.Sprintf("%s-%d", stamp, n)
		err := os.Mkdir(filepath.Join(parent, base), 0o777)
		if !errors.Is(err, fs.ErrExist) {
			return base, err
		}
	}
}

// dirName makes a directory's name of a test's: whatever is not a letter, a
// digit or one of ._+- becomes a dash, and no name begins with a dot.
func dirName(test string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._+-", r):
			return r
		}
		return '-'
	}, test)
	name = strings.TrimLeft(name, ".")
	if name == "" || name == "latest" {
		return "test" + name
	}
	return name[:min(len(name), 100)]
}

// relink makes DIR/latest a symbolic link to target, at once. The link is made
// under a name of this run's own, since others may begin at the same time.
func relink(dir, target, own string) error {
	tmp := filepath.Join(dir, "latest."+own)
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "latest"))
}

// WriteFile puts a file into the run, at once and whole. The name is a path
// below the run's directory.
func (r *Run) WriteFile(name string, data []byte) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%q is no name for a file of a run: it leads out of it", name)
	}
	file := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, data, 0o666); err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, file)
}

func (r *Run) writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return r.WriteFile(name, append(data, '\n'))
}

// Logf adds a line to the run's log.
func (r *Run) Logf(format string, args ...any) error {
	f, err := os.OpenFile(filepath.Join(r.Dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, format+"\n", args...)
	return errors.Join(err, f.Close())
}

// WriteTape keeps a tape as tapes/NAME.tape, and returns its file: the path to
// give to replay, and to note in an Anomaly. Beside it stands what each program
// did when it was played: tapes/NAME/a/runner.calls for a/runner.
func (r *Run) WriteTape(name, text string, steps []history.Step) (string, error) {
	base := path.Join("tapes", dirName(name))
	for program, calls := range callsByProgram(steps) {
		if err := r.WriteFile(path.Join(base, program+callsExt), []byte(calls)); err != nil {
			return "", err
		}
	}
	file := base + ".tape"
	return filepath.Join(r.Dir, file), r.WriteFile(file, []byte(text))
}

// WriteLogs keeps what the programs wrote, a file for each process:
// logs/a/runner.log for a/runner.
func (r *Run) WriteLogs(lines []history.Line) error {
	texts := map[string]*bytes.Buffer{}
	var processes []string
	for _, l := range lines {
		if texts[l.Process] == nil {
			texts[l.Process] = new(bytes.Buffer)
			processes = append(processes, l.Process)
		}
		texts[l.Process].WriteString(l.Text + "\n")
	}
	for _, p := range processes {
		if err := r.WriteFile(path.Join("logs", p+".log"), texts[p].Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// WriteHistory keeps the history, for us and for Jepsen, and ends the phase.
func (r *Run) WriteHistory(ops []history.Op) error {
	var b bytes.Buffer
	if err := history.WriteEDN(&b, ops); err != nil {
		return err
	}
	if err := r.WriteFile("history.edn", b.Bytes()); err != nil {
		return err
	}
	b.Reset()
	if err := history.WriteJSONL(&b, ops); err != nil {
		return err
	}
	if err := r.WriteFile("history.jsonl", b.Bytes()); err != nil {
		return err
	}
	if r.Report == nil {
		r.Phase = Played
	}
	return nil
}

// WriteProgress says how far the run has come.
func (r *Run) WriteProgress(p Progress) error { return r.writeJSON("progress.json", p) }

// WriteVerdict keeps the report as verdict.json, and so finishes the run. What
// else is to be shown (report.html, junit.xml, summary.md) is written before.
func (r *Run) WriteVerdict(report Report) error {
	if err := r.writeJSON("verdict.json", report); err != nil {
		return err
	}
	r.Phase, r.Report = Judged, &report
	err := os.Remove(filepath.Join(r.Dir, "progress.json"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, r.leave())
}

// leave says that nobody makes the run any more.
func (r *Run) leave() error {
	if r.alive == nil {
		return nil
	}
	err := r.alive.Close()
	r.alive = nil
	return err
}

// History reads the run's history.
func (r *Run) History() ([]history.Op, error) {
	name := filepath.Join(r.Dir, "history.jsonl")
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return history.ReadJSONL(name, f)
}

// Open reads a stored run as far as it came. A link such as latest is followed.
func Open(dir string) (*Run, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("no run: %w; name a directory below %s", err, DefaultRoot)
	}
	if info, err := os.Stat(real); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a run's directory; name one below %s", dir, DefaultRoot)
	}
	run := read(os.DirFS(filepath.Dir(real)), filepath.Base(real))
	if run.Problem != "" {
		return nil, errors.New(run.Problem)
	}
	if run.Phase == Created {
		return nil, fmt.Errorf("%s is not a run's directory, or that of one that was killed at once: it has no test.json; name another below %s", dir, DefaultRoot)
	}
	run.Dir = real
	return run, nil
}

// read reads a run from its directory in a file system. It returns what there
// is, and says in Problem what could not be read.
func read(fsys fs.FS, dir string) *Run {
	run := &Run{Dir: dir, Phase: Created}
	load := func(name string, v any) bool {
		data, err := fs.ReadFile(fsys, path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			run.Problem = fmt.Sprintf("%s cannot be read: %v; run the test again", path.Join(dir, name), err)
		}
		return err == nil
	}
	if load("test.json", &run.Test) {
		run.Phase = Started
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "history.jsonl")); err == nil {
		run.Phase = Played
	}
	var report Report
	if load("verdict.json", &report) {
		if report.Schema > SchemaVersion {
			run.Problem = fmt.Sprintf("%s has schema %d, and this screwtape knows up to %d; use a newer one", path.Join(dir, "verdict.json"), report.Schema, SchemaVersion)
			return run
		}
		run.Phase, run.Report = Judged, &report
		return run
	}
	var progress Progress
	if run.Problem == "" && load("progress.json", &progress) {
		run.Progress = &progress
	}
	run.Running = run.Problem == "" && locked(fsys, dir)
	return run
}

// List returns the runs below a root, newest first. Unfinished and damaged
// ones are among them: see Phase and Problem. A root that is not there has no
// runs.
func List(root string) ([]*Run, error) {
	runs, err := list(os.DirFS(root))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, r := range runs {
		r.Dir = filepath.Join(root, r.Dir)
	}
	return runs, err
}

// list is List in a file system. Directories are relative to it.
func list(fsys fs.FS) ([]*Run, error) {
	tests, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	type place struct {
		stamp string
		n     int
		dir   string
	}
	var places []place
	for _, test := range tests {
		if !test.IsDir() {
			continue
		}
		entries, err := fs.ReadDir(fsys, test.Name())
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if when, n, ok := parseBase(e.Name()); ok && e.IsDir() {
				places = append(places, place{when, n, path.Join(test.Name(), e.Name())})
			}
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(strings.Compare(b.stamp, a.stamp), b.n-a.n, strings.Compare(a.dir, b.dir))
	})
	runs := make([]*Run, len(places))
	for i, p := range places {
		runs[i] = read(fsys, p.dir)
	}
	return runs, nil
}

// parseBase takes a run's name apart: TIMESTAMP-N.
func parseBase(base string) (when string, n int, ok bool) {
	when, number, ok := strings.Cut(base, "-")
	if !ok {
		return "", 0, false
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return "", 0, false
	}
	_, err = time.Parse(stamp, when)
	return when, n, err == nil
}
