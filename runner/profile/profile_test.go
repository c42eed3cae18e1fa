package profile

import (
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table in docs/profiles.md")

func TestGet(t *testing.T) {
	for _, name := range All() {
		p, err := Get(name)
		if err != nil || p.Name != name || len(p.Bugs) != 0 {
			t.Errorf("Get(%q) = %+v, %v", name, p, err)
		}
	}
	if _, err := Get("2.1.16"); err == nil || !strings.Contains(err.Error(), "2.1.15") {
		t.Errorf("error %v does not say what there is", err)
	}
}

// get gives profiles that must be there.
func get(t *testing.T, names ...string) []Profile {
	t.Helper()
	var list []Profile
	for _, name := range names {
		p, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// 2.1.15 and 2.1.39 differ in what is known to differ, and in nothing else; and so
// do 2.1.15 and what the thread says of it.
func TestWhatDiffersIn21(t *testing.T) {
	p := get(t, "2.1.15", "2.1.39", "thread")
	for i, want := range [][]string{1: {"FinishSaysWhy", "RetryWaits", "StampAfterLoad", "Master.Looks"}, 2: {"RenameToLast"}} {
		var differ []string
		for _, f := range Facts() {
			if f.Text(p[0]) != f.Text(p[i]) {
				differ = append(differ, f.Name)
			}
		}
		if diff := cmp.Diff(want, differ); diff != "" {
			t.Errorf("%s: %s", p[i].Name, diff)
		}
	}
}

// fields are the fields of a profile that are facts, and their names.
func fields(prefix string, of reflect.Value) (names []string, values []reflect.Value) {
	for i := range of.NumField() {
		switch field, name := of.Field(i), prefix+of.Type().Field(i).Name; {
		case name == "Name" || name == "Bugs":
		case field.Kind() == reflect.Struct:
			n, v := fields(name+".", field)
			names, values = append(names, n...), append(values, v...)
		default:
			names, values = append(names, name), append(values, field)
		}
	}
	return names, values
}

// Each field of a profile is a fact, which fills that field and no other, and has
// a meaning and a source.
func TestEachFieldIsAFact(t *testing.T) {
	var names []string
	for i, f := range Facts() {
		names = append(names, f.Name)
		if f.Means == "" || f.Source == "" {
			t.Errorf("%s says too little", f.Name)
		}
		filled := false
		for column := range columns {
			var p Profile
			f.put(&p, column)
			_, values := fields("", reflect.ValueOf(&p).Elem())
			filled = filled || !values[i].IsZero()
			values[i].SetZero()
			if !reflect.ValueOf(p).IsZero() {
				t.Errorf("%s fills another field", f.Name)
			}
		}
		if !filled {
			t.Errorf("%s does not fill the field", f.Name)
		}
	}
	want, _ := fields("", reflect.ValueOf(Profile{}))
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

const profilesFile = "../../docs/profiles.md"

// The document has the table.
func TestDocument(t *testing.T) {
	old, err := os.ReadFile(profilesFile)
	if err != nil {
		t.Fatal(err)
	}
	const begin = "<!-- The table is written by go test ./runner/profile -update -->\n"
	head, table, ok := strings.Cut(string(old), begin)
	if !ok {
		t.Fatalf("%s has no line %s", profilesFile, begin)
	}
	cell := strings.NewReplacer("|", "\\|").Replace
	want := "| fact | " + strings.Join(columns, " | ") + " | what it is | known from |\n" + strings.Repeat("|---", len(columns)+3) + "|\n"
	for _, f := range Facts() {
		want += "| " + f.Name
		for _, p := range get(t, columns...) {
			want += " | " + cell(f.Text(p))
		}
		want += " | " + f.Means + " | " + f.Source + " |\n"
	}
	if *update {
		if err := os.WriteFile(profilesFile, []byte(head+begin+want), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, want); diff != "" {
		t.Errorf("%s is not what is so (go test ./runner/profile -update writes it):\n%s", profilesFile, diff)
	}
}

func TestBugTable(t *testing.T) {
	names := make([]string, len(Bugs))
	for i, b := range Bugs {
		names[i] = b.Name
		if b.Name == "" || b.Does == "" {
			t.Errorf("%+v says too little", b)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not in order, or twice: %q", names)
	}
}

func TestParseBugs(t *testing.T) {
	set, err := ParseBugs("no-recovery,skip-fsync")
	if err != nil || !set.Has("no-recovery") || !set.Has("skip-fsync") || set.Has("shunt-lost") {
		t.Errorf("%v, %v", set, err)
	}
	if set, err := ParseBugs(""); err != nil || set.Has("no-recovery") {
		t.Errorf("%v, %v", set, err)
	}
	for _, list := range []string{"nonsense", "no-recovery,", "No-Recovery"} {
		if _, err := ParseBugs(list); err == nil {
			t.Errorf("%q: no error", list)
		}
	}
}
