package cli

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"screwtape/results"
)

var pictures = flag.String("pictures", "", "directory for the pictures of docs/reading-a-report.md, which scripts/pictures makes")

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
