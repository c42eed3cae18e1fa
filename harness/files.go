package harness

import "screwtape/harness/share"

// files is what is in each file of the share and of the nodes' private
// directories now, by path as in a history.Change.
func (w *World) files() map[string][]byte {
	files := map[string][]byte{}
	add := func(store, prefix string) {
		w.store.Walk(store, func(below string, e share.Entry) {
			if !e.Mode.IsRegular() {
				return
			}
			if data, err := w.store.ReadFile(store + "/" + below); err == nil {
				files[prefix+below] = data
			}
		})
	}
	add("/shared", "")
	for _, h := range w.hosts {
		add("/"+h.Name, h.Name+":")
	}
	return files
}
