package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"screwtape/harness/history"
	"screwtape/harness/schedule"
)

// Whatever a program changes on the machine itself is noted, and nothing else
// is: not what it reads or what cannot succeed, no device, and nothing on the
// share, in its node's private directory or in its scratch.
func TestOutside(t *testing.T) {
	dir, scratch := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script  string
		changes []string // below dir
	}{
		{"echo >new; echo >>new", []string{"new", "new"}},
		{"echo >>old", []string{"old"}},
		{"cd /; (echo >>$OLDPWD/old)", []string{"old"}},
		{"mkdir d; mv old d/other; ln d/other back; ln -s back link; rm d/other; rmdir d; mv back old; rm link",
			[]string{"back", "back", "d", "d", "d/other", "d/other", "link", "link", "old", "old"}},
		{"chmod 600 old; touch -d @1 old; truncate -s 9 old", []string{"old", "old", "old", "old"}},
		{"cat old; ls; test -e none; cat <old", nil},
		{"rm -f none; mkdir -p .; mkdir .; ln old old; mv none old; set -C; : >old", nil},
		{"echo >/dev/null 2>/dev/stderr; echo x >/proc/self/comm; echo >/shared/d/f; echo >/local/f", nil},
		{"cd " + scratch + "; mkdir d; echo >d/f; mv d/f g", nil},
	} {
		w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: tableFiles}, Scratch: []string{scratch},
			Programs: []Program{shell("a", "sh", "cd "+dir+"; "+c.script)}})
		if _, err := w.Play(schedule.Canonical(), Options{Fresh: true}); err != nil {
			t.Fatal(err)
		}
		var want []history.Outside
		for _, name := range c.changes {
			o := history.Outside{Path: filepath.Join(dir, name), Process: "a/sh", Count: 1}
			if n := len(want); n > 0 && want[n-1].Path == o.Path {
				want[n-1].Count++
				continue
			}
			want = append(want, o)
		}
		if diff := cmp.Diff(want, w.Outside()); diff != "" {
			t.Errorf("%s:\n%s", c.script, diff)
		}
		os.Remove(filepath.Join(dir, "new"))
	}
}

// Scratch is each node's own, and empty when a schedule begins.
func TestScratch(t *testing.T) {
	dir := t.TempDir()
	program := func(node string) Program {
		return shell(node, "sh", fmt.Sprintf("ls %s; echo >%s/%s; ls %s", dir, dir, node, dir))
	}
	w := newWorld(t, &Test{Nodes: []string{"a", "b"}, Workload: plain{files: tableFiles}, Scratch: []string{dir},
		Programs: []Program{program("a"), program("b")}})
	for range 2 {
		r, err := w.Play(schedule.Canonical(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := []history.Line{{Process: "a/sh", Text: "a"}, {Process: "b/sh", Text: "b"}}
		if diff := cmp.Diff(want, r.Logs); diff != "" {
			t.Error(diff)
		}
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("%v is left on the machine, %v", left, err)
	}
}

func init() {
	probes["scratch"] = changeScratch
}

// changeScratch writes a file, and says and changes what is in it whenever it
// wakes: by the descriptor that it has from the start, or by a rename.
func changeScratch(args []string) int {
	p := newProber("absolute")
	name, other, how := args[0]+"/f", args[0]+"/other", args[1]
	write := func(fd int, text string) { p.sys(unix.SYS_PWRITE64, fd, raw(text), len(text), 0) }
	create := func(name string) int {
		return p.sys(unix.SYS_OPEN, raw(name), unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, 0o644)
	}
	f := create(name)
	write(f, "warm")
	for {
		p.sleep(slowSleep)
		text, err := os.ReadFile(name)
		fmt.Println(string(text), err)
		switch how {
		case "descriptor":
			write(f, "new!")
		case "rename":
			os.WriteFile(other, []byte("new!"), 0o644) // unseen, as any call of Go's runtime
			p.sys(unix.SYS_RENAME, raw(other), raw(name))
		}
	}
}

// A program that has changed in a schedule what it put into scratch before does
// not go on into the next one.
func TestChangedScratchIsMadeAnew(t *testing.T) {
	for _, how := range []string{"descriptor", "rename"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			program := probeProgram("a", "probe", true, []string{probeName, "scratch", dir, how})
			program.Horizon = slowSleep + slowSleep/2
			w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: tableFiles}, Scratch: []string{dir}, Programs: []Program{program}})
			for i := range 3 {
				r, err := w.Play(schedule.Canonical(), Options{})
				if err != nil {
					t.Fatal(err)
				}
				want := []history.Line{{Process: "a/probe", Text: "warm <nil>"}, {Process: "a/probe", Text: "new! <nil>"}}
				if diff := cmp.Diff(want, r.Logs); diff != "" {
					t.Errorf("schedule %d: %s", i+1, diff)
				}
			}
		})
	}
}

// What a prepared process leaves in scratch is gone when the first schedule
// begins, as when any other does.
func TestScratchOfPrepared(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: tableFiles}, Scratch: []string{dir},
		Prepared: []Program{sower("a", "echo >"+dir+"/left")},
		Programs: []Program{{Node: "a", Name: "one", Fork: "ls " + dir, Late: true, Once: true}}})
	for i := range 2 {
		r, err := w.Play(schedule.Canonical(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Logs) > 0 {
			t.Errorf("schedule %d finds %v", i+1, r.Logs)
		}
	}
}

// When a schedule begins, whatever is changed in scratch from then on gets another
// time than what is there.
func TestScratchIsOlderThanSchedule(t *testing.T) {
	dir := t.TempDir()
	program := probeProgram("a", "probe", true, []string{probeName, "scratch", dir, "descriptor"})
	w := newWorld(t, &Test{Nodes: []string{"a"}, Workload: plain{files: tableFiles}, Scratch: []string{dir}, Programs: []Program{program}})
	for range 20 {
		if err := w.reset(true); err != nil {
			t.Fatal(err)
		}
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
			t.Fatal(err)
		}
		if s := w.hosts[0].lookAt(dir + "/f"); s.Size == 0 || s.Ctim.Nano() >= now.Nano() {
			t.Errorf("%d bytes, changed at %v; a schedule begins at %v", s.Size, s.Ctim, now)
		}
	}
}
