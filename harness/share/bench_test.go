package share

import (
	"fmt"
	"testing"
)

// What a request costs the server, the kernel apart.
func BenchmarkLookup(b *testing.B) {
	s := NewStore(testClock())
	s.WriteFile("f", nil, 0o644)
	m := newMount(s, s.root)
	request := raw(newHeader(1), "f")
	for b.Loop() {
		r, _ := parse(request)
		m.Answer(r)
	}
}

func BenchmarkRestore(b *testing.B) {
	s := NewStore(testClock())
	s.MkdirAll("qfiles/out", 0o777)
	for n := range 20 {
		s.WriteFile(fmt.Sprintf("qfiles/out/%d", n), make([]byte, 2000), 0o644)
	}
	snap := s.Snapshot()
	for b.Loop() {
		s.WriteFile("qfiles/out/1", []byte("x"), 0o644)
		s.Remove("qfiles/out/2")
		s.Restore(snap)
	}
}
