package results

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"
	"time"

	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

//go:embed assets
var assets embed.FS

// A Page is what report.html shows: a run's outcome, and one schedule of it
// step by step.
type Page struct {
	Title   string
	Report  Report
	About   string           // whose schedule it shows, where the title does not say it
	Shown   check.Verdict    // of the schedule that is shown; the report's own where it is the zero value
	Steps   []history.Step   // the schedule
	Initial []history.Change // the share's tree before its first step
	History []history.Op     // what clients and programs did in it
	WarmUp  []history.Line   // what programs wrote while they started, before its first step
	Replay  string           // the command that plays it again
	// Findings leads from this page to the directory in which other findings
	// and claims have pages of their own; "" where there is none.
	Findings string
	// Calls leads from this page to the directory with a file of each program's
	// calls; "" where there is none.
	Calls string
	// Picture leads to the page that shows how the history can, or cannot, be
	// put into an order; "" where there is none.
	Picture string
}

// HTML makes report.html: one file that needs no network, no server and no
// other file. What programs call things never becomes markup: the template
// escapes it, the data block is JSON without any "<", and the script sets
// nothing but text.
func HTML(p Page) ([]byte, error) {
	if p.Shown.Verdict == "" {
		p.Shown = p.Report.Judged()
	}
	data, err := json.Marshal(pageData(p))
	if err != nil {
		return nil, err
	}
	script, style := asset("report.js"), asset("style.css")
	var b bytes.Buffer
	err = templates().ExecuteTemplate(&b, "report.html", map[string]any{
		"Page":   p,
		"Story":  Story(p.Initial, p.Steps, p.History, p.Shown),
		"Policy": reportPolicy(),
		"Style":  template.CSS(style),
		"Script": template.JS(script),
		"Data":   template.JS(data), // json.Marshal escapes <, > and &
	})
	return b.Bytes(), err
}

// templates are parsed when they are first asked for: the runners are this
// executable too, and start thousands of times.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(functions).ParseFS(assets, "assets/*.html"))
})

var functions = template.FuncMap{
	"mark":    sign,
	"faults":  Report.FaultText,
	"count":   count,
	"ending":  func(line string) bool { return strings.HasPrefix(line, inTheEnd) },
	"shownAt": shownAt,
	"lastOf":  lastOf,
	"number":  func(step int) int { return step + 1 }, // as people count
	"tape":    tapeIn,
	"counted": func(r *Report) string { return counted(r.Anomalies) },
	"tofind": func(r *Report) string {
		if v := r.ToFind(); v >= 0 {
			return fmt.Sprintf("%.1f", v)
		}
		return "none"
	},
	"cross": func(p point) string {
		return fmt.Sprintf("M%.1f,%.1fl8,8m0,-8l-8,8", p.X-4, p.Y-4)
	},
	"choice": func(all []string, picked string) map[string]any {
		return map[string]any{"All": all, "Picked": picked}
	},
	"args": func(p Page, a Anomaly) map[string]any {
		return map[string]any{"Page": p, "Anomaly": a}
	},
	"programs":  func(p Page) []string { return programs(p.Steps) },
	"claimsign": claimSign,
	"join":      strings.Join,
	"when":      func(t time.Time) string { return t.UTC().Format(time.DateTime) },
	"has":       slices.Contains[[]string],
	"page":      findingPage,
	"below":     below,
}

// Short puts the short names of messages into a text in place of what they are
// called on the share.
func (p Page) Short(text string) string { return Shortener(p.Initial, p.Steps)(text) }

// Cause is why the schedule that is shown goes as it does, where that was
// looked for.
func (p Page) Cause() string {
	for _, a := range slices.Concat(p.Report.Anomalies, p.Report.Allowed) {
		if a.Replay == p.Replay && a.Cause != "" {
			return a.Cause
		}
	}
	return ""
}

// sign names a verdict with a sign that every font has.
func sign(v check.Validity) string {
	switch v {
	case check.Valid:
		return "✓ valid"
	case check.Invalid:
		return "✗ invalid"
	}
	return "? unknown"
}

// claimSign says whether a claim came out as expected, with such a sign.
func claimSign(c Claim) string {
	switch {
	case c.OK:
		return "✓ as expected"
	case c.Open:
		return "? open"
	}
	return "✗ not as expected"
}

// shownAt returns the step of the shown schedule at which the anomaly came
// about, or -1: another schedule may have shown it.
func shownAt(p Page, a Anomaly) int {
	if a.Step < len(p.Steps) && slices.ContainsFunc(slices.Concat(p.Shown.Anomalies, p.Shown.Allowed), func(s check.Anomaly) bool {
		return s.Kind == a.Kind && s.Subject == a.Subject && s.Step == a.Step
	}) {
		return a.Step
	}
	return -1
}

// lastOf returns the step of the shown schedule that was the last to happen to
// the message, of an anomaly that came about at no step, or -1.
func lastOf(p Page, a Anomaly) int {
	last := -1
	if a.Step >= 0 || !slices.ContainsFunc(p.Shown.Anomalies, func(s check.Anomaly) bool { return s.Kind == a.Kind && s.Subject == a.Subject }) {
		return last
	}
	_, after := factsOf(p)
	for i, facts := range after {
		if slices.ContainsFunc(facts, func(f fact) bool { return f.group == ofMessages && f.subject == a.Subject }) {
			last = i
		}
	}
	return last
}

