package pickle

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// python finds a Python of this major version that runs, and skips the test
// where there is none.
func python(t *testing.T, major string) func(script string, stdin []byte, args ...string) string {
	t.Helper()
	for _, env := range []string{"", "PYENV_VERSION=2.7.18"} {
		start := func(args ...string) *exec.Cmd {
			cmd := exec.Command("python"+major, args...)
			cmd.Env = append(os.Environ(), env)
			return cmd
		}
		if start("-c", "pass").Run() != nil {
			continue
		}
		return func(script string, stdin []byte, args ...string) string {
			t.Helper()
			cmd := start(append([]string{"-c", script}, args...)...)
			cmd.Stdin = bytes.NewReader(stdin)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("python%s: %v\n%s", major, err, out)
			}
			return string(out)
		}
	}
	t.Skipf("SKIPPED %s: no python%s here", t.Name(), major)
	return nil
}

// allBytes is a text with each byte and what escapes are made of.
func allBytes() []byte {
	text := []byte("From: x\n\nit's \\n \\x41 \\u0041 \\\\u0041 \"q\"\r\n\\")
	for c := range 256 {
		text = append(text, byte(c))
	}
	return text
}

func meta() Metadata {
	return Metadata{
		"listname":      "te'st\\n",
		"recips":        []any{"a@b", "c\"d@e"},
		"recipients":    Strings{"a@b", "c@d"},
		"received_time": 1234567890.125,
		"version":       int64(3),
		"_parsemsg":     true,
		"_bak_count":    int64(0),
	}
}

const metaCheck = `
want = {'listname': "te'st\\n", 'recips': ['a@b', 'c"d@e'], 'recipients': set(['a@b', 'c@d']),
	'received_time': 1234567890.125, 'version': 3, '_parsemsg': True, '_bak_count': 0}
got = pickle.load(f)
assert got == want, got
assert f.read() == b''
`

func TestPython2ReadsWhatWeWrite(t *testing.T) {
	run := python(t, "2")
	message, metadata, err := Encode(allBytes(), false, meta())
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"pickle", "cPickle"} {
		run(`
import sys, `+module+` as pickle
from StringIO import StringIO
f = StringIO(sys.stdin.read())
text = pickle.load(f)
assert type(text) is str
want = 'From: x\n\nit\'s \\n \\x41 \\u0041 \\\\u0041 "q"\r\n\\' + ''.join(map(chr, range(256)))
assert text == want, repr(text)
`+metaCheck, append(message, metadata...))
	}
}

func TestPython3ReadsWhatWeWrite(t *testing.T) {
	run := python(t, "3")
	message, metadata, err := Encode(allBytes(), true, meta())
	if err != nil {
		t.Fatal(err)
	}
	run(`
import sys, pickle
f = sys.stdin.buffer
text = pickle.load(f)
want = b'From: x\n\nit\'s \\n \\x41 \\u0041 \\\\u0041 "q"\r\n\\' + bytes(range(256))
assert text == want.decode('ascii', 'surrogateescape'), ascii(text)
`+metaCheck, append(message, metadata...))
}

// Every protocol in which Python may write a text and a dictionary is read.
func TestWeReadWhatPythonWrites(t *testing.T) {
	const write = `
import sys, pickle
out = getattr(sys.stdout, 'buffer', sys.stdout)
p = int(sys.argv[1])
out.write(pickle.dumps(%s, p))
meta = {'a': 1, 'b': [True, None, 2.5], 'x': ('y', -5)}
if p < 4: meta['s'] = set(['x']) # sets of their own in protocol 4: see Decode
out.write(pickle.dumps(meta, p))
`
	for _, tt := range []struct {
		major, text, want string
		protocols         []string
	}{
		{"2", `'Gr\xc3\xb6\xdfe\n\'"\\'`, "Gr\xc3\xb6\xdfe\n'\"\\", []string{"0", "1", "2"}},
		{"3", `'Gr\udcc3\udcb6\udcdfe\n\'"\\'`, "Gr\xc3\xb6\xdfe\n'\"\\", []string{"0"}},
		{"3", `'plain\n'`, "plain\n", []string{"0", "1", "2", "3", "4", "5"}},
	} {
		for _, p := range tt.protocols {
			t.Run("python"+tt.major+" protocol "+p, func(t *testing.T) {
				run := python(t, tt.major)
				data := run(strings.Replace(write, "%s", tt.text, 1), nil, p)
				e, err := Decode([]byte(data))
				if err != nil {
					t.Fatalf("%v in %q", err, data)
				}
				if string(e.Text) != tt.want {
					t.Errorf("text %q, want %q", e.Text, tt.want)
				}
				if e.Meta["a"] != int64(1) {
					t.Errorf("metadata %#v", e.Meta)
				}
				if _, err := Decode([]byte(data[e.MetaAt:])); err == nil {
					t.Error("MetaAt is not where the metadata begins")
				}
			})
		}
	}
}

