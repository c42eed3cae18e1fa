package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

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

// until waits until an element says so.
func (b *browser) until(css, want string) {
	b.t.Helper()
	for began := time.Now(); !strings.Contains(b.text(css), want); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			b.t.Fatalf("%s does not come to say %q: %q", css, want, b.text(css))
		}
	}
}
