package harness

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"screwtape/harness/history"
	"screwtape/harness/share"
)

// walk goes through the share and the nodes' private directories as they are
// now. A name is as in a history.Change; data is a file's, or where a symbolic
// link leads.
func (w *World) walk(fn func(name string, e share.Entry, data []byte)) {
	root := func(store, prefix string) {
		w.store.Walk(store, func(below string, e share.Entry) {
			var data []byte
			if !e.Mode.IsDir() {
				data, _ = w.store.ReadFile(store + "/" + below) // it is there
			}
			fn(prefix+below, e, data)
		})
	}
	root("/shared", "")
	for _, h := range w.hosts {
		root("/"+h.Name, h.Name+":")
	}
}

// files is what is in each file now.
func (w *World) files() map[string][]byte {
	files := map[string][]byte{}
	w.walk(func(name string, e share.Entry, data []byte) {
		if e.Mode.IsRegular() {
			files[name] = data
		}
	})
	return files
}

// tree is all that lies there now.
func (w *World) tree() ([]history.Change, map[string]sight) {
	var list []history.Change
	byPath := map[string]sight{}
	w.walk(func(name string, e share.Entry, data []byte) {
		content := fnv.New64a()
		c := history.Change{Path: name, Size: e.Size, Link: e.Nlink, Dir: e.Mode.IsDir()}
		if e.Mode.IsRegular() {
			c.Note = w.test.Workload.Note(name, data)
			content.Write(data)
		}
		list = append(list, c)
		byPath[name] = sight{c, content.Sum64()}
	})
	return list, byPath
}

// contents is a digest of all that lies there now, but for the times of
// directories, and which inode a file is.
func (w *World) contents() uint64 {
	if w.digested == w.store.Version() {
		return w.digest
	}
	h := fnv.New64a()
	w.walk(func(name string, e share.Entry, data []byte) {
		fmt.Fprintf(h, "%q %v %d", name, e.Mode, e.Nlink)
		if !e.Mode.IsDir() {
			fmt.Fprintf(h, " %d %d\n%s", e.Mtime.UnixNano(), len(data), data)
		}
	})
	w.digested, w.digest = w.store.Version(), h.Sum64()
	return w.digest
}

// A sight is what lies at a path, and a digest of what is in it.
type sight struct {
	history.Change
	content uint64
}

// changes is what has changed on the share since the last time, by path.
func (p *play) changes(w *World) []history.Change {
	list, now := w.tree()
	var out []history.Change
	for _, c := range list {
		if p.before[c.Path] != now[c.Path] {
			out = append(out, c)
		}
	}
	for path, c := range p.before {
		if _, ok := now[path]; !ok {
			out = append(out, history.Change{Path: path, Gone: true, Dir: c.Dir})
		}
	}
	slices.SortFunc(out, func(a, b history.Change) int { return strings.Compare(a.Path, b.Path) })
	p.before = now
	return out
}
