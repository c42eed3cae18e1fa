package queue

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/samples"
)

func get(t interface{ Fatal(...any) }, version string) profile.Profile {
	p, err := profile.Get(version)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// open opens a queue in dir; what it logs fails the test.
func open(t *testing.T, p profile.Profile, dir string, i, n int) *Switchboard {
	t.Helper()
	s, err := Open(p, dir, Out, i, n, func(line string) { t.Errorf("log: %s", line) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func touch(t *testing.T, s *Switchboard, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(s.dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEntryIsAFunctionOfItsArguments(t *testing.T) {
	for _, tt := range []struct{ version, sample, name string }{
		{"2.1.15", "plain", "1234567890.125+"},
		{"2.1.39", "plain", "1234567890.125+"},
		{"3.3.8", "plain", "1234567890.125+"},
	} {
		p := get(t, tt.version)
		name, data, err := Entry(1234567890.125, tt.sample, "m0", p)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, tt.name) || len(name) != len(tt.name)+40+len(".pck") || !strings.HasSuffix(name, ".pck") {
			t.Errorf("%s: name %q", tt.version, name)
		}
		for range 20 {
			n, d, err := Entry(1234567890.125, tt.sample, "m0", p)
			if err != nil || n != name || !bytes.Equal(d, data) {
				t.Fatalf("%s: another entry the next time", tt.version)
			}
		}
		if n, _, _ := Entry(1234567890.25, tt.sample, "m0", p); n[len(n)-44:] == name[len(name)-44:] {
			t.Errorf("%s: the digest does not cover the time", tt.version)
		}
		if n, _, _ := Entry(1234567890.125, tt.sample, "m1", p); n == name {
			t.Errorf("%s: the digest does not cover the message", tt.version)
		}
	}
	if _, _, err := Entry(1, "nonsense", "m0", get(t, "2.1.39")); err == nil {
		t.Error("no error for a sample that does not exist")
	}
}

// The digest, made again by hand: SHA-1 of the message's pickle, the list's name
// and the time.
func TestDigest(t *testing.T) {
	p := get(t, "2.1.39")
	base, data, err := encode(p, 1.5, []byte("x"), pickle.Metadata{"listname": "l", "received_time": 0.5, "_bak_count": int64(2)})
	if err != nil {
		t.Fatal(err)
	}
	// printf "S'x'\n.l1.5" | sha1sum
	want(t, "name", base, "0.5+5edec26104e720903028bccca31731f02075d8e1")
	e, err := pickle.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "metadata", e.Meta, pickle.Metadata{"listname": "l", "received_time": 0.5, "version": int64(3), "_parsemsg": true})
	base, _, _ = encode(p, 1.5, []byte("x"), pickle.Metadata{})
	// printf "S'x'\n.--nolist--1.5" | sha1sum
	want(t, "name without a list", base, "1.5+8a3e5c5189e44273f26ba3d601dfb64736d0474e")
}

func TestSlicesOfAnyNumberPartition(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := get(r, rapid.SampledFrom(profile.Names()).Draw(r, "version"))
		n := rapid.IntRange(1, 20).Draw(r, "n")
		if p.FloatSlices {
			n = 1 << rapid.IntRange(0, 5).Draw(r, "log n")
		}
		// Anywhere, and next to a boundary.
		d := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(r, "digest"))
		boundary := false
		if rapid.Bool().Draw(r, "near a boundary") {
			d.Lsh(big.NewInt(int64(rapid.IntRange(0, n-1).Draw(r, "i"))), 160).Quo(d, big.NewInt(int64(n)))
			boundary = d.Sign() > 0
			if off := rapid.IntRange(-1, 1).Draw(r, "off"); off != 0 && d.Sign() > 0 {
				d.Add(d, big.NewInt(int64(off)))
				boundary = false
			}
		}
		slices := 0
		for i := range n + 2 {
			sl, err := newSlice(p, i, n)
			if err != nil {
				r.Fatal(err)
			}
			if n == 1 && i > 0 {
				break // one slice is not looked at
			}
			has, err := sl.has(p, fmt.Sprintf("%040x", d))
			if err != nil {
				r.Fatal(err)
			}
			if has {
				slices++
			}
		}
		wanted := 1
		if p.FloatSlices && boundary && n > 1 {
			wanted = 2 // the 1 that floats lose
		}
		if slices != wanted {
			r.Fatalf("%040x is in %d of %d slices, want %d", d, slices, n, wanted)
		}
	})
	if _, err := newSlice(get(t, "3.3.8"), 0, 3); err == nil {
		t.Error("3.3.8 takes three slices")
	}
}

func TestFilesSorts(t *testing.T) {
	s := open(t, get(t, "2.1.39"), t.TempDir(), 0, 1)
	touch(t, s, "10.0+aa.pck", "9.5+bb.pck", "1e3+cc.pck", "9.5+dd.bak", "9.5+ee.psv", "8.0+ff.pck.tmp", ".pck", "README", "12.25+zz.pck")
	got, err := s.Files(".pck")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "entries", got, []string{"9.5+bb", "10.0+aa", "12.25+zz", "1e3+cc"})
	got, err = s.Files(".bak")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "backups", got, []string{"9.5+dd"})
}

