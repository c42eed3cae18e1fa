package check

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/google/go-cmp/cmp"

	"screwtape/harness/history"
)

// Every cell of the table, and each promise's view of it.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		places    string
		delivered int
		want      string // anomalies under exactly-once
		atLeast   string // those of them that break at-least-once
		atMost    string // and at-most-once
	}{
		{"nowhere", 0, "lost-message", "lost-message", ""},
		{"nowhere", 1, "", "", ""},
		{"nowhere", 2, "double-delivery", "double-delivery", "double-delivery"},
		{"", 0, "lost-message", "lost-message", ""},
		{"pck", 0, "", "", ""},
		{"pck", 1, "", "", ""},
		{"pck", 2, "double-delivery", "double-delivery", "double-delivery"},
		{"bak", 0, "stranded", "stranded", ""},
		{"bak", 1, "stranded", "", ""},
		{"bak", 2, "double-delivery stranded", "double-delivery", "double-delivery"},
		{"psv", 0, "lost-message", "lost-message", ""},
		{"psv", 1, "stray-copy", "", ""},
		{"psv", 3, "double-delivery stray-copy", "double-delivery", "double-delivery"},
		{"shunt", 0, "shunted", "shunted", ""},
		{"shunt", 1, "shunted", "", ""},
		{"shunt", 2, "double-delivery shunted", "double-delivery", "double-delivery"},
		{"tmp", 0, "stranded lost-message", "stranded lost-message", ""},
		{"tmp", 1, "stranded", "", ""},
		{"tmp", 2, "double-delivery stranded", "double-delivery", "double-delivery"},
		{"unserved", 0, "unserved", "unserved", ""},
		{"unserved", 1, "unserved", "", ""},
		{"unserved", 2, "double-delivery unserved", "double-delivery", "double-delivery"},
		// More than one copy.
		{"psv pck", 0, "", "", ""},
		{"bak pck", 0, "stranded", "", ""},
		{"psv shunt", 0, "shunted", "shunted", ""},
		{"psv psv", 1, "stray-copy", "", ""},
		{"bak psv", 2, "double-delivery stranded stray-copy", "double-delivery", "double-delivery"},
	} {
		t.Run(fmt.Sprintf("%s %d", c.places, c.delivered), func(t *testing.T) {
			m := Message{ID: "m0", Accepted: true, Places: strings.Fields(c.places), Deliveries: make([]Delivery, c.delivered)}
			for p, want := range map[Promise]string{ExactlyOnce: c.want, AtLeastOnce: c.atLeast, AtMostOnce: c.atMost} {
				v := JudgeMessages(p, []Message{m}, nil)
				if diff := cmp.Diff(want, kinds(v.Anomalies)); diff != "" {
					t.Errorf("%s: %s", p, diff)
				}
				if all := len(v.Anomalies) + len(v.Allowed); all != len(strings.Fields(c.want)) {
					t.Errorf("%s: %d anomalies and allowed, want %q in one or the other", p, all, c.want)
				}
				if broken := want != ""; broken != (v.Verdict == Invalid) {
					t.Errorf("%s: verdict %s", p, v.Verdict)
				}
			}
		})
	}
}

// The table has a row for every place, and every kind has a word for every
// promise.
func TestTableIsComplete(t *testing.T) {
	for _, r := range table {
		for _, k := range slices.Concat(r.none, r.once, r.more) {
			if k != double && len(breaks[k]) != len(Promises) {
				t.Errorf("%s: kind %q does not say which promises it breaks", r.place, k)
			}
		}
	}
	for kind := range breaks {
		if !slices.Contains(Kinds, kind) {
			t.Errorf("kind %q is not among Kinds", kind)
		}
	}
}

func kinds(anomalies []Anomaly) string {
	var ks []string
	for _, a := range anomalies {
		ks = append(ks, a.Kind)
	}
	return strings.Join(ks, " ")
}

