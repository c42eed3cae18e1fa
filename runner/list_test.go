package runner

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The lines of docs/mailman.md that make a list and change it print what is said there.
func TestListByHand(t *testing.T) {
	manual, err := os.ReadFile("../docs/mailman.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	lines := regexp.MustCompile(`(?m)^screwtape runner (list --dir lists/test [a-z].*)$`).FindAllStringSubmatch(string(manual), -1)
	if len(lines) < 8 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		command, says, _ := strings.Cut(line[1], "#")
		_, out, log := run(t, strings.Fields(strings.ReplaceAll(command, "lists/", dir+"/lists/"))...)
		if got := strings.ReplaceAll(strings.TrimSpace(out+log), "\n", "; "); got != strings.TrimSpace(says) {
			t.Errorf("%s: prints %q", line[0], got)
		}
	}
	want(t, "left", tree(t, dir), []string{"lists/test/config.pck", "lists/test/config.pck.last", "lists/test/request.pck"})
}

// A list is made once, and its lock is where an installation has it, unless something
// else is said; flags may follow the command.
func TestListNew(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args, says string
		status     int
	}{
		{"show", "giving up\n", exitNoState},
		{"new --timeout 1s", "done\n", 0},
		{"new", "List already exists\n", exitRefused},
		{"add -- --odd", "done\n", 0},
		{"show", "state member:--odd attribute:internal_name:test attribute:next_request_id:1\n", 0},
	} {
		status, out, log := run(t, append([]string{"list", "--dir", dir + "/lists/test"}, strings.Fields(c.args)...)...)
		if status != c.status || !strings.HasSuffix(out+log, c.says) {
			t.Errorf("%s: status %d, %q", c.args, status, out+log)
		}
	}
	if err := os.WriteFile(dir+"/lists/test/request.pck", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if status, _, log := run(t, "list", "--dir", dir+"/lists/test", "requests"); status != exitNoRequests {
		t.Errorf("requests that cannot be read: status %d, %q", status, log)
	}
	if err := os.WriteFile(dir+"/locks/test.lock", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	status, _, log := run(t, "list", "--dir", dir+"/lists/test", "--timeout", "1ms", "add", "x")
	if status != 1 || !strings.HasSuffix(log, "TimeOutError\n") {
		t.Errorf("under another's lock: status %d, %q", status, log)
	}
}