func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is compiled in
	}
	return string(text)
}

// reportPolicy is the content security policy of report.html: its own script
// and style by their digests, and nothing else.
func reportPolicy() string { return policy(asset("report.js"), asset("style.css")) }

func policy(script, style string) string {
	return fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'", digest(script), digest(style))
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Shapes of the data block, with short keys: there may be many thousands.
type (
	pageJSON struct {
		Lanes     []string       `json:"lanes"`  // processes, by node
		Groups    []string       `json:"groups"` // of facts
		Facts     []factJSON     `json:"facts"`  // before the first step
		Steps     []stepJSON     `json:"steps"`
		Initial   []changeJSON   `json:"initial"`
		Anomalies map[int]string `json:"anomalies"` // kinds, by step
	}
	stepJSON struct {
		Lane     int          `json:"p"`
		Text     string       `json:"s"` // the call in short
		Verb     string       `json:"v"`
		Names    []string     `json:"n,omitempty"`
		Outcome  string       `json:"o,omitempty"`
		Time     int64        `json:"t"` // nanoseconds
		Fault    bool         `json:"f,omitempty"`
		Lines    [][2]string  `json:"l,omitempty"`
		Changes  []changeJSON `json:"c,omitempty"`
		Facts    []factJSON   `json:"k,omitempty"` // that are new, or others than before
		Conflict int          `json:"x"`
	}
	factJSON   [3]any // group, subject, text
	changeJSON struct {
		Path string `json:"p"`
		Gone bool   `json:"g,omitempty"`
		Dir  bool   `json:"d,omitempty"`
		Size int64  `json:"s,omitempty"`
		Link uint32 `json:"l,omitempty"`
		Note string `json:"n,omitempty"`
	}
)

func pageData(p Page) pageJSON {
	lanes := laneNames(p.Steps)
	lane := map[string]int{}
	for i, name := range lanes {
		lane[name] = i
	}
	initial, after := factsOf(p)
	d := pageJSON{Lanes: lanes, Groups: factGroups, Facts: facts(initial), Steps: make([]stepJSON, len(p.Steps)),
		Initial: changes(p.Initial), Anomalies: map[int]string{}}
	t := newTeller(shortNames(p.Initial, p.Steps))
	for i, s := range p.Steps {
		d.Steps[i] = stepJSON{
			Lane: lane[s.Process], Text: t.inShort(s), Verb: s.Verb, Names: s.Names, Outcome: s.Outcome,
			Time: s.Time.Nanoseconds(), Fault: s.Fault(), Changes: changes(s.Changes), Facts: facts(after[i]), Conflict: joined(p.Steps, i),
		}
		for _, l := range s.Lines {
			d.Steps[i].Lines = append(d.Steps[i].Lines, [2]string{l.Process, l.Text})
		}
	}
	for _, a := range slices.Concat(p.Shown.Anomalies, p.Shown.Allowed) {
		if a.Step >= 0 && !strings.Contains(d.Anomalies[a.Step], a.Kind) {
			d.Anomalies[a.Step] = strings.TrimPrefix(d.Anomalies[a.Step]+", "+a.Kind, ", ")
		}
	}
	return d
}

// joined is the earlier call that a step is to be joined to, or -1. That two
// faults or wake-ups share a budget or the time is no conflict to a reader.
func joined(steps []history.Step, i int) int {
	if c := steps[i].Conflict; c >= 0 && (isCall(steps[i]) || isCall(steps[c])) {
		return c
	}
	return -1
}

// isCall reports whether a step is a program's doing.
func isCall(s history.Step) bool {
	switch s.Verb {
	case schedule.Start, schedule.Wake, schedule.Alarm, schedule.Resume:
		return false
	}
	return !s.Fault() || s.Answer()
}

func changes(cs []history.Change) []changeJSON {
	out := make([]changeJSON, len(cs))
	for i, c := range cs {
		out[i] = changeJSON{c.Path, c.Gone, c.Dir, c.Size, c.Link, c.Note}
	}
	return out
}

func facts(list []fact) []factJSON {
	out := []factJSON{}
	for _, f := range list {
		out = append(out, factJSON{f.group, f.subject, f.text})
	}
	return out
}

// laneNames lists the processes, those of a node side by side, the node itself
// first.
func laneNames(steps []history.Step) []string {
	seen := map[string]bool{}
	lanes := []string{}
	for _, s := range steps {
		if !seen[s.Process] {
			seen[s.Process] = true
			lanes = append(lanes, s.Process)
		}
	}
	slices.SortFunc(lanes, func(a, b string) int {
		nodeA, _, _ := strings.Cut(a, "/")
		nodeB, _, _ := strings.Cut(b, "/")
		return cmp.Or(strings.Compare(nodeA, nodeB), strings.Compare(a, b))
	})
	return lanes
}

// inShort names a call in a few characters: "rename m0.pck m0.bak".
func (t *teller) inShort(s history.Step) string {
	text := s.Verb
	for i := range min(len(s.Names), 2) {
		text += " " + t.object(s, i).String()
	}
	return text
}
