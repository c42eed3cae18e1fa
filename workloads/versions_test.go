package workloads

import (
	"slices"
	"strings"
	"testing"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/schedule"
)

// What was mended or changed from one version of Mailman to another changes the
// verdict over the same order of events.
func TestVersions(t *testing.T) {
	for _, c := range []struct {
		name, tape string
		headers    [2]string // what is the one way and the other
		shows      [2][]string
	}{
		{
			name: "finish takes the .pck where there is no .bak, since 3",
			tape: `late: b/runner
a/runner wake
a/runner read *.bak = ok
b/runner start
b/runner rename *.bak *.pck = ok
a/runner deliver m0 = 250
a/runner unlink ...`,
			headers: [2]string{"profile: 2.1.39", "profile: 3.3.8"},
			shows:   [2][]string{{check.DoubleDelivery}, nil},
		},
		{
			name: "finish takes the .pck, also when another runner has recovered the entry",
			tape: `a/runner wake
a/runner open qfiles/out
b/runner wake
b/runner open qfiles/out
a/runner rename *.pck *.bak = ok
b/runner open *.pck = ENOENT
a/runner crash
a/runner start
a/runner rename *.bak *.pck = ok
b/runner rename ...`,
			headers: [2]string{"profile: 2.1.39", "profile: 3.3.8"},
			shows:   [2][]string{{check.MisleadingError}, {check.LostMessage, check.MisleadingError}},
		},
		{
			name: "QRUNNER_SAVE_BAD_MESSAGES",
			tape: `a/runner wake
a/runner open qfiles/out
b/runner wake
b/runner open qfiles/out
a/runner rename *.pck *.bak = ok
b/runner open *.pck = ENOENT
b/runner open qfiles/out
a/runner deliver m0 = 250`,
			headers: [2]string{"save-bad: yes", "save-bad: no"},
			shows:   [2][]string{{check.StrayCopy, check.MisleadingError}, {check.MisleadingError}},
		},
	} {
		for i, header := range c.headers {
			t.Run(c.name+"/"+header, func(t *testing.T) {
				head := "screwtape tape 1\nworkload: queue\nnemesis: overlap\ncalls: named\n" + header + "\n"
				tape, err := schedule.Parse("tape", strings.NewReader(head+c.tape+"\n"))
				if err != nil {
					t.Fatal(err)
				}
				test, err := FromTape(tape)
				w := world(t, test, err)
				defer w.Close()
				r, err := w.Replay(tape, harness.Options{Fresh: true})
				if err != nil {
					t.Fatal(err)
				}
				if kinds := r.Kinds(); !slices.Equal(kinds, c.shows[i]) {
					t.Errorf("shows %v, and should show %v\n%s", kinds, c.shows[i], r.Log())
				}
			})
		}
	}
}
