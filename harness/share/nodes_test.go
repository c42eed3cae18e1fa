package share

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// Two nodes, a and b, see one share through a mount each. What one does, the
// other sees at once.
func TestTwoNodes(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, a, b string)
	}{
		{"appends", appends},
		{"sizes", sizes},
		{"large files", largeFiles},
		{"link counts", linkCounts},
		{"listings", listings},
		{"renames", renames},
		{"renames of directories", directoryRenames},
		{"exclusive creation", exclusiveCreation},
		{"removed while open", removedWhileOpen},
		{"times", times},
		{"flock", flocks},
		{"POSIX locks", posixLocks},
		{"mappings", mappings},
		{"programs", programs},
		{"kinds of files", kinds},
		{"permissions", nodePermissions},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nodes := serve(t, NewStore(testClock()), "shared", "shared")
			tc.run(t, nodes[0].dir, nodes[1].dir)
		})
	}
}

// must fails the test on an error; it gives back the value of a call.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, got error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func openAt(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func wantData(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if string(got) != want {
		t.Errorf("%s is %.60q, want %.60q", filepath.Base(path), got, want)
	}
}

func stat(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	ok(t, unix.Lstat(path, &st))
	return st
}

func appends(t *testing.T, a, b string) {
	fa := openAt(t, a+"/log", os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	fb := openAt(t, b+"/log", os.O_WRONLY|os.O_APPEND)
	var want strings.Builder
	for n := range 20 {
		line := fmt.Sprintf("line %d\n", n)
		want.WriteString(line)
		must[int](t)([]*os.File{fa, fb}[n%2].WriteString(line))
	}
	wantData(t, a+"/log", want.String())
	wantData(t, b+"/log", want.String())

	// O_APPEND can come later.
	plain := openAt(t, a+"/log", os.O_WRONLY)
	must[int](t)(unix.FcntlInt(plain.Fd(), unix.F_SETFL, unix.O_APPEND))
	must[int](t)(fb.WriteString("b\n"))
	must[int](t)(unix.Write(int(plain.Fd()), []byte("a\n")))
	wantData(t, b+"/log", want.String()+"b\na\n")
}

func sizes(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/f", []byte("12345"), 0o644))
	fb := openAt(t, b+"/f", os.O_RDWR)
	if size := must[int64](t)(fb.Seek(0, io.SeekEnd)); size != 5 {
		t.Errorf("b seeks to %d, want 5", size)
	}
	ok(t, os.Truncate(a+"/f", 2))
	if st := stat(t, b+"/f"); st.Size != 2 {
		t.Errorf("b sees %d bytes, want 2", st.Size)
	}
	ok(t, fb.Truncate(4))
	wantData(t, a+"/f", "12\x00\x00")
	must[int](t)(fb.WriteAt([]byte("x"), 6))
	wantData(t, a+"/f", "12\x00\x00\x00\x00x")
	if size := must[int64](t)(openAt(t, a+"/f", os.O_RDONLY).Seek(0, io.SeekEnd)); size != 7 {
		t.Errorf("a seeks to %d, want 7", size)
	}
	openAt(t, a+"/f", os.O_WRONLY|os.O_TRUNC)
	if st := must[os.FileInfo](t)(fb.Stat()); st.Size() != 0 {
		t.Errorf("b's open file has %d bytes, want 0", st.Size())
	}
	wantErr(t, "a file larger than memory", os.Truncate(a+"/f", 1<<50), syscall.EFBIG)
}

func largeFiles(t *testing.T, a, b string) {
	data := make([]byte, 1<<20+4321)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	ok(t, os.WriteFile(a+"/f", data, 0o644))
	wantData(t, b+"/f", string(data))
	src, dst := openAt(t, b+"/f", os.O_RDONLY), openAt(t, b+"/copy", os.O_WRONLY|os.O_CREATE)
	if n := must[int64](t)(io.Copy(dst, src)); n != int64(len(data)) { // copy_file_range
		t.Errorf("copied %d bytes, want %d", n, len(data))
	}
	wantData(t, a+"/copy", string(data))
}

func linkCounts(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/f", nil, 0o644))
	ok(t, os.Link(a+"/f", a+"/g"))
	sa, sb := stat(t, a+"/f"), stat(t, b+"/g")
	if sa.Nlink != 2 || sb.Nlink != 2 || sa.Ino != sb.Ino {
		t.Errorf("a: %d links of %d, b: %d links of %d", sa.Nlink, sa.Ino, sb.Nlink, sb.Ino)
	}
	wantErr(t, "link to a name that is taken", os.Link(b+"/f", b+"/g"), syscall.EEXIST)
	ok(t, os.Remove(b+"/f"))
	if st := stat(t, a+"/g"); st.Nlink != 1 {
		t.Errorf("a sees %d links, want 1", st.Nlink)
	}
	ok(t, os.MkdirAll(a+"/d/e", 0o755))
	if st := stat(t, b+"/d"); st.Nlink != 3 {
		t.Errorf("b sees %d links of a directory, want 3", st.Nlink)
	}
	wantErr(t, "rmdir of what is not empty", os.Remove(b+"/d"), syscall.ENOTEMPTY)
	ok(t, os.Remove(b+"/d/e"))
	ok(t, os.Remove(a+"/d"))
}

func names(t *testing.T, dir *os.File) []string {
	t.Helper()
	return must[[]string](t)(dir.Readdirnames(-1))
}

func listings(t *testing.T, a, b string) {
	for _, name := range []string{"c", "a", "b"} {
		ok(t, os.WriteFile(a+"/"+name, nil, 0o644))
	}
	open := openAt(t, b, os.O_RDONLY) // the listing is taken here
	ok(t, os.WriteFile(a+"/d", nil, 0o644))
	ok(t, os.Remove(a+"/a"))
	if got := names(t, open); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the listing is %q, want what was there when it was opened", got)
	}
	must[int64](t)(open.Seek(0, io.SeekStart))
	if got := names(t, open); !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("rewound, the listing is %q", got)
	}
}

