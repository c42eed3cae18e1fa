package results

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"screwtape/harness/check"
	"screwtape/harness/history"
)

// served makes a root with four runs, a secret beside it, and serves it.
func served(t *testing.T) (root string, get func(path string) (*http.Response, string)) {
	t.Helper()
	base := t.TempDir()
	root = filepath.Join(base, "runs")
	if err := os.WriteFile(filepath.Join(base, "secret"), []byte("SECRET"), 0o666); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	add := func(name string, finish func(*Run) error) {
		start = start.Add(time.Second)
		run, err := Create(root, Test{Name: name, Started: start})
		if err == nil {
			err = finish(run)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("queue", func(r *Run) error { return r.WriteVerdict(Report{Test: "queue", Verdict: check.Valid}) })
	add("queue", func(r *Run) error {
		initial, steps, v := lost()
		report := lostReport(t, r.Dir)
		html, err := HTML(Page{Title: "x", Report: report, Shown: v, Steps: steps, Initial: initial})
		return errors.Join(err, r.WriteFile("report.html", html), r.WriteFile("findings/lost-message/report.html", html), r.WriteFile("evil.html", []byte("<script>alert(1)</script>")),
			r.WriteLogs([]history.Line{{Process: "a/runner", Text: "<b>hello</b>"}}), r.WriteVerdict(report))
	})
	add("<script>alert(1)</script>", func(r *Run) error {
		return r.WriteVerdict(Report{Test: r.Test.Name, Verdict: check.Unknown, Why: "<img src=x>", Allowed: []Anomaly{{Anomaly: check.Anomaly{Kind: "<i>"}}}})
	})
	add("lock", func(r *Run) error {
		return errors.Join(r.WriteProgress(Progress{Done: 7, Of: 9, Unit: "schedule"}), r.leave())
	})

	server := httptest.NewServer(Handler(root))
	t.Cleanup(server.Close)
	return root, func(path string) (*http.Response, string) {
		t.Helper()
		// Written by hand, since clients tidy up what is to be tested.
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		method := "GET"
		if m, p, ok := strings.Cut(path, " "); ok {
			method, path = m, p
		}
		io.WriteString(conn, method+" "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		text, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		request, _ := http.NewRequest(method, "/", nil)
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
}

const (
	lostRun  = "queue/20260102T030407-1"
	scriptly = "-script-alert-1---script-/20260102T030408-1"
)

func TestServeList(t *testing.T) {
	_, get := served(t)
	rows := regexp.MustCompile(`<a href="/run/([^"]*)/">`)
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"", []string{"lock/20260102T030409-1", scriptly, lostRun, "queue/20260102T030406-1"}},
		{"?test=queue", []string{lostRun, "queue/20260102T030406-1"}},
		{"?verdict=valid", []string{"queue/20260102T030406-1"}},
		{"?verdict=unfinished", []string{"lock/20260102T030409-1"}},
		{"?anomaly=lost-message", []string{lostRun}},
		{"?anomaly=lost-message&verdict=valid", nil},
		{"?test=%3Cscript%3Ealert(1)%3C%2Fscript%3E", []string{scriptly}},
	} {
		response, body := get("/" + c.query)
		var got []string
		for _, m := range rows.FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		if diff := cmp.Diff(c.want, got); diff != "" || response.StatusCode != 200 {
			t.Errorf("%q: %s %s", c.query, response.Status, diff)
		}
		if strings.Contains(body, "<script") {
			t.Errorf("%q: a test's name became markup", c.query)
		}
	}
	if _, body := get("/?test=lock"); !strings.Contains(body, "unfinished: stopped in phase started: 7 of 9 schedules") {
		t.Error("a half-written run is not shown as one")
	}
}

// A run that goes on is shown as one, and followed, until it is finished or its
// maker is gone.
func TestServeRunning(t *testing.T) {
	root, get := served(t)
	run, err := Create(root, Test{Name: "queue", Started: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)})
	if err == nil {
		err = run.WriteProgress(Progress{Done: 1, Of: 500, Unit: "schedule", Traces: 1, Found: []string{"</span><script>"}, Seconds: 2.4})
	}
	if err != nil {
		t.Fatal(err)
	}
	const at = "/run/queue/20260103T000000-1/"
	for _, path := range []string{"/", "/?verdict=running", at} {
		response, body := get(path)
		policy := response.Header.Get("Content-Security-Policy")
		if !strings.Contains(body, `data-live="`+at+`progress"`) || !strings.Contains(body, `src="/live.js"`) || !strings.Contains(policy, "script-src 'self'; connect-src 'self'") {
			t.Errorf("%s does not follow the run: %s\n%s", path, policy, body)
		}
		if !strings.Contains(body, "running: 1 of 500 schedules, 1 distinct trace, found &lt;/span&gt;&lt;script&gt;, in 2 s") {
			t.Errorf("%s:\n%s", path, body)
		}
	}
	progress := func() string { _, body := get(at + "progress"); return strings.TrimSpace(body) }
	if got := progress(); !strings.Contains(got, `"running":true`) || !strings.Contains(got, "1 of 500 schedules") {
		t.Error(got)
	}
	if err := run.WriteVerdict(Report{Test: "queue", Verdict: check.Valid}); err != nil {
		t.Fatal(err)
	}
	if got, want := progress(), `{"running":false,"text":"✓ valid"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, body := get(at); strings.Contains(body, "<script") || strings.Contains(body, "progress.json") {
		t.Errorf("a finished run is still followed:\n%s", body)
	}
	if _, body := get("/"); strings.Contains(body, "<script") {
		t.Error("nothing runs, and the list follows it")
	}
}

func TestServeTrends(t *testing.T) {
	_, get := served(t)
	_, body := get("/trends?test=queue")
	if n := strings.Count(body, "<svg"); n != 4 {
		t.Errorf("%d plots", n)
	}
	for _, want := range []string{"2 finished runs", `aria-label="schedules in 2 runs: from 0 to 300, the latest 300"`, `aria-label="seconds to the first anomaly: none in 2 runs"`,
		`<polyline class="trend" points="`, `class="invalid"`, `<circle class="valid"`, `<a href="/run/` + lostRun + `/">`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if _, body := get("/trends?test=%3Cscript%3Ealert(1)%3C%2Fscript%3E"); strings.Contains(body, "<script") || !strings.Contains(body, "1 finished run,") {
		t.Errorf("a test's name became markup:\n%s", body)
	}
	if _, body := get("/trends"); !strings.Contains(body, "0 finished runs") {
		t.Error(body)
	}
}

