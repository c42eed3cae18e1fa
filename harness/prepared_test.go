package harness

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"screwtape/harness/schedule"
)

// sower is a prepared process in sh: of what it is told it makes a program that
// is nobody's child.
func sower(node, before string) Program {
	p := shell(node, "prepared", before+`; trap '' PIPE; while read line; do (sh -c "$line" &); done <&$SCREWTAPE_FORK`)
	return p
}

// A program that is forked is like one that is started: it has the label, the
// pid, the output and the random numbers of its start, its calls are held, and
// it is killed alone. What its prepared process did on the share is there.
func TestPrepared(t *testing.T) {
	const work = `read x </shared/made; echo $x; echo $$ $(od -An -N2 -tx1 /dev/urandom); echo $$ >>/shared/log; echo done`
	test := &Test{Name: "prepared", Nodes: []string{"a", "b"}, Workload: plain{}}
	for _, node := range test.Nodes {
		test.Prepared = append(test.Prepared, sower(node, "echo by prepared >/shared/made"))
		for _, name := range []string{"one", "two"} {
			test.Programs = append(test.Programs, Program{Node: node, Name: name, Fork: work, Late: true, Once: true})
		}
	}
	w := newWorld(t, test)
	const text = `screwtape tape 1
calls: named

a/one start
a/two start
a/one open log = ok
a/one crash
a/two write log = ok
a/one start
a/one write log = ok
b/one start
b/two start
`
	tape, err := schedule.Parse("prepared.tape", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	play := func() (*Result, string) {
		t.Helper()
		r, err := w.Replay(tape, Options{Fresh: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, r.Log())
		}
		pids, err := w.store.ReadFile("/shared/log")
		if err != nil {
			t.Fatal(err)
		}
		return r, r.Log() + string(pids)
	}
	first, want := play()
	said := map[string][]string{}
	for _, l := range first.Logs {
		said[l.Process] = append(said[l.Process], l.Text)
	}
	pid := func(index, start int) string {
		return fmt.Sprint(pidsOfProgram*(index+1) + pidsOfStart*start)
	}
	for label, pids := range map[string][]string{"a/one": {pid(0, 0), pid(0, 1)}, "a/two": {pid(1, 0)}, "b/one": {pid(2, 0)}, "b/two": {pid(3, 0)}} {
		var got []string
		for _, line := range said[label] {
			if number, _, _ := strings.Cut(line, " "); number != "by" && number != "done" {
				got = append(got, number)
			}
		}
		if !slices.Equal(got, pids) || said[label][0] != "by prepared" || said[label][len(said[label])-1] != "done" {
			t.Errorf("%s wrote %q; want its pids to be %s", label, said[label], pids)
		}
	}
	if first.Faults[schedule.Crash] != 1 {
		t.Errorf("faults: %v", first.Faults)
	}
	for i := range 20 {
		if _, got := play(); got != want {
			t.Fatalf("time %d: %s", i, firstDifference(want, got))
		}
	}
}

// A prepared process that is of no use is told of, with what it said.
func TestPreparedFails(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, script, says string }{
		{"ends", "echo no such module; exit 3", "a/prepared ended while it prepared itself: exit 3; it said: no such module"},
		{"waits for something else", "sleep 1 & wait", "a/prepared does not come to read a line from $SCREWTAPE_FORK"},
		{"reads something else", "read line <>" + fifo, "a/prepared does not come to read a line from $SCREWTAPE_FORK"},
		{"ends later", "read line <&$SCREWTAPE_FORK; echo enough", "a/prepared, of which programs are forked, ended: exit 0; it said: enough"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, &Test{Name: "prepared", Nodes: []string{"a"}, Workload: plain{},
				Prepared: []Program{shell("a", "prepared", c.script)},
				Programs: []Program{{Node: "a", Name: "one", Fork: "x", Late: true, Once: true}}})
			_, err := w.Play(schedule.Canonical(), Options{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v does not say %q", err, c.says)
			}
		})
	}
}

// A program cannot be forked on a node that has no prepared process.
func TestNothingPrepared(t *testing.T) {
	_, err := NewWorld(&Test{Nodes: []string{"a", "b"}, Workload: plain{}, Prepared: []Program{sower("a", ":")},
		Programs: []Program{{Node: "a", Name: "one", Fork: "x"}, {Node: "b", Name: "one", Fork: "x"}}})
	if want := "program b/one is to be forked, and node b has no prepared process"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// What a program forked before it first slept does not keep it from going on
// into the next schedule.
func TestStaysAfterForks(t *testing.T) {
	p := shell("a", "sh", "sh -c :; exec sleep 1000")
	p.Late, p.Once = false, false
	w := newWorld(t, &Test{Name: "stays", Nodes: []string{"a"}, Workload: plain{}, Programs: []Program{p}})
	if err := w.reset(false); err != nil {
		t.Fatal(err)
	}
	pid := w.programs[0].pid
	if err := w.reset(false); err != nil {
		t.Fatal(err)
	}
	if w.programs[0].pid != pid {
		t.Error("it was started anew")
	}
}
