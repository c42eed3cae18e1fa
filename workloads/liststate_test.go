package workloads

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"screwtape/harness"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
	"screwtape/runner/list"
	"screwtape/runner/pickle"
)

// listEnd is the end of a schedule in which this happened to a list, in lines such as
// "a/add starts add x", "a/hold says about request:1:m0", "b/add ends with exit 0" and
// "b/add is killed"; the words, those of list.State and list.RequestWords, tell what
// lies there then.
func listEnd(t rapid.TB, words string, lines []string) *harness.End {
	var h history.Recorder
	e := &harness.End{Share: share.NewStore(time.Now)}
	for i, line := range lines {
		h.Step = i
		process, rest, _ := strings.Cut(line, " ")
		step := history.Step{Index: i, Decision: schedule.Decision{Process: process}}
		switch verb, what, _ := strings.Cut(rest, " "); verb {
		case "starts":
			command, arguments, _ := strings.Cut(what, " ")
			h.Add("nemesis", history.Info, "start", process, "")
			h.Add(process, history.Invoke, command, arguments, "")
		case "says":
			step.Lines = []history.Line{{Process: process, Text: what}}
		case "ends":
			h.Add(process, history.Info, "exit", strings.TrimPrefix(what, "with "), "")
		case "is":
			h.Add("nemesis", history.Info, "crash", process, "")
		default:
			t.Fatalf("%q: what is that?", line)
		}
		e.Steps = append(e.Steps, step)
	}
	e.History = h.Ops()

	var members []string
	attributes, requests := list.State{}, pickle.Metadata{}
	for _, word := range strings.Fields(words) {
		key, value := register(word)
		switch kind, name, _ := strings.Cut(key, " "); kind {
		case aMember:
			members = append(members, name)
		case anAttribute:
			attributes[name] = value
		case aRequest:
			requests[name] = value
		}
	}
	if err := makeList(e.Share, []string{"a"}, members...); err != nil {
		t.Fatal(err)
	}
	state := list.NewState("test", members...)
	for key, value := range attributes {
		state[key] = value
	}
	data, err := state.Encode()
	if err != nil {
		t.Fatal(err)
	}
	requestData, err := pickle.EncodeMetadata(requests)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"config.pck": data, "request.pck": requestData} {
		if err := e.Share.WriteFile("/shared/"+listDir+"/"+name, data, 0o660); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// judged are the anomalies of a list's history, each its kind and its subject.
func judged(e *harness.End) []string {
	var found []string
	for _, a := range (&Config{DefaultConfig()}).Judge(e).Anomalies {
		found = append(found, a.Kind+" "+a.Subject)
	}
	return found
}

// What was done to a list, and seen of it, is told from what cannot have been.
func TestListHistories(t *testing.T) {
	const (
		holds   = "a/hold starts hold m0; a/hold says about request:1:m0; a/hold ends with exit 0; "
		handles = "a/handle starts handle 1; a/handle says about request:1:m0; a/handle ends with exit 0; "
		adds    = "a/add starts add x; a/add says done; a/add ends with exit 0; "
		looks   = "b/requests starts requests; b/requests says state"
		ends    = "; b/requests ends with exit 0"
	)
	for _, c := range []struct {
		name, lines, end string
		found            []string
	}{
		{"nothing happens", "", "", nil},
		{"a change is there", adds, "member:x", nil},
		{"a change is lost", adds, "", []string{"lost-update member x"}},
		{"a change that was not acknowledged is not there", "a/add starts add x; a/add is killed", "", nil},
		{"or is", "a/add starts add x; a/add is killed", "member:x", nil},
		{"one that failed is there", "a/add starts add x; a/add ends with exit 1", "member:x", nil},
		{"one that was refused has changed nothing", "a/add starts add first; a/add ends with exit 3", "", nil},
		{"it was refused for nothing", "a/add starts add x; a/add ends with exit 3", "", []string{"lost-update member x"}},
		{"two add the same, and neither is refused", adds + "b/add starts add x; b/add ends with exit 0", "member:x", []string{"lost-update member x"}},
		{"it is killed, started again, and refused", "a/add starts add x; a/add is killed; a/add starts add x; a/add ends with exit 3", "member:x", nil},
		{"a member whom nobody added", "", "member:y", []string{"lost-update member y"}},
		{"a member whom nobody removed", "", "-", []string{"lost-update member first"}},
		{"an attribute that nobody set", "", "attribute:description:new", []string{"lost-update attribute description"}},
		{"what a reader saw is lost", "a/add starts add x; b/show starts show; b/show says state member:first member:x attribute:internal_name:test; b/show ends with exit 0; a/add is killed", "",
			[]string{"lost-update member x"}},
		{"one name that is added, set, and held", adds + "b/set starts set x y; b/set ends with exit 0; a/hold starts hold x; a/hold says about request:1:x; a/hold ends with exit 0",
			"member:x attribute:x:y request:1:x", nil},

		{"a request is there", holds, "request:1:m0", nil},
		{"a request is lost", holds, "", []string{"lost-update request 1"}},
		{"a request is handled", holds + handles, "", nil},
		{"a request that was handled is back", holds + handles, "request:1:m0", []string{"lost-update request 1"}},
		{"a request that nobody held", "", "request:7:m7", []string{"lost-update request 7"}},
		{"a request is there twice", holds, "request:1:m0 request:2:m0", []string{"lost-update request 2"}},
		{"who was killed before it took a number has held nothing", "a/hold starts hold m0; a/hold is killed", "", nil},
		{"so it is not there", "a/hold starts hold m0; a/hold is killed", "request:1:m0", []string{"lost-update request 1"}},
		{"who was killed later may have", "a/hold starts hold m0; a/hold says about request:1:m0; a/hold is killed", "request:1:m0", nil},
		{"or not", "a/hold starts hold m0; a/hold says about request:1:m0; a/hold is killed", "", nil},
		{"it is killed, started again, and takes another", "a/hold starts hold m0; a/hold says about request:1:m0; a/hold is killed; " +
			"a/hold starts hold m0; a/hold says about request:2:m0; a/hold ends with exit 0", "request:1:m0 request:2:m0", nil},
		{"handling is refused", "a/handle starts handle 1; a/handle ends with exit 3; " + holds, "request:1:m0", nil},
		{"it is refused for nothing", holds + "a/handle starts handle 1; a/handle ends with exit 3", "request:1:m0", []string{"lost-update request 1"}},
		{"a number is given twice", holds + "b/hold starts hold m1; b/hold says about request:1:m1; b/hold ends with exit 0", "request:1:m1", []string{"lost-update request 1"}},
		{"a number is given twice, at once", "a/hold starts hold m0; b/hold starts hold m1; a/hold says about request:1:m0; b/hold says about request:1:m1; a/hold ends with exit 0; b/hold ends with exit 0",
			"request:1:m1", []string{"lost-update request 1"}},
		{"and handled", "a/hold starts hold m0; b/hold starts hold m1; a/hold says about request:1:m0; b/hold says about request:1:m1; a/hold ends with exit 0; b/hold ends with exit 0; " +
			"a/handle starts handle 1; a/handle says about request:1:m1; a/handle ends with exit 0", "", []string{"lost-update request 1"}},
		{"a number is given again when it is free", holds + handles + "b/hold starts hold m1; b/hold says about request:1:m1; b/hold ends with exit 0", "request:1:m1", nil},

		{"somebody looks, and sees it", holds + looks + " request:1:m0" + ends, "request:1:m0", nil},
		{"somebody looks, and does not", holds + looks + ends, "request:1:m0", []string{"lost-update request 1"}},
		{"somebody looks meanwhile", looks + "; " + holds + strings.TrimPrefix(ends, "; "), "request:1:m0", nil},
		{"somebody sees what nobody held", looks + " request:1:m0" + ends, "", []string{"lost-update request 1"}},
		{"somebody sees it before it was held", looks + " request:1:m0" + ends + "; " + holds, "request:1:m0", []string{"lost-update request 1"}},
		{"somebody sees it when it was handled", holds + handles + looks + " request:1:m0" + ends, "", []string{"lost-update request 1"}},
		{"somebody sees it under another number", holds + looks + " request:2:m0" + ends, "request:1:m0", []string{"lost-update request 1", "lost-update request 2"}},
		{"somebody looks, and is killed", holds + looks + "; b/requests is killed", "request:1:m0", nil},
		{"somebody cannot read the requests", "b/requests starts requests; b/requests ends with exit 5", "", []string{"corrupt-state request.pck"}},
		{"somebody cannot read the list", "b/show starts show; b/show ends with exit 4", "", []string{"corrupt-state config.pck"}},
	} {
		if c.end == "-" {
			c.end = ""
		} else {
			c.end += " member:" + initialMember
		}
		var lines []string
		for line := range strings.SplitSeq(c.lines, ";") {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		e := listEnd(t, c.end, lines)
		if diff := cmp.Diff(c.found, judged(e)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// What a damaged file holds is not judged, and what the other one holds is.
func TestDamageHidesNothingElse(t *testing.T) {
	lines := []string{"a/add starts add x", "a/add ends with exit 0", "a/hold starts hold m0", "a/hold says about request:1:m0", "a/hold ends with exit 0"}
	for file, other := range map[string]string{"config.pck": "request 1", "request.pck": "member x"} {
		e := listEnd(t, "member:"+initialMember, lines)
		if err := e.Share.WriteFile("/shared/"+listDir+"/"+file, []byte("(dS'a'"), 0o660); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"corrupt-state " + file, "lost-update " + other}, judged(e)); diff != "" {
			t.Error(file, diff)
		}
	}
}

// A toyList is a list that each command finds as it is, and changes in one moment.
type toyList struct {
	values map[string]string // by keys
	given  int               // numbers of requests
	open   map[string]bool   // keys of which it is not known what killed commands did to them
}

// do does a command in one moment, or, if it is killed, all or nothing of it. It gives
// what the command says of itself, and with what it ends.
func (l *toyList) do(command []string, killed string) (says, how string) {
	argument := append(command, "")[1]
	key, value, found := aMember+" "+argument, there, ""
	switch command[0] {
	case "show":
		return "state " + l.words(aMember) + " attribute:internal_name:test", done
	case "requests":
		return "state " + l.words(aRequest), done
	case "remove":
		value, found = "", there
	case "hold":
		key, value = aRequest+" "+strconv.Itoa(l.given+1), argument
		says = "about request:" + strconv.Itoa(l.given+1) + ":" + argument
		if killed != "before" {
			l.given++
		}
	case "handle":
		key, value = aRequest+" "+argument, ""
		if found = l.values[key]; found == "" {
			return "", refused
		}
		says = "about request:" + argument + ":" + found
	}
	l.open[key] = l.open[key] || killed != ""
	switch {
	case l.values[key] != found:
		return "", refused
	case killed == "before":
	case value == "":
		delete(l.values, key)
	default:
		l.values[key] = value
	}
	return says, done
}

// words are what is there of these kinds.
func (l *toyList) words(kinds ...string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(l.values)) {
		switch kind, name, _ := strings.Cut(key, " "); {
		case !slices.Contains(kinds, kind):
		case kind == aRequest:
			words = append(words, kind+":"+name+":"+l.values[key])
		default:
			words = append(words, kind+":"+name)
		}
	}
	return strings.Join(words, " ")
}

// Of a sound list nothing is said, whoever is killed; and if then one thing of it is
// another in the end, that is found.
func TestListCheckerOnSoundLists(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := toyList{values: map[string]string{aMember + " " + initialMember: there}, open: map[string]bool{}}
		n := rapid.IntRange(1, 8).Draw(r, "commands")
		moments := make([]int, 3*n) // of each command its start, when it is done, and its end
		for i := range moments {
			moments[i] = i
		}
		moments = rapid.Permutation(moments).Draw(r, "moments")
		at := make([]func() string, 3*n)
		for i := range n {
			own := moments[3*i : 3*i+3]
			slices.Sort(own)
			process := "a/" + strconv.Itoa(i)
			command := rapid.SampledFrom([]string{"add x", "add y", "remove x", "remove first", "hold m", "handle 1", "handle 2", "show", "requests"}).Draw(r, "command")
			killed := rapid.SampledFrom([]string{"", "", "", "before", "after"}).Draw(r, "killed")
			end := " is killed"
			at[own[0]] = func() string { return process + " starts " + command }
			at[own[1]] = func() string {
				says, how := l.do(strings.Fields(command), killed)
				if killed == "" {
					end = " ends with " + how
				}
				return process + " says " + says
			}
			at[own[2]] = func() string { return process + end }
		}
		var lines []string
		for _, do := range at {
			lines = append(lines, do())
		}
		tell := func(found []string) string {
			return fmt.Sprintf("found %v in\n%s\nand in the end: %s", found, strings.Join(lines, "\n"), l.words(aMember, aRequest))
		}
		if found := judged(listEnd(r, l.words(aMember, aRequest), lines)); len(found) > 0 {
			r.Fatal(tell(found))
		}
		key := rapid.SampledFrom([]string{"member x", "member y", "member first", "request 1", "request 2", "request 9"}).Draw(r, "changed")
		if l.open[key] {
			return
		}
		if l.values[key] == "" {
			l.values[key] = "m"
		} else {
			delete(l.values, key)
		}
		if found := judged(listEnd(r, l.words(aMember, aRequest), lines)); !slices.Contains(found, "lost-update "+key) {
			r.Fatal(tell(found))
		}
	})
}
