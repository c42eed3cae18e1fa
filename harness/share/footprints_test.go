package share

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hanwen/go-fuse/v2/fuse"

	"screwtape/harness/schedule"
)

// Which steps conflict decides what a search leaves out, so it is spelled out.
func TestFootprints(t *testing.T) {
	type step func(c *caller) Effect
	lookup := func(name string) step {
		return func(c *caller) Effect { return c.Answer(c.request(raw(c.header(1, 1), name))) }
	}
	lookupIn := func(dir, name string) step {
		return func(c *caller) Effect { return c.Answer(c.request(raw(c.header(1, c.lookup(dir)), name))) }
	}
	rename := func(from, to string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(struct {
				fuse.InHeader
				Newdir uint64
			}{c.header(12, 1), 1}, from, to)))
		}
	}
	unlink := func(name string) step {
		return func(c *caller) Effect { return c.Answer(c.request(raw(c.header(10, 1), name))) }
	}
	getattr := func(path string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.GetAttrIn{InHeader: c.header(3, c.lookup(path))})))
		}
	}
	list := func(path string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.OpenIn{InHeader: c.header(27, c.lookup(path))})))
		}
	}
	write := func(path string) step {
		return func(c *caller) Effect {
			fh := c.openFile(path, syscall.O_WRONLY)
			in := fuse.WriteIn{InHeader: c.header(16, c.lookup(path)), Fh: fh, Size: 1, Flags: syscall.O_WRONLY}
			return c.Answer(c.request(append(raw(in), 'x')))
		}
	}
	read := func(path string) step {
		return func(c *caller) Effect {
			fh := c.openFile(path, syscall.O_RDONLY)
			return c.Answer(c.request(raw(fuse.ReadIn{InHeader: c.header(15, c.lookup(path)), Fh: fh, Size: 10})))
		}
	}
	chmodTo := func(path string, mode uint32) step {
		return func(c *caller) Effect {
			in := fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{InHeader: c.header(4, c.lookup(path)), Valid: fuse.FATTR_MODE, Mode: mode}}
			return c.Answer(c.request(raw(in)))
		}
	}
	chmod := func(path string) step { return chmodTo(path, 0o700) }
	truncate := func(path string) step {
		return func(c *caller) Effect {
			in := fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{InHeader: c.header(4, c.lookup(path)), Valid: fuse.FATTR_SIZE}}
			return c.Answer(c.request(raw(in)))
		}
	}
	renameInto := func(name, dir string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(struct {
				fuse.InHeader
				Newdir uint64
			}{c.header(12, 1), c.lookup(dir)}, name, name)))
		}
	}
	mkdir := func(name string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.MkdirIn{InHeader: c.header(9, 1), Mode: 0o777}, name)))
		}
	}
	tmpfile := func(dir string) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.CreateIn{InHeader: c.header(51, c.lookup(dir)), Flags: syscall.O_RDWR, Mode: 0o600})))
		}
	}
	// fallocate is of so many bytes, of which the file has some.
	fallocate := func(path string, length uint64) step {
		return func(c *caller) Effect {
			fh := c.openFile(path, syscall.O_WRONLY)
			return c.Answer(c.request(raw(fuse.FallocateIn{InHeader: c.header(43, c.lookup(path)), Fh: fh, Length: length})))
		}
	}
	open := func(path string, flags uint32) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.OpenIn{InHeader: c.header(14, c.lookup(path)), Flags: flags})))
		}
	}
	access := func(path string, mask uint32) step {
		return func(c *caller) Effect {
			return c.Answer(c.request(raw(fuse.AccessIn{InHeader: c.header(34, c.lookup(path)), Mask: mask})))
		}
	}
	after := func(first, then step) step {
		return func(c *caller) Effect {
			first(c)
			return then(c)
		}
	}
	asUser := func(s step) step {
		return func(c *caller) Effect {
			c.uid = 1
			return s(c)
		}
	}
	for _, tc := range []struct {
		name     string
		a, b     step
		conflict bool
	}{
		{"lookups of one name", lookup("f"), lookup("f"), false},
		{"a rename and a lookup of the old name", rename("f", "x"), lookup("f"), true},
		{"a rename and a failed lookup of the new name", rename("f", "x"), lookup("x"), true},
		{"a rename and a lookup of another name", rename("f", "x"), lookup("g"), false},
		{"a rename and a lookup of a directory beside it", rename("f", "x"), lookup("dir"), false},
		{"a rename and a stat of another file", rename("f", "x"), getattr("g"), false},
		{"a rename and a stat of the directory", rename("f", "x"), getattr(""), true},
		{"a rename and a listing", rename("f", "x"), list(""), true},
		{"a rename and a listing of another directory", rename("f", "x"), list("dir"), false},
		{"a rename of a directory and a listing of it", rename("dir", "x"), list("dir"), true},
		{"a rename of a directory and a failed lookup in it", rename("dir", "x"), lookupIn("dir", "n"), true},
		{"a rename beside a directory and a failed lookup in it", rename("f", "x"), lookupIn("dir", "n"), false},
		{"a failed rename and a listing", rename("missing", "x"), list(""), false},
		{"a rename and an unlink of another name", rename("f", "x"), unlink("g"), false},
		{"a rename onto a name and its unlink", rename("f", "g"), unlink("g"), true},
		{"two listings", list(""), list(""), false},
		{"an unlink and a listing", unlink("f"), list(""), true},
		{"an unlink and a stat of the file", unlink("f"), getattr("f"), true},
		{"a write and a read of one file", write("f"), read("f"), true},
		{"a write and a read of two files", write("f"), read("g"), false},
		{"a write and a lookup of its name", write("f"), lookup("f"), false},
		{"a write and a stat of the file", write("f"), getattr("f"), true},
		{"two reads", read("f"), read("f"), false},
		{"a chmod and a user's failed lookup below the directory", chmod(""), asUser(lookupIn("dir", "n")), true},
		{"a chmod and a user's listing below the directory", chmod(""), asUser(list("dir")), true},
		{"a chmod and a user's stat of a directory in the directory", chmod(""), asUser(getattr("dir")), true},
		{"a chmod and root's stat of a directory in the directory", chmod(""), getattr("dir"), false},
		{"a chmod and a user's stat of a directory beside", chmod("f"), asUser(getattr("dir")), false},
		{"a chmod of a directory and a user's failed rename of it into another", chmod("dir"), after(chmodTo("dir", 0o755), after(mkdir("sub"), asUser(renameInto("dir", "sub")))), true},
		{"a chmod of a file and a user's failed unlink of it in a sticky directory", chmod("f"), after(chmodTo("", 0o1777), asUser(unlink("f"))), true},
		{"a chmod and root's execution", chmod("f"), open("f", execFlag), true},
		{"a chmod and root's look whether it can be executed", chmod("f"), access("f", mayExec), true},
		{"a chmod and root's reading", chmod("f"), open("f", syscall.O_RDONLY), false},
		{"a chmod and root's look whether a directory can be walked through", chmod("dir"), access("dir", mayExec), false},
		{"a truncation and a fallocate that changes nothing", truncate("f"), fallocate("f", 1), true},
		{"a stat and a fallocate that changes nothing", getattr("f"), fallocate("f", 1), false},
		{"a stat and a fallocate that makes the file longer", getattr("f"), fallocate("f", 100), true},
		{"files without names in one directory", tmpfile("dir"), after(tmpfile("dir"), tmpfile("dir")), true}, // their numbers tell which came first
		{"files without names in two directories", tmpfile("dir"), tmpfile(""), false},
		{"a file without a name and a listing", tmpfile("dir"), list("dir"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.a(newCaller(t, testStore(t), "shared"))
			b := tc.b(newCaller(t, testStore(t), "shared"))
			if got := a.Footprint.Conflicts(b.Footprint); got != tc.conflict {
				t.Errorf("conflict: %v, want %v\n%+v\n%+v", got, tc.conflict, a, b)
			}
		})
	}
}

// Labels of resources are the same in every run.
func TestFootprintLabels(t *testing.T) {
	c := newCaller(t, testStore(t), "shared")
	e := c.Answer(c.request(raw(c.header(10, 1), "f")))
	top, f := strings.TrimPrefix(string(resource("l", c.top)), "l:"), "179922497924038362"
	want := schedule.Footprint{
		Writes: []schedule.Resource{schedule.Resource("e:" + top + "/f"), schedule.Resource("a:" + f)},
		Adds:   []schedule.Resource{schedule.Resource("l:" + top), schedule.Resource("a:" + top)},
	}
	if diff := cmp.Diff(want, e.Footprint); diff != "" {
		t.Errorf("unlink (-want +got):\n%s", diff)
	}
}
