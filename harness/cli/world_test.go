package cli

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An error is told with what became of the worlds, by their names. The first
// ends only when the last is told to.
func TestWorldsEnd(t *testing.T) {
	end := func(err error) error {
		var list worlds
		for _, w := range []struct{ name, script string }{
			{"world 2", "read x <&3; echo oops >&2"},
			{"world 3", "read x <&3; exit 3"},
			{"world 4", "read x <&3; true"},
		} {
			list = append(list, &world{name: w.name, cmd: exec.Command("sh", "-c", w.script)})
			list[len(list)-1].cmd.Stderr = &list[len(list)-1].stderr
		}
		for i, w := range list {
			from, to, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			w.pipe = to
			list[len(list)-1-i].cmd.ExtraFiles = []*os.File{from} // the last one's the first, so that it waits for all to be told
		}
		for _, w := range list {
			if err := w.cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
		return list.end(err)
	}
	if err := end(nil); err != nil {
		t.Error(err)
	}
	want := "it failed\nworld 2 says: oops\nworld 3: exit status 3"
	if diff := cmp.Diff(want, end(errors.New("it failed")).Error()); diff != "" {
		t.Error(diff)
	}
}
