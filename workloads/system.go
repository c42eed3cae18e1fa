package workloads

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/harness/history"
	"screwtape/harness/schedule"
	"screwtape/harness/share"
)

// A SystemConfig says how a system file is tested. Its text form is a tape's
// header, which holds the system file itself.
type SystemConfig struct {
	Text     string // of the system file, or the name of one that comes with screwtape
	Nodes    []string
	Messages int           // how many of each act that is a file
	Promise  check.Promise // instead of the file's, or ""
	Nemeses  []string
	Faults   int // of each nemesis, at most so many in a schedule
}

// DefaultSystem is two nodes and one message.
func DefaultSystem() SystemConfig {
	return SystemConfig{Nodes: []string{"a", "b"}, Messages: 1, Faults: 1}
}

func (c *SystemConfig) options() []option {
	return []option{{"system", &c.Text}, {"nodes", &c.Nodes}, {"messages", &c.Messages}, {"promise", (*string)(&c.Promise)},
		{"nemesis", &c.Nemeses}, {"crashes", &c.Faults}}
}

// Header is the configuration as a tape's header has it.
func (c SystemConfig) Header() schedule.Header { return header("system", c.options()) }

// ParseSystem reads a configuration from a tape's header; what the header does
// not say is as in DefaultSystem.
func ParseSystem(h schedule.Header) (SystemConfig, error) {
	c := DefaultSystem()
	err := read(h, c.options())
	return c, err
}

// NewSystem makes the test. Errors name what in the configuration is wrong; one
// of a machine that lacks a program is a *Missing.
func NewSystem(c SystemConfig) (*harness.Test, error) {
	s, err := parseSystem(c.Text)
	if err != nil {
		return nil, err
	}
	if err := s.missing(); err != nil {
		return nil, err
	}
	if c.Promise != "" {
		s.Promise = c.Promise
	}
	if !slices.Contains(check.Promises, s.Promise) {
		return nil, fmt.Errorf("no promise %q; there are %v", s.Promise, check.Promises)
	}
	if len(c.Nodes) == 0 {
		return nil, fmt.Errorf("a test needs a node")
	}
	t := &harness.Test{Name: s.Name, Nodes: c.Nodes, Header: c.Header()}
	overlap := slices.Contains(c.Nemeses, "overlap")
	others := slices.DeleteFunc(slices.Clone(c.Nemeses), func(n string) bool { return n == "overlap" })
	if t.Nemeses, err = makeNemeses(others, c.Faults); err != nil {
		return nil, err
	}
	base := system{System: s, config: c}
	for i, node := range c.Nodes {
		slice, of := i, len(c.Nodes)
		if overlap { // each serves all of the queue
			slice, of = 0, 1
		}
		fill := []string{"{slice}", strconv.Itoa(slice), "{slices}", strconv.Itoa(of)}
		for _, p := range s.Programs {
			if on(p.Nodes, node) {
				daemon := base.program(node, p.Name, p.Command, fill...)
				daemon.Horizon = time.Duration(s.Horizon)
				t.Programs = append(t.Programs, daemon)
			}
		}
		for _, a := range s.Acts {
			if a.Command != "" && on(a.Nodes, node) {
				p := base.program(node, a.Name, a.Command, append(fill, "{id}", actID(node, a.Name))...)
				p.Late, p.Once = true, true
				t.Programs = append(t.Programs, p)
			}
		}
	}
	if len(t.Programs) == 0 {
		return nil, fmt.Errorf("no program runs on the nodes %s", strings.Join(c.Nodes, " "))
	}
	if s.Workload == "state" {
		t.Workload = &systemState{base}
	} else {
		t.Workload = &systemQueue{system: base}
	}
	return t, nil
}

func on(nodes []string, node string) bool { return len(nodes) == 0 || slices.Contains(nodes, node) }

// actID is what stands for {id} in a command: it names the act in all that comes
// of it.
func actID(node, name string) string { return name + "-" + node }

// A system is what both kinds of workload have in common.
type system struct {
	*System
	config SystemConfig
}

