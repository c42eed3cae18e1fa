package results

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"screwtape/harness/check"
)

// An empty report has every required key, and lists where lists are promised.
func TestReportJSON(t *testing.T) {
	data, err := json.Marshal(Report{Verdict: check.Valid, Cells: []Cell{{}}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "null") {
		t.Errorf("null in %s", data)
	}
	r := lostReport(t, t.TempDir())
	data, err = json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	r.Schema, r.Allowed = SchemaVersion, []Anomaly{}
	if diff := cmp.Diff(r, again); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"lost-message", "misleading-error"}, again.Kinds()); diff != "" {
		t.Error(diff)
	}
}

// The JSON schema describes exactly the keys that a Report has, with their
// types, and docs/verdict-schema.md names each of them.
func TestReportKeysAreThoseOfTheSchema(t *testing.T) {
	data, err := os.ReadFile("../docs/verdict.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/verdict-schema.md")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "report", reflect.TypeFor[Report](), schema, schema["$defs"].(map[string]any), string(doc))
	if got := schema["properties"].(map[string]any)["schema"].(map[string]any)["const"]; got != float64(SchemaVersion) {
		t.Errorf("the schema is for version %v", got)
	}
}

func compare(t *testing.T, where string, typ reflect.Type, schema, defs map[string]any, doc string) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	kind := map[reflect.Kind]string{
		reflect.String: "string", reflect.Int: "integer", reflect.Uint64: "integer", reflect.Float64: "number",
		reflect.Bool: "boolean", reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object",
	}[typ.Kind()]
	if schema["type"] != kind {
		t.Errorf("%s is %s, and %v in the schema", where, kind, schema["type"])
		return
	}
	switch typ.Kind() {
	case reflect.Slice:
		compare(t, where+"[]", typ.Elem(), schema["items"].(map[string]any), defs, doc)
	case reflect.Map:
		compare(t, where+"{}", typ.Elem(), schema["additionalProperties"].(map[string]any), defs, doc)
	case reflect.Struct:
		properties := maps.Clone(schema["properties"].(map[string]any))
		var required []string
		for _, f := range reflect.VisibleFields(typ) {
			if f.Anonymous {
				continue
			}
			key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			property, ok := properties[key].(map[string]any)
			if !ok {
				t.Errorf("%s.%s is not in the schema", where, key)
				continue
			}
			if !strings.Contains(doc, "`"+key+"`") {
				t.Errorf("%s.%s is not in docs/verdict-schema.md", where, key)
			}
			delete(properties, key)
			if options != "omitempty" {
				required = append(required, key)
			}
			compare(t, where+"."+key, f.Type, property, defs, doc)
		}
		for key := range properties {
			t.Errorf("%s.%s is in the schema alone", where, key)
		}
		var got []string
		list, _ := schema["required"].([]any)
		for _, key := range list {
			got = append(got, key.(string))
		}
		slices.Sort(got)
		slices.Sort(required)
		if diff := cmp.Diff(required, got); diff != "" {
			t.Errorf("%s: required: %s", where, diff)
		}
	}
}
