package share

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func mappings(t *testing.T, a, b string) {
	page := os.Getpagesize()
	text := strings.Repeat("a", page) + strings.Repeat("b", page)
	ok(t, os.WriteFile(a+"/f", []byte(text), 0o644))
	m := startHelper(t, a+"/f")
	m.ask("map", "ok")
	m.ask("get 0", "a")
	m.ask(fmt.Sprintf("get %d", page), "b")

	// A store is on the server after msync.
	m.ask("set 0 X", "ok")
	m.ask("sync", "ok")
	wantData(t, b+"/f", "X"+text[1:])

	// What the other node writes is there once this one has looked at the file,
	// or maps it again; what the same node writes, at once.
	must[int](t)(openAt(t, b+"/f", os.O_WRONLY).WriteAt([]byte("y"), 1))
	stat(t, a+"/f")
	m.ask("get 1", "y")
	must[int](t)(openAt(t, b+"/f", os.O_WRONLY).WriteAt([]byte("Y"), 1))
	m.ask("unmap", "ok")
	m.ask("map", "ok")
	m.ask("get 1", "Y")
	must[int](t)(openAt(t, a+"/f", os.O_WRONLY).WriteAt([]byte("Z"), 2))
	m.ask("get 2", "Z")

	// The end of a mapping writes back too, and never makes a file longer than
	// the other node has made it by then.
	m.ask(fmt.Sprintf("set %d W", page+7), "ok")
	m.ask("set 3 V", "ok")
	ok(t, os.Truncate(b+"/f", 5))
	m.ask("sync", "ok")
	m.ask("unmap", "ok")
	wantData(t, b+"/f", "XYZVa")
}

// programs executes one from the share: the kernel reads and maps it.
func programs(t *testing.T, a, b string) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("SKIPPED: no sh: %v", err)
	}
	ok(t, os.WriteFile(a+"/sh", must[[]byte](t)(os.ReadFile(sh)), 0o755))
	ok(t, os.WriteFile(a+"/script", []byte("#!"+b+"/sh\necho \"$1 from $0\" >>log\n"), 0o755))
	// Not by this process: its fork would wait for an exec that waits for us.
	cmd := exec.Command(sh, "-c", `cd "$0" && ./sh ./script one && ./script two && cat log`, b)
	out, err := cmd.CombinedOutput()
	if want := "one from ./script\ntwo from ./script\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}