func renames(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/f", []byte("f"), 0o644))
	ok(t, os.WriteFile(a+"/g", []byte("g"), 0o644))
	stat(t, b+"/f") // b's kernel knows the names
	fb := openAt(t, b+"/g", os.O_RDONLY)
	_, err := os.Stat(b + "/h")
	wantErr(t, "b stats what is not there yet", err, syscall.ENOENT)

	ok(t, os.Rename(a+"/f", a+"/h"))
	wantData(t, b+"/h", "f")
	_, err = os.Open(b + "/f")
	wantErr(t, "b opens what was renamed", err, syscall.ENOENT)
	wantErr(t, "b renames what was renamed", os.Rename(b+"/f", b+"/x"), syscall.ENOENT)
	wantErr(t, "noreplace", unix.Renameat2(unix.AT_FDCWD, b+"/h", unix.AT_FDCWD, b+"/g", unix.RENAME_NOREPLACE), syscall.EEXIST)
	ok(t, unix.Renameat2(unix.AT_FDCWD, b+"/h", unix.AT_FDCWD, b+"/g", unix.RENAME_EXCHANGE))
	wantData(t, a+"/g", "f")
	wantErr(t, "a whiteout", unix.Renameat2(unix.AT_FDCWD, b+"/h", unix.AT_FDCWD, b+"/x", unix.RENAME_WHITEOUT), syscall.EINVAL)

	ok(t, os.Rename(a+"/g", a+"/h")) // over what b has open
	if got := must[[]byte](t)(io.ReadAll(fb)); string(got) != "g" {
		t.Errorf("b's open file is %q now", got)
	}
	if st := must[os.FileInfo](t)(fb.Stat()); st.Sys().(*syscall.Stat_t).Nlink != 0 {
		t.Error("b's open file has still a name")
	}
	wantErr(t, "from one mount to the other", os.Rename(a+"/h", b+"/h"), syscall.EXDEV)
}

func directoryRenames(t *testing.T, a, b string) {
	ok(t, os.MkdirAll(a+"/d/e", 0o755))
	dir := openAt(t, b+"/d/e", os.O_RDONLY)
	ok(t, os.Rename(a+"/d/e", a+"/moved"))
	fd := must[int](t)(unix.Openat(int(dir.Fd()), "f", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644))
	unix.Close(fd)
	stat(t, a+"/moved/f")
	stat(t, b+"/moved/f")
	wantErr(t, "a directory into itself", os.Rename(b+"/moved", b+"/moved/x"), syscall.EINVAL)
	ok(t, os.Remove(a+"/moved/f"))
	ok(t, os.Remove(a+"/moved"))
	_, err := unix.Openat(int(dir.Fd()), "g", unix.O_CREAT|unix.O_WRONLY, 0o644)
	wantErr(t, "create in a removed directory", err, syscall.ENOENT)
}

