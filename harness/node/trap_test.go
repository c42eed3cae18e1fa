package node

import (
	"reflect"
	"testing"
)

// In a position-independent executable (go test -buildmode=pie) the filter of
// built-in programs is that of all others, and in any other it is not.
func TestDirectFilter(t *testing.T) {
	if plain := reflect.DeepEqual(program(Direct), program(Plain)); plain != relocated() {
		t.Errorf("the filter is the plain one: %v; position-independent: %v", plain, relocated())
	}
}
