package results

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// hostile are names that would like to be something else than a name.
var hostile = []string{
	`</script><script>alert(1)</script>`, `<!--<script>`, `"><img src=x onerror=alert(1)>`, `'-alert(1)-'`,
	"a\u2028b\u2029c\nd\x00\xff", `</title></style><b>`, `{{.}}`, `javascript:alert(1)`, `]]>`, `&lt;&amp;`, `__proto__`,
	"\xff\xfe\xed\xa0\x80", strings.Repeat("n", 255), strings.Repeat("<", 255), "one\r\ntwo\n# three\n- four", "\x1b]0;taken\a\x1b[2J\u009b31m",
	"\u202egnp.exe", "[x](javascript:1)", "```\n<b>", "a|b", `\"'` + "`", "$(reboot)", "../../../etc/passwd", "-rf", "1. one", "# one", "==", " ", "m0 m1",
}

// hostileRun is a run in which all that has a name is called so: the test, files,
// messages, what programs said, and what was found.
func hostileRun(name string) (Report, Page) {
	a := Anomaly{Anomaly: check.Anomaly{Kind: name, Subject: name, Explanation: name, Step: 0}, Replay: ReplayCommand(name), Tape: name, Cause: name}
	r := Report{Test: name, Workload: name, Profile: name, Promise: name, Verdict: check.Invalid, Why: name, Faults: map[string]int{name: 1},
		Anomalies: []Anomaly{a}, Allowed: []Anomaly{a}, Run: name, Outside: []history.Outside{{Process: name, Path: name, Count: 1}},
		Claims: []Claim{{ID: name, Versions: []string{name}, Expected: name, Observed: name, Tape: name}},
		Cells:  []Cell{{Profile: name, Flag: name, Holder: name, Outcome: name, Removed: []string{name}, Anomalies: []string{name}, Tape: name}},
		SetUps: []SetUp{{ID: name, Is: name, Promise: name, Faults: name, Expected: name, Observed: []string{name}, Why: name, Tape: name}}}
	p := Page{Title: name, About: name, Report: r, Replay: name, Picture: PictureFile, Findings: "findings/",
		Initial: []history.Change{{Path: name, Note: name}},
		History: []history.Op{{Process: name, Type: history.OK, F: "acquire", Value: name}, {Index: 1, Process: name, Type: history.OK, F: name, Value: name, Error: name}},
		WarmUp:  []history.Line{{Process: name, Text: name}},
		Steps: []history.Step{{
			Decision: schedule.Decision{Process: name, Verb: name, Names: []string{name, name}, Outcome: name}, Conflict: -1,
			Lines: []history.Line{{Process: name, Text: name}}, Changes: []history.Change{{Path: name + "/" + name, Note: name}},
		}}}
	return r, p
}

// tags are the elements, comments and the like of a page.
func tags(html string) []string {
	return regexp.MustCompile(`<[a-zA-Z/!][^<>]*>`).FindAllString(html, -1)
}

// attributes are of no account when tags are compared that hold names.
func bare(tags []string) []string {
	for i, tag := range tags {
		tags[i], _, _ = strings.Cut(strings.Trim(tag, "<>"), " ")
	}
	return tags
}

// markup is what in a line of Markdown is not text.
func markup(line string) []string {
	if strings.HasPrefix(line, "<details>") { // HTML up to a blank line
		return tags(line)
	}
	line = strings.ReplaceAll(line, `\|`, "") // before all else, in tables
	var text strings.Builder                  // without code
	for line != "" {
		switch {
		case line[0] == '\\' && len(line) > 1:
			line = line[2:]
		case line[0] == '`':
			fence := regexp.MustCompile("^`+").FindString(line)
			line = line[len(fence):]
			end := slices.IndexFunc(regexp.MustCompile("`+").FindAllStringIndex(line, -1), func(run []int) bool { return run[1]-run[0] == len(fence) })
			if end < 0 {
				return []string{"code without an end"}
			}
			line = line[regexp.MustCompile("`+").FindAllStringIndex(line, -1)[end][1]:]
		default:
			text.WriteByte(line[0])
			line = line[1:]
		}
	}
	marks := regexp.MustCompile(`^(#+ |[-+>] |\d+[.)] |={2,}|-{2,})|[\\*_~|\[\]]|<[a-zA-Z/!][^>]*>`).FindAllString(text.String(), -1)
	return append([]string{"line"}, marks...)
}