func TestWhatWasNeverAcceptedIsNotLost(t *testing.T) {
	for _, p := range Promises {
		for _, places := range [][]string{nil, {Tmp}, {Psv}, {Bak}, {Pck}, {UnservedSlice}} {
			if v := JudgeMessages(p, []Message{{ID: "m0", Places: places}}, nil); v.Verdict != Valid {
				t.Errorf("%s, %v: %+v", p, places, v)
			}
		}
	}
}

func TestUnknown(t *testing.T) {
	v := JudgeMessages(ExactlyOnce, []Message{{ID: "m0", Accepted: true, Places: []string{"limbo"}}}, nil)
	if v.Verdict != Unknown || !strings.Contains(v.Why, "limbo") {
		t.Errorf("strange place: %+v", v)
	}
	v = JudgeMessages(ExactlyOnce, []Message{
		{ID: "m0", Accepted: true, Places: []string{"limbo"}},
		{ID: "m1", Accepted: true, Places: []string{Psv}},
	}, nil)
	if v.Verdict != Invalid {
		t.Errorf("a loss beside a strange place: %+v", v)
	}
	if v := JudgeMessages("twice", nil, nil); v.Verdict != Unknown || v.Why == "" {
		t.Errorf("no promise: %+v", v)
	}
}

func TestExplanations(t *testing.T) {
	v := JudgeMessages(ExactlyOnce, []Message{
		{ID: "m0", Accepted: true, Places: []string{Psv}},
		{ID: "m1", Accepted: true, Deliveries: []Delivery{{Process: "a/runner", Step: 3}, {Process: "b/runner", Step: 9, AfterCrash: true}}},
		{ID: "m2", Accepted: true, Deliveries: []Delivery{{Process: "a/runner", Step: 3}, {Process: "b/runner", Step: 9, AfterCrash: true}, {Process: "b/runner", Step: 12}}, Places: []string{Bak}},
		{ID: "m3", Accepted: true, Deliveries: []Delivery{{Process: "a/runner", Step: 3}}, Places: []string{Psv}},
	}, []Misleading{
		{"b/runner", "m0", 8, "Skipping and preserving unparseable message: X"},
		{"b/runner", "m0", 4, "Uncaught runner exception: unparseable"},
		{"a/runner", "m0", 9, "unparseable"},
	})
	var got []string
	for _, a := range v.Anomalies {
		got = append(got, fmt.Sprintf("%s %s @%d: %s", a.Kind, a.Subject, a.Step, a.Explanation))
	}
	want := []string{
		"lost-message m0 @-1: m0 was accepted and never delivered; what is left of it is .psv, which nothing reads again",
		"double-delivery-after-crash m1 @9: m1 was delivered 2 times: by a/runner, then b/runner, each time after a crash between a delivery and its removal",
		"double-delivery m2 @12: m2 was delivered 3 times: by a/runner, then b/runner, then b/runner, and no crash excuses it",
		"stranded m2 @-1: m2, delivered 3 times, is left as .bak, which nothing will pick up",
		"stray-copy m3 @-1: m3 was delivered, and a preserved copy of it remains (.psv)",
		"misleading-error m0 @9: a/runner reported m0 as damaged, which it never was: unparseable",
		"misleading-error m0 @4: b/runner reported m0 as damaged, which it never was: Uncaught runner exception: unparseable",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, want := Summary(v.Anomalies), "1 lost-message, 1 double-delivery, 1 stranded, 1 double-delivery-after-crash, 1 stray-copy, 2 misleading-error"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
}

// A delivery that the power took back is none.
func TestUndoneDeliveries(t *testing.T) {
	for _, c := range []struct{ history, want string }{
		{"client enqueue m0; a/d deliver m0; server lose m0", "1 lost-message"},
		{"client enqueue m0; a/d deliver m0; server lose m0; a/d deliver m0", "none"},
		{"client enqueue m0; a/d deliver m0; a/d deliver m0; server lose m0", "none"},
		{"client enqueue? m0; a/d deliver m0; server lose m0", "none"},
		{"client enqueue m0; server lose m0; a/d deliver m0", "none"},
	} {
		v := JudgeMessages(ExactlyOnce, Messages(parse(c.history), nil), nil)
		if got := Summary(v.Anomalies); got != c.want {
			t.Errorf("%s: %s, want %s", c.history, got, c.want)
		}
	}
	v := JudgeMessages(ExactlyOnce, []Message{{ID: "m0", Accepted: true, Undone: true}}, nil)
	if want := "m0 was accepted and delivered, and the delivery, which was not synced, was lost with the power"; v.Anomalies[0].Explanation != want {
		t.Errorf("it is told as %q", v.Anomalies[0].Explanation)
	}
}

// parse reads a history in short: "client enqueue m0" is invoked and done,
// "client enqueue? m0" stays open; "crash WHO".
func parse(text string) []history.Op {
	var r history.Recorder
	for i, s := range strings.Split(text, ";") {
		r.Step = i
		w := strings.Fields(s)
		switch {
		case w[0] == "crash":
			r.Add("nemesis", history.Info, "crash", w[1], "")
		case strings.HasSuffix(w[1], "?"):
			r.Add(w[0], history.Invoke, strings.TrimSuffix(w[1], "?"), w[2], "")
		default:
			r.Did(w[0], w[1], w[2])
		}
	}
	return r.Ops()
}

func TestCrashExcuses(t *testing.T) {
	for _, c := range []struct{ history, want string }{
		{"client enqueue m0; a/r deliver m0; a/r remove m0", ""},
		{"client enqueue m0; a/r deliver m0; b/r deliver m0", "double-delivery"},
		{"client enqueue m0; a/r deliver m0; crash a/r; a/r deliver m0", "double-delivery-after-crash"},
		{"client enqueue m0; a/r deliver m0; crash a; b/r deliver m0", "double-delivery-after-crash"},
		{"client enqueue m0; a/r.1 deliver m0; crash a/r; b/r deliver m0", "double-delivery-after-crash"},
		{"client enqueue m0; a/r deliver m0; crash a/r.1; b/r deliver m0", "double-delivery"},
		{"client enqueue m0; a/runner deliver m0; crash a/r; b/r deliver m0", "double-delivery"},
		{"client enqueue m0; a/r deliver m0; crash b; b/r deliver m0", "double-delivery"},
		{"client enqueue m0; crash a; a/r deliver m0; b/r deliver m0", "double-delivery"},
		{"client enqueue m0; a/r deliver m0; a/r remove m0; crash a/r; b/r deliver m0", "double-delivery"},
		{"client enqueue m0; a/r deliver m0; crash a/r; a/r deliver m0; b/r deliver m0", "double-delivery"},                      // one crash, one excuse
		{"client enqueue m0; a/r deliver m0; crash a/r; a/r deliver m0; crash a; b/r deliver m0", "double-delivery-after-crash"}, // two
		{"client enqueue m0; a/r deliver m0; crash a/r; crash a; a/r deliver m0; b/r deliver m0", "double-delivery"},             // the second interrupted nothing
		{"client enqueue m0; client enqueue m1; a/r deliver m0; crash a/r; a/r deliver m1; b/r deliver m1", "double-delivery"},   // another message's
		{"client enqueue m0; a/in forward m0; crash a/in; a/in forward m0; a/r deliver m0; a/r remove m0; a/r deliver m0", "double-delivery-after-crash"},
		{"client enqueue m0; a/in forward m0; a/in remove m0; crash a/in; a/r deliver m0; a/r remove m0; a/r deliver m0", "double-delivery"},
		{"client enqueue m0; a/in forward m0; crash a/in; a/in forward m0; a/r deliver m0; a/r deliver m0; b/r deliver m0", "double-delivery"}, // one crash, one excuse
		{"client enqueue? m0", ""},
		{"client enqueue? m0; a/r deliver m0", ""},
		{"client enqueue m0; a/r deliver? m0", "lost-message"},
	} {
		t.Run(c.history, func(t *testing.T) {
			ops := parse(c.history)
			v := JudgeMessages(ExactlyOnce, Messages(ops, nil), nil)
			if got := kinds(v.Anomalies); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFindMisleading(t *testing.T) {
	steps := []history.Step{
		{Index: 4, Lines: []history.Line{{Process: "b/r", Text: "unparseable message: m0"}, {Process: "b/r", Text: "hello"}}},
		{Index: 5, Lines: []history.Line{{Process: "a/r", Text: "unparseable message: m1"}}},
	}
	about := func(line string) (string, bool) { return strings.CutPrefix(line, "unparseable message: ") }
	got := FindMisleading(steps, about, func(id string) bool { return id == "m1" })
	want := []Misleading{{"b/r", "m0", 4, "unparseable message: m0"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

var (
	allPlaces    = []string{Pck, Bak, Psv, Shunt, Tmp, UnservedSlice, Nowhere}
	allProcesses = []string{"a/r", "a/r.1", "b/r"}
)

// random returns a small history of one or two messages and where they end.
func random(r *rand.Rand) ([]history.Op, map[string][]string) {
	var rec history.Recorder
	ids := []string{"m0", "m1"}[:1+r.IntN(2)]
	places := map[string][]string{}
	for _, id := range ids {
		rec.Add("client", history.Invoke, "enqueue", id, "")
		for range r.IntN(3) {
			places[id] = append(places[id], allPlaces[r.IntN(len(allPlaces))])
		}
	}
	done := map[string]bool{}
	for range r.IntN(9) {
		rec.Step++
		id, process := ids[r.IntN(len(ids))], allProcesses[r.IntN(len(allProcesses))]
		switch n := r.IntN(10); {
		case n < 2 && !done[id]:
			done[id] = true
			rec.Add("client", []history.Type{history.OK, history.OK, history.Info, history.Fail}[r.IntN(4)], "enqueue", id, "")
		case n < 4:
			rec.Did(process, "deliver", id)
		case n < 5:
			rec.Did(process, "forward", id)
		case n < 7:
			rec.Did(process, "remove", id)
		default:
			rec.Add("nemesis", history.Info, "crash", []string{"a", "b", "a/r", "a/r.1"}[r.IntN(4)], "")
		}
	}
	ops := rec.Ops()
	// A message whose enqueue failed is never delivered: drop such histories' failures.
	for i := range ops {
		if ops[i].F == "enqueue" && ops[i].Type == history.Fail && slices.ContainsFunc(ops, func(o history.Op) bool { return o.F == "deliver" && o.Value == ops[i].Value }) {
			ops[i].Type = history.Info
		}
	}
	return ops, places
}

// oracle judges one message by trying everything, straight from the words of
// the promises: which crash excuses which delivery is tried in every way.
func oracle(p Promise, ops []history.Op, id string, places []string) bool {
	accepted, waits, litter, psv := false, false, false, false
	for _, place := range places {
		waits = waits || place == Pck
		psv = psv || place == Psv
		litter = litter || place == Bak || place == Tmp || place == Shunt || place == UnservedSlice
	}
	var deliveries []int
	for i, op := range ops {
		if op.Value == id && op.Type == history.OK {
			accepted = accepted || op.F == "enqueue"
			if op.F == "deliver" {
				deliveries = append(deliveries, i)
			}
		}
	}
	n := len(deliveries)
	switch p {
	case AtMostOnce:
		return n <= 1
	case ExactlyOnce:
		if !accepted && n == 0 {
			return true
		}
		if n == 0 {
			return waits && !litter
		}
		return n == 1 && !litter && !psv
	}
	if accepted && n == 0 && !waits {
		return false
	}
	// A crash may excuse a later delivery if its process's last act on the
	// message before it, and after its crash before that, was a delivery or
	// a forwarding.
	hits := func(crash, process string) bool {
		return crash == process || crash == "a" && process[0] == 'a' || crash == "b" && process[0] == 'b' || crash == "a/r" && process == "a/r.1"
	}
	var excuses []int // places in the history
	for c, op := range ops {
		if op.F != "crash" {
			continue
		}
		for _, process := range allProcesses {
			for i := c - 1; i >= 0 && hits(op.Value, process); i-- {
				o := ops[i]
				if o.F == "crash" && hits(o.Value, process) || o.F == "remove" && o.Process == process && o.Value == id && o.Type == history.OK {
					break
				}
				if (o.F == "deliver" || o.F == "forward") && o.Process == process && o.Value == id && o.Type == history.OK {
					excuses = append(excuses, c)
					break
				}
			}
		}
	}
	var match func(rest, free []int) bool
	match = func(rest, free []int) bool {
		if len(rest) == 0 {
			return true
		}
		for i, c := range free {
			if c < rest[0] && match(rest[1:], slices.Delete(slices.Clone(free), i, i+1)) {
				return true
			}
		}
		return false
	}
	return n <= 1 || match(deliveries[1:], excuses)
}

// linearizable judges each message by MessageModel instead of by the table. It
// takes time in the product of messages and operations.
func linearizable(p Promise, ops []history.Op, places map[string][]string) bool {
	for _, m := range Messages(ops, places) {
		if !porcupine.CheckOperations(MessageModel(p), MessageOperations(ops, m.ID, m.Places)) {
			return false
		}
	}
	return true
}

// The table, the porcupine model and the oracle agree.
func TestCheckersAgree(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	var seen [3][2]int
	for range n {
		ops, places := random(r)
		for i, p := range Promises {
			table := JudgeMessages(p, Messages(ops, places), nil).Verdict == Valid
			model := linearizable(p, ops, places)
			naive := true
			for _, id := range []string{"m0", "m1"} {
				naive = naive && oracle(p, ops, id, places[id])
			}
			if table != model || table != naive {
				t.Fatalf("%s: table %v, model %v, oracle %v\n%v\n%v", p, table, model, naive, ops, places)
			}
			if table {
				seen[i][1]++
			} else {
				seen[i][0]++
			}
		}
	}
	for i, s := range seen {
		if min(s[0], s[1]) < n/50 {
			t.Errorf("%s: %d bad and %d good histories say little", Promises[i], s[0], s[1])
		}
	}
}

// long makes a history of n operations over n/4 messages, one of them lost and
// one delivered twice.
func long(n int) ([]history.Op, map[string][]string) {
	var r history.Recorder
	for i := range n / 4 {
		id := fmt.Sprintf("m%d", i)
		r.Did("client", "enqueue", id)
		switch i {
		case 7:
			r.Did("b/r", "remove", id)
		case 8:
			r.Add("a/r", history.OK, "deliver", id, "")
			r.Add("b/r", history.OK, "deliver", id, "")
		default:
			r.Did("a/r", "deliver", id)
		}
		r.Step++
	}
	return r.Ops(), map[string][]string{"m9": {Psv}}
}

const longVerdict = "lost-message double-delivery stray-copy"

func TestLongHistory(t *testing.T) {
	ops, places := long(100_000)
	v := JudgeMessages(ExactlyOnce, Messages(ops, places), nil)
	if got := kinds(v.Anomalies); got != longVerdict {
		t.Errorf("got %q, want %q", got, longVerdict)
	}
}

// One message delivered over and over, and as many crashes, is no slower.
func TestLongHistoryOfOneMessage(t *testing.T) {
	var r history.Recorder
	r.Did("client", "enqueue", "m0")
	for range 50_000 {
		r.Add("a/r", history.OK, "deliver", "m0", "")
		r.Add("nemesis", history.Info, "crash", "a", "")
	}
	v := JudgeMessages(AtLeastOnce, Messages(r.Ops(), nil), nil)
	if v.Verdict != Valid || kinds(v.Allowed) != DoubleDeliveryAfterCrash {
		t.Errorf("got %s, %v", v.Verdict, v.Allowed)
	}
}

// BenchmarkMillion judges 1,000,000 operations, and reports the heap that is
// then in use, the history's included.
func BenchmarkMillion(b *testing.B) {
	ops, places := long(1_000_000)
	for b.Loop() {
		v := JudgeMessages(ExactlyOnce, Messages(ops, places), nil)
		if kinds(v.Anomalies) != longVerdict {
			b.Fatal(v.Anomalies)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-from-system")
	runtime.KeepAlive(ops)
}
