package harness

import (
	"context"
	"strings"
	"testing"

	"screwtape/harness/check"
	"screwtape/harness/schedule"
)

// A ledger is a file that programs add their names to. That one's is missing in the
// end is a lost update.
type ledger struct {
	plain
	nodes []string
}

func (l ledger) Judge(e *End) check.Verdict {
	text, err := e.Share.ReadFile("/shared/n")
	for _, node := range l.nodes {
		if err != nil || !strings.Contains(string(text), node) {
			return check.Verdict{Verdict: check.Invalid, Anomalies: []check.Anomaly{{Kind: check.LostUpdate}}}
		}
	}
	return check.Verdict{Verdict: check.Valid}
}

// The cause of what programs do by their children. That a program comes before its
// child is none; and what is needed may lie before what comes next to the other's
// step.
func TestCauseOfChildren(t *testing.T) {
	const add = `x=$(cat /shared/n); echo $x$0 >/shared/n.$0; ls /shared/n >/dev/null; mv /shared/n.$0 /shared/n`
	for _, c := range []struct {
		nodes      []string
		tape, want string
	}{
		{[]string{"a", "b"}, "b/add start\na/add.1 open n = ok\nb/add.1 open n = ok\n", "lost-update if and only if b/add.1's open of n comes before a/add.3's 2nd rename of n.a to n, " +
			"and a/add.1's open of n comes before b/add.3's 2nd rename of n.b to n; no other order matters"},
		{[]string{"a"}, "a/add.1 open n = ok\na/add.1 read n = ok\na/add.1 read n = ok\na/add write n.a = ok\na/add.2 stat n = ok\na/add.2 stat n = ok\na/add.3 rename n.a n = EEXIST\na/add.3 stat n = ok\na/add crash\n", "lost-update if and only if a dies before a/add.3's 2nd rename of n.a to n; no other order matters"},
	} {
		test := &Test{Name: "ledger", Nodes: c.nodes, Nemeses: []Nemesis{crashes{}}, Workload: ledger{plain{files: map[string]string{"n": "-"}}, c.nodes}}
		for _, node := range test.Nodes {
			p := shell(node, "add", add)
			p.Args = append(p.Args, node)
			test.Programs = append(test.Programs, p)
		}
		w := newWorld(t, test)
		tape, err := schedule.Parse("cause.tape", strings.NewReader("screwtape tape 1\ncalls: named\n\na/add start\n"+c.tape))
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Replay(tape, Options{Fresh: true, Record: true})
		if err != nil {
			t.Fatal(err)
		}
		cause, err := w.FindCause(context.Background(), nil, r, string(check.LostUpdate))
		if err != nil {
			t.Fatal(err)
		}
		if cause == nil || cause.Text != c.want {
			t.Errorf("cause: %+v\nwant %s\n%s", cause, c.want, r.Log())
		}
	}
}