func exclusiveCreation(t *testing.T, a, b string) {
	_, err := os.Stat(b + "/f")
	wantErr(t, "stat", err, syscall.ENOENT)
	ok(t, os.WriteFile(a+"/f", []byte("a"), 0o644))
	_, err = os.OpenFile(b+"/f", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	wantErr(t, "exclusive creation of what the other made", err, syscall.EEXIST)
	openAt(t, b+"/f", os.O_CREATE|os.O_RDWR)
	wantData(t, b+"/f", "a")
	wantErr(t, "mkdir", os.Mkdir(b+"/f", 0o755), syscall.EEXIST)
	wantErr(t, "symlink", os.Symlink("x", b+"/f"), syscall.EEXIST)
	ok(t, os.Remove(a+"/f"))
	openAt(t, b+"/f", os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	stat(t, a+"/f")
	_, err = os.OpenFile(b+"/"+strings.Repeat("x", 256), os.O_CREATE, 0o644)
	wantErr(t, "a name of 256 bytes", err, syscall.ENAMETOOLONG)
}

func removedWhileOpen(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/f", []byte("data"), 0o644))
	fb := openAt(t, b+"/f", os.O_RDWR)
	ok(t, os.Remove(a+"/f"))
	ok(t, os.WriteFile(a+"/f", []byte("another"), 0o644))
	must[int](t)(fb.WriteAt([]byte("D"), 0))
	buf := make([]byte, 10)
	if n, _ := fb.ReadAt(buf, 0); string(buf[:n]) != "Data" {
		t.Errorf("b's open file is %q", buf[:n])
	}
	wantData(t, b+"/f", "another")
	fd := must[int](t)(unix.Open(a, unix.O_TMPFILE|unix.O_RDWR, 0o644))
	defer unix.Close(fd)
	must[int](t)(unix.Write(fd, []byte("named late")))
	ok(t, unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, a+"/late", unix.AT_SYMLINK_FOLLOW))
	wantData(t, b+"/late", "named late")
}

func times(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/f", nil, 0o644))
	if st := stat(t, b+"/f"); time.Unix(st.Mtim.Unix()).UTC().Format(time.DateOnly) != "2019-11-03" {
		t.Errorf("made at %v, not by the server's clock", time.Unix(st.Mtim.Unix()))
	}
	exact := []unix.Timespec{{Sec: 1 << 33, Nsec: 123456789}, {Sec: -5, Nsec: 999999999}}
	ok(t, unix.UtimesNanoAt(unix.AT_FDCWD, a+"/f", exact, 0))
	if st := stat(t, b+"/f"); st.Atim != exact[0] || st.Mtim != exact[1] {
		t.Errorf("times %v %v, want %v", st.Atim, st.Mtim, exact)
	}
	ok(t, unix.UtimesNanoAt(unix.AT_FDCWD, b+"/f", []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}, 0))
	st := stat(t, a+"/f")
	if st.Atim != exact[0] || time.Unix(st.Mtim.Unix()).UTC().Year() != 2019 {
		t.Errorf("times %v %v after UTIME_OMIT and UTIME_NOW", st.Atim, st.Mtim)
	}
	ok(t, unix.UtimesNanoAt(unix.AT_FDCWD, b+"/f", nil, 0))
	if st = stat(t, a+"/f"); time.Unix(st.Atim.Unix()).UTC().Year() != 2019 || st.Atim != st.Mtim {
		t.Errorf("times %v %v after utimes to now, want the server's", st.Atim, st.Mtim)
	}
	before := st.Mtim
	ok(t, os.Truncate(a+"/f", 0))
	if st := stat(t, b+"/f"); st.Mtim == before {
		t.Error("a truncate leaves mtime as it was")
	}
}

