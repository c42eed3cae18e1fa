package schedule

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func mustParse(t *testing.T, text string) *Tape {
	t.Helper()
	tape, err := Parse("t.tape", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tape
}

// An editor that ends lines its own way does no harm.
func TestParseCRLF(t *testing.T) {
	want, got := mustParse(t, handWritten), mustParse(t, strings.ReplaceAll(handWritten, "\n", "\r\n"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

const handWritten = `screwtape tape 1
test: C3
workload: queue
profile: 2.1.39
nodes: a b           # two hosts
messages: 1
calls: named          # a person wrote it

# comments begin with '#', also at the end of a line
a/runner wake
a/runner rename qfiles/out/*.pck qfiles/out/*.bak
b/runner open qfiles/out/*.pck = ENOENT   # decisive
a/runner#2 read "*.pck" ...pck
a/runner.1 link ...
a/runner crash
`

func TestParse(t *testing.T) {
	got := mustParse(t, handWritten)
	want := &Tape{
		File:   "t.tape",
		Sparse: true,
		Header: Header{{"test", "C3", 2}, {"workload", "queue", 3}, {"profile", "2.1.39", 4}, {"nodes", "a b", 5}, {"messages", "1", 6}},
		Lines: []Line{
			{Number: 10, Decision: Decision{Process: "a/runner", Verb: "wake"}},
			{Number: 11, Decision: Decision{Process: "a/runner", Verb: "rename", Names: []string{"qfiles/out/*.pck", "qfiles/out/*.bak"}}, Glob: []bool{true, true}},
			{Number: 12, Decision: Decision{Process: "b/runner", Verb: "open", Names: []string{"qfiles/out/*.pck"}, Outcome: "ENOENT"}, Glob: []bool{true}, Comment: "decisive"},
			{Number: 13, Decision: Decision{Process: "a/runner#2", Verb: "read", Names: []string{"*.pck", "...pck"}}},
			{Number: 14, Decision: Decision{Process: "a/runner.1", Verb: "link"}, Any: true},
			{Number: 15, Decision: Decision{Process: "a/runner", Verb: "crash"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	golden(t, "written.tape", got.String())
}

func TestString(t *testing.T) {
	names := []string{
		"qfiles/out/1+ab.pck", "local:spool/x", "with blank", "", `"`, "'", "`", "a#b", "#", "=", "a=b", "*", "?", "[", `\`, "...",
		"\x00", "tab\t", "line\n", "\xff\xfe", "\u00e4", "\u00a0", "\ufffd", "\u202e",
	}
	tape := &Tape{}
	tape.Header.Set("test", "names")
	tape.Header.Set("note", ` # "odd" `)
	tape.Header.Set("test", "odd names")
	for _, n := range names {
		tape.Lines = append(tape.Lines, Line{Decision: Decision{Process: "a/runner", Verb: "open", Names: []string{n}, Outcome: "ok"}})
	}
	tape.Lines = append(tape.Lines,
		Line{Decision: Decision{Process: "odd: process:", Verb: "wake"}, Comment: "two\nlines"},
		Line{Decision: Decision{Process: "#", Verb: "wake", Outcome: "out come"}})
	golden(t, "odd.tape", tape.String())
	got := mustParse(t, tape.String())
	for i, n := range names {
		if got.Lines[i].Names[0] != n {
			t.Errorf("%q came back as %q", n, got.Lines[i].Names[0])
		}
	}
	if note := got.Header.Get("note"); note != ` # "odd" ` {
		t.Errorf("note came back as %q", note)
	}
}

// TestErrors holds every error that Parse gives, next to what it is given.
func TestErrors(t *testing.T) {
	const head = "screwtape tape 1\n"
	var got strings.Builder
	for _, text := range []string{
		"",
		"a/runner wake\n",
		"screwtape tape 2\n",
		head + "calls: some\n",
		head + "calls: all\ncalls: all\n",
		head + "test: a\ntest: b\n",
		head + "a/runner wake\ntest: b\n",
		head + "test: \"a\n",
		head + "test: \"a\" b\n",
		head + "test: a\x01\n",
		head + "a/runner\n",
		head + "\"\" wake\n",
		head + "a=b wake\n",
		head + "A: wake\n",
		head + "a/runner Wake\n",
		head + "a/runner \"wake\"\n",
		head + "a/runner open x =\n",
		head + "a/runner open x = ok ok\n",
		head + "a/runner open x =ENOENT\n",
		head + "a/runner open x#y\n",
		head + "a/runner open it's\n",
		head + "a/runner open \"x\n",
		head + "a/runner open \"x\"y\n",
		head + "a/runner open x \xff\n",
		head + "a/runner open [\n",
		head + "a/runner open ... x\n",
		head + "calls: all\na/runner open *.pck\n",
		head + "calls: all\na/runner open ...\n",
	} {
		_, err := Parse("t.tape", strings.NewReader(text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Parse(%q) = %v, want a *SyntaxError", text, err)
			continue
		}
		if strings.ContainsAny(err.Error(), "\n\x01") || !utf8.ValidString(err.Error()) {
			t.Errorf("Parse(%q): the error is not one clean line: %q", text, err)
		}
		got.WriteString(err.Error() + "\n")
	}
	golden(t, "errors", got.String())
}

func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Parse("t.tape", errReader{broken}); !errors.Is(err, broken) {
		t.Errorf("Parse of a broken file: %v", err)
	}
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		line string
		d    Decision
		call bool // with any outcome
		want bool
	}{
		{"a/r open q/*.pck", Decision{"a/r", "open", []string{"q/1.pck"}, "ok"}, true, true},
		{"a/r open q/*.pck", Decision{"b/r", "open", []string{"q/1.pck"}, "ok"}, false, false},
		{"a/r open q/*.pck", Decision{"a/r", "stat", []string{"q/1.pck"}, "ok"}, false, false},
		{"a/r open q/*.pck", Decision{"a/r", "open", []string{"q/x/1.pck"}, "ok"}, false, false},
		{"a/r open q/*.pck", Decision{"a/r", "open", nil, "ok"}, false, false},
		{"a/r open q/?.pck", Decision{"a/r", "open", []string{"q/1.pck"}, "ok"}, true, true},
		{"a/r open q/[23].pck", Decision{"a/r", "open", []string{"q/1.pck"}, "ok"}, false, false},
		{"a/r open *.pck", Decision{"a/r", "open", []string{"q/out/1.pck"}, "ok"}, true, true},
		{"a/r open 1*", Decision{"a/r", "open", []string{"local:1.pck"}, "ok"}, true, true},
		{`a/r open "*.pck"`, Decision{"a/r", "open", []string{"1.pck"}, "ok"}, false, false},
		{`a/r open "*.pck"`, Decision{"a/r", "open", []string{"*.pck"}, "ok"}, true, true},
		{"a/r open 1.pck", Decision{"a/r", "open", []string{"q/1.pck"}, "ok"}, false, false},
		{"a/r open ...", Decision{"a/r", "open", []string{"q/1.pck"}, "ok"}, true, true},
		{"a/r open ...", Decision{"a/r", "open", nil, "ok"}, true, true},
		{"a/r rename *.pck *.bak", Decision{"a/r", "rename", []string{"1.pck", "1.bak"}, "ok"}, true, true},
		{"a/r rename *.pck *.bak", Decision{"a/r", "rename", []string{"1.bak", "1.pck"}, "ok"}, false, false},
		{"a/r open x = ok", Decision{"a/r", "open", []string{"x"}, "ok"}, true, true},
		{"a/r open x = ENOENT", Decision{"a/r", "open", []string{"x"}, "ok"}, true, false},
		{"a/r open x = ENOENT", Decision{"a/r", "open", []string{"x"}, ""}, true, false},
		{"a crash", Decision{"a", "crash", nil, ""}, true, true},
	} {
		line := mustParse(t, "screwtape tape 1\n"+test.line).Lines[0]
		if got := line.MatchesCall(test.d); got != test.call {
			t.Errorf("%q.MatchesCall(%v) = %v", test.line, test.d, got)
		}
		if got := line.Matches(test.d); got != test.want {
			t.Errorf("%q.Matches(%v) = %v", test.line, test.d, got)
		}
	}
}

// anyTape draws tapes whose names are as odd as names can be.
func anyTape() *rapid.Generator[*Tape] {
	odd := rapid.Custom(func(t *rapid.T) string {
		return rapid.OneOf(
			rapid.StringMatching(`[a-z0-9+./:]{1,12}`),
			rapid.StringMatching(`[ \t"'#=*?\[\]\\.a]{0,6}`),
			rapid.String(),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 6), func(b []byte) string { return string(b) }),
		).Draw(t, "name")
	})
	word := rapid.StringMatching(`[a-z][a-z0-9_-]{0,8}`)
	return rapid.Custom(func(t *rapid.T) *Tape {
		tape := &Tape{Sparse: rapid.Bool().Draw(t, "sparse")}
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			if key := word.Draw(t, "key"); key != "calls" {
				tape.Header.Set(key, odd.Draw(t, "value"))
			}
		}
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			process := odd.Filter(func(s string) bool { return s != "" }).Draw(t, "process")
			line := Line{Decision: Decision{Process: process, Verb: word.Draw(t, "verb"), Outcome: odd.Draw(t, "outcome")}}
			line.Comment = rapid.StringMatching(`([a-z#="](.*[a-z#="])?)?`).Filter(func(s string) bool { return cleanComment(s) == s }).Draw(t, "comment")
			if tape.Sparse && rapid.Bool().Draw(t, "any") {
				line.Any = true
			} else {
				for i := range rapid.IntRange(0, 3).Draw(t, "names") {
					if tape.Sparse && rapid.Bool().Draw(t, "glob") {
						line.Names = append(line.Names, rapid.StringMatching(`[a-z/.]{0,3}(\*|\?|\[a-z\]|\\\*)[a-z/.]{0,3}`).Draw(t, "pattern"))
						line.Glob = append(line.Glob, make([]bool, i+1-len(line.Glob))...)
						line.Glob[i] = true
					} else {
						line.Names = append(line.Names, odd.Draw(t, "name"))
					}
				}
				if line.Glob != nil {
					line.Glob = append(line.Glob, make([]bool, len(line.Names)-len(line.Glob))...)
				}
			}
			tape.Lines = append(tape.Lines, line)
		}
		return tape
	})
}

var asWritten = cmp.Options{cmpopts.IgnoreFields(Line{}, "Number"), cmpopts.IgnoreFields(Field{}, "Number"), cmpopts.IgnoreFields(Tape{}, "File")}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyTape().Draw(t, "tape")
		var text bytes.Buffer
		if n, err := want.WriteTo(&text); err != nil || n != int64(text.Len()) {
			t.Fatalf("WriteTo = %d, %v", n, err)
		}
		got, err := Parse("t.tape", &text)
		if err != nil {
			t.Fatalf("%v\n%s", err, want)
		}
		if diff := cmp.Diff(want, got, asWritten); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s", diff, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(handWritten))
	for _, name := range []string{"odd.tape", "written.tape"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tape, err := Parse("t.tape", bytes.NewReader(text))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not one line: %q", err)
			}
			return
		}
		again, err := Parse("t.tape", strings.NewReader(tape.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, tape)
		}
		if diff := cmp.Diff(tape, again, asWritten); diff != "" {
			t.Errorf("(-first +again):\n%s\n%s", diff, tape)
		}
	})
}
