package workloads

import (
	"fmt"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"screwtape/harness/check"
)

// What each way of locking lets happen to a list, and what not. Three that want the
// lock can break it, so that there are two (and show, which does not take it).
func TestConfigLocks(t *testing.T) {
	for _, c := range []struct {
		name   string
		config func(*ConfigConfig)
		finds  []string // the first of them, and others only among it
	}{
		{"shared", nil, nil},
		{"shared, a reader", func(c *ConfigConfig) { c.Clients = []string{"a:add:x", "b:show"} }, nil},
		{"shared, requests", func(c *ConfigConfig) { c.Clients = []string{"a:hold:m0", "b:hold:m1"} }, nil},
		{"shared, a request that is handled", func(c *ConfigConfig) { c.Clients = []string{"a:hold:m0", "b:handle:1"} }, nil},
		{"shared, requests and readers", func(c *ConfigConfig) { c.Clients = []string{"a:hold:m0", "b:show", "b:requests"} }, nil},
		{"shared, one name of each kind", func(c *ConfigConfig) { c.Clients = []string{"a:hold:m", "b:add:m"} }, nil},
		{"local, requests and readers elsewhere", func(c *ConfigConfig) {
			c.Locks, c.Clients = "local", []string{"a:show", "a:requests", "b:hold:m0", "b:hold:m1"}
		}, nil},
		{"local", func(c *ConfigConfig) { c.Locks = "local" }, []string{check.LostUpdate, check.Stranded, check.CorruptState}},
		{"local, requests", func(c *ConfigConfig) {
			c.Locks, c.Clients = "local", []string{"a:hold:m0", "b:hold:m1"}
		}, []string{check.LostUpdate, check.Stranded, check.CorruptState}},
		{"none", func(c *ConfigConfig) { c.Locks = "none" }, []string{check.LostUpdate, check.Stranded, check.CorruptState}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultConfig()
			if c.config != nil {
				c.config(&config)
			}
			test, err := NewConfig(config)
			o := search(t, test, err, long(20, 3000))
			t.Logf("%d schedules, %d traces, %.1f s: %v", o.Schedules, o.Coverage.Traces(), o.Seconds, o.Counts)
			if len(c.finds) > 0 && o.Counts[c.finds[0]] == 0 {
				t.Errorf("no %s found", c.finds[0])
			}
			for kind := range o.Counts {
				if !contains(c.finds, kind) {
					t.Errorf("found %s\n%s", kind, describe(o))
				}
			}
		})
	}
}

// The linear-time checker of registers and the model agree on random histories.
func TestRegisterCheckersAgree(t *testing.T) {
	histories, broken := rapid.Custom(drawRegister), 0
	for n := range 5000 {
		ops := histories.Example(n)
		lost, ok := registerLost("0", ops)
		if !ok {
			t.Fatalf("history %d: values that are all different are said not to be: %v", n, ops)
		}
		if model := linearizable("0", ops); model != (lost == "") {
			t.Fatalf("history %d: in linear time %q, by the model %v\n%+v", n, lost, model, ops)
		}
		if lost != "" {
			broken++
		}
	}
	if broken < 500 || broken > 4500 {
		t.Errorf("%d of 5000 histories are broken: the test tells little", broken)
	}
}

// drawRegister draws a few operations at random moments, that write different values,
// some of them only where they have found another, and read any.
func drawRegister(r *rapid.T) []regOp {
	n := rapid.IntRange(2, 6).Draw(r, "operations")
	times := make([]int, 2*n)
	for i := range times {
		times[i] = i
	}
	times = rapid.Permutation(times).Draw(r, "moments")
	any := rapid.Map(rapid.IntRange(0, n), strconv.Itoa)
	var ops []regOp
	for i := range n {
		o := regOp{who: fmt.Sprint("op ", i), call: min(times[2*i], times[2*i+1]), ret: max(times[2*i], times[2*i+1])}
		if rapid.IntRange(0, 5).Draw(r, "open") == 0 {
			o.ret = forever
		}
		switch o.value = strconv.Itoa(i + 1); rapid.SampledFrom([]string{"write", "write", "replace", "read", "read", "read"}).Draw(r, "kind") {
		case "write":
			o.write = true
		case "replace":
			o.write = true
			if o.ret != forever {
				o.found = any.Draw(r, "found")
			}
		case "read":
			o.value = any.Draw(r, "seen")
		}
		ops = append(ops, o)
	}
	return ops
}
