package results

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"screwtape/harness/check"
	"screwtape/harness/history"
)

// pictured draws messages, each with so many deliveries.
func pictured(t *testing.T, name string, deliveries ...int) string {
	t.Helper()
	var h history.Recorder
	places := map[string][]string{}
	for i, n := range deliveries {
		id := fmt.Sprintf("m%d%s", i, name)
		h.Did("client", "enqueue", id)
		for range n {
			h.Did("a/runner"+name, "deliver", id)
		}
	}
	h.Add("nemesis", history.Info, "crash", "b/runner"+name, "")
	h.Add("a/runner", history.Info, "exit", "exit 1", "")
	var objects []check.Object
	for _, m := range check.Messages(h.Ops(), places) {
		objects = append(objects, check.Object{Name: m.ID, Operations: check.MessageOperations(h.Ops(), m.ID, m.Places)})
	}
	html, err := Picture("a test"+name, check.MessageModel(check.ExactlyOnce), objects, h.Ops())
	if err != nil {
		t.Fatal(err)
	}
	return string(html)
}

// Who breaks the promise comes first, and faults stand beside.
func TestPicture(t *testing.T) {
	html := pictured(t, "", 1, 2)
	last := 0
	for _, want := range []string{"0 is client, 1 is a/runner, 2 is nemesis", "[ jump to first error ]", "m1: ✗ no order", "deliver by a/runner", "m0: ✓ there is an order"} {
		at := strings.Index(html[last:], want)
		if at < 0 {
			t.Fatalf("%q is missing, or comes too early:\n%s", want, html)
		}
		last += at
	}
	for _, want := range []string{`"Description":"crash b/runner"`, `"Description":"a/runner: exit 1"`, `"Tag":"faults"`, `"Tag":"starts, ends"`} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(html, "left out") {
		t.Error("something is left out of a small picture")
	}
}

// The script and style in the picture are those that its policy lets through.
func TestPicturePolicy(t *testing.T) {
	html := pictured(t, "", 1)
	policy := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(html)
	for _, tag := range []string{"script", "style"} {
		m := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(html, -1)
		if len(m) != 1 || !strings.Contains(policy, digest(m[0][1])) {
			t.Errorf("the %s is not what the policy lets through", tag)
		}
	}
}

// A picture is of bounded size, and says what it leaves out.
func TestPictureIsBounded(t *testing.T) {
	many := make([]int, 1000)
	for i := range many {
		many[i] = 1
	}
	many[900] = 2
	many[901] = 1000
	html := pictured(t, "", many...)
	if len(html) > maxPicture {
		t.Errorf("%d bytes", len(html))
	}
	for _, want := range []string{"objects left out", "m901: the last", "m900: ✗ no order"} {
		if !strings.Contains(html, want) {
			t.Errorf("does not say %q", want)
		}
	}
}

func TestHostileNamesInPictures(t *testing.T) {
	tags := func(html string) []string { return regexp.MustCompile(`<[a-zA-Z/!][^<>]*>`).FindAllString(html, -1) }
	tame := tags(pictured(t, "tame", 1))
	for _, name := range hostile {
		html := pictured(t, name, 1)
		if got := tags(html); len(got) != len(tame) {
			t.Errorf("%q became markup", name)
		}
		if strings.ContainsAny(dataBlock(t, html), "<>&\u2028\u2029") {
			t.Errorf("%q: the data block has characters that could end it", name)
		}
	}
}
