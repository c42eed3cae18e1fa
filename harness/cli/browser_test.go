package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/results"
)

var pictures = flag.String("pictures", "", "directory for the pictures of docs/reading-a-report.md, which scripts/pictures makes")

// A browser is a headless Chromium with one page.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string // that the console has shown
}

// newBrowser starts Chromium, or skips the test where there is none.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("NO PAGE IS TRIED IN A BROWSER: there is no Chromium; install Debian's package chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(2*time.Minute))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	b.viewport(1280, 900)
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chromedp.Cancel(ctx) })
	return b
}

// hear notes what the console shows as an error or a warning.
func (b *browser) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			text = e.Entry.Text
		}
	case *cdpruntime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *cdpruntime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			text = fmt.Sprint("console.", e.Type)
		}
	}
	if text == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, text)
}

// quiet fails the test if the console has shown an error.
func (b *browser) quiet(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.errors {
		b.t.Errorf("%s: the console shows %s", where, e)
	}
	b.errors = nil
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to an address and waits until the page is loaded. It goes by way
// of an empty page, since another fragment alone would load nothing.
func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(url))
}

func eval[T any](b *browser, script string, options ...chromedp.EvaluateOption) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, options...))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// text is what of the first such element can be read.
func (b *browser) text(css string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? 'NO SUCH ELEMENT'", css))
}

// reads checks that an element can be read so.
func (b *browser) reads(css string, wants ...string) {
	b.t.Helper()
	text := b.text(css)
	for _, want := range wants {
		if !strings.Contains(text, want) {
			b.t.Errorf("%s does not say %q but %q", css, want, text)
		}
	}
}

// lacks checks that an element says nothing of the sort.
func (b *browser) lacks(css, unwanted string) {
	b.t.Helper()
	if text := b.text(css); strings.Contains(text, unwanted) {
		b.t.Errorf("%s says %q: %q", css, unwanted, text)
	}
}

// click clicks with the mouse on the element that says so.
func (b *browser) click(css, says string) {
	b.t.Helper()
	b.mark(css, says)
	b.do(chromedp.Click(target))
}

// follow clicks on what leads to another page, and waits until that is loaded.
func (b *browser) follow(css, says string) {
	b.t.Helper()
	b.mark(css, says)
	if _, err := chromedp.Run(b.ctx, chromedp.WaitEvent(cdppage.LoadEventFired, nil, chromedp.Click(target))); err != nil {
		b.t.Fatal(err)
	}
}

// target is the element that mark has marked.
const target = chromedp.CSS("[data-test-target]")

// mark marks the first such element that says so.
func (b *browser) mark(css, says string) {
	b.t.Helper()
	found := eval[bool](b, fmt.Sprintf(`(() => {
		document.querySelector("[data-test-target]")?.removeAttribute("data-test-target");
		const e = [...document.querySelectorAll(%q)].find((e) => e.innerText.includes(%q));
		e?.setAttribute("data-test-target", "");
		return !!e;
	})()`, css, says))
	if !found {
		b.t.Fatalf("no %s says %q", css, says)
	}
}

// keys types, into what has the focus.
func (b *browser) keys(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// accessible runs axe-core on the page, light and dark, where SCREWTAPE_AXE
// names its axe.min.js (scripts/axe-core gets it). What it calls serious or worse
// is an error.
func (b *browser) accessible(where string) {
	b.t.Helper()
	axe := os.Getenv("SCREWTAPE_AXE")
	if axe == "" {
		return
	}
	source, err := os.ReadFile(axe)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		eval[bool](b, string(source)+"; true")
		found, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`axe.run().then((r) => JSON.stringify(r.violations.map((v) =>
			({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200))}))))`, chromedp.EvalAwaitPromise))
		if err != nil {
			b.t.Fatal(err)
		}
		var violations []struct {
			ID, Impact, Help string
			Nodes            []string
		}
		if err := json.Unmarshal([]byte(found), &violations); err != nil {
			b.t.Fatal(err)
		}
		for _, v := range violations {
			if v.Impact == "serious" || v.Impact == "critical" {
				b.t.Errorf("%s, %s: axe-core finds %s (%s): %s\n\t%s", where, scheme, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
			} else {
				b.t.Logf("%s, %s: axe-core finds %s (%s): %s", where, scheme, v.ID, v.Impact, v.Help)
			}
		}
	}
	b.scheme("light")
}