func flocks(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	fa, fb := openAt(t, a+"/lock", os.O_RDONLY), openAt(t, b+"/lock", os.O_RDONLY)
	try := func(f *os.File, how int) error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) }
	ok(t, try(fa, unix.LOCK_SH))
	ok(t, try(fb, unix.LOCK_SH))
	wantErr(t, "b wants it alone", try(fb, unix.LOCK_EX), syscall.EAGAIN)
	ok(t, try(fa, unix.LOCK_EX)) // what b had, it gave up by trying for more
	wantErr(t, "b shares what a has alone", try(fb, unix.LOCK_SH), syscall.EAGAIN)
	ok(t, try(fa, unix.LOCK_UN))
	ok(t, try(fb, unix.LOCK_EX))
}

func fcntlLock(f *os.File, cmd int, typ int16, start, length int64) error {
	return unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: typ, Start: start, Len: length})
}

func posixLocks(t *testing.T, a, b string) {
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	fa, fb := openAt(t, a+"/lock", os.O_RDWR), openAt(t, b+"/lock", os.O_RDWR)
	ok(t, fcntlLock(fa, unix.F_SETLK, unix.F_WRLCK, 10, 10))
	wantErr(t, "b wants what a has", fcntlLock(fb, unix.F_SETLK, unix.F_RDLCK, 19, 1), syscall.EAGAIN)
	ok(t, fcntlLock(fb, unix.F_SETLK, unix.F_WRLCK, 20, 0))
	get := unix.Flock_t{Type: unix.F_WRLCK}
	ok(t, unix.FcntlFlock(fb.Fd(), unix.F_GETLK, &get))
	if get.Type != unix.F_WRLCK || get.Start != 10 || get.Len != 10 || get.Pid != 0 {
		t.Errorf("in b's way: %+v", get)
	}
	ok(t, fcntlLock(fa, unix.F_SETLK, unix.F_UNLCK, 12, 2)) // a hole
	ok(t, fcntlLock(fb, unix.F_SETLK, unix.F_RDLCK, 12, 2))
	wantErr(t, "b wants the rest", fcntlLock(fb, unix.F_SETLK, unix.F_RDLCK, 14, 1), syscall.EAGAIN)
	other := openAt(t, a+"/lock", os.O_RDONLY)
	ok(t, other.Close()) // as POSIX has it, that gives up all that a has
	ok(t, fcntlLock(fb, unix.F_SETLK, unix.F_WRLCK, 0, 0))
}

// A kernel remembers which names lead to directories, as long as that is so.
func TestDirectoriesAreRemembered(t *testing.T) {
	store := NewStore(testClock())
	ok(t, store.MkdirAll("shared/d/e", 0o755))
	ok(t, store.WriteFile("shared/d/e/f", []byte("f"), 0o644))
	ok(t, store.MkdirAll("shared/other", 0o755))
	ok(t, store.WriteFile("shared/other/f", []byte("other"), 0o644))
	nodes := serve(t, store, "shared", "shared")
	a, b, s := nodes[0].dir, nodes[1].dir, nodes[0].server
	if !nodes[0].forgets {
		t.Skip("SKIPPED: this kernel cannot be told to forget (FUSE_NOTIFY_INC_EPOCH, Linux 6.16), so it remembers nothing")
	}
	looked := func(path string) []string { // what a asks for when it looks at a path
		t.Helper()
		s.mu.Lock()
		s.looked = nil
		s.mu.Unlock()
		stat(t, a+path)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.looked
	}
	want := func(path string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, looked(path)); diff != "" {
			t.Errorf("asked for by a look at %s (-want +got):\n%s", path, diff)
		}
	}
	want("/d/e/f", "d", "d/e", "d/e/f")
	want("/d/e/f", "d/e/f")

	ok(t, os.Rename(b+"/d/e", b+"/d/moved"))
	_, err := os.Stat(a + "/d/e/f")
	wantErr(t, "by the name that it had", err, syscall.ENOENT)
	wantData(t, a+"/d/moved/f", "f")
	ok(t, os.Rename(b+"/other", b+"/d/e"))
	wantData(t, a+"/d/e/f", "other")
	ok(t, unix.Renameat2(unix.AT_FDCWD, b+"/d/e", unix.AT_FDCWD, b+"/d/moved", unix.RENAME_EXCHANGE))
	wantData(t, a+"/d/e/f", "f")
	ok(t, os.RemoveAll(b+"/d/e"))
	ok(t, os.Mkdir(b+"/d/e", 0o755))
	_, err = os.Stat(a + "/d/e/f")
	wantErr(t, "in another directory of that name", err, syscall.ENOENT)

	// Where not everybody may walk through, each walk is checked.
	want("/d/moved", "d/moved")
	want("/d/moved")
	ok(t, os.Chmod(b+"/d", 0o754))
	want("/d/moved", "d", "d/moved")
	want("/d/moved", "d/moved")

	s.mu.Lock()
	snap := store.Snapshot()
	s.mu.Unlock()
	ok(t, os.Mkdir(a+"/new", 0o755))
	ok(t, os.WriteFile(a+"/new/f", nil, 0o644))
	s.mu.Lock()
	store.Restore(snap)
	s.mu.Unlock()
	_, err = os.Stat(a + "/new/f")
	wantErr(t, "in a directory that a restore took away", err, syscall.ENOENT)

	ok(t, os.Chmod(b+"/d", 0o755)) // what was checked when the snapshot was taken no longer is
	want("/d/moved", "d", "d/moved")
	want("/d/moved")
	s.mu.Lock()
	store.Restore(snap)
	s.mu.Unlock()
	want("/d/moved", "d", "d/moved")
	want("/d/moved", "d/moved")
}