func (s *system) program(node, name, text string, fill ...string) harness.Program {
	r := strings.NewReplacer(append([]string{"{node}", node, "{share}", "/shared", "{local}", "/local"}, fill...)...)
	env := map[string]string{}
	for key, value := range s.Env {
		env[key] = r.Replace(value)
	}
	p := command(node, name, r.Replace(text), env)
	p.Timed = s.Clock == "virtual"
	return p
}

// Prepare lays out the files, and what the file's command makes.
func (s *system) Prepare(store *share.Store) error {
	trees := map[string]map[string]string{"/shared": s.Share}
	roots := []string{"/shared"}
	for _, n := range s.config.Nodes {
		trees["/"+n], roots = s.Local, append(roots, "/"+n)
	}
	for _, root := range roots {
		for _, name := range slices.Sorted(maps.Keys(trees[root])) {
			if err := putFile(store, path.Join(root, name), trees[root][name], strings.HasSuffix(name, "/")); err != nil {
				return err
			}
		}
	}
	if s.System.Prepare == "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "screwtape-prepare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, root := range roots[:2] { // every node gets what the first one does
		if err := exportTree(store, root, filepath.Join(dir, path.Base(root))); err != nil {
			return err
		}
	}
	shared, local := filepath.Join(dir, "shared"), filepath.Join(dir, s.config.Nodes[0])
	if _, err := s.run(s.System.Prepare, shared, local); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	for _, root := range roots {
		from := local
		if root == "/shared" {
			from = shared
		}
		if err := importTree(store, from, root); err != nil {
			return err
		}
	}
	return nil
}

// run runs a command on the machine itself, in a directory that stands for the
// share, and gives its output.
func (s *system) run(text, shared, local string) (string, error) {
	r := strings.NewReplacer("{share}", shared, "{local}", local, "{node}", "prepare")
	cmd := exec.Command("/bin/sh", "-c", r.Replace(text))
	cmd.Dir = shared
	env := map[string]string{}
	for key, value := range s.Env {
		env[key] = r.Replace(value)
	}
	cmd.Env = command("", "", "", env).Env
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return string(out), err
}

func putFile(store *share.Store, name, text string, dir bool) error {
	if dir {
		return store.MkdirAll(name, 0o777)
	}
	if err := store.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	mode := uint32(0o666)
	if strings.HasPrefix(text, "#!") {
		mode = 0o777
	}
	return store.WriteFile(name, []byte(text), mode)
}

// exportTree writes a part of the store to a directory of the machine.
func exportTree(store *share.Store, root, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var failed error
	err := store.Walk(root, func(below string, e share.Entry) {
		to := filepath.Join(dir, below)
		data, err := []byte(nil), error(nil)
		if !e.Mode.IsDir() {
			data, err = store.ReadFile(path.Join(root, below))
		}
		switch {
		case err != nil:
		case e.Mode.IsDir():
			err = os.Mkdir(to, 0o777)
		case e.Mode&fs.ModeSymlink != 0:
			err = os.Symlink(string(data), to)
		default:
			err = os.WriteFile(to, data, e.Mode.Perm())
		}
		if failed == nil {
			failed = err
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// importTree puts what lies in a directory of the machine into the store.
func importTree(store *share.Store, dir, root string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		to := path.Join(root, below)
		if e.IsDir() {
			return store.MkdirAll(to, 0o777)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("prepare made %s, which is neither a file nor a directory; make it in a program's command", below)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return store.WriteFile(to, data, uint32(info.Mode().Perm()))
	})
}

// acts are the runs of programs that are acts; one that ended with 0 has done
// what it should.
func (s *system) acts(ops []history.Op) []*life {
	var list []*life
	for _, l := range lives(ops) {
		_, name, _ := strings.Cut(l.process, "/")
		if slices.ContainsFunc(s.Acts, func(a Act) bool { return a.Name == name }) {
			l.entered = l.how == "exit 0"
			list = append(list, l)
		}
	}
	return list
}

// id is what stands for {id} in the act's command.
func (l *life) id() string {
	node, name, _ := strings.Cut(l.process, "/")
	return actID(node, name)
}

// A systemState is the workload of a state that commands read, change and write:
// what a command has done must be there in the end.
type systemState struct{ system }

// Act does nothing: the clients are commands.
func (*systemState) Act(*harness.Acts) error { return nil }

// Note says nothing.
func (*systemState) Note(string, []byte) string { return "" }

// Judge has the state printed, and looks whether all is in it that commands have
// said they did; and whether a command waits for ever, or failed although
// nobody was in its way.
func (s *systemState) Judge(e *harness.End) check.Verdict {
	acts := s.acts(e.History)
	list := s.lost(e.Share, acts)
	if e.Bounded == "" {
		list = append(list, waiting(e.History)...)
		list = append(list, failedAlone(acts)...)
	}
	return verdict(list)
}

// lost finds what was acknowledged and is not in the state.
func (s *systemState) lost(store *share.Store, acts []*life) []check.Anomaly {
	dir, err := os.MkdirTemp("", "screwtape-state-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = exportTree(store, "/shared", filepath.Join(dir, "shared"))
	}
	if err != nil {
		panic(fmt.Errorf("copy the share to judge it: %w", err))
	}
	state, err := s.run(s.Read, filepath.Join(dir, "shared"), dir)
	if err != nil {
		text := strings.ReplaceAll(strings.ReplaceAll(err.Error(), dir+"/shared/", ""), "\n", "; ")
		return []check.Anomaly{{Kind: check.CorruptState, Subject: s.Name, Step: -1, Explanation: "the state cannot be read: " + text}}
	}
	var list []check.Anomaly
	for _, l := range acts {
		if l.entered && !hasWord(state, l.id()) {
			list = append(list, check.Anomaly{Kind: check.LostUpdate, Subject: l.id(), Step: l.step,
				Explanation: fmt.Sprintf("%s said that it had done %s, and nothing of that is in the state", l.process, l.id())})
		}
	}
	return list
}

// hasWord reports whether the word is in the text, and not as a part of another.
func hasWord(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
	}), word)
}

