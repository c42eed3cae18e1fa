package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be counted is said, with what is done without it.
func TestCheckSchedstat(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"counts": "1000 20 3\n", "nothing": "0 0 0\n", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, found := range map[string]string{"counts": "counts", "nothing": "counts nothing", "empty": "counts nothing", "missing": "no such file"} {
		c := checkSchedstat(filepath.Join(dir, name))
		if !strings.Contains(c.Found, found) || c.OK != (name == "counts") || c.Needed || c.Instead == "" || c.Mend == "" {
			t.Errorf("%s: %+v, want %q", name, c, found)
		}
	}
}