func TestServeRun(t *testing.T) {
	_, get := served(t)
	_, body := get("/run/" + lostRun + "/")
	for _, want := range []string{"✗ invalid", "lost-message", `href="files/report.html"`, `href="files/tapes/1.tape"`, `href="files/logs/a/runner.log"`, `href="/zip/` + lostRun + `.zip"`, "screwtape replay"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if _, body := get("/run/" + scriptly + "/"); strings.Contains(body, "<img") || strings.Contains(body, "<i>") {
		t.Error("a name became markup")
	}
	if response, body := get("/run/lock/20260102T030409-1/"); response.StatusCode != 200 || !strings.Contains(body, "phase started") {
		t.Errorf("half-written run: %s", response.Status)
	}
}

func TestServeFiles(t *testing.T) {
	_, get := served(t)
	for _, c := range []struct{ file, kind, policy, body string }{
		{"tapes/1.tape", "text/plain; charset=utf-8", "default-src 'none'", "screwtape tape 1"},
		{"logs/a/runner.log", "text/plain; charset=utf-8", "default-src 'none'", "<b>hello</b>"},
		{"evil.html", "text/plain; charset=utf-8", "default-src 'none'", "<script>"},
		{"verdict.json", "application/json", "default-src 'none'", `"schema": 1`},
		{"findings/lost-message/report.html", "text/html; charset=utf-8", "script-src 'sha256-", "What happened"},
		{"report.html", "text/html; charset=utf-8", "script-src 'sha256-", "What happened"},
	} {
		response, body := get("/run/" + lostRun + "/files/" + c.file)
		h := response.Header
		if response.StatusCode != 200 || h.Get("Content-Type") != c.kind || !strings.Contains(h.Get("Content-Security-Policy"), c.policy) || !strings.Contains(body, c.body) {
			t.Errorf("%s: %s %v", c.file, response.Status, h)
		}
	}
}

func TestServeZip(t *testing.T) {
	_, get := served(t)
	response, body := get("/zip/" + lostRun + ".zip")
	z, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(response.Status, err)
	}
	var got []string
	for _, f := range z.File {
		got = append(got, f.Name)
	}
	base := "20260102T030407-1/"
	want := []string{base + "evil.html", base + "findings/lost-message/report.html", base + "logs/a/runner.log", base + "report.html", base + "tapes/1.tape", base + "test.json", base + "verdict.json"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text, err := fs.ReadFile(z, base+"logs/a/runner.log")
	if string(text) != "<b>hello</b>\n" {
		t.Errorf("%q %v", text, err)
	}
}

// Every answer carries the headers, and nothing but reading is possible.
func TestServeHeadersAndMethods(t *testing.T) {
	_, get := served(t)
	for _, path := range []string{"/", "/style.css", "/nowhere", "/run/" + lostRun + "/", "/run/" + lostRun + "/files/test.json", "/run/" + lostRun + "/files/report.html", "/zip/" + lostRun + ".zip", "POST /", "PUT /run/x", "DELETE /run/" + lostRun + "/", "HEAD /"} {
		response, body := get(path)
		policy := response.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, response.Header)
		}
		method, _, given := strings.Cut(path, " ")
		switch {
		case given && method == "HEAD":
			if response.StatusCode != 200 || body != "" {
				t.Errorf("%s: %s %q", path, response.Status, body)
			}
		case given:
			if response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s: %s", path, response.Status)
			}
		}
	}
}

