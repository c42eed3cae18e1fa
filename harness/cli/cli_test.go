package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
	"screwtape/results"
	"screwtape/runner/profile"
	"screwtape/workloads"
)

func TestPanic(t *testing.T) {
	var stderr bytes.Buffer
	c := &command{err: &stderr, root: t.TempDir(), parsed: true}
	if code := c.guard(func() error { panic("boo\nmore") }); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	m := regexp.MustCompile(`^screwtape: the harness failed: panic: boo; its log is (.*)\n$`).FindStringSubmatch(stderr.String())
	if m == nil {
		t.Fatalf("said %q", &stderr)
	}
	log, err := os.ReadFile(m[1])
	if err != nil || !strings.Contains(string(log), "TestPanic") {
		t.Errorf("no stack in the log: %v\n%s", err, log)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		parsed bool
		err    error
		want   int
	}{
		{true, nil, 0},
		{true, exitFor(check.Valid), 0},
		{true, exitFor(check.Invalid), 1},
		{true, exitFor(check.Unknown), 2},
		{false, errors.New("unknown flag"), 254},
		{true, badArgs{errors.New("no such file")}, 254},
		{true, errors.New("the kernel says no"), 255},
	} {
		app := &command{err: io.Discard, root: t.TempDir(), parsed: c.parsed}
		if got := app.guard(func() error { return c.err }); got != c.want {
			t.Errorf("%v: exit code %d, not %d", c.err, got, c.want)
		}
	}
}

// Every verb can be learnt from its help alone.
func TestHelp(t *testing.T) {
	root := (&command{out: io.Discard, err: io.Discard}).newRoot()
	var names []string
	for _, v := range root.Commands() {
		if v.Hidden {
			continue
		}
		names = append(names, v.Name())
		if v.Example == "" || v.Short == "" {
			t.Errorf("%s has no example, or says nothing of itself", v.Name())
		}
		for line := range strings.Lines(v.Example) {
			checkExample(t, root, line)
		}
	}
	for line := range strings.Lines(root.Example) {
		checkExample(t, root, line)
	}
	want := []string{"analyze", "doctor", "list", "replay", "reproduce", "runner", "serve", "setups", "shrink", "test", "truth"}
	slices.Sort(names)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// checkExample checks that an example's verb and flags exist.
func checkExample(t *testing.T, root *cobra.Command, line string) {
	t.Helper()
	line, _, _ = strings.Cut(strings.TrimSpace(line), "  ") // what it is for follows
	line, _, _ = strings.Cut(line, " | ")
	words := strings.Fields(line)
	if words[0] != "screwtape" {
		t.Errorf("example %q does not begin with the command", line)
		return
	}
	verb, args, err := root.Find(words[1:])
	if err != nil || verb == root {
		t.Errorf("example %q: %v", line, err)
		return
	}
	if err := verb.ParseFlags(args); err != nil && !verb.DisableFlagParsing {
		t.Errorf("example %q: %v", line, err)
	}
}

func TestTable(t *testing.T) {
	tab := table{head: []string{"id", "says"}}
	tab.add("C1", "one two "+strings.Repeat("x", maxCell)+"\nthree")
	tab.add("C10", "")
	var b bytes.Buffer
	tab.print(&b)
	want := "id   says\nC1   one two\n     " + strings.Repeat("x", maxCell) + "\n     three\nC10\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	run := &results.Run{Dir: t.TempDir()}
	p := newProgress(&b, run, 500)
	told := func(want string) {
		t.Helper()
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Error(diff)
		}
		b.Reset()
	}
	p.show(harness.Progress{Schedules: 10, Elapsed: time.Second})
	p.show(harness.Progress{Schedules: 100, Traces: 40, Elapsed: 5 * time.Second})
	told("5s: 100 schedules, 20/s, 40 traces (40 new), no anomalies\n")
	p.show(harness.Progress{Schedules: 120, Traces: 41, Elapsed: 7 * time.Second, Found: []string{"stray-copy"}})
	told("")
	p.show(harness.Progress{Schedules: 200, Traces: 45, Elapsed: 10 * time.Second, Found: []string{"stray-copy", "stuck"}})
	told("10s: 200 schedules, 20/s, 45 traces (5 new), found stray-copy, stuck\n")
	p.clear()
	told("")
	log, _ := os.ReadFile(filepath.Join(run.Dir, "log"))
	if diff := cmp.Diff("schedule 120: found stray-copy\nschedule 200: found stuck\n", string(log)); diff != "" {
		t.Error(diff)
	}

	p.show(harness.Progress{Schedules: 205, Traces: 45, Elapsed: 15 * time.Second, Doing: "shrinking stuck: try 3, 9 of 20 lines are left"})
	told("15s: 205 schedules, 1/s, 45 traces (0 new), no anomalies; shrinking stuck: try 3, 9 of 20 lines are left\n")

	p.terminal = true
	p.show(harness.Progress{Schedules: 210, Traces: 45, Elapsed: 15*time.Second + 200*time.Millisecond})
	told("\r\x1b[K15s: 210 schedules, 25/s, 45 traces (0 new), no anomalies")
	p.clear()
	told("\r\x1b[K")

	newProgress(&b, run, 1).show(harness.Progress{Schedules: 1, Traces: 1, Elapsed: 5 * time.Second})
	told("5s: 1 schedule, 0/s, 1 trace (1 new), no anomalies\n")
	newProgress(&b, run, 0).show(harness.Progress{Schedules: 1, Traces: 1, Elapsed: 5 * time.Second, Open: 9})
	told("5s: 1 schedule, 0/s, 1 trace (1 new), no anomalies; choices left at 9 points, which take 45s at least\n")
}

