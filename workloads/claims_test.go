package workloads

import (
	"context"
	"slices"
	"strings"
	"testing"

	"screwtape/harness"
	"screwtape/harness/schedule"
)

func claims(t *testing.T) []Claim {
	t.Helper()
	list, err := Claims()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestClaims(t *testing.T) {
	for _, c := range claims(t) {
		t.Run(c.ID, func(t *testing.T) {
			o, err := c.Try(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if c.Open() {
				if o.OK {
					t.Error("it comes out as expected, and is called open")
				}
				return
			}
			if !o.OK {
				t.Errorf("observed %v, expected %v; %s", o.Observed, o.Expected, o.Problem)
				if o.Result != nil {
					t.Log(o.Result.Log())
				}
			}
		})
	}
}

// control is the claim's tape without the line that it marks as decisive, or
// with the header changed that it names as its control.
func control(t *testing.T, c Claim) *schedule.Tape {
	t.Helper()
	other := *c.Tape
	other.Header = slices.Clone(c.Tape.Header)
	if key, value, ok := strings.Cut(c.Tape.Header.Get("control"), " "); ok {
		other.Header.Set(key, value)
		return &other
	}
	decisive := slices.IndexFunc(c.Tape.Lines, func(l schedule.Line) bool { return strings.Contains(l.Comment, "decisive") })
	if decisive < 0 {
		t.Fatal("the tape marks no line as decisive and names no control")
	}
	other.Lines = slices.Delete(slices.Clone(c.Tape.Lines), decisive, decisive+1)
	return &other
}

// Without its decisive line a claim's tape does not show it any more, or cannot
// be played.
func TestDecisiveLine(t *testing.T) {
	for _, c := range claims(t) {
		if c.Schedules > 0 || c.Open() {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			other := control(t, c)
			test, err := FromTape(other)
			w := world(t, test, err)
			defer w.Close()
			r, err := w.Replay(other, harness.Options{Fresh: true})
			if err != nil && !harness.Diverged(err) {
				t.Fatal(err)
			}
			if err == nil && slices.Equal(Observed(other.Header, r), c.Expected) {
				t.Errorf("the tape shows %v without its decisive line", c.Expected)
			}
		})
	}
}

// A crash of the whole node is as good as one of its only program, and what is
// started on it afterwards lives.
func TestNodeCrash(t *testing.T) {
	for _, c := range claims(t) {
		if c.ID != "N5" {
			continue
		}
		tape := *c.Tape
		tape.Lines = slices.Clone(c.Tape.Lines)
		for i := range tape.Lines {
			if l := &tape.Lines[i]; l.Verb == schedule.Crash || l.Verb == schedule.Start {
				l.Process = "a"
			}
		}
		c.Tape = &tape
		o, err := c.Try(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !o.OK {
			t.Errorf("observed %v, expected %v; %s", o.Observed, o.Expected, o.Problem)
		}
	}
}

// A claim whose schedule was cut off is not as expected, whatever it shows.
func TestBoundedClaim(t *testing.T) {
	tape := *claims(t)[0].Tape
	tape.Lines = nil
	test, err := FromTape(&tape)
	if err != nil {
		t.Fatal(err)
	}
	test.MaxDecisions = 5
	w, err := harness.NewWorld(test)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	o := Observation{Claim: Claim{Tape: &tape}}
	if err := o.play(w); err != nil {
		t.Fatal(err)
	}
	if o.Problem != "the schedule was cut off at 5 decisions" {
		t.Errorf("problem: %q", o.Problem)
	}
}

// A claim's tape shows what is expected with the profile of every version for
// which it is said to hold.
func TestClaimsHoldForVersions(t *testing.T) {
	for _, c := range claims(t) {
		own := c.Tape.Header.Get("profile")
		if c.Schedules > 0 || own == "" || c.Open() {
			continue
		}
		for _, version := range c.Versions {
			if version == own {
				continue // TestClaims
			}
			t.Run(c.ID+" "+version, func(t *testing.T) {
				other := *c.Tape
				other.Header = slices.Clone(c.Tape.Header)
				other.Header.Set("profile", version)
				c.Tape = &other
				o, err := c.Try(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if !o.OK {
					t.Errorf("observed %v, expected %v; %s", o.Observed, o.Expected, o.Problem)
				}
			})
		}
	}
}