// viewport sets the size of what can be seen, and waits until the page is drawn so.
func (b *browser) viewport(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`new Promise((drawn) => {
		const look = () => innerWidth === %d ? requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))) : requestAnimationFrame(look);
		look();
	})`, width), chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
}

// fits checks that on a phone the page need not be scrolled sideways.
func (b *browser) fits(where string) {
	b.t.Helper()
	b.viewport(390, 800)
	if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		b.t.Errorf("%s: the page is %d pixels wider than a phone", where, over)
	}
	b.viewport(1280, 900)
}

// tabbed goes through the page by the tabulator alone, and checks that all that
// can be used is reached, has a name, and shows that it has the focus.
func (b *browser) tabbed(where string) {
	b.t.Helper()
	const usable = "a[href], button, input, select, summary, [tabindex='0']"
	left := eval[int](b, fmt.Sprintf(`document.querySelectorAll(%q).forEach((e) => e.dataset.testTab = e.checkVisibility() ? "todo" : "hidden"),
		document.querySelectorAll("[data-test-tab=todo]").length`, usable))
	if left == 0 {
		b.t.Errorf("%s: nothing can be used", where)
	}
	for range left {
		b.keys(kb.Tab)
		if problem := eval[string](b, `(() => {
			const e = document.activeElement, style = getComputedStyle(e);
			e.dataset.testTab = "done";
			const name = e.getAttribute("aria-label") || e.innerText || e.labels?.[0]?.innerText;
			if (!name) return "has no name";
			return style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2 ? "does not show that it has the focus" : "";
		})()`); problem != "" {
			b.t.Errorf("%s: %s %s", where, eval[string](b, "document.activeElement.outerHTML.slice(0, 200)"), problem)
		}
	}
	if missed := eval[string](b, `[...document.querySelectorAll("[data-test-tab=todo]")].map((e) => e.outerHTML.slice(0, 200)).join("\n")`); missed != "" {
		b.t.Errorf("%s: the tabulator does not lead to\n%s", where, missed)
	}
}

// scheme makes the reader one who wants light or dark pages.
func (b *browser) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
		return err
	}))
}

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

// until waits until an element says so.
func (b *browser) until(css, want string) {
	b.t.Helper()
	for began := time.Now(); !strings.Contains(b.text(css), want); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			b.t.Fatalf("%s does not come to say %q: %q", css, want, b.text(css))
		}
	}
}

// Bounds of what a page of 20,000 decisions may cost, in processor time of the
// thread that draws it. That is what a reader waits for on an idle machine, and on
// a busy one it is about the same.
const (
	maxOpening = 2 * time.Second
	maxScroll  = 16 * time.Millisecond // a frame
)