// A directory of a node alone is a mount of its own beside the shared one.
func TestPrivateDirectory(t *testing.T) {
	store := NewStore(testClock())
	nodes := serve(t, store, "shared", "a", "b")
	shared, a, b := nodes[0].dir, nodes[1].dir, nodes[2].dir
	ok(t, os.WriteFile(shared+"/f", nil, 0o644))
	ok(t, os.WriteFile(a+"/f", []byte("a"), 0o644))
	if _, err := os.Stat(b + "/f"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("b sees what is a's: %v", err)
	}
	wantErr(t, "from private to shared", os.Rename(a+"/f", shared+"/g"), syscall.EXDEV)
	if stat(t, a+"/f").Dev == stat(t, shared+"/f").Dev {
		t.Error("two mounts are one device")
	}
	nodes[0].server.mu.Lock()
	defer nodes[0].server.mu.Unlock()
	if diff := cmp.Diff([]string{`a/`, `a/f="a" nlink 1`, `b/`, `shared/`, `shared/f="" nlink 1`}, tree(t, store)); diff != "" {
		t.Errorf("store (-want +got):\n%s", diff)
	}
}

// A restore under the feet of processes that live on: they see what was, their
// open files and directories go on, and nothing is taken for something else.
func TestRestoreUnderMounts(t *testing.T) {
	store := NewStore(testClock())
	ok(t, store.MkdirAll("shared/q/out", 0o777))
	ok(t, store.WriteFile("shared/q/out/m0", []byte("message"), 0o644))
	nodes := serve(t, store, "shared", "shared")
	a, b, s := nodes[0].dir, nodes[1].dir, nodes[0].server
	s.mu.Lock()
	snap := store.Snapshot()
	s.mu.Unlock()

	dir := openAt(t, a+"/q/out", os.O_RDONLY)
	lock := openAt(t, b+"/q/out/m0", os.O_RDWR)
	inDir := func(name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name) }
	var inos [2]uint64
	for round := range 2 {
		ok(t, os.WriteFile(b+"/q/out/new", []byte("new"), 0o644))
		inos[round] = stat(t, a+"/q/out/new").Ino
		ok(t, os.Rename(inDir("m0"), inDir("m0.bak")))
		ok(t, os.WriteFile(b+"/q/out/m0", []byte("another"), 0o600))
		wantData(t, inDir("m0"), "another")
		gone := openAt(t, a+"/q/out/new", os.O_RDWR)
		ok(t, os.Rename(b+"/q/out", b+"/out"))
		ok(t, os.Truncate(b+"/out/m0.bak", 2))

		s.mu.Lock()
		store.Restore(snap)
		s.mu.Unlock()

		wantData(t, inDir("m0"), "message")
		wantData(t, b+"/q/out/m0", "message")
		if got := must[[]os.DirEntry](t)(os.ReadDir(b + "/q/out")); len(got) != 1 {
			t.Errorf("listing after the restore: %v", got)
		}
		for _, name := range []string{"/q/out/new", "/q/out/m0.bak", "/out"} {
			_, err := os.Stat(b + name)
			wantErr(t, name, err, syscall.ENOENT)
		}
		if st := must[os.FileInfo](t)(gone.Stat()); st.Sys().(*syscall.Stat_t).Nlink != 0 {
			t.Error("what the restore took away has a name")
		}
		must[int](t)(gone.WriteAt([]byte("N"), 0))
		must[int](t)(lock.WriteAt([]byte("M"), 0))
		wantData(t, a+"/q/out/m0", "Message")
		s.mu.Lock()
		store.Restore(snap)
		s.mu.Unlock()
	}
	if inos[0] != inos[1] {
		t.Errorf("inode %d is %d the second time", inos[0], inos[1])
	}
}

