package workloads

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// skipMissing skips a test whose programs are not on this machine.
func skipMissing(t *testing.T, err error) {
	t.Helper()
	var m *Missing
	if errors.As(err, &m) {
		t.Skipf("SKIPPED: %v", m)
	}
}

// What random search finds in the systems that come with screwtape.
func TestSystems(t *testing.T) {
	for _, c := range []struct {
		name      string
		nemeses   []string
		schedules int
		finds     []string
	}{
		{"git", nil, 1, []string{check.LostUpdate}},
		{"git-commit", nil, 2, []string{check.LostUpdate}},
		{"maildir", []string{"crash"}, 4, nil},
		{"htpasswd", []string{"crash"}, 3, []string{check.LostUpdate, check.CorruptState}},
		{"mailman3-master", nil, 1, nil},
		{"mailman3-lmtp", []string{"crash"}, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultSystem()
			config.Text, config.Nemeses = c.name, c.nemeses
			if c.name == "git" && os.Getenv("SCREWTAPE_LONG") == "" {
				t.Skip("SKIPPED: each git is many calls; SCREWTAPE_LONG=1 runs it, and TestFound plays its tape")
			}
			if c.name == "maildir" && oneGroup() {
				t.Skip("SKIPPED: procmail wants to be of the group mail, and an ordinary user's namespace has one group")
			}
			test, err := NewSystem(config)
			skipMissing(t, err)
			o := search(t, test, err, long(c.schedules, 50*c.schedules))
			t.Logf("%d schedules, %d traces, %.1f s: %v", o.Schedules, o.Coverage.Traces(), o.Seconds, o.Counts)
			for _, f := range o.Findings {
				if !f.Allowed && !slices.Contains(c.finds, f.Anomaly.Kind) {
					t.Errorf("found %s\n%s", f.Anomaly.Kind, f.Result.Log())
				}
			}
			if len(c.finds) > 0 && !o.Broken() {
				t.Errorf("found nothing, not one of %v", c.finds)
			}
		})
	}
}

// oneGroup reports whether we are where there is no group but our own.
func oneGroup() bool {
	data, err := os.ReadFile("/proc/self/gid_map")
	f := strings.Fields(string(data))
	return err == nil && len(f) == 3 && f[2] == "1"
}

// Each tape of docs/found.md shows what it says, with this machine's programs.
func TestFound(t *testing.T) {
	files, err := filepath.Glob("systems/found/*.tape")
	if err != nil || len(files) == 0 {
		t.Fatal("no tapes", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".tape"), func(t *testing.T) {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			tape, err := schedule.Parse(name, f)
			if err != nil {
				t.Fatal(err)
			}
			if needs := tape.Header.Get("needs"); needs != "" {
				if _, err := exec.LookPath(needs); err != nil {
					t.Skipf("SKIPPED: %s is not on this machine", needs)
				}
			}
			base := strings.TrimSuffix(filepath.Base(name), ".tape")
			if slices.Contains([]string{"mailman3-double", "mailman3-slices", "mailman3-in-lost"}, base) && os.Getenv("SCREWTAPE_LONG") == "" {
				t.Skip("SKIPPED: Mailman takes its time to start; SCREWTAPE_LONG=1 runs it, and mailman3-stray and mailman3-force are run")
			}
			test, err := FromTape(tape)
			skipMissing(t, err)
			w := world(t, test, err)
			defer w.Close()
			r, err := w.Replay(tape, harness.Options{Fresh: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Fields(tape.Header.Get("expect")), r.Kinds()); diff != "" {
				t.Errorf("%s\n%s", diff, r.Log())
			}
		})
	}
}

// minimal is a system file that has all that it needs.
const minimal = `name = "counter"
workload = "state"
read = "cat counter"

[share]
counter = "0\n"

[[act]]
name = "add"
command = "echo {id} >>{share}/counter"
`