// failedAlone finds commands that failed although no other that did, was killed,
// or is still at it, was at it at the same time.
func failedAlone(acts []*life) []check.Anomaly {
	var list []check.Anomaly
	for _, l := range hindered(acts) {
		list = append(list, check.Anomaly{Kind: check.Stuck, Subject: l.id(), Step: l.step,
			Explanation: fmt.Sprintf("%s failed (%s) although nobody was in its way", l.process, l.how)})
	}
	return list
}

// A systemQueue is the workload of messages that clients put in and programs
// deliver. A copy of a message is wherever its Message-ID stands in a file.
type systemQueue struct {
	system
	names   map[string]string // id -> the file that a client made
	version uint64            // of the store when it was last looked at
	copies  map[string]copies
}

// copies is how often a message's id stands in files with deliveries, and in
// others.
type copies struct{ delivered, elsewhere int }

// Act puts the messages that are files into place.
func (q *systemQueue) Act(a *harness.Acts) error {
	q.names, q.copies, q.version = map[string]string{}, map[string]copies{}, 0
	n := 0
	for _, act := range q.Acts {
		for range q.config.Messages {
			if act.File == "" {
				continue
			}
			id := "m" + strconv.Itoa(n)
			n++
			sum := sha1.Sum([]byte(id))
			r := strings.NewReplacer("{id}", id, "{hash}", hex.EncodeToString(sum[:]), "{time}", strconv.FormatInt(a.Now.Unix()+int64(n), 10))
			name := r.Replace(act.File)
			if err := putFile(a.Share, path.Join("/shared", name), r.Replace(act.Text), false); err != nil {
				return err
			}
			q.names[id] = name
			a.History.Did("client", "enqueue", id)
		}
	}
	return nil
}

// ids are those of all messages, in order.
func (q *systemQueue) ids() []string {
	ids := slices.Sorted(maps.Keys(q.names))
	for _, node := range q.config.Nodes {
		for _, a := range q.Acts {
			if a.Command != "" && on(a.Nodes, node) {
				ids = append(ids, actID(node, a.Name))
			}
		}
	}
	return ids
}

