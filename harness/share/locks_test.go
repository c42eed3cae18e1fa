package share

import (
	"slices"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"pgregory.net/rapid"
)

// Two that hold a lock shared and both want it alone: flock(2) gives up before
// it waits, so one of them gets it.
func TestFlockUpgrade(t *testing.T) {
	store := testStore(t)
	a, b := newCaller(t, store, "shared"), newCaller(t, store, "shared")
	fa, fb := a.openFile("f", 0), b.openFile("f", 0)
	lock := func(c *caller, opcode uint32, fh uint64, typ uint32) *Request {
		return c.request(raw(fuse.LkIn{InHeader: c.header(opcode, c.lookup("f")), Fh: fh, Lk: fuse.FileLock{Typ: typ}, LkFlags: fuse.LK_FLOCK}))
	}
	a.Answer(lock(a, opSetlk, fa, syscall.F_RDLCK))
	b.Answer(lock(b, opSetlk, fb, syscall.F_RDLCK))
	upA := lock(a, opSetlkw, fa, syscall.F_WRLCK)
	if a.Ready(upA) {
		t.Fatal("a gets the lock alone while b has it")
	}
	upB := lock(b, opSetlkw, fb, syscall.F_WRLCK)
	if !b.Ready(upB) {
		t.Fatal("both wait for ever")
	}
	b.Answer(upB)
	if a.Ready(upA) {
		t.Error("both have it alone")
	}
	b.Answer(b.request(raw(fuse.ReleaseIn{InHeader: b.header(opRelease, b.lookup("f")), Fh: fb})))
	if !a.Ready(upA) {
		t.Error("the lock outlives its open file")
	}
}

// The locks of one byte at a time, against an array of bytes.
func TestPOSIXLocksAgreeWithModel(t *testing.T) {
	const bytes = 12
	type held struct {
		owner     uint64
		exclusive bool
	}
	rapid.Check(t, func(t *rapid.T) {
		i, m := &inode{}, &Mount{}
		var model [bytes][]held
		t.Repeat(map[string]func(*rapid.T){
			"lock": func(t *rapid.T) {
				id := rapid.Uint64Range(1, 3).Draw(t, "owner")
				start := rapid.Uint64Range(0, bytes-1).Draw(t, "start")
				end := rapid.Uint64Range(start, bytes-1).Draw(t, "end")
				kind := rapid.SampledFrom([]string{"read", "write", "unlock"}).Draw(t, "kind")
				var want syscall.Errno
				if kind != "unlock" {
					for _, b := range model[start : end+1] {
						for _, l := range b {
							if l.owner != id && (l.exclusive || kind == "write") {
								want = syscall.EAGAIN
							}
						}
					}
				}
				var got syscall.Errno
				if kind == "unlock" {
					i.punlock(owner{m, id}, start, end)
				} else {
					got = i.plock(plock{owner: owner{m, id}, exclusive: kind == "write", start: start, end: end})
				}
				if got != want {
					t.Fatalf("%s by %d of %d-%d: %v, want %v", kind, id, start, end, got, want)
				}
				if want != 0 {
					return
				}
				for n := start; n <= end; n++ {
					model[n] = slices.DeleteFunc(model[n], func(l held) bool { return l.owner == id })
					if kind != "unlock" {
						model[n] = append(model[n], held{id, kind == "write"})
					}
				}
			},
			"": func(t *rapid.T) {
				for _, l := range i.plocks {
					if slices.ContainsFunc(i.plocks, func(r plock) bool {
						return l.owner == r.owner && l.exclusive == r.exclusive && l.end+1 == r.start
					}) {
						t.Fatalf("neighbours are not one: %+v", i.plocks)
					}
				}
				for n := range model {
					var got []held
					for _, l := range i.plocks {
						if l.start <= uint64(n) && uint64(n) <= l.end {
							got = append(got, held{l.owner.id, l.exclusive})
						}
					}
					byOwner := func(a, b held) int { return int(a.owner) - int(b.owner) }
					slices.SortFunc(got, byOwner)
					want := slices.Clone(model[n])
					slices.SortFunc(want, byOwner)
					if !slices.Equal(got, want) {
						t.Fatalf("byte %d: %v, want %v", n, got, want)
					}
				}
			},
		})
	})
}
