package workloads

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// documented is the system file of that name in docs/systems.md.
func documented(t testing.TB, name string) string {
	t.Helper()
	manual, err := os.ReadFile("../docs/systems.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(manual), "```toml\n")[1:] {
		text, _, _ := strings.Cut(block, "```\n")
		if s, err := ParseSystemFile("systems.md", text); err == nil && s.Name == name {
			return text
		}
	}
	t.Fatalf("docs/systems.md has no example %s", name)
	return ""
}

// What a mail server has answered decides whether a message has to be delivered. The
// spooler of docs/systems.md is sound; the others have a bug each.
func TestMailIn(t *testing.T) {
	sound := documented(t, "spooler")
	const keeps = `                    keep(message)
                    self.say("250 it is kept")
`
	early := strings.Replace(sound, keeps, `                    self.say("250 it is kept")
                    keep(message)
`, 1)
	refuses := strings.Replace(sound, keeps, `                    self.say("451 not now")
`, 1)
	unsynced := strings.Replace(sound, "        os.fsync(file.fileno())\n", "", 1)
	lmtp := strings.Replace(strings.Replace(sound, `b"DATA"`, `b"EHLO": return
                case b"DATA"`, 1), "smtp = 2525", "lmtp = 2525", 1)
	const (
		greets    = "a/post start\na/spooler send 220\na/post send EHLO\na/spooler send 250\na/post send MAIL\na/spooler send 250\na/post send RCPT\na/spooler send 250\na/post send DATA\na/spooler send 354\n"
		handsOver = greets + "a/post send post-a\n"
		says250   = "a/spooler send 250\na/post send QUIT\na/spooler send 221\n"
	)
	for _, c := range []struct {
		name, text, lines string
		kinds             []string
		verdict           check.Validity
		ends              string // how the client did, the last time
	}{
		{"kept, killed after the answer", sound, handsOver + "a/spooler send 250\na/spooler crash\n", nil, check.Valid, "exit 0"},
		{"answered too early, killed after that", early, handsOver + "a/spooler send 250\na/spooler crash\n", []string{check.LostMessage}, check.Invalid, "exit 0"},
		{"synced, and the power fails", sound, handsOver + says250 + "server powerloss\n", nil, check.Valid, "exit 0"},
		{"not synced, and the power fails", unsynced, handsOver + says250 + "server powerloss\n", []string{check.LostMessage}, check.Invalid, "exit 0"},
		{"killed before the answer", sound, handsOver + "a/spooler rename ... = ok\na/spooler crash\n", nil, check.Valid, "exit 2"},
		{"killed half-way", sound, greets + "a/spooler crash\na/spooler start\n", nil, check.Valid, "exit 2"},
		{"down at first", sound, "a/spooler crash\n", nil, check.Valid, "exit 0"},
		{"its client is killed, and asks again", sound, handsOver + "a/post crash\na/spooler send 250\na/post start\n", []string{check.DoubleDeliveryAfterCrash}, check.Valid, "exit 0"},
		{"refused", refuses, "", []string{check.Stuck}, check.Invalid, "exit 1"},
		{"LMTP", lmtp, "", nil, check.Valid, "exit 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultSystem()
			config.Text, config.Nodes = c.text, []string{"a"}
			test, err := NewSystem(config)
			skipMissing(t, err)
			w := world(t, test, err)
			defer w.Close()
			tape, err := schedule.Parse("t", strings.NewReader("screwtape tape 1\ncalls: named\n\n"+c.lines))
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.Replay(tape, harness.Options{Fresh: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.kinds, r.Kinds()); diff != "" || r.Verdict.Verdict != c.verdict {
				t.Errorf("%s: %s\n%s", r.Verdict.Verdict, diff, r.Log())
			}
			ends := ""
			for _, op := range r.History {
				if op.F == "exit" && op.Process == "a/post" {
					ends = op.Value
				}
			}
			if ends != c.ends {
				t.Errorf("the client ended with %q, want %q", ends, c.ends)
			}
		})
	}
}

// An act that failed is explained by a daemon that was down meanwhile, or by anything
// that stood still, and by nothing that was over by then.
func TestOutages(t *testing.T) {
	s := &system{&System{Programs: []SystemProgram{{Name: "d"}}, Acts: []Act{{Name: "act"}}}, DefaultSystem()}
	late := *s
	late.config.Late = []string{"b/d"}
	nemesis := func(f, who string) history.Op { return history.Op{Process: "nemesis", F: f, Value: who} }
	begins, fails := nemesis("start", "a/act"), history.Op{Process: "a/act", F: "exit", Value: "exit 1"}
	for _, c := range []struct {
		name   string
		system *system
		ops    []history.Op
		stuck  bool
	}{
		{"alone", s, []history.Op{begins, fails}, true},
		{"crash", s, []history.Op{begins, nemesis("crash", "b/d"), fails}, false},
		{"crash of a node", s, []history.Op{begins, nemesis("crash", "b"), fails}, false},
		{"ends by itself", s, []history.Op{begins, {Process: "b/d", F: "exit", Value: "exit 3"}, fails}, false},
		{"down before", s, []history.Op{nemesis("crash", "b/d"), begins, nemesis("start", "b/d"), fails}, false},
		{"up again before", s, []history.Op{nemesis("crash", "b/d"), nemesis("start", "b/d"), begins, fails}, true},
		{"crash after", s, []history.Op{begins, fails, nemesis("crash", "b/d")}, true},
		{"daemon stands still", s, []history.Op{nemesis("pause", "b/d"), begins, nemesis("resume", "b/d"), fails}, false},
		{"stands still itself", s, []history.Op{begins, nemesis("pause", "a/act"), nemesis("resume", "a/act"), fails}, false},
		{"late", &late, []history.Op{begins, fails}, false},
	} {
		if stuck := len(c.system.failedAlone(c.ops)) > 0; stuck != c.stuck {
			t.Errorf("%s: stuck is %v", c.name, stuck)
		}
	}
}