// Observe notes that a client begins, that a message is in one more file of
// deliveries, and that it is in no other file any more.
func (q *systemQueue) Observe(d schedule.Decision, s *share.Store, h *history.Recorder) {
	if node, name, ok := strings.Cut(d.Process, "/"); ok && d.Verb == schedule.Start {
		if slices.ContainsFunc(q.Acts, func(a Act) bool { return a.Name == name }) {
			h.Add(d.Process, history.Invoke, "enqueue", actID(node, name), "")
		}
	}
	if s.Version() == q.version {
		return
	}
	q.version = s.Version()
	now := q.count(s)
	for _, id := range q.ids() {
		was, is := q.copies[id], now[id]
		for range is.delivered - was.delivered {
			h.Did(d.Process, "deliver", id)
		}
		if was.elsewhere > 0 && is.elsewhere == 0 {
			h.Did(d.Process, "remove", id)
		}
	}
	q.copies = now
}

// count counts all copies that lie on the share.
func (q *systemQueue) count(s *share.Store) map[string]copies {
	all := map[string]copies{}
	ids := q.ids()
	q.files(s, func(name string, data string) {
		for _, id := range ids {
			c := all[id]
			if n := strings.Count(data, "<"+id+"@"); q.isDelivered(name) {
				c.delivered += n
			} else {
				c.elsewhere += n
			}
			all[id] = c
		}
	})
	return all
}

func (q *systemQueue) files(s *share.Store, fn func(name, data string)) {
	s.Walk("/shared", func(below string, e share.Entry) {
		if e.Mode.IsRegular() {
			if data, err := s.ReadFile("/shared/" + below); err == nil {
				fn(below, string(data))
			}
		}
	})
}

func (q *systemQueue) isDelivered(name string) bool {
	return slices.ContainsFunc(q.Delivered, func(p string) bool { return matchName(p, name) })
}

// matchName matches a path below the share; a pattern without "/" is for its
// last element.
func matchName(pattern, name string) bool {
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// Note says which message lies at a path.
func (q *systemQueue) Note(_ string, data []byte) string {
	for _, id := range q.ids() {
		if strings.Contains(string(data), "<"+id+"@") {
			return id
		}
	}
	return ""
}

// Judge looks where copies of the messages lie, how often each was delivered,
// and what programs said of them; and whether a client failed although nobody
// was in its way.
func (q *systemQueue) Judge(e *harness.End) check.Verdict {
	places := map[string][]string{}
	q.files(e.Share, func(name, data string) {
		if id := q.Note(name, []byte(data)); id != "" && !q.isDelivered(name) {
			places[id] = append(places[id], q.place(name, e))
		}
	})
	acts := q.acts(e.History)
	ops := slices.Clone(e.History)
	for _, l := range acts {
		if l.entered {
			ops = append(ops, history.Op{Process: l.process, Type: history.OK, F: "enqueue", Value: l.id()})
		}
	}
	v := check.JudgeMessages(q.Promise, check.Messages(ops, places), q.misleading(e))
	var more []check.Anomaly
	if e.Bounded == "" {
		more = failedAlone(acts)
	}
	for _, p := range e.Down {
		more = append(more, check.Anomaly{Kind: check.Stuck, Subject: p, Step: -1,
			Explanation: p + " ends by itself each time that it is started, and is started no more"})
	}
	if len(more) > 0 {
		v.Verdict, v.Anomalies = check.Invalid, append(v.Anomalies, more...)
	}
	return v
}

// place says what it means for a message to lie there. What lies in a queue when
// all has come to rest, with every program up, none of them takes.
func (q *systemQueue) place(name string, e *harness.End) string {
	for _, p := range slices.Sorted(maps.Keys(q.Places)) {
		if matchName(p, name) {
			return q.Places[p]
		}
	}
	if e.Bounded == "" && len(e.Down) == 0 {
		return check.UnservedSlice
	}
	return check.Pck
}

// misleading are the lines in which programs take a message for damaged: by its
// id, or by the name of the file that a client made.
func (q *systemQueue) misleading(e *harness.End) []check.Misleading {
	if q.Misleading == "" {
		return nil
	}
	pattern := regexp.MustCompile(q.Misleading)
	about := func(line string) (string, bool) {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			return "", false
		}
		for _, id := range q.ids() {
			base := strings.TrimSuffix(path.Base(q.names[id]), path.Ext(q.names[id]))
			if len(m) < 2 || m[1] == id || q.names[id] != "" && strings.Contains(m[1], base) {
				return id, true
			}
		}
		return "", false
	}
	return check.FindMisleading(e.Steps, about, func(string) bool { return false })
}