// Every system that comes with screwtape is sound, and every mistake is told
// with its line and how to mend it.
func TestSystemFiles(t *testing.T) {
	for _, name := range SystemNames() {
		if _, err := ReadSystem(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := ParseSystemFile("x.toml", minimal); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ old, new, says string }{
		{`name = "counter"`, ``, `x.toml:1: the system has no name; begin with name = "..."`},
		{`"state"`, `"states"`, `x.toml:2: workload is "states"; write "state", "queue" or "lock"`},
		{"[[act]]\n", "[[act]]\nnodes = \"a\"\n", `x.toml:9: act.nodes is not a list; write nodes = ["..."]`},
		{`read = "cat counter"`, `reed = "cat counter"`, `x.toml:3: there is no key "reed"; leave it out, or see docs/systems.md for the keys that there are`},
		{`read = "cat counter"`, ``, `x.toml:1: nothing says what the state is; write read = "..." with a command that prints it`},
		{`read = "cat counter"`, `read = 3`, `x.toml:3: `},
		{`read = "cat counter"`, `read = "cat counter`, `x.toml:3: `},
		{`read = "cat counter"`, "read = \"cat counter\"\nhorizon = \"soon\"", `x.toml:4: `},
		{`read = "cat counter"`, "read = \"cat counter\"\nclock = \"wall\"", `x.toml:4: clock is "wall"; write "virtual" or "real"`},
		{`read = "cat counter"`, "read = \"cat counter\"\ndelivered = [\"new/*\"]", `x.toml:2: delivered, places and misleading are a queue's; leave them out, or write workload = "queue"`},
		{`read = "cat counter"`, "read = \"cat counter\"\nscratch = [\"/\"]", `x.toml:4: "/" cannot be scratch; name a directory that programs may fill as they like, such as /tmp`},
		{`name = "add"`, `name = "Add!"`, `x.toml:9: "Add!" cannot be a name; use lower-case letters, digits and -`},
		{`{id}`, `one`, `x.toml:10: the act add says no {id}, by which is seen what came of it; write {id} in what it puts in; a daemon is a [[program]]`},
		{"\n\n[share]\ncounter = \"0\\n\"\n\n[[act]]\nname = \"add\"\ncommand = \"echo {id} >>{share}/counter\"", "\nprepared = \"x\"\n[[act]]\nname = \"add\"\nfork = \"x\"", `x.toml:7: the act add says no {id}, by which is seen what came of it; write {id} in what it puts in; a daemon is a [[program]]`},
		{"workload = \"state\"\nread = \"cat counter\"\n\n[share]\ncounter = \"0\\n\"\n\n[[act]]\nname = \"add\"\ncommand = \"echo {id} >>{share}/counter\"", "workload = \"queue\"\n[[act]]\nname = \"add\"\nfile = \"{id}\"\ntext = \"{id}\"", `x.toml:6: the text of the act add has no Message-ID by which its message is found; write <{id}@...> in it`},
		{"workload = \"state\"\nread = \"cat counter\"\n\n[share]\ncounter = \"0\\n\"", "workload = \"lock\"\n[[program]]\nname = \"d\"\ncommand = \"x\"", `x.toml:4: a lock has no programs beside its acts; make an [[act]] of what takes the lock`},
		{`command = "echo {id} >>{share}/counter"`, ``, `x.toml:9: the act add is not one of a command, a fork, a message and a file; write command = "...", fork = "...", smtp = PORT or lmtp = PORT and text = "...", or file = "..." and text = "..."`},
		{`command = "echo {id} >>{share}/counter"`, "command = \"echo {id}\"\ntext = \"x\"", `x.toml:11: the act add puts its text nowhere; write smtp = PORT, lmtp = PORT or file = "..." instead of the command, or leave it out`},
		{`command = "echo {id} >>{share}/counter"`, "smtp = 2525\ntext = \"x\"", `x.toml:10: what is done to a state is a command; write command = "..."`},
		{`command = "echo {id} >>{share}/counter"`, `file = "x"`, `x.toml:10: what is done to a state is a command; write command = "..."`},
		{`[[act]]`, "[[program]]\nname = \"d\"\n\n[[act]]", `x.toml:9: the program d is not one of a command and a fork; write command = "...", or fork = "..." with what the prepared command is told`},
		{`[[act]]`, "[[program]]\nname = \"d\"\nfork = \"d\"\n\n[[act]]", `x.toml:10: there is nothing prepared to fork from; write prepared = "..." above the first table, or command = "..."`},
		{`command = "echo {id} >>{share}/counter"`, "fork = \"x\"", `x.toml:10: there is nothing prepared to fork from; write prepared = "..." above the first table, or command = "..."`},
		{"\n\n[share]", "\nprepared = \"x\"\n[[program]]\nname = \"d\"\nfork = \"a\\nb\"\n[share]", `x.toml:7: what the prepared command is told has more than one line; write one`},
		{`[[act]]`, "[[program]]\nname = \"add\"\ncommand = \"x\"\n[[act]]", `x.toml:12: add is there twice; give each its own name`},
		{`[[act]]`, "[[program]]\nname = \"d\"\ncommand = \"x\"\nsignals = [\"HUP\", \"KILL\"]\n[[act]]", `x.toml:11: "KILL" is no signal that an administrator sends; write one of HUP, INT, QUIT, TERM, USR1, USR2, WINCH`},
		{`[[act]]`, "[[program]]\nname = \"d\"\ncommand = \"x\"\nsignals = [\"HUP\", \"HUP\"]\n[[act]]", `x.toml:11: HUP is there twice; name each signal once`},
		{`[[act]]`, "[[program]]\nname = \"d\"\ncommand = \"x\"\nsignals = \"HUP\"\n[[act]]", `x.toml:11: program.signals is not a list; write signals = ["..."]`},
		{"[[act]]\nname = \"add\"\ncommand = \"echo {id} >>{share}/counter\"", "", `x.toml:1: nobody does anything; add an [[act]]`},
		{`read = "cat counter"`, "read = \"cat counter\"\nneeds = [{command = \"x\"}]", `x.toml:4: need 1 does not say what and how to install it; write {command = "...", install = "..."} or {file = "...", install = "..."}`},
	} {
		text := strings.Replace(minimal, c.old, c.new, 1)
		if text == minimal {
			t.Fatalf("%q is not in the file", c.old)
		}
		_, err := ParseSystemFile("x.toml", text)
		if err == nil || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%s: error\n\t%v\nis not\n\t%s", c.new, err, c.says)
		}
	}
}

