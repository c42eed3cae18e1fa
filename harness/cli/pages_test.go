package cli

import (
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/results"
)

// screwtape runs the command in a directory, on real nodes. Its exit code must
// be the wanted one.
func screwtape(t *testing.T, dir string, want int, args ...string) string {
	t.Helper()
	cmd := exec.Command("screwtape", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Fatalf("screwtape %s: exit code %d, not %d\n%s", strings.Join(args, " "), code, want, out)
	}
	return string(out)
}

// The pages of real runs, as their reader uses them.
func TestPagesInABrowser(t *testing.T) {
	b := newBrowser(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "results", "runs")
	screwtape(t, dir, 0, "reproduce", "C3", "C4", "C6")
	screwtape(t, dir, 1, "test", "--nemesis", "crash,overlap", "--strategy", "random", "--seed", "7", "--schedules", "60", "--no-shrink")
	server := httptest.NewServer(results.Handler(root))
	defer server.Close()

	// Each part needs the one before it no more.
	for _, part := range []struct {
		name string
		try  func(b *browser)
	}{
		{"C4 from disk", func(b *browser) {
			b.open("file://" + filepath.Join(root, "reproduce/latest/findings/C4/report.html"))
			tryLoss(b)
		}},
		{"C6, with locks that are each node's own", func(b *browser) {
			b.open("file://" + filepath.Join(root, "reproduce/latest/findings/C6/report.html") + "#step-17")
			b.reads("#tree", "the share\nlists/", "/local of node a, which it alone sees\nlocks/\ntest.lock", "/local of node b, which it alone sees\nlocks/\ntest.lock")
			b.reads(".story", "a/add takes the lock test.lock of its own node")
			b.viewport(390, 800) // a phone's: rows are as wide as their lanes, not as the screen
			if !eval[bool](b, `document.querySelector(".row.picked").offsetWidth === document.querySelector("#heads").offsetWidth && document.querySelector("#heads").offsetWidth > 390`) {
				b.t.Error("a row is not as wide as the lanes")
			}
			b.viewport(1280, 900)
		}},
		{"by keyboard alone", func(b *browser) {
			b.open("file://" + filepath.Join(root, "queue/latest/report.html"))
			b.tabbed("an exploration")
			b.open(server.URL)
			b.tabbed("the list of runs")
		}},
		{"a run that is served", func(b *browser) { tryServed(b, server.URL) }},
		{"an exploration", func(b *browser) {
			b.open(server.URL)
			b.follow("td a", "queue/")
			b.follow("main a", "The report")
			tryExploration(b)
		}},
		{"a run that goes on", func(b *browser) { tryLive(b, root, server.URL) }},
		{"a long schedule", func(b *browser) { tryLong(b, t.TempDir()) }},
		{"hostile names", func(b *browser) { tryHostile(b, t.TempDir()) }},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.try(&browser{t: t, ctx: b.ctx})
			b.t = t
			b.quiet(part.name)
		})
	}
	if os.Getenv("SCREWTAPE_AXE") == "" {
		t.Log("ACCESSIBILITY IS NOT CHECKED: SCREWTAPE_AXE does not name the axe.min.js of axe-core; scripts/axe-core gets it")
	}
}

// tryLoss follows on the page of C4 how the message is lost.
func tryLoss(b *browser) {
	b.reads("h1", "C4: If the second runner removes the *.bak")
	b.reads("header", "✗ invalid")
	b.reads(".anomalies", "lost-message", "m0 was accepted and never delivered")
	b.reads(".story", "b/runner sets m0 aside as damaged", "a/runner is killed")
	b.reads("#replay", "screwtape replay ")
	b.reads("#heads", "node a", "a/runner", "node b", "b/runner")

	// It opens at the first anomaly, which is an open that found nothing.
	b.reads(".row.picked", "⚑", "open", "m0.pck = ENOENT")
	b.reads("#call", "ENOENT", "here came about: misleading-error", "Skipping and preserving unparseable message")

	// The conflict: a line joins the two calls, a key and a button lead over.
	if lines := eval[int](b, "document.querySelectorAll('#wires path.earlier').length"); lines != 1 {
		b.t.Errorf("%d lines join it to what it conflicts with", lines)
	}
	at := b.text("#where")
	b.do(chromedp.Focus(chromedp.CSS("#lanes")))
	b.reads("#status", "conflicts with step 6")
	b.reads(".row.other", "rename", "m0.pck m0.bak")
	b.keys("c")
	b.reads(".row.picked", "rename", "m0.pck m0.bak")
	b.reads("#call", "later ones conflict with it")
	b.reads("#status", "later 2 steps conflict with it")
	b.keys("v")
	b.reads("#where", at)
	b.keys("c")
	b.click("#call button", "step "+strings.Fields(at)[1])
	b.reads("#where", at)

	// The decision of loss: what was there before it and what after.
	b.click(".anomalies button", "Show step")
	b.reads(".row.picked", "rename", "m0.bak m0.psv")
	b.reads("#facts", "changed m0: m0.psv in qfiles/bad; not delivered")
	b.reads("#tree .new", ".psv", "m0")
	b.reads("#tree .gone", "gone", ".bak")
	b.do(chromedp.Focus(chromedp.CSS("#slider")))
	b.keys(kb.ArrowLeft)
	b.reads("#tree", ".bak")
	b.lacks("#tree", ".psv")
	b.keys(kb.ArrowRight)
	b.reads("#tree", ".psv")
	b.reads("#status", "Step ", "b/runner: rename m0.bak m0.psv")

	// The crash takes a/runner away.
	b.click("button", "Next fault")
	b.reads(".row.picked", "☠", "crash")
	b.reads("#facts", "a/runner: down: killed")

	// Time moves on a wake-up. The ends are where they should be.
	b.do(chromedp.Focus(chromedp.CSS("#lanes")))
	b.keys(kb.Home)
	b.reads("#where", "step 1 of ")
	b.reads(".row.picked", "◷", "wake", "+1.00 s")
	b.keys(kb.End)
	b.keys(kb.ArrowDown)
	m := regexp.MustCompile(`^step (\d+) of (\d+)$`).FindStringSubmatch(b.text("#where"))
	if m == nil || m[1] != m[2] {
		b.t.Errorf("at the end it is %q", b.text("#where"))
	}

	// A step has an address.
	link := eval[string](b, "document.querySelector('#call a').href")
	b.open(link)
	b.reads("#where", m[0])
	b.accessible("C4")
	b.fits("C4")

	b.follow("main a", "The history as a picture")
	b.reads("header", "The history as a picture", "C4: ")
	b.reads("#canvas", "enqueue")
	b.reads("main", "m0: ✗ no order keeps the promise")
	eval[bool](b, `document.querySelector("#canvas .target-rect").dispatchEvent(new MouseEvent("mouseover", {bubbles: true, view: window})), true`)
	b.accessible("C4's picture")
	b.fits("C4's picture")
	b.follow("a", "The report")
	b.reads("h1", "C4")
}

