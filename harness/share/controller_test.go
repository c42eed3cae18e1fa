package share

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestControllersView(t *testing.T) {
	s := testStore(t)
	list, err := s.ReadDir("shared")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"dir", "f", "g"}, names); diff != "" {
		t.Errorf("ReadDir (-want +got):\n%s", diff)
	}
	if e := list[1]; e.Mode != 0o644 || e.Size != 4 || e.Nlink != 1 {
		t.Errorf("entry %+v", e)
	}
	for _, err := range []error{
		s.MkdirAll("shared/f/x", 0o755),
		s.WriteFile("missing/x", nil, 0o644),
		s.WriteFile("shared", nil, 0o644),
		s.WriteFile("shared/large", make([]byte, maxFileSize+1), 0o644),
		s.Remove("missing"),
		s.Remove("shared"),
		s.Remove(""),
	} {
		var path *fs.PathError
		if !errors.As(err, &path) {
			t.Errorf("%v is no *fs.PathError", err)
		}
	}
	if after, err := s.ReadDir("shared"); err != nil || !slices.Equal(after, list) {
		t.Errorf("what failed has left %+v, %v", after, err)
	}
}
