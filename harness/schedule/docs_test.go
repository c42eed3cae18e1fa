package schedule

import (
	"os"
	"strings"
	"testing"
)

// The tapes that the manual shows can be read, and it tells what each verb is.
func TestManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/tapes.md")
	if err != nil {
		t.Fatal(err)
	}
	tapes := 0
	for i, block := range strings.Split(string(manual), "```\n") {
		if i%2 == 1 && strings.HasPrefix(block, magic) {
			mustParse(t, block)
			tapes++
		}
	}
	if tapes == 0 {
		t.Error("the manual shows no tape")
	}
	for _, verb := range Verbs {
		if !strings.Contains(string(manual), "\n| `"+verb+"` | ") {
			t.Errorf("the manual does not say what %s is", verb)
		}
	}
}
