package results

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/history"
)

var keep = flag.String("keep", "", "directory in which to leave the pages, for a look at them")

func lostPage(t *testing.T) Page {
	initial, steps, v := lost()
	r := lostReport(t, t.TempDir())
	var h history.Recorder
	h.Did("client", "enqueue", "m0")
	return Page{Title: "C4: lost-message", Report: r, Shown: v, Steps: steps, Initial: initial, History: h.Ops(), Replay: "screwtape replay results/runs/C4/x/tapes/1.tape"}
}

func page(t *testing.T, p Page, file string) string {
	t.Helper()
	html, err := HTML(p)
	if err != nil {
		t.Fatal(err)
	}
	if *keep != "" {
		if err := os.WriteFile(filepath.Join(*keep, file), html, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return string(html)
}

// What matters is there without the script, and comes in the order of its
// weight.
func TestReportOrder(t *testing.T) {
	html := page(t, lostPage(t), "lost.html")
	last := 0
	for _, part := range []string{
		"<h1>C4: lost-message</h1>", "✗ invalid", "300, 41 distinct traces", "12 crash, 3 defer",
		"<strong>lost-message</strong>", "Show step 5", "What happened", "a/runner takes m0", "Play it again",
		"screwtape replay results/runs/C4/x/tapes/1.tape", "step by step",
	} {
		at := strings.Index(html[last:], part)
		if at < 0 {
			t.Fatalf("%q is missing, or comes too early", part)
		}
		last += at
	}
	if n := strings.Count(html, "http"); n != strings.Count(html, "http-equiv")+strings.Count(html, "http://www.w3.org/2000/svg") {
		t.Error("the page names something outside itself")
	}
}

// The script and style in the page are those that its policy lets through.
func TestReportPolicy(t *testing.T) {
	html := page(t, lostPage(t), "lost.html")
	for _, tag := range []string{"script", "style"} {
		m := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(html, -1)
		if len(m) != 1 {
			t.Fatalf("%d elements %s", len(m), tag)
		}
		// An attribute's text has its quotes and plus signs escaped.
		policy := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(html)
		if !strings.Contains(policy, digest(m[0][1])) {
			t.Errorf("the %s is not what the policy lets through", tag)
		}
	}
}

// Everything that a step holds reaches the page's data.
func TestReportData(t *testing.T) {
	p := lostPage(t)
	html := page(t, p, "lost.html")
	var got pageJSON
	if err := json.Unmarshal([]byte(dataBlock(t, html)), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/runner", "b/runner"}, got.Lanes); diff != "" {
		t.Error(diff)
	}
	s := got.Steps[6]
	if s.Text != "rename m0.bak m0.psv" || s.Lane != 1 || s.Conflict != 3 || len(s.Changes) != 2 || !s.Changes[0].Gone || s.Changes[1].Note != "m0" {
		t.Errorf("%+v", s)
	}
	if len(got.Steps[4].Lines) != 2 || got.Anomalies[4] != "misleading-error" || !got.Steps[7].Fault || len(got.Initial) != 4 {
		t.Errorf("%+v", got)
	}
}

func dataBlock(t *testing.T, html string) string {
	t.Helper()
	m := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindStringSubmatch(html)
	if m == nil {
		t.Fatal("no data block")
	}
	return m[1]
}

// The script has no means of making markup or code of text.
func TestScriptSetsTextOnly(t *testing.T) {
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|setHTML|srcdoc|createContextualFragment|DOMParser|\.href|\.src\b|fetch\(|XMLHttpRequest|import\(`)
	if m := bad.FindString(asset("report.js")); m != "" {
		t.Errorf("report.js uses %s", m)
	}
}

// A long schedule: all of its steps are in the page, none of its rows are until
// they are looked at.
func TestLongReport(t *testing.T) {
	p := lostPage(t)
	n := 20_000
	for i := len(p.Steps); i < n; i++ {
		s := p.Steps[i%7]
		s.Index = i
		if s.Conflict >= 0 {
			s.Conflict = i - 1
		}
		p.Steps = append(p.Steps, s)
	}
	html := page(t, p, "long.html")
	var got pageJSON
	if err := json.Unmarshal([]byte(dataBlock(t, html)), &got); err != nil || len(got.Steps) != n {
		t.Fatal(len(got.Steps), err)
	}
	if shell := len(html) - len(dataBlock(t, html)); shell > 64<<10 {
		t.Errorf("%d bytes beside the data", shell)
	}
	if len(html) > 20<<20 {
		t.Errorf("%d bytes", len(html))
	}
}

func TestReportsAreTheSameEachTime(t *testing.T) {
	p := lostPage(t)
	a, b := page(t, p, "a.html"), page(t, p, "b.html")
	if !bytes.Equal([]byte(a), []byte(b)) {
		t.Error("two pages of one run differ")
	}
}