// Schedule after schedule, nothing piles up: neither in the store nor in what
// it remembers for kernels.
func TestRestoreDoesNotGrow(t *testing.T) {
	store := NewStore(testClock())
	ok(t, store.MkdirAll("shared/q", 0o777))
	nodes := serve(t, store, "shared", "shared")
	a, b, s := nodes[0].dir, nodes[1].dir, nodes[0].server
	locked := func(f func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f()
	}
	var snap *Snapshot
	locked(func() { snap = store.Snapshot() })
	for range 200 {
		for n := range 3 {
			name := fmt.Sprintf("/q/%d", n)
			ok(t, os.WriteFile(a+name+".tmp", []byte("data"), 0o644))
			ok(t, os.Rename(a+name+".tmp", a+name+".pck"))
			wantData(t, b+name+".pck", "data")
			ok(t, os.Rename(b+name+".pck", b+name+".bak"))
		}
		ok(t, os.Remove(a+"/q/1.bak"))
		locked(func() { store.Restore(snap) })
	}
	locked(func() {
		// A name that was restored away stays known until it is looked at again,
		// and the last releases may be on their way.
		for _, n := range nodes {
			if len(n.nodes) > 20 || len(n.handles) > 20 {
				t.Errorf("after 200 rounds: %d nodes, %d handles", len(n.nodes), len(n.handles))
			}
		}
		if len(store.births) != len(snap.births) {
			t.Errorf("%d births, want %d", len(store.births), len(snap.births))
		}
	})
}

// b waits for what a holds.
func TestLockWaits(t *testing.T) {
	nodes := serve(t, NewStore(testClock()), "shared", "shared")
	a, b := nodes[0].dir, nodes[1].dir
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	for _, kind := range []struct {
		name     string
		lock     func(f *os.File) error
		giveUp   func(f *os.File) error
		conflict func(f *os.File) error
	}{
		{"flock, by close",
			func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) },
			(*os.File).Close,
			func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }},
		{"fcntl, by close",
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLKW, unix.F_WRLCK, 0, 0) },
			(*os.File).Close,
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLK, unix.F_WRLCK, 0, 0) }},
		{"open file description, by close",
			func(f *os.File) error { return fcntlLock(f, unix.F_OFD_SETLKW, unix.F_WRLCK, 0, 0) },
			(*os.File).Close,
			func(f *os.File) error { return fcntlLock(f, unix.F_OFD_SETLK, unix.F_WRLCK, 0, 0) }},
		{"fcntl, by unlocking",
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLKW, unix.F_WRLCK, 0, 0) },
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLK, unix.F_UNLCK, 0, 0) },
			func(f *os.File) error { return fcntlLock(f, unix.F_SETLK, unix.F_WRLCK, 0, 0) }},
	} {
		fa, fb := openAt(t, a+"/lock", os.O_RDWR), openAt(t, b+"/lock", os.O_RDWR)
		ok(t, kind.lock(fa))
		wantErr(t, kind.name, kind.conflict(fb), syscall.EAGAIN)
		got := make(chan error)
		go func() { got <- kind.lock(fb) }()
		<-nodes[1].server.waits
		ok(t, kind.giveUp(fa))
		if err := <-got; err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
		fb.Close()
		fa.Close()
	}
}

// A signal ends a wait for a lock.
func TestInterruptedWait(t *testing.T) {
	nodes := serve(t, NewStore(testClock()), "shared", "shared")
	a, b := nodes[0].dir, nodes[1].dir
	ok(t, os.WriteFile(a+"/lock", nil, 0o644))
	fa := openAt(t, a+"/lock", os.O_RDWR)
	ok(t, unix.Flock(int(fa.Fd()), unix.LOCK_EX))
	h := startHelper(t, b+"/lock")
	h.say("flock")
	<-nodes[1].server.waits
	ok(t, h.cmd.Process.Kill())
	h.cmd.Wait() // a process whose request is never answered would not end
	ok(t, unix.Flock(int(fa.Fd()), unix.LOCK_UN))
	fb := openAt(t, b+"/lock", os.O_RDWR)
	ok(t, unix.Flock(int(fb.Fd()), unix.LOCK_EX)) // the dead one does not have it
}

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