// Nothing outside the root can be read, however it is named or linked.
func TestServeTraversal(t *testing.T) {
	root, get := served(t)
	dir := filepath.Join(root, lostRun)
	for link, target := range map[string]string{
		filepath.Join(dir, "absolute"):                    filepath.Join(root, "..", "secret"),
		filepath.Join(dir, "relative"):                    "../../../secret",
		filepath.Join(dir, "updir"):                       "../../..",
		filepath.Join(root, "queue", "20260101T000000-1"): "../..",
		filepath.Join(dir, "within"):                      "test.json",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	files := "/run/" + lostRun + "/files/"
	for _, path := range []string{
		"/../secret", "/%2e%2e/secret", "/run/../../secret", "/run/queue/../../secret",
		files + "../../../secret", files + "..%2f..%2f..%2fsecret", files + "%2e%2e/%2e%2e/%2e%2e/secret",
		files + "../../../../secret", files + "/etc/passwd", files + "%2fetc%2fpasswd", files + "..\\..\\secret",
		files + "absolute", files + "relative", files + "updir/secret", files + "pipe", files + "logs", files + "", files + "x%00y",
		"/run/%2e%2e/20260102T030407-1/", "/run/..%2f..%2f/20260102T030407-1/files/secret",
		"/run/queue/20260101T000000-1/files/secret", "/run/queue/latest/", "/run/queue/..%2f20260102T030407-1/", "/run/queue/20260199T999999-1/",
		"/zip/queue/..zip", "/zip/%2e%2e/20260102T030407-1.zip", "/zip/queue/20260102T030407-1", "/zip/queue/20260101T000000-1.zip",
	} {
		response, body := get(path)
		if strings.Contains(body, "SECRET") || strings.Contains(body, "root:") {
			t.Errorf("%s: gives the secret away", path)
		}
		if response.StatusCode < 300 {
			t.Errorf("%s: %s %.200q", path, response.Status, body)
		}
	}
	if response, body := get(files + "within"); response.StatusCode != 200 || !strings.Contains(body, `"name": "queue"`) {
		t.Errorf("a link within the run: %s", response.Status)
	}
	if _, body := get("/zip/" + lostRun + ".zip"); strings.Contains(body, "SECRET") {
		t.Error("the zip gives the secret away")
	}
}

// The list of 1,000 runs takes less than 200 ms of processor time, which is what a
// reader waits for on an idle machine, and on a busy one is about the same.
func TestServeManyRuns(t *testing.T) {
	const most = 200 * time.Millisecond
	root := t.TempDir()
	fill(t, root, 1000)
	handler := Handler(root)
	least := time.Duration(math.MaxInt64)
	for range 5 { // the best of some: what is measured holds the collector's work too
		before := processorTime(t)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		least = min(least, processorTime(t)-before)
		if n := strings.Count(w.Body.String(), `<td class="name">`); w.Code != 200 || n != 1000 {
			t.Fatalf("%d, with %d runs", w.Code, n)
		}
	}
	runs, err := List(root)
	if err != nil || len(runs) != 1000 {
		t.Fatal(len(runs), err)
	}
	for i, r := range runs[1:] {
		if r.Test.Started.After(runs[i].Test.Started) {
			t.Fatalf("%s comes after %s", r.Dir, runs[i].Dir)
		}
	}
	t.Logf("1,000 runs are listed in %v of processor time", least)
	if least > most {
		t.Errorf("1,000 runs are listed in %v of processor time, not in %v", least, most)
	}
}

// processorTime is what this process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestServeNoRuns(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(filepath.Join(t.TempDir(), "none")).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "No runs.") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