func TestFloatReprIsPythons(t *testing.T) {
	floats := []float64{0, 1, -1, 0.1, 1e15, 1e16, 123456789012345678, 1e-4, 1e-5, 1.5e-7, 1e22, 1e100, 1e-100,
		1795660190.593156, 1795660190.5970724, 1e9, 2.5, 5e-324, 1.7976931348623157e308, math.Inf(1), math.Inf(-1), math.NaN(), 9999999999999998, 0.0001234}
	rapid.Check(t, func(r *rapid.T) {
		if len(floats) < 500 {
			floats = append(floats, rapid.Float64().Draw(r, "f"), 1e9*rapid.Float64Range(0, 10).Draw(r, "time"))
		}
	})
	for _, major := range []string{"2", "3"} {
		t.Run("python"+major, func(t *testing.T) {
			run := python(t, major)
			var in, want strings.Builder
			for _, f := range floats {
				in.WriteString(FloatRepr(f) + "\n")
			}
			want.WriteString(in.String())
			got := run("import sys\nfor line in sys.stdin: print(repr(float(line)))", []byte(in.String()))
			if diff := cmp.Diff(got, want.String()); diff != "" {
				t.Errorf("(-python +ours)\n%s", diff)
			}
		})
	}
	for f, want := range map[float64]string{1e16: "1e+16", 1e15: "1000000000000000.0", 1e-5: "1e-05", 0.0001: "0.0001"} {
		if got := FloatRepr(f); got != want {
			t.Errorf("FloatRepr(%g) = %s, want %s", f, got, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.SliceOf(rapid.Byte()).Draw(r, "text")
		m := Metadata{
			"s": rapid.String().Filter(func(s string) bool { return !strings.ContainsRune(s, 0xfffd) }).Draw(r, "s"),
			"f": rapid.Float64().Draw(r, "f"),
			"i": rapid.Int64().Draw(r, "i"),
			"b": rapid.Bool().Draw(r, "b"),
		}
		message, metadata, err := Encode(text, rapid.Bool().Draw(r, "unicode"), m)
		if err != nil {
			r.Fatal(err)
		}
		e, err := Decode(append(message, metadata...))
		if err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(e.Text, text) || !cmp.Equal(e.Meta, m) || e.MetaAt != len(message) {
			r.Fatalf("%q %#v at %d, want %q %#v at %d", e.Text, e.Meta, e.MetaAt, text, m, len(message))
		}
	})
}

func TestEncodingIsTheSameEachTime(t *testing.T) {
	first, err := EncodeMetadata(meta())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		again, err := EncodeMetadata(meta())
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("%q, %v; before %q", again, err, first)
		}
	}
}

// An entry that is cut off anywhere is said to be truncated.
func TestTruncated(t *testing.T) {
	for _, unicode := range []bool{false, true} {
		message, metadata, err := Encode([]byte("Subject: x\n\ny\n"), unicode, Metadata{"a": "b", "n": int64(1), "f": 1.5})
		if err != nil {
			t.Fatal(err)
		}
		data := append(message, metadata...)
		for n := range data {
			if _, err := Decode(data[:n]); !errors.Is(err, ErrTruncated) {
				t.Errorf("of %q: %v, want %v", data[:n], err, ErrTruncated)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, unicode := range []bool{false, true} {
		message, metadata, err := Encode(allBytes(), unicode, meta())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(message, metadata...))
	}
	for _, seed := range []string{
		"", ".", "S'", "V\\u12\n.", "V\\Uffffffff\n.", "V\\ud800\n.(d.", "Vx\np0\n.}.", "S'x'\n.(dI1\nI2\ns.",
		"S'x'\n.}}}s.", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", "B\xff\xff\xff\xff", "X\xff\xff\xff\x7f",
		"\x8b\xff\xff\xff\x7f", "(((((((((((((((((((t.", "cposix\nsystem\n(S'true'\ntR.", "S'x'\n.(dS'a'\n(lp0\ng0\nas.",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode(data)
		if err != nil {
			return
		}
		if e.MetaAt <= 0 || e.MetaAt > len(data) {
			t.Fatalf("metadata at %d of %d", e.MetaAt, len(data))
		}
		// What was read can be told from its encoding again.
		for _, unicode := range []bool{false, true} {
			again, _, err := decodeText(encodeText(e.Text, unicode))
			if err != nil || !bytes.Equal(again, e.Text) {
				t.Fatalf("%q, %v; want %q", again, err, e.Text)
			}
		}
	})
}
