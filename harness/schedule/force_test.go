package schedule

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonical(t *testing.T) {
	golden(t, "canonical.tape", played(t, Canonical(), 1).tape().String())
}

// Sleepers that poll take turns, and none wakes early while there is a call.
func TestCanonicalWakes(t *testing.T) {
	c := Canonical()
	var got []string
	for i := range 6 {
		options := []Option{
			{Decision: Decision{Process: "a", Verb: Crash}},
			{Decision: Decision{Process: "a", Verb: Wake}, Early: i == 0},
			{Decision: Decision{Process: "b", Verb: Wake}, Early: i == 0},
		}
		if i == 0 {
			options = append(options, Option{Decision: Decision{Process: "c", Verb: "open"}})
		}
		n, err := c.Pick(options)
		if err != nil {
			t.Fatal(err)
		}
		c.Done(options[n].Decision, Footprint{})
		got = append(got, options[n].Process)
	}
	if diff := cmp.Diff([]string{"c", "a", "b", "a", "b", "a"}, got); diff != "" {
		t.Error(diff)
	}
	down := []Option{{Decision: Decision{Process: "a", Verb: Start}, Restart: true}}
	if n, err := c.Pick(down); n != None || err != nil {
		t.Errorf("Pick of a restart alone = %d, %v; want None", n, err)
	}
}

func TestCanonicalStays(t *testing.T) {
	c := Canonical()
	c.Done(Decision{Process: "b", Verb: "open"}, Footprint{})
	for _, test := range []struct {
		options []Option
		want    int
	}{
		{[]Option{{Decision: Decision{Process: "a", Verb: "open"}}, {Decision: Decision{Process: "b", Verb: "open"}}, {Decision: Decision{Process: "c", Verb: "open"}}}, 1},
		{[]Option{{Decision: Decision{Process: "a", Verb: "open"}}, {Decision: Decision{Process: "b", Verb: Wake}}}, 0},
		{[]Option{{Decision: Decision{Process: "a", Verb: Wake}, Early: true}, {Decision: Decision{Process: "c", Verb: Wake}}}, 1},
		{[]Option{{Decision: Decision{Process: "a", Verb: Start}}, {Decision: Decision{Process: "b", Verb: Crash}}}, 0},
	} {
		if got, _ := c.Pick(test.options); got != test.want {
			t.Errorf("Pick(%v) = %d, want %d", test.options, got, test.want)
		}
	}
}

