package history

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"olympos.io/encoding/edn"
	"pgregory.net/rapid"
)

func recorded() []Op {
	var r Recorder
	r.Add("client", Invoke, "enqueue", "m0", "")
	r.Step, r.Now = 3, 2*time.Second
	r.Add("client", OK, "enqueue", "m0", "")
	r.Did("a/runner", "deliver", "m0")
	r.Add("nemesis", Info, "crash", "a/runner", "")
	r.Add("b/runner", Invoke, "deliver", "m1", "")
	r.Add("b/runner", Info, "deliver", "m1", "killed \"hard\"\n<b>")
	r.Add("b/runner", Invoke, "deliver", "m2", "")
	return r.Ops()
}

func TestRecorderResetKeepsWhatWasHandedOut(t *testing.T) {
	var r Recorder
	r.Did("client", "enqueue", "m0")
	before := r.Ops()
	r.Reset()
	r.Did("client", "enqueue", "m1")
	if before[0].Value != "m0" || r.Ops()[0].Value != "m1" || r.Ops()[1].Index != 1 {
		t.Errorf("before %v, after %v", before, r.Ops())
	}
}

func TestJSONLRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Recorder
		n := rapid.IntRange(0, 5).Draw(t, "n")
		for range n {
			r.Step = rapid.IntRange(0, 9).Draw(t, "step")
			r.Now = time.Duration(rapid.Int64().Draw(t, "now"))
			text := rapid.String().Filter(utf8.ValidString)
			r.Add(rapid.SampledFrom([]string{"a/runner", "client"}).Draw(t, "p"),
				rapid.SampledFrom([]Type{Invoke, OK, Fail, Info}).Draw(t, "type"), "add", text.Draw(t, "value"), text.Draw(t, "error"))
		}
		var b bytes.Buffer
		if err := WriteJSONL(&b, r.Ops()); err != nil {
			t.Fatal(err)
		}
		got, err := ReadJSONL("h", &b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Ops(), got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReadJSONLErrors(t *testing.T) {
	good := `{"index":0,"step":0,"time":0,"process":"client","type":"invoke","f":"enqueue","value":"m0"}` + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"no JSON", good + "enqueue m0", "h.jsonl:2: not an operation"},
		{"cut off", good + good[:40], "h.jsonl:2: not an operation"},
		{"unknown field", `{"index":0,"proces":"x"}`, "h.jsonl:1: not an operation"},
		{"type", strings.Replace(good, "invoke", "begin", 1), `h.jsonl:1: type is "begin"; use invoke`},
		{"gap", good + "\n" + good, "h.jsonl:3: index is 0 where 1 comes next"},
		{"two on a line", strings.TrimSpace(good) + good, "h.jsonl:1: more than one"},
		{"nobody", strings.Replace(good, `"client"`, `""`, 1), "h.jsonl:1: process or f is empty"},
		{"endless line", good + strings.Repeat(" ", maxLine+1), "h.jsonl:2: cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadJSONL("h.jsonl", strings.NewReader(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func FuzzReadJSONL(f *testing.F) {
	var b bytes.Buffer
	if err := WriteJSONL(&b, recorded()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("{}\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ops, err := ReadJSONL("h", bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteJSONL(&b, ops); err != nil {
			t.Fatal(err)
		}
		again, err := ReadJSONL("h", &b)
		if diff := cmp.Diff(ops, again); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

// ednOp is what jepsen.history/op looks for.
type ednOp struct {
	Index   int
	Time    int64
	Type    edn.Keyword
	Process any
	F       edn.Keyword
	Value   string
	Node    string
	Error   string
}

func readEDN(t interface{ Fatal(...any) }, text []byte) []ednOp {
	var ops []ednOp
	d := edn.NewDecoder(bytes.NewReader(text))
	for range bytes.Count(text, []byte("\n")) {
		var op ednOp
		if err := d.Decode(&op); err != nil {
			t.Fatal(err, string(text))
		}
		ops = append(ops, op)
	}
	return ops
}

func TestEDN(t *testing.T) {
	var b bytes.Buffer
	if err := WriteEDN(&b, recorded()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, op := range readEDN(t, b.Bytes()) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%d %d %v %v %v %s %s %s",
			op.Index, op.Time, op.Type, op.Process, op.F, op.Value, op.Node, op.Error)))
	}
	want := []string{
		"0 0 :invoke 0 :enqueue m0 client",
		"1 2000000000 :ok 0 :enqueue m0 client",
		"2 2000000000 :invoke 1 :deliver m0 a/runner",
		"3 2000000000 :ok 1 :deliver m0 a/runner",
		"4 2000000000 :info :nemesis :crash a/runner nemesis",
		"5 2000000000 :invoke 2 :deliver m1 b/runner",
		"6 2000000000 :info 2 :deliver m1 b/runner killed \"hard\"\n<b>",
		"7 2000000000 :invoke 3 :deliver m2 b/runner", // 2 never comes back
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever a program calls its files, the EDN is still EDN and says the same.
func TestEDNStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Filter(utf8.ValidString).Draw(t, "s")
		var b bytes.Buffer
		if err := WriteEDN(&b, []Op{{Process: "a", Type: Info, F: "x y", Value: s}}); err != nil {
			t.Fatal(err)
		}
		var got struct {
			F     string
			Value string
		}
		if err := edn.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatal(err, b.String())
		}
		if got.F != "x y" || got.Value != s {
			t.Errorf("%q became %q, f %q", s, got.Value, got.F)
		}
	})
}

func TestEDNInvalidUTF8(t *testing.T) {
	if got, want := ednString("a\xffb"), `"a`+"�"+`b"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