// plain reports whether a text is one line that a terminal shows as it is.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Whatever programs, messages and files are called, each output has the same
// structure as with tame names, and can be read back.
func TestHostileNames(t *testing.T) {
	for _, output := range []struct {
		name string
		// shape is what must not depend on names; it fails the test where the
		// output cannot be read.
		shape func(t *testing.T, name string) any
	}{
		{"report", func(t *testing.T, name string) any {
			_, p := hostileRun(name)
			text := page(t, p, "hostile.html")
			block := dataBlock(t, text)
			if strings.ContainsAny(block, "<>&\u2028\u2029") {
				t.Error("the data block has characters that could end it")
			}
			var got pageJSON
			if err := json.Unmarshal([]byte(block), &got); err != nil {
				t.Error(err)
			} else if want := string([]rune(name)); got.Steps[0].Names[0] != want { // with U+FFFD for what is no character
				t.Errorf("it arrives as %q", got.Steps[0].Names[0])
			}
			return bare(tags(text))
		}},
		{"story", func(t *testing.T, name string) any {
			_, p := hostileRun(name)
			story := Story(p.Initial, p.Steps, p.History, check.Verdict{Verdict: check.Invalid, Anomalies: []check.Anomaly{{Kind: name, Subject: name, Explanation: name}}})
			for _, line := range story {
				if !plain(line) || len(line) > 2000 {
					t.Errorf("a line is %q", line)
				}
			}
			return len(story)
		}},
		{"short names", func(t *testing.T, name string) any {
			_, p := hostileRun(name)
			if text := Shortener(p.Initial, p.Steps)(name); !plain(text) {
				t.Errorf("a text is %q", text)
			}
			return nil
		}},
		{"calls", func(t *testing.T, name string) any {
			step := history.Step{Decision: schedule.Decision{Process: "a/sh", Verb: "open", Names: []string{name}, Outcome: name}, Lines: []history.Line{{Process: "a/sh", Text: name}}}
			text := callsByProgram([]history.Step{step})["a/sh"]
			for line := range strings.Lines(text) {
				if !plain(strings.TrimSuffix(line, "\n")) {
					t.Errorf("a line is %q", line)
				}
			}
			return strings.Count(text, "\n")
		}},
		{"JUnit", func(t *testing.T, name string) any {
			r, _ := hostileRun(name)
			text, err := JUnit(r)
			if err != nil {
				t.Fatal(err)
			}
			var got junitSuites
			if err := xml.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			return []int{got.Tests, got.Failures, got.Errors, len(got.Suites), bytes.Count(text, []byte("<testcase "))}
		}},
		{"summary", func(t *testing.T, name string) any {
			r, _ := hostileRun(name)
			text := Summary(r)
			var shape []string
			fence := ""
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				switch {
				case fence != "" && line != fence: // within a block nothing is markup
				case fence != "":
					fence = ""
				case strings.HasPrefix(line, "```"):
					fence = strings.TrimSuffix(line, "text")
					shape = append(shape, "block")
				case line != "":
					shape = append(shape, markup(line)...)
				}
			}
			return shape
		}},
		{"JSON", func(t *testing.T, name string) any {
			r, _ := hostileRun(name)
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var again Report
			if err := json.Unmarshal(text, &again); err != nil {
				t.Fatal(err)
			}
			return []int{len(again.Anomalies), len(again.Faults), len(again.Cells)}
		}},
		{"history", func(t *testing.T, name string) any {
			_, p := hostileRun(name)
			var edn, jsonl bytes.Buffer
			if err := errors.Join(history.WriteEDN(&edn, p.History), history.WriteJSONL(&jsonl, p.History)); err != nil {
				t.Fatal(err)
			}
			ops, err := history.ReadJSONL("history.jsonl", bytes.NewReader(jsonl.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(edn.Bytes()) || !utf8.Valid(jsonl.Bytes()) {
				t.Error("it is not UTF-8")
			}
			return []int{len(ops), bytes.Count(edn.Bytes(), []byte("\n")), bytes.Count(jsonl.Bytes(), []byte("\n"))}
		}},
		{"server", func(t *testing.T, name string) any { return servedNames(t, name) }},
	} {
		t.Run(output.name, func(t *testing.T) {
			tame := output.shape(t, "tame")
			for _, name := range hostile {
				t.Run("", func(t *testing.T) {
					if diff := cmp.Diff(tame, output.shape(t, name)); diff != "" {
						t.Errorf("%q: %s", name, diff)
					}
				})
			}
		})
	}
}

// servedNames are the elements of all pages that the server makes of a run in
// which all is called so, with a file of that name where there can be one.
func servedNames(t *testing.T, name string) [][]string {
	t.Helper()
	root := t.TempDir()
	report, p := hostileRun(name)
	run, err := Create(root, Test{Name: name, Args: []string{name}, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	html, err := HTML(p)
	err = errors.Join(err, run.WriteFile("report.html", html), run.WriteLogs([]history.Line{{Process: "a/sh", Text: name}}), run.WriteHistory(p.History))
	if _, tapeErr := run.WriteTape(name, name, nil); err == nil {
		err = tapeErr
	}
	if err = errors.Join(err, run.WriteVerdict(report)); err != nil {
		t.Fatal(err)
	}
	own := strings.NewReplacer("/", "-", "\x00", "-").Replace(name)
	if err := os.WriteFile(filepath.Join(run.Dir, own), []byte("own"), 0o666); err != nil {
		t.Fatal(err)
	}
	handler := Handler(root)
	get := func(path string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	rel, err := filepath.Rel(root, run.Dir)
	if err != nil {
		t.Fatal(err)
	}
	page := get("/run/" + rel + "/")
	if got := get("/run/" + rel + "/files/" + url.PathEscape(own)); got != "own" {
		t.Errorf("the file %q is %.80q", own, got)
	}
	archive := get("/zip/" + rel + ".zip")
	z, err := zip.NewReader(strings.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range z.File {
		if !strings.HasPrefix(f.Name, filepath.Base(run.Dir)+"/") || strings.Contains(f.Name, "../") {
			t.Errorf("the zip has a file %q", f.Name)
		}
		if f.Name == filepath.Base(run.Dir)+"/"+own {
			found = true
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(r); string(text) != "own" {
				t.Errorf("in the zip it is %q, %v", text, err)
			}
		}
	}
	if !found {
		t.Errorf("the zip has no file %q", own)
	}
	runs, err := List(root)
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	query := url.QueryEscape(runs[0].Test.Name) // in JSON there is no invalid UTF-8
	pages := []string{page, get("/"), get("/?test=" + query), get("/?anomaly=" + query), get("/trends?test=" + query)}
	var all [][]string
	for _, text := range pages {
		if strings.Contains(text, "<script") {
			t.Error("there is a script")
		}
		all = append(all, bare(tags(text)))
	}
	return all
}