// Entries of the same time are all listed, before those a thousandth later.
func TestFilesOfTheSameTime(t *testing.T) {
	s := open(t, get(t, "3.3.8"), t.TempDir(), 0, 1)
	touch(t, s, "5.0+a.pck", "5.0+b.pck", "5.0+c.pck", "5.001+d.pck", "4.0+e.pck")
	got, err := s.Files(".pck")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || got[0] != "4.0+e" || got[4] != "5.001+d" {
		t.Errorf("entries %q", got)
	}
	sort.Strings(got)
	want(t, "entries", got, []string{"4.0+e", "5.0+a", "5.0+b", "5.0+c", "5.001+d"})
}

func TestBadNames(t *testing.T) {
	for _, tt := range []struct {
		name   string
		slices int
		want   map[int]string // by Python's version; "" is no error
	}{
		{"foo.pck", 1, map[int]string{2: "need more than 1 value to unpack", 3: "not enough values to unpack (expected 2, got 1)"}},
		{"1.0+a+b.pck", 1, map[int]string{2: "too many values to unpack", 3: ""}},
		{"x+aa.pck", 1, map[int]string{2: "could not convert string to float: x", 3: "could not convert string to float: 'x'"}},
		{"1.0+zz.pck", 1, map[int]string{2: "", 3: ""}},
		{"1.0+zz.pck", 2, map[int]string{2: "invalid literal for int() with base 16: 'zz'", 3: "invalid literal for int() with base 16: 'zz'"}},
	} {
		for _, version := range []string{"2.1.39", "3.3.8"} {
			p := get(t, version)
			s := open(t, p, t.TempDir(), 0, tt.slices)
			touch(t, s, tt.name)
			_, err := s.Files(".pck")
			text := ""
			if err != nil {
				text = ErrorText(p, err)
			}
			want(t, version+" "+tt.name, text, tt.want[p.Python])
		}
	}
}

func TestMessageID(t *testing.T) {
	for _, version := range profile.Names() {
		for _, sample := range samples.Names() {
			_, data, err := Entry(1, sample, "m-7", get(t, version))
			if err != nil {
				t.Fatal(err)
			}
			id, err := MessageID(data)
			if id != "m-7" || err != nil {
				t.Errorf("%s %s: %q, %v", version, sample, id, err)
			}
		}
	}
	for _, tt := range []struct{ data, id string }{
		{"Subject: x\nMessage-Id: <a@b>\n\n", "a@b"},
		{"message-ID:\n <m3@screwtape.example>\n", "m3"},
		{"(S'Message-ID'\np12\nS'<m3@screwtape.example>'\n", "m3"},
		{"\x80\x04\x8c\x0amessage-id\x94\x8c\x18<m3@screwtape.example>\x94", "m3"},
		{"Subject: Message-ID\n\nMessage-ID: <m3@screwtape.example>", "m3"},
		{"S'Message-ID: <m0@screwtape.exam", ""},
		{"Message-ID: <>", ""},
		{"Message-ID: <a b>", ""},
		{"Message-ID", ""},
		{"", ""},
	} {
		id, err := MessageID([]byte(tt.data))
		if id != tt.id || (err == nil) != (id != "") || err != nil && !errors.Is(err, ErrNoID) {
			t.Errorf("MessageID(%q) = %q, %v; want %q", tt.data, id, err, tt.id)
		}
	}
}

func FuzzMessageID(f *testing.F) {
	_, data, err := Entry(1, "plain", "m0", get(f, "2.1.39"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("Message-ID: <m0"))
	f.Add([]byte("mMessage-ID<Message-ID: <x>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := MessageID(data)
		if err == nil && !bytes.Contains(data, []byte("<"+id)) {
			t.Errorf("id %q is not in %q", id, data)
		}
	})
}

func TestErrorText(t *testing.T) {
	p2, p3 := get(t, "2.1.39"), get(t, "3.3.8")
	s := open(t, p2, t.TempDir(), 0, 1)
	_, gone := s.Dequeue("1+a")
	want(t, "2: open", ErrorText(p2, gone), "[Errno 2] No such file or directory: '"+s.dir+"/1+a.pck'")
	want(t, "3: open", ErrorText(p3, gone), "[Errno 2] No such file or directory: '"+s.dir+"/1+a.pck'")
	touch(t, s, "1+a.pck")
	_, empty := s.Dequeue("1+a")
	want(t, "2: empty", ErrorText(p2, empty), "")
	want(t, "3: empty", ErrorText(p3, empty), "Ran out of input")
	want(t, "2: ends with", Uncaught(p2, gone), "IOError: [Errno 2] No such file or directory: '"+s.dir+"/1+a.pck'")
	want(t, "3: ends with", Uncaught(p3, gone), "FileNotFoundError: [Errno 2] No such file or directory: '"+s.dir+"/1+a.pck'")
	for in, out := range map[string]string{"a": "'a'", "it's": `"it's"`, "a\nb": `'a\nb'`, `"it's"`: `'"it\'s"'`} {
		want(t, "quote", quote(in), out)
	}
}