// So is every mistake in an act that hands a message over.
func TestMailFiles(t *testing.T) {
	text := documented(t, "spooler")
	for _, c := range []struct{ old, new, says string }{
		{"smtp = 2525", "smtp = 70000", `x.toml:20: there is no port 70000; write one from 1 to 65535`},
		{"smtp = 2525", "lmtp = -1", `x.toml:20: there is no port -1; write one from 1 to 65535`},
		{"smtp = 2525", "lmtp = 25", `x.toml:20: port 25 is that of the mail sink, to which programs deliver; have the program listen on another one`},
		{"smtp = 2525", "smtp = 2525\nlmtp = 2525", `x.toml:19: the act post is not one of a command, a fork, a message and a file; `},
		{"smtp = 2525", `smtp = "2525"`, `x.toml:20: act.smtp is not a whole number; write smtp = 2525`},
		{"smtp = 2525", `smtp = 25.5`, `x.toml:20: act.smtp is not a whole number; write smtp = 2525`},
		{`promise   = "at-least-once"`, "promise = 3", `x.toml:3: promise is not a text; write promise = "..."`},
		{`name    = "spooler"`, "name = \"spooler\"\nfresh = 1", `x.toml:16: program.fresh is not true or false; write fresh = true`},
		{"To: bart@example.org\n", "", `x.toml:21: the message of the act post has no envelope: its text has no field To: with one address; begin it with From: and To:, one address each, and with Message-ID: <{id}@...>`},
		{"anne@example.org", "anne@example.org, bart@example.org", `x.toml:21: the message of the act post has no envelope: its text has no field From: with one address; `},
		{"From: ", "From ", `x.toml:21: the message of the act post has no envelope: its text is no message; `},
		{"<{id}@example.org>", "<m0@example.org>", `x.toml:21: the text of the act post has no Message-ID by which its message is found; write <{id}@...> in it`},
		{"[[program]]\nname    = \"spooler\"\ncommand = \"exec python3 {local}/spooler.py\"\n", "", `x.toml:17: no program listens for the message of the act post; add the [[program]] that does`},
	} {
		broken := strings.Replace(text, c.old, c.new, 1)
		if broken == text {
			t.Fatalf("%q is not in the file", c.old)
		}
		if _, err := ParseSystemFile("x.toml", broken); err == nil || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%s: error\n\t%v\nis not\n\t%s", c.new, err, c.says)
		}
	}
}

