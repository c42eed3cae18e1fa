package schedule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"screwtape/harness/schedule"
)

// Every verb that is no system call is among Verbs: a tape may hold it.
func TestVerbs(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "decision.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if c, ok := n.(*ast.GenDecl); !ok || c.Tok != token.CONST {
			return true
		}
		ast.Inspect(n, func(n ast.Node) bool {
			if v, ok := n.(*ast.BasicLit); ok && v.Kind == token.STRING {
				found++
				if verb, err := strconv.Unquote(v.Value); err != nil || !slices.Contains(schedule.Verbs, verb) {
					t.Errorf("%s is not among Verbs, %v", v.Value, err)
				}
			}
			return true
		})
		return false
	})
	if found != len(schedule.Verbs) {
		t.Errorf("%d constants, and %d Verbs", found, len(schedule.Verbs))
	}
}