func TestSort(t *testing.T) {
	var got []string
	options := []Option{
		{Decision: Decision{"b", "open", nil, ""}}, {Decision: Decision{"a", "open", []string{"y"}, ""}},
		{Decision: Decision{"a", "open", []string{"x", "z"}, ""}}, {Decision: Decision{"a", "crash", nil, ""}}, {Decision: Decision{"a", "close", []string{"z"}, ""}}, {Decision: Decision{"a", "open", []string{"x"}, ""}},
	}
	Sort(options)
	for _, o := range options {
		got = append(got, o.Decision.String())
	}
	if diff := cmp.Diff([]string{"a close z", "a crash", "a open x", "a open x z", "a open y", "b open"}, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever a random schedule did, its tape does again, read back from its text.
func TestReplayExact(t *testing.T) {
	search := NewRandom(1)
	for range 200 {
		p, _ := Turn(search)
		want := played(t, p, 1).tape()
		f := Replay(mustParse(t, want.String()))
		got := played(t, f, 1).tape()
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		named := played(t, Replay(want.Named()), 1).tape()
		if diff := cmp.Diff(want.String(), named.String()); diff != "" {
			t.Fatalf("as a sparse tape (-want +got):\n%s", diff)
		}
	}
}

const lost = `screwtape tape 1
calls: named
b/r list q
a/r rename *.pck *.bak = ok
a/r crash
b/r rename *.bak *.psv = ok  # sets aside what a was at
`

func TestReplayNamed(t *testing.T) {
	w := newWorld(1, 1, "a/r", "b/r")
	defer w.close()
	f := Replay(mustParse(t, lost))
	if err := w.run(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	w.drain()
	golden(t, "named-played.tape", w.tape().String())
	if diff := cmp.Diff([]string{"lost"}, w.anomalies()); diff != "" {
		t.Errorf("anomalies: %s", diff)
	}
}

// TestDivergence holds what each way to leave a tape is told as.
func TestDivergence(t *testing.T) {
	var got strings.Builder
	for _, text := range []string{
		"calls: all\n\na/r wake\na/r list q = ok\nb/r open q/0.pck\n",
		"calls: all\n\na/r wake\na/r list q = EIO\n",
		"calls: all\n\na/r wake\nc/r wake\n",
		"calls: named\n\nc/r wake\n",
		"calls: named\n\na/r rename *.pck *.bak = ENOENT  # never\n",
		"calls: named\n\na/r open other.pck\n",
		"calls: named\n\na/r start\n",
		"calls: named\n\na/r unlink ...\na/r list q\nb/r list q\nb/r wake\n",
	} {
		w := newWorld(1, 1, "a/r", "b/r")
		f := Replay(mustParse(t, "screwtape tape 1\n"+text))
		err := w.run(f)
		w.close()
		if err == nil {
			err = f.Finish()
		}
		var d *Divergence
		if !errors.As(err, &d) {
			t.Errorf("replay of\n%s= %v, want a *Divergence", text, err)
			continue
		}
		got.WriteString(err.Error() + "\n")
	}
	golden(t, "divergences", got.String())
}

// A program that polls for ever is given up on.
func TestReplayBound(t *testing.T) {
	f := Replay(&Tape{Sparse: true, Lines: []Line{{Decision: Decision{Process: "a", Verb: "open"}}}})
	options := []Option{{Decision: Decision{Process: "a", Verb: Wake}}}
	for i := range 2 * maxOwn {
		if _, err := f.Pick(options); err != nil {
			if i != maxOwn {
				t.Errorf("gave up after %d calls: %v", i, err)
			}
			return
		}
		if err := f.Done(options[0].Decision, Footprint{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("never gave up")
}

// The bound is on the way to one line, not on the whole tape.
func TestReplayBoundIsPerLine(t *testing.T) {
	line := Line{Decision: Decision{Process: "a", Verb: "open"}}
	f := Replay(&Tape{Sparse: true, Lines: []Line{line, line}})
	for i := 1; f.Left() > 0; i++ {
		o := Option{Decision: Decision{Process: "a", Verb: Wake}}
		if i%(maxOwn*2/3) == 0 {
			o.Verb = "open"
		}
		if _, err := f.Pick([]Option{o}); err != nil {
			t.Fatal(err)
		}
		if err := f.Done(o.Decision, Footprint{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLongOffer(t *testing.T) {
	var options []Option
	for i := range 20 {
		options = append(options, Option{Decision: Decision{Process: fmt.Sprintf("p%02d", i), Verb: Wake}})
	}
	_, err := Replay(&Tape{Lines: []Line{{Decision: Decision{Process: "a", Verb: "open"}}}}).Pick(options)
	if want := "p11 wake, and 8 more"; !strings.HasSuffix(fmt.Sprint(err), want) {
		t.Errorf("%v; want it to end in %q", err, want)
	}
}

// A tape wants what its next line names, names and all.
func TestWants(t *testing.T) {
	f := Replay(mustParse(t, "screwtape tape 1\ncalls: named\n\na/r alarm itimer*\n"))
	alarm := func(name string) Decision { return Decision{Process: "a/r", Verb: Alarm, Names: []string{name}} }
	if !f.Wants(alarm("itimer 0")) || f.Wants(alarm("alarm")) || f.Wants(Decision{Process: "a/r", Verb: Wake}) {
		t.Error("it does not want what its line names, or something else")
	}
	if err := Replay(&Tape{}).Finish(); err != nil || Replay(&Tape{}).Wants(alarm("alarm")) {
		t.Errorf("a tape without lines wants something; %v", err)
	}
}