func TestVerdictOfACampaign(t *testing.T) {
	finding := func(allowed, confirmed bool) harness.Finding {
		return harness.Finding{Anomaly: check.Anomaly{Kind: "lost-message"}, Allowed: allowed, Confirmed: confirmed}
	}
	for _, c := range []struct {
		name string
		out  harness.Outcome
		want check.Validity
		why  string
	}{
		{"sound", harness.Outcome{Schedules: 9, Faults: map[string]int{"crash": 1}}, check.Valid, ""},
		{"within the promise", harness.Outcome{Schedules: 9, Faults: map[string]int{"crash": 1}, Findings: []harness.Finding{finding(true, true)}}, check.Valid, ""},
		{"broken", harness.Outcome{Schedules: 9, Bounded: 1, Findings: []harness.Finding{finding(false, false), finding(false, true)}}, check.Invalid, ""},
		{"unconfirmed", harness.Outcome{Schedules: 9, Findings: []harness.Finding{finding(false, false)}}, check.Unknown, "lost-message did not come back on fresh processes"},
		{"interrupted", harness.Outcome{Schedules: 9, Stopped: "interrupted"}, check.Unknown, "interrupted after 9 schedules"},
		{"nothing", harness.Outcome{}, check.Unknown, "no schedule was played"},
		{"diverged", harness.Outcome{Schedules: 20, Twice: 1, Divergences: []string{"x"}}, check.Unknown, "played twice: 1 schedule, of which 1 went another way the second time"},
		{"bounded", harness.Outcome{Schedules: 20, Bounded: 2}, check.Unknown, "2 schedules hit a bound, and their ends were not seen"},
		{"no fault", harness.Outcome{Schedules: 20}, check.Unknown, "crash was asked for and never happened; draw more schedules"},
	} {
		t.Run(c.name, func(t *testing.T) {
			test := harness.Test{Header: schedule.Header{{Key: "nemesis", Value: "crash overlap"}}}
			got, why := verdict(&test, &c.out)
			if got != c.want || why != c.why {
				t.Errorf("%s: %q, not %s: %q", got, why, c.want, c.why)
			}
		})
	}
}

