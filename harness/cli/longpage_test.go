package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/results"
)

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