// What is for no node of the test, and mail for a node without a program, is no test.
func TestAbsent(t *testing.T) {
	text := documented(t, "spooler")
	for _, c := range []struct{ old, new, says string }{
		{"smtp = 2525", "smtp = 2525\nnodes = [\"z\"]", "the act post is for the nodes z, and there are a b"},
		{`name    = "spooler"`, "name = \"spooler\"\nnodes = [\"z\"]", "the program spooler is for the nodes z, and there are a b"},
		{`name    = "spooler"`, "name = \"spooler\"\nnodes = [\"a\"]", "the act post has no program on b to talk to; say by nodes = [...] on which nodes it is"},
		{`name    = "spooler"`, `name = "spooler"`, ""},
	} {
		config := DefaultSystem()
		config.Text = strings.Replace(text, c.old, c.new, 1)
		test, err := NewSystem(config)
		skipMissing(t, err)
		if err == nil && (c.says != "" || !slices.Equal(test.Ports, []int{2525})) || err != nil && err.Error() != c.says {
			t.Errorf("%s: error %v, want %q", c.new, err, c.says)
		}
	}
}

// An act may be told its id by the environment, and one that takes a lock needs
// none.
func TestActSaysID(t *testing.T) {
	for _, c := range []struct{ old, new string }{
		{"[share]", "[env]\nID = \"{id}\"\n\n[share]"},
		{"workload = \"state\"\nread = \"cat counter\"", `workload = "lock"`},
	} {
		text := strings.Replace(strings.Replace(minimal, "echo {id}", "echo $ID", 1), c.old, c.new, 1)
		if _, err := ParseSystemFile("x.toml", text); err != nil {
			t.Errorf("%s: %v", c.new, err)
		}
	}
}

// Without any of the messages that are to be put in, nothing would be tested.
func TestNoMessages(t *testing.T) {
	config := DefaultSystem()
	config.Messages = 0
	config.Text = "name = \"spool\"\nworkload = \"queue\"\n[[program]]\nname = \"d\"\ncommand = \"x\"\n[[act]]\nname = \"put\"\nfile = \"{id}\"\ntext = \"<{id}@x>\"\n"
	if _, err := NewSystem(config); err == nil || err.Error() != "messages: 0; there can be 1 to 10000" {
		t.Errorf("error %v", err)
	}
	config.Text = minimal // whose act is no file
	if _, err := NewSystem(config); err != nil {
		t.Error(err)
	}
}

