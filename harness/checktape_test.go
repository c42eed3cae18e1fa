package harness

import (
	"strings"
	"testing"

	"screwtape/harness/node"
	"screwtape/harness/schedule"
)

// What a line says that no schedule can have is found before anything is
// started, and all that one can have is let through.
func TestCheckTape(t *testing.T) {
	test := &Test{Nodes: []string{"a", "b"}, Programs: []Program{{Node: "a", Name: "sh"}, {Node: "b", Name: "x.y"}}}
	for _, c := range []struct{ lines, want string }{
		{"a/sh wake\na/sh.1 open f\na/sh#2 read f\nb/x.y.1#3 lock f\na crash\nb skew 1h\nserver powerloss\na/sh kill pid-3\na/sh signal HUP", ""},
		{"a/sh signal KILL", `x.tape:2: "KILL" is not one signal that an administrator sends; write one of HUP, INT, `},
		{"a/sh signal", `x.tape:2: "" is not one signal that an administrator sends; write one of HUP, INT, `},
		{"a/sh.1 signal HUP", `x.tape:2: a signal goes to a program, and "a/sh.1" is none; there are a/sh, b/x.y`},
		{"a signal HUP", `x.tape:2: a signal goes to a program, and "a" is none; there are a/sh, b/x.y`},
		{"a/sh wake\na/s open f", `x.tape:3: there is no program of the name "a/s"; there are a/sh, b/x.y`},
		{"a/shell wake", `x.tape:2: there is no program of the name "a/shell"; there are a/sh, b/x.y`},
		{"c crash", `x.tape:2: there is no node "c"; there are a, b`},
		{"a powerloss", `x.tape:2: power fails for all nodes at once, not for a; write server powerloss`},
		{"server crash", `x.tape:2: there is no node "server"; there are a, b`},
		{"a open f", `x.tape:2: node a makes no call "open"; name the program that does it, as in a/runner`},
		{"a/sh unlnk f", `x.tape:2: there is no "unlnk"; write one of access, alarm, `},
		{"a/sh clock", `x.tape:2: there is no "clock"; write one of `},
	} {
		tape, err := schedule.Parse("x.tape", strings.NewReader("screwtape tape 1\n"+c.lines+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		err = CheckTape(test, tape)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.lines, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%q: %v; not %q", c.lines, err, c.want)
		}
	}
	for nr, c := range node.Calls {
		line := "a/sh " + c.Verb
		tape, err := schedule.Parse("x.tape", strings.NewReader("screwtape tape 1\n"+line+"\n"))
		if c.Kind == node.OnPath && (err != nil || CheckTape(test, tape) != nil) {
			t.Errorf("system call %d: %q is refused", nr, line)
		}
	}
}
