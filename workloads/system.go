package workloads

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
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
	Late     []string      // programs that do not run at the beginning
	Nemeses  []string
	Faults   int // of each nemesis, at most so many in a schedule
}

// DefaultSystem is two nodes and one message.
func DefaultSystem() SystemConfig {
	return SystemConfig{Nodes: []string{"a", "b"}, Messages: 1, Faults: 1}
}

func (c *SystemConfig) options() []option {
	return []option{
		{"system", &c.Text, "the system file's text"},
		{"nodes", &c.Nodes, meansNodes},
		{"messages", &c.Messages, "how many are put in"},
		{"promise", (*string)(&c.Promise), "what must hold: " + promises()},
		{"late", &c.Late, "programs that start in the middle"},
		{"nemesis", &c.Nemeses, meansNemesis},
		{"crashes", &c.Faults, meansCrashes},
	}
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
		return nil, about("system", err)
	}
	if err := s.missing(); err != nil {
		return nil, err
	}
	if err := checkScratch(s.Scratch); err != nil {
		return nil, err
	}
	if c.Promise != "" {
		s.Promise = c.Promise
	}
	if !slices.Contains(check.Promises, s.Promise) {
		return nil, about("promise", noPromise(s.Promise))
	}
	// An act that is a file does nothing where there is none of it.
	files := slices.ContainsFunc(s.Acts, func(a Act) bool { return a.File != "" })
	if c.Messages > maxMessages || c.Messages < 1 && files {
		return nil, about("messages", fmt.Errorf("messages: %d; there can be 1 to %d", c.Messages, maxMessages))
	}
	if len(c.Nodes) == 0 {
		return nil, fmt.Errorf("a test needs a node")
	}
	if err := s.absent(c.Nodes); err != nil {
		return nil, about("system", err)
	}
	t := &harness.Test{Name: s.Name, Nodes: c.Nodes, Header: c.Header(), Scratch: s.Scratch}
	overlap := slices.Contains(c.Nemeses, "overlap")
	others := slices.DeleteFunc(slices.Clone(c.Nemeses), func(n string) bool { return n == "overlap" })
	if t.Nemeses, err = makeNemeses(others, c.Faults); err != nil {
		return nil, about("nemesis", err)
	}
	base := system{System: s, config: c}
	for i, node := range c.Nodes {
		slice, of := i, len(c.Nodes)
		if overlap { // each serves all of the queue
			slice, of = 0, 1
		}
		if s.Prepared != "" {
			t.Prepared = append(t.Prepared, base.program(node, preparedName, s.Prepared, ""))
		}
		fill := []string{"{slice}", strconv.Itoa(slice), "{slices}", strconv.Itoa(of)}
		for _, p := range s.Programs {
			if on(p.Nodes, node) {
				daemon := base.program(node, p.Name, p.Command, p.Fork, fill...)
				if daemon.Horizon = time.Duration(s.Horizon); s.Horizon == 0 {
					daemon.Horizon = -1 // only a change wakes it
				}
				daemon.Signals, daemon.Anew = p.Signals, p.Fresh
				daemon.Late = slices.Contains(c.Late, daemon.Label())
				t.Programs = append(t.Programs, daemon)
			}
		}
		for _, a := range s.Acts {
			if a.File == "" && on(a.Nodes, node) {
				p := base.program(node, a.Name, a.Command, a.Fork, append(fill, "{id}", actID(node, a.Name))...)
				if a.port() != 0 {
					p = sender(node, a)
					if !slices.Contains(t.Ports, a.port()) {
						t.Ports = append(t.Ports, a.port())
					}
				}
				p.Late, p.Once = true, true
				t.Programs = append(t.Programs, p)
			}
		}
	}
	if len(t.Programs) == 0 {
		return nil, fmt.Errorf("no program runs on the nodes %s", strings.Join(c.Nodes, " "))
	}
	switch s.Workload {
	case "state":
		t.Workload = &systemState{base}
	case "lock":
		t.Workload = &systemLock{system: base}
	default:
		t.Workload = &systemQueue{system: base}
	}
	return t, nil
}

// absent finds a program or an act that is on none of the nodes, or an act that hands
// its message to a program of a node that has none.
func (s *System) absent(nodes []string) error {
	has := func(wanted []string) bool {
		return slices.ContainsFunc(nodes, func(n string) bool { return on(wanted, n) })
	}
	for _, p := range s.Programs {
		if !has(p.Nodes) {
			return fmt.Errorf("the program %s is for the nodes %s, and there are %s", p.Name, strings.Join(p.Nodes, " "), strings.Join(nodes, " "))
		}
	}
	for _, a := range s.Acts {
		if !has(a.Nodes) {
			return fmt.Errorf("the act %s is for the nodes %s, and there are %s", a.Name, strings.Join(a.Nodes, " "), strings.Join(nodes, " "))
		}
		for _, n := range nodes {
			if a.port() != 0 && on(a.Nodes, n) && !slices.ContainsFunc(s.Programs, func(p SystemProgram) bool { return on(p.Nodes, n) }) {
				return fmt.Errorf("the act %s has no program on %s to talk to; say by nodes = [...] on which nodes it is", a.Name, n)
			}
		}
	}
	return nil
}

// sender is the program that hands an act's message to a mail server. It waits for
// what that answers, and so is not Single.
func sender(node string, a Act) harness.Program {
	args := []string{"send", "--port", strconv.Itoa(a.port())}
	if a.LMTP != 0 {
		args = append(args, "--lmtp")
	}
	from, to, _ := a.envelope()
	text := strings.ReplaceAll(a.Text, "{id}", actID(node, a.Name))
	p := once(node, a.Name, append(args, "--from", from, "--to", to, text)...)
	p.Single, p.OneThread, p.Port = false, true, a.port()
	return p
}

func on(nodes []string, node string) bool { return len(nodes) == 0 || slices.Contains(nodes, node) }

// actID is what stands for {id} in a command: it names the act in all that comes
// of it.
func actID(node, name string) string { return name + "-" + node }

// A system is what all kinds of workload have in common.
type system struct {
	*System
	config SystemConfig
}

// preparedName is what tapes and errors call a node's prepared process.
const preparedName = "prepared"

// program is one that is a command for sh, or is forked from the prepared one.
func (s *system) program(node, name, text, fork string, fill ...string) harness.Program {
	if s.Workload == "lock" {
		fill = append(fill, section(node, name, 0)...)
	}
	r := strings.NewReplacer(append([]string{"{node}", node, "{share}", "/shared", "{local}", "/local"}, fill...)...)
	env := map[string]string{}
	for key, value := range s.Env {
		env[key] = r.Replace(value)
	}
	p := command(node, name, r.Replace(text), env)
	p.Fork = r.Replace(fork)
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
	if text := strings.TrimSpace(complaint.String()); err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
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

// isAct reports whether the program of that label is an act, and no daemon.
func (s *system) isAct(label string) bool {
	_, name, _ := strings.Cut(label, "/")
	return slices.ContainsFunc(s.Acts, func(a Act) bool { return a.Name == name })
}

// acts are the runs of programs that are acts; one that ended with 0 has done
// what it should.
func (s *system) acts(ops []history.Op) []*life {
	var list []*life
	for _, l := range lives(ops) {
		if s.isAct(l.process) {
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