// A client delivers its own message again when it is called again, which it is
// until it has ended with 0; that excuses no other delivery.
func TestExcusedDeliveries(t *testing.T) {
	for _, c := range []struct {
		name  string
		by    string // delivers the message of a/deliver, first; it is moved away
		exit  string // this process of a/deliver ends with 0 before node a and b crash
		later bool   // and what it has left in the background delivers after it
		kind  string
	}{
		{"interrupted", "a/deliver.1", "", false, check.DoubleDeliveryAfterCrash},
		{"interrupted, with a child that was done", "a/deliver.1", "a/deliver.1", false, check.DoubleDeliveryAfterCrash},
		{"acknowledged", "a/deliver.1", "a/deliver", false, check.DoubleDelivery},
		{"acknowledged before", "a/deliver.1", "a/deliver", true, check.DoubleDelivery},
		{"by another client", "b/deliver", "", false, check.DoubleDelivery},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ParseSystemFile("x.toml", "name = \"spool\"\nworkload = \"queue\"\ndelivered = [\"new/*\"]\n[[act]]\nname = \"deliver\"\ncommand = \"x {id}\"\n")
			if err != nil {
				t.Fatal(err)
			}
			q := &systemQueue{system: system{System: s, config: DefaultSystem()}}
			store := share.NewStore(time.Now)
			var h history.Recorder
			if err := q.Act(&harness.Acts{Share: store}); err != nil {
				t.Fatal(err)
			}
			happens := func(process, verb string, files ...string) {
				for _, name := range files {
					if err := putFile(store, "/shared/"+name, "<deliver-a@x>", false); err != nil {
						t.Fatal(err)
					}
				}
				q.Observe(schedule.Decision{Process: process, Verb: verb}, store, &h)
			}
			exits := func() {
				if c.exit != "" {
					h.Add(c.exit, history.Info, "exit", "exit 0", "")
				}
			}
			happens("a/deliver", schedule.Start)
			happens("a/deliver", "write", "queue/1")
			if c.later {
				exits()
			}
			if err := store.Remove("/shared/queue/1"); err != nil {
				t.Fatal(err)
			}
			happens(c.by, "rename", "new/1")
			if !c.later {
				exits()
			}
			h.Add("nemesis", history.Info, "crash", "a", "")
			h.Add("nemesis", history.Info, "crash", "b", "")
			happens("b/other", "write", "new/2")
			v := q.Judge(&harness.End{Share: store, History: h.Ops(), Bounded: "no matter"})
			if kinds := kindsOf(v); !slices.Equal(kinds, []string{c.kind}) {
				t.Errorf("shows %v, want %s", kinds, c.kind)
			}
		})
	}
}

