package share

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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