// tryLong opens 20,000 decisions. That it is quick comes of no more rows being
// in the document than can be seen.
func tryLong(b *browser, dir string) {
	const n = 20_000
	p := results.Page{Title: "long", Report: results.Report{Test: "long", Verdict: check.Valid}}
	for i := range n {
		step := history.Step{Index: i, Time: time.Duration(i) * time.Millisecond, Conflict: i - 1,
			Decision: schedule.Decision{Process: fmt.Sprintf("%c/runner", 'a'+i%3), Verb: "rename", Names: []string{"q/x", "q/y"}, Outcome: "ok"}}
		step.Changes = []history.Change{{Path: fmt.Sprintf("q/%d", i%500), Size: int64(i)}}
		p.Steps = append(p.Steps, step)
	}
	html, err := results.HTML(p)
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(dir, "long.html")
	if err := os.WriteFile(file, html, 0o666); err != nil {
		b.t.Fatal(err)
	}
	b = newBrowser(b.t) // one that has done nothing yet
	b.busy()            // counts from here on
	began := time.Now()
	b.open("file://" + file + "#step-10000")
	b.reads("#where", "step 10000 of 20000")
	spent := b.busy()
	b.t.Logf("%d decisions, %d KiB, are there after %v, %v of processor time", n, len(html)>>10, time.Since(began), spent)
	if spent > maxOpening {
		b.t.Errorf("to open %d decisions took %v of processor time", n, spent)
	}
	b.do(chromedp.Focus(chromedp.CSS("#lanes")))
	b.keys(kb.End)
	b.reads(".row.picked", "20000", "19.999")
	if rows := eval[int](b, "document.querySelectorAll('#rows .row').length"); rows > 100 {
		b.t.Errorf("%d rows are in the document", rows)
	}
	for _, step := range []struct {
		what   string
		pixels int
		most   time.Duration
	}{{"a turn of the wheel", 120, maxScroll}, {"a jump", 5000, 4 * maxScroll}} {
		const steps = 20
		before := b.busy()
		if drawn := eval[int](b, fmt.Sprintf(`(async () => {
			const grid = document.getElementById("lanes");
			let drawn = 0;
			for (let i = 0; i < %d; i++) {
				grid.scrollTop = i * %d;
				await new Promise(requestAnimationFrame);
				await new Promise(requestAnimationFrame); // the one before has been drawn
				const row = document.elementFromPoint(...(({left, top, height}) => [left + 100, top + height / 2])(grid.getBoundingClientRect())).closest(".row");
				if (row) drawn++;
			}
			return drawn;
		})()`, steps, step.pixels), chromedp.EvalAwaitPromise); drawn != steps {
			b.t.Errorf("after %s there is a row in sight %d times of %d", step.what, drawn, steps)
		}
		spent := (b.busy() - before) / steps
		b.t.Logf("%s is drawn in %v of processor time", step.what, spent)
		if spent > step.most {
			b.t.Errorf("%s is drawn in %v of processor time, not in %v", step.what, spent, step.most)
		}
	}
}

// busy is how long the page's main thread has been at work since it was asked
// for first, in its own processor's time.
func (b *browser) busy() time.Duration {
	b.t.Helper()
	var total time.Duration
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
			return err
		}
		result, err := cdp.Call(ctx, t, performance.GetMetrics, cdp.Empty{})
		for _, m := range result.Metrics {
			if m.Name == "TaskDuration" {
				total = time.Duration(m.Value * float64(time.Second))
			}
		}
		return err
	}))
	return total
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

// TestPictures makes the pictures of docs/reading-a-report.md, where a flag
// says where to.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("-pictures is not given")
	}
	b := newBrowser(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "results", "runs")
	screwtape(t, dir, 0, "reproduce", "C4")
	for seed := 1; seed <= 6; seed++ {
		screwtape(t, dir, 1, "test", "--nemesis", "crash,overlap", "--seed", fmt.Sprint(seed), "--schedules", fmt.Sprint(30*seed), "--no-shrink")
	}
	server := httptest.NewServer(results.Handler(root))
	defer server.Close()
	c4 := "file://" + filepath.Join(root, "reproduce/latest/findings/C4/report.html")

	b.open(c4)
	b.shoot("report.png", 1000, 620)
	b.click(".anomalies button", "Show step")
	b.shoot("steps.png", 1120, 800)
	b.open(strings.Replace(c4, "report.html", results.PictureFile, 1))
	b.shoot("linearizability.png", 1150, 500)
	b.open(server.URL + "/trends?test=queue")
	b.shoot("trends.png", 1000, 500)
}

// shoot takes a picture of what can be seen of the page.
func (b *browser) shoot(name string, width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(*pictures, name), data, 0o666)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if len(data) > 150<<10 {
		b.t.Errorf("%s: %d KiB", name, len(data)>>10)
	}
}