// kindsOf are the kinds of a verdict's anomalies, those that break no promise last.
func kindsOf(v check.Verdict) []string {
	var kinds []string
	for _, a := range append(v.Anomalies, v.Allowed...) {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

// A loss of power excuses what is said of a message after it, and nothing before.
func TestMisleadingBeforePowerLoss(t *testing.T) {
	system := &systemQueue{system: system{System: &System{Misleading: "damaged: (.*)"}}, names: map[string]string{"m0": "queue/m0"}}
	queue := &Queue{entries: map[string]string{"1.5+m0": "m0"}, emptied: map[string]int{"m0": 3}}
	for text, judge := range map[string]func(*harness.End) []check.Misleading{
		"damaged: m0":                          system.misleading,
		"Ignoring unparseable message: 1.5+m0": queue.misleading,
	} {
		for step, want := range map[int]int{2: 1, 3: 0, 4: 0} {
			e := &harness.End{
				History: []history.Op{{Step: 3, F: schedule.PowerLoss}},
				Steps:   []history.Step{{Index: step, Lines: []history.Line{{Process: "a/out", Text: text}}}},
			}
			if got := len(judge(e)); got != want {
				t.Errorf("%s, in step %d: %d are told, want %d", text, step, got, want)
			}
		}
	}
}

// An act may end before it has made any call on the share: it does not wait for ever.
func TestActElsewhere(t *testing.T) {
	config := DefaultSystem()
	config.Text = strings.Replace(minimal, ">>{share}/counter", ">>/dev/null", 1)
	test, err := NewSystem(config)
	o := search(t, test, err, 1)
	if o.Counts[check.LostUpdate] != 1 || len(o.Counts) != 1 {
		t.Error(describe(o))
	}
}

// A daemon that is started again waits for ever, and should; an act that does is
// stuck, but for one that has the lock, as a daemon has it.
func TestWaitingActs(t *testing.T) {
	var h history.Recorder
	h.Add("nemesis", history.Info, "start", "a/act", "")
	h.Add("nemesis", history.Info, "start", "b/act", "")
	h.Add("a/act", history.OK, "acquire", lockFile, "")
	e := &harness.End{Share: share.NewStore(time.Now), History: h.Ops()}
	if err := (&Program{}).Prepare(e.Share); err != nil {
		t.Fatal(err)
	}
	withDaemon := &harness.End{Share: e.Share, History: append(slices.Clone(h.Ops()), history.Op{F: "start", Value: "a/daemon"})}
	base := system{System: &System{Read: "true", Acts: []Act{{Name: "act"}}}}
	for _, c := range []struct {
		workload harness.Workload
		end      *harness.End
		want     []string
	}{
		{&systemState{base}, withDaemon, []string{"a/act", "b/act"}},
		{&systemLock{system: base}, e, []string{"b/act"}},
	} {
		var got []string
		for _, a := range c.workload.Judge(c.end).Anomalies {
			if a.Kind == check.Stuck {
				got = append(got, a.Subject)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%T: stuck are %v, want %v", c.workload, got, c.want)
		}
	}
}

// A file of ten lines is enough for a program that loses updates, and for one
// that does not.
func TestMinimalSystem(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("SKIPPED: flock is not on this machine; apt-get install util-linux")
	}
	careless := strings.Replace(minimal, "echo {id} >>{share}/counter", "cd {share}; (cat counter; echo {id}) >new.{node}; exec mv new.{node} counter", 1)
	careful := strings.Replace(minimal, "echo {id} >>{share}/counter", "cd {share}; exec flock lock sh -c '(cat counter; echo {id}) >new.{node}; exec mv new.{node} counter'", 1)
	for _, c := range []struct {
		text  string
		loses bool
	}{{careless, true}, {careful, false}} {
		config := DefaultSystem()
		config.Text = c.text
		test, err := NewSystem(config)
		o := search(t, test, err, 6)
		if lost := o.Counts[check.LostUpdate] > 0; lost != c.loses || len(o.Counts) > 1 {
			t.Errorf("%s\nfound %s", c.text, describe(o))
		}
	}
}

// What a machine lacks is said with the line that installs it.
func TestMissing(t *testing.T) {
	config := DefaultSystem()
	config.Text = strings.Replace(minimal, "read =", "needs = [{command = \"no-such-program\", install = \"apt-get install it\"}]\nread =", 1)
	const want = "counter needs no-such-program, which is not here; install it: apt-get install it"
	_, err := NewSystem(config)
	_, taped := FromTape(&schedule.Tape{File: "x.tape", Header: config.Header()})
	for _, err := range []error{err, taped} {
		if err == nil || err.Error() != want {
			t.Errorf("error %v is not %s", err, want)
		}
	}
}

func FuzzParseSystemFile(f *testing.F) {
	f.Add(minimal)
	f.Add(documented(f, "spooler"))
	for _, name := range SystemNames() {
		data, err := systemFiles.ReadFile("systems/" + name + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := ParseSystemFile("x.toml", text)
		if err != nil && !strings.HasPrefix(err.Error(), "x.toml:") {
			t.Errorf("error without its place: %v", err)
		}
	})
}

// The system file in docs/systems.md is one.
func TestDocumentedSystem(t *testing.T) {
	config := DefaultSystem()
	config.Text, config.Nemeses = documented(t, "notes"), []string{"crash"}
	test, err := NewSystem(config)
	skipMissing(t, err)
	if o := search(t, test, err, 3); o.Counts[check.LostUpdate]+o.Counts[check.CorruptState] > 0 {
		t.Error(describe(o))
	}
}

// A client that is killed when it has delivered, and before it could say so,
// delivers again: that is what at-least-once means.
func TestClientDeliversAgain(t *testing.T) {
	config := DefaultSystem()
	config.Nodes = []string{"a"}
	config.Text = `name = "spool"
workload = "queue"
promise = "at-least-once"
delivered = ["new/*"]

[share]
"new/" = ""

[[act]]
name = "deliver"
command = "cd {share}; echo 'Message-ID: <{id}@x>' >t.$$; mv t.$$ new/$$; echo >>log"
`
	test, err := NewSystem(config)
	if err != nil {
		t.Fatal(err)
	}
	tape, err := schedule.Parse("t", strings.NewReader("screwtape tape 1\ncalls: named\n\n"+
		"a/deliver start\na/deliver write t.* = ok\na/deliver.1 rename ... = ok\na/deliver crash\na/deliver start\n"))
	w := world(t, test, err)
	defer w.Close()
	r, err := w.Replay(tape, harness.Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{check.DoubleDeliveryAfterCrash}, r.Kinds()); diff != "" || r.Verdict.Verdict != check.Valid {
		t.Errorf("%s: %s\n%s", r.Verdict.Verdict, diff, r.Log())
	}
}

// Every schedule begins as the first did. A daemon that remembers what it did has to
// be said to be fresh; one that makes something on the share as it starts is.
func TestFreshPrograms(t *testing.T) {
	const text = `name = "spool"
workload = "queue"
needs = [{command = "python3", install = "apt-get install python3"}]
delivered = ["new/*"]

[share]
"new/" = ""

[[program]]
name = "daemon"
command = """exec python3 -c '
import os, time
n = 0
os.makedirs("/shared/new", exist_ok=True)
while True:
    if os.path.exists("/shared/m0"):
        n += 1
        os.rename("/shared/m0", f"/shared/new/{n}")
    time.sleep(60)
'"""

[[act]]
name = "put"
file = "{id}"
text = "Message-ID: <{id}@x>"
`
	for _, c := range []struct {
		name, old, new string
		same           bool
	}{
		{"remembers", "n = 0", "n = 0", false},
		{"fresh", `name = "daemon"`, "name = \"daemon\"\nfresh = true", true},
		{"lays out", "[share]\n\"new/\" = \"\"\n", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultSystem()
			config.Nodes = []string{"a"}
			config.Text = strings.Replace(text, c.old, c.new, 1)
			test, err := NewSystem(config)
			skipMissing(t, err)
			w := world(t, test, err)
			defer w.Close()
			var logs []string
			for range 2 {
				r, err := w.Play(schedule.Canonical(), harness.Options{})
				if err != nil {
					t.Fatal(err)
				}
				logs = append(logs, r.Log())
			}
			if (logs[0] == logs[1]) != c.same {
				t.Errorf("they are the same: %v\n%s\n%s", !c.same, logs[0], logs[1])
			}
		})
	}
}

// A lock of a system file is judged as one that is given by a line.
func TestSystemLock(t *testing.T) {
	const text = `name = "lock"
workload = "lock"

[[act]]
name = "taker"
command = "COMMAND"
`
	for _, c := range []struct {
		command string
		finds   bool
	}{
		{"{critical}", true},
		{"mkdir {file} && {critical} && rmdir {file}", false},
		{"mkdir {file} && : >{mark} && exec sleep infinity", false}, // as a daemon has it
	} {
		config := DefaultSystem()
		config.Text = strings.Replace(text, "COMMAND", c.command, 1)
		test, err := NewSystem(config)
		o := search(t, test, err, 6)
		if found := o.Counts[check.SplitBrain] > 0; found != c.finds || o.Counts[check.Stuck] > 0 {
			t.Errorf("%s: %s", c.command, describe(o))
		}
	}
}
