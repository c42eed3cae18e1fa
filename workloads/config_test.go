package workloads

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"screwtape/harness/check"
)

// What each way of locking lets happen to a list, and what not.
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
		{"shared, requests and a reader", func(c *ConfigConfig) { c.Clients = []string{"a:hold:m0", "b:show"} }, nil},
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
	r := rand.New(rand.NewPCG(1, 2))
	broken := 0
	for n := range 5000 {
		ops := randomRegister(r)
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

// randomRegister is a few operations at random moments, that write different
// values, and read any.
func randomRegister(r *rand.Rand) []regOp {
	n := 2 + r.IntN(5)
	times := r.Perm(2 * n)
	var ops []regOp
	for i := range n {
		o := regOp{who: fmt.Sprint("op ", i), call: times[2*i], ret: times[2*i+1]}
		o.call, o.ret = min(o.call, o.ret), max(o.call, o.ret)
		if r.IntN(2) == 0 {
			o.write, o.value = true, fmt.Sprint(i+1)
		} else {
			o.value = fmt.Sprint(r.IntN(n + 1))
		}
		if r.IntN(6) == 0 {
			o.ret = forever
		}
		ops = append(ops, o)
	}
	return ops
}