func kinds(t *testing.T, a, b string) {
	ok(t, os.Symlink("target/of the link", a+"/link"))
	if got := must[string](t)(os.Readlink(b + "/link")); got != "target/of the link" {
		t.Errorf("link leads to %q", got)
	}
	ok(t, unix.Mknod(a+"/fifo", unix.S_IFIFO|0o600, 0))
	ok(t, unix.Mknod(a+"/file", unix.S_IFREG|0o600, 0))
	l, err := net.Listen("unix", a+"/socket")
	ok(t, err)
	defer l.Close()
	for name, want := range map[string]uint32{"fifo": unix.S_IFIFO, "file": unix.S_IFREG, "socket": unix.S_IFSOCK, "link": unix.S_IFLNK} {
		if st := stat(t, b+"/"+name); st.Mode&unix.S_IFMT != want {
			t.Errorf("%s has mode %o", name, st.Mode)
		}
	}
	var fs unix.Statfs_t
	ok(t, unix.Statfs(b, &fs))
	if fs.Namelen != 255 || fs.Bavail == 0 {
		t.Errorf("statfs: %+v", fs)
	}
	wantErr(t, "xattr", unix.Setxattr(b+"/file", "user.x", nil, 0), syscall.EOPNOTSUPP)
}

func nodePermissions(t *testing.T, a, b string) {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	ok(t, os.WriteFile(a+"/f", nil, 0o666))
	ok(t, os.Mkdir(a+"/d", 0o777))
	if f, d := stat(t, b+"/f"), stat(t, b+"/d"); f.Mode&0o777 != 0o640 || d.Mode&0o777 != 0o750 {
		t.Errorf("modes %o %o, want 640 750: the umask", f.Mode&0o777, d.Mode&0o777)
	}
	ok(t, os.Chmod(a+"/f", 0o604))
	if st := stat(t, b+"/f"); st.Mode&0o7777 != 0o604 {
		t.Errorf("mode %o", st.Mode)
	}
	if st := stat(t, b+"/f"); int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid() {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
	wantErr(t, "execute what nobody may", unix.Access(b+"/f", unix.X_OK), syscall.EACCES)
	ok(t, unix.Access(b+"/f", unix.R_OK|unix.W_OK))
}

// A helper is a process that does what the one that serves the mounts must not:
// a page fault in a mapping would stop it, and with it the server.
type helper struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

const helperPath = "SHARE_TEST_HELPER"

func startHelper(t *testing.T, path string) *helper {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperPath+"="+path)
	cmd.Stderr = os.Stderr
	in := must[io.WriteCloser](t)(cmd.StdinPipe())
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	ok(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	h := &helper{t, cmd, in, bufio.NewScanner(out)}
	if !h.out.Scan() || h.out.Text() != "ready" {
		t.Fatalf("the helper says %q", h.out.Text())
	}
	return h
}

func (h *helper) say(command string) {
	h.t.Helper()
	if _, err := fmt.Fprintln(h.in, command); err != nil {
		h.t.Fatal(err)
	}
}

func (h *helper) ask(command, want string) {
	h.t.Helper()
	h.say(command)
	h.out.Scan()
	if got := h.out.Text(); got != want {
		h.t.Errorf("%s: %q, want %q", command, got, want)
	}
}

// help is the helper's side.
func help(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	var mapped []byte
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var command, value string
		var off int
		fmt.Sscan(lines.Text(), &command, &off, &value)
		answer := "ok"
		switch command {
		case "map":
			mapped, err = unix.Mmap(int(f.Fd()), 0, 2*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		case "get":
			answer = string(mapped[off : off+1])
		case "set":
			copy(mapped[off:], value)
		case "sync":
			err = unix.Msync(mapped, unix.MS_SYNC)
		case "unmap":
			err = unix.Munmap(mapped)
		case "flock":
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		if err != nil {
			answer = err.Error()
		}
		fmt.Println(answer)
	}
}
