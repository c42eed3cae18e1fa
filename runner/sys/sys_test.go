package sys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcde\n"), 20000) // many reads
	f, err := Open(dir+"/a", syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{f.Write(data), f.Seek(0)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := f.ReadAll(); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(data))
	}
	for _, err := range []error{f.Seek(4), f.Write([]byte("end")), f.Truncate(7), f.Sync(), f.Close(), Rename(dir+"/a", dir+"/b")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(dir + "/b"); err != nil || string(got) != "0123end" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := errors.Join(Unlink(dir+"/b"), Mkdir(dir+"/d", 0o700), Chmod(dir+"/d", 0o2770), Stat(dir+"/d")); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir + "/d"); err != nil || st.Mode() != fs.ModeDir|fs.ModeSetgid|0o770 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 2000 { // many getdents
		name := fmt.Sprintf("a-name-of-some-length-%04d", i)
		want = append(want, name)
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := List(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Errors are those of package os, word for word.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	gone := dir + "/gone"
	open := func(path string) error { _, err := Open(path, syscall.O_RDONLY, 0); return err }
	osOpen := func(path string) error { _, err := os.Open(path); return err }
	for _, tt := range []struct{ got, want error }{
		{open(gone), osOpen(gone)},
		{open("a\x00b"), osOpen("a\x00b")},
		{Stat(gone), func() error { _, err := os.Stat(gone); return err }()},
		{Mkdir(dir, 0o700), os.Mkdir(dir, 0o700)},
		{Chmod(gone, 0o700), os.Chmod(gone, 0o700)},
		{Rename(gone, dir+"/x"), os.Rename(gone, dir+"/x")},
		{Unlink(gone), &fs.PathError{Op: "unlink", Path: gone, Err: syscall.ENOENT}},
	} {
		if tt.got == nil || tt.got.Error() != tt.want.Error() {
			t.Errorf("error %v, want %v", tt.got, tt.want)
		}
	}
	if _, err := List(gone, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List: %v", err)
	}
}

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	var got []string
	Trace = func(op string, paths ...string) { got = append(got, fmt.Sprint(op, paths)) }
	defer func() { Trace = nil }()
	Mkdir(dir+"/d", 0o700)
	Rename(dir+"/d", dir+"/e")
	List(dir+"/e", 0)
	Trace = nil
	want := []string{"mkdir[" + dir + "/d]", "rename[" + dir + "/d " + dir + "/e]", "open[" + dir + "/e]", "close[]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNow(t *testing.T) {
	before := time.Now()
	sec, nsec := Now()
	after := time.Now()
	if now := time.Unix(sec, nsec); now.Before(before.Round(0)) || now.After(after.Round(0)) {
		t.Errorf("now is %v, not between %v and %v", now, before, after)
	}
}
