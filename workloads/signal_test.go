package workloads

import (
	"strings"
	"testing"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
)

// spool is a queue that a shell serves which is sent SIGHUP.
const spool = `name = "spool"
workload = "queue"
delivered = ["new/*"]

[share]
"in/" = ""
"new/" = ""

[[program]]
name = "daemon"
signals = ["HUP"]
command = '''
cd {share}
trap "TRAP" HUP
if [ -e work ]; then mv work new; fi
while :; do
	for f in in/*; do
		if [ -e $f ]; then mv $f work; wc -c <work >>log; mv work new; fi
	done
	sleep 60
done'''

[[act]]
name = "put"
file = "in/{id}"
text = "Message-ID: <{id}@x>\n"
`

// A daemon whose handler drops what it is about loses a message to a signal, which is
// found, and one whose handler leaves it alone loses none. Without the nemesis there
// is no signal.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name, trap string
		nemeses    []string
		finds      string
	}{
		{"drops its work", "rm -f work", []string{"signal"}, check.LostMessage},
		{"goes on", "echo again >>log", []string{"signal"}, ""},
		{"never", "rm -f work", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultSystem()
			config.Nodes, config.Nemeses = []string{"a"}, c.nemeses
			config.Text = strings.Replace(spool, "TRAP", c.trap, 1)
			test, err := NewSystem(config)
			o := search(t, test, err, 12)
			if (o.Counts[c.finds] > 0) != (c.finds != "") || len(o.Counts) > 1 {
				t.Errorf("found %s", describe(o))
			}
			if (o.Faults[schedule.Signal] > 0) != (c.nemeses != nil) {
				t.Errorf("faults: %v", o.Faults)
			}
		})
	}
}

// A tape sends signals where it says so, and the same comes of it each time.
func TestSignalOnTape(t *testing.T) {
	const lines = "screwtape tape 1\ncalls: named\n\na/daemon.1 wake\na/daemon stat in/m0 = ok\na/daemon.2 rename in/m0 work = ok\na/daemon signal HUP\n"
	for _, c := range []struct{ trap, finds string }{
		{"rm -f work", check.LostMessage},
		{"echo again >>log", ""},
		{"-", ""}, // it is killed, and started again in the end
	} {
		t.Run(c.trap, func(t *testing.T) {
			config := DefaultSystem()
			config.Nodes = []string{"a"}
			config.Text = strings.Replace(spool, "TRAP", c.trap, 1)
			test, err := NewSystem(config)
			w := world(t, test, err)
			defer w.Close()
			tape, err := schedule.Parse("t", strings.NewReader(lines))
			if err != nil {
				t.Fatal(err)
			}
			first, err := w.Replay(tape, harness.Options{Fresh: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(first.Kinds(), " "); got != c.finds || first.Faults[schedule.Signal] != 1 {
				t.Errorf("found %q, not %q; %v\n%s", got, c.finds, first.Faults, first.Log())
			}
			recorded, err := schedule.Parse("t", strings.NewReader(first.Tape.String()))
			if err != nil {
				t.Fatal(err)
			}
			second, err := w.Replay(recorded, harness.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if first.Log() != second.Log() {
				t.Errorf("first:\n%s\nsecond:\n%s", first.Log(), second.Log())
			}
		})
	}
}