// tryServed goes from the list of runs to a claim's page and to the trends.
func tryServed(b *browser, url string) {
	b.open(url)
	b.reads("h1", "Runs")
	b.reads("tbody", "reproduce", "✓ valid", "queue", "✗ invalid")
	b.accessible("the list of runs")
	b.fits("the list of runs")
	eval[bool](b, `document.querySelector("select[name=verdict]").value = "invalid", true`)
	b.follow("button", "Filter")
	b.lacks("tbody", "reproduce")
	b.reads("tbody", "queue")
	b.open(url)
	b.follow("td a", "reproduce/")
	b.accessible("a run")
	b.fits("a run")
	b.reads("table", "C3", "✓ as expected")
	b.follow("td a", "C4")
	b.reads("h1", "C4")
	b.reads("#tree", "qfiles/") // its script runs in the sandbox
	b.open(url + "/trends?test=queue")
	b.reads("main", "1 finished run", "schedules")
	b.accessible("trends")
	b.fits("trends")
}

// tryExploration looks at what a search has found, one page for each kind.
func tryExploration(b *browser) {
	b.reads("header", "✗ invalid", "60, ")
	b.reads(".anomalies", "misleading-error", "Its schedule, step by step")
	b.reads("#lanes", "a/runner", "b/runner")
	before := b.text("#where")
	b.do(chromedp.Focus(chromedp.CSS("#slider")))
	b.keys(kb.Home)
	b.reads("#where", "step 1 of")
	b.keys(kb.End)
	if b.text("#where") == before {
		b.t.Error("the slider does not move")
	}
	b.accessible("an exploration")
	b.fits("an exploration")
	b.follow(".anomalies a", "Its schedule")
	b.reads("h1", "") // it is there
	b.reads("#lanes", "a/runner")
}

// tryLive watches a run from its first schedules to its verdict.
func tryLive(b *browser, root, url string) {
	run, err := results.Create(root, results.Test{Name: "live"})
	if err == nil {
		err = run.WriteProgress(results.Progress{Done: 1, Of: 9, Unit: "schedule"})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	rel, err := filepath.Rel(root, run.Dir)
	if err != nil {
		b.t.Fatal(err)
	}
	b.open(url + "/run/" + rel + "/")
	b.reads(".verdict", "running: 1 of 9 schedules")
	b.accessible("a run that goes on")
	if err := run.WriteProgress(results.Progress{Done: 5, Of: 9, Unit: "schedule", Found: []string{"stuck"}}); err != nil {
		b.t.Fatal(err)
	}
	b.until(".verdict", "5 of 9 schedules, found stuck")
	if err := run.WriteVerdict(results.Report{Test: "live", Verdict: check.Valid}); err != nil {
		b.t.Fatal(err)
	}
	b.until(".verdict", "✓ valid")
	b.until("main", "None that breaks the promise")
}

// tryHostile looks at names that would like to be markup.
func tryHostile(b *browser, dir string) {
	evil := "</script><img src=x onerror=document.title='taken'>\n\"'\xff" + strings.Repeat("n", 200)
	p := results.Page{Title: evil, Replay: evil, History: []history.Op{{Process: evil, Type: history.OK, F: "acquire", Value: evil}},
		Report:  results.Report{Test: evil, Verdict: check.Unknown, Why: evil, Faults: map[string]int{evil: 1}},
		Initial: []history.Change{{Path: evil, Note: evil}},
		Steps: []history.Step{{Decision: schedule.Decision{Process: evil + "/" + evil, Verb: evil, Names: []string{evil}, Outcome: evil}, Conflict: -1,
			Lines: []history.Line{{Process: evil, Text: evil}}, Changes: []history.Change{{Path: evil + "/x", Note: evil}}}}}
	html, err := results.HTML(p)
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(dir, "hostile.html")
	if err := os.WriteFile(file, html, 0o666); err != nil {
		b.t.Fatal(err)
	}
	b.open("file://" + file)
	b.reads("#lanes", "onerror=")
	b.reads("#tree", "onerror=")
	b.reads("#facts", "onerror=")
	if n := eval[int](b, "document.images.length"); n > 0 || eval[int](b, "document.scripts.length") != 2 {
		b.t.Error("a name became markup")
	}
	if title := eval[string](b, "document.title"); title == "taken" {
		b.t.Error("a name became a script")
	}
}