// Flags become a tape's header; those that were not given are left to the
// workload.
func TestSetUp(t *testing.T) {
	for _, c := range []struct {
		args []string
		want schedule.Header
	}{
		{nil, schedule.Header{{Key: "workload", Value: "queue"}}},
		{[]string{"--nodes", "3", "--nemesis", "crash,overlap", "--save-bad=false", "--slices=a:0/2,b:1/2", "--messages=2"},
			schedule.Header{{Key: "workload", Value: "queue"}, {Key: "nodes", Value: "a b c"}, {Key: "messages", Value: "2"},
				{Key: "slices", Value: "a:0/2 b:1/2"}, {Key: "save-bad", Value: "no"}, {Key: "nemesis", Value: "crash overlap"}}},
		{[]string{"--workload", "lock", "--set", "kind=2.1", "--set", "nodes=a b"},
			schedule.Header{{Key: "workload", Value: "lock"}, {Key: "kind", Value: "2.1"}, {Key: "nodes", Value: "a b"}}},
		{[]string{"--bugs", "x,y", "--bad-name"},
			schedule.Header{{Key: "workload", Value: "queue"}, {Key: "bad-name", Value: "yes"}, {Key: "bugs", Value: "x,y"}}},
	} {
		var s setUp
		f := pflag.NewFlagSet("test", pflag.ContinueOnError)
		s.define(f)
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		got, err := s.header(f)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v: %s", c.args, diff)
		}
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	c := &command{out: w, err: io.Discard}
	done := make(chan int)
	go func() { done <- c.execute(ctx, []string{"serve", "--addr", "127.0.0.1:0", t.TempDir()}) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, _, _ := strings.Cut(line, " ")
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Error(response.Status)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Root can be anyone: as an ordinary user screwtape works in a user namespace.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("all tests run as an ordinary user already")
	}
	if info, err := os.Stat("/dev/fuse"); err != nil || info.Mode().Perm()&0o006 != 0o006 {
		t.Skip("SKIPPED, and so nothing is known of ordinary users: /dev/fuse is not for everybody here")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "screwtape-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "screwtape"), program, 0o755), os.Chmod(dir, 0o755),
		os.Mkdir(filepath.Join(dir, "home"), 0o755), os.Chown(filepath.Join(dir, "home"), nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "screwtape"), "test", "--nemesis", "crash,overlap", "--schedules", "40")
	cmd.Dir = filepath.Join(dir, "home")
	cmd.Env = []string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if userNamespacesRefused(out) {
		t.Skipf("SKIPPED, and so nothing is known of ordinary users: %s", out)
	}
	if cmd.ProcessState.ExitCode() != exitAnomaly {
		t.Errorf("%v\n%s", err, out)
	}
	verdict, err := os.Stat(filepath.Join(cmd.Dir, "results/runs/latest/verdict.json"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := verdict.Sys().(*syscall.Stat_t).Uid; owner != nobody {
		t.Errorf("what it wrote belongs to %d", owner)
	}
}

// userNamespacesRefused reports whether the kernel lets users make none.
func userNamespacesRefused(out []byte) bool {
	return bytes.Contains(out, []byte("enter namespaces")) || bytes.Contains(out, []byte("make the mounts private"))
}

// A schedule that was cut off is counted as such, and said to be.
func TestBounded(t *testing.T) {
	r := &harness.Result{Bounded: "5000 decisions"}
	report := results.Report{Faults: map[string]int{}, Verdict: check.Invalid}
	addCounts(&report, &workloads.Observation{Schedules: 1, Problem: "the schedule was cut off at 5000 decisions", Result: r})
	if report.Bounded != 1 || report.Divergences != 0 || report.Traces != 1 {
		t.Errorf("%+v", report)
	}
	var b strings.Builder
	(&replayOptions{times: 1}).tell(&b, report, r)
	if want := "invalid\n  the schedule was cut off at 5000 decisions, and its end was not seen\n"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("said %q", b.String())
	}
	run := &results.Run{Report: &results.Report{Claims: []results.Claim{{ID: "C3", Expected: "nothing", OK: true, Schedules: 1}}}}
	if claim := judgeClaim(run, ".", "C3", nil, r.Bounded); claim.OK || claim.Observed != "the schedule was cut off at 5000 decisions" {
		t.Errorf("%+v", claim)
	}
}

// A run whose parts are judged while they are played is not judged as something
// else.
func TestAnalyzeOfOthers(t *testing.T) {
	for _, name := range []string{"setups", "truth"} {
		c := &command{out: io.Discard, err: io.Discard, root: t.TempDir()}
		run, err := results.Create(c.root, results.Test{Name: name})
		if err == nil {
			err = run.WriteVerdict(results.Report{Test: name, Verdict: check.Valid})
		}
		if err != nil {
			t.Fatal(err)
		}
		var bad badArgs
		if err := c.analyze(run.Dir, false); !errors.As(err, &bad) || !strings.Contains(err.Error(), "is a run of "+name) {
			t.Errorf("%s: %v", name, err)
		}
		run.Test.Workload = "system"
		if isOf(run, name) {
			t.Errorf("a system that is called %s is taken for the verb", name)
		}
	}
}

// Whatever can be chosen is described.
func TestDescriptions(t *testing.T) {
	for what, list := range map[string]struct {
		names []string
		about map[string]string
	}{
		"workload": {workloads.Names(), about}, "nemesis": {nemesisNames(), nemeses}, "strategy": {schedule.SearchNames(), strategies},
		"profile": {profile.All(), versions},
	} {
		for _, name := range list.names {
			if list.about[name] == "" {
				t.Errorf("nothing is said of the %s %s", what, name)
			}
		}
		if len(list.about) != len(list.names) {
			t.Errorf("more is said than there is: %s", what)
		}
	}
}

// No line of help is too long for a terminal.
func TestHelpFits(t *testing.T) {
	var out bytes.Buffer
	c := &command{out: &out, err: &out}
	root := c.newRoot()
	for _, verb := range append(root.Commands(), root) {
		if err := verb.Help(); err != nil {
			t.Error(err)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > helpWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
