package workloads

import (
	"fmt"
	"maps"
	"os"
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

// Program is the workload of a lock that somebody brings along: any command
// that takes a lock on the share, does something that only one may do at a time,
// and lets the lock go. Several contenders do it, on the same and on different
// nodes. That one is in its section is seen by a file of its own there, the
// mark, whatever the lock is made of.
type Program struct {
	config  ProgramConfig
	inode   uint64   // of the lock's file when it was last looked at; 0 is none
	version uint64   // of the store then
	inside  []string // contenders whose marks are there
}

// A ProgramConfig says how such a test is set up. Its text form is a tape's
// header, so that a tape holds the command or the script itself. In commands
// and scripts stand
//
//	{critical}  the command that is in the section for a while
//	{file}      a name on the share for the lock
//	{mark}      the file that exists while the contender is in the section; for
//	            scripts that make and remove it themselves
//	{node}      the node's name
//	{share}     where the share is
//	{local}     a directory that only the node sees
type ProgramConfig struct {
	Lock             string // a command that runs {critical} under the lock
	Acquire, Release string // or one that takes the lock, and one that lets it go
	Script           string // or a script, with #! if it is not for sh, that does it all
	Nodes            []string
	Contenders       int           // dealt to the nodes in turn
	Hold             time.Duration // how long {critical} is in the section
	Real             bool          // the programs' clocks are the machine's; that is faster
	Scratch          []string      // directories of the machine, see harness.Test
	Nemeses          []string
	Faults           int // of each nemesis, at most so many in a schedule
}

// DefaultProgram is two nodes and three contenders, so that two of them are on
// one node.
func DefaultProgram() ProgramConfig {
	return ProgramConfig{Nodes: []string{"a", "b"}, Contenders: 3, Faults: 1}
}

func (c *ProgramConfig) options() []option {
	return []option{
		{"lock", &c.Lock, "a command that runs {critical} under the lock {file}"},
		{"acquire", &c.Acquire, "or one that takes the lock"},
		{"release", &c.Release, "and one that lets it go"},
		{"script", &c.Script, "or a script that does it all"},
		{"nodes", &c.Nodes, meansNodes},
		{"contenders", &c.Contenders, "how many, dealt to the nodes in turn"},
		{"hold", &c.Hold, "how long {critical} takes"},
		{"real-time", &c.Real, "clocks are the machine's"},
		{"scratch", &c.Scratch, "directories of the machine that are empty, and each node's own, in each schedule"},
		{"nemesis", &c.Nemeses, meansNemesis},
		{"crashes", &c.Faults, meansCrashes},
	}
}

// Header is the configuration as a tape's header has it.
func (c ProgramConfig) Header() schedule.Header { return header("program", c.options()) }

// ParseProgram reads a configuration from a tape's header; what the header does
// not say is as in DefaultProgram.
func ParseProgram(h schedule.Header) (ProgramConfig, error) {
	c := DefaultProgram()
	err := read(h, c.options())
	return c, err
}

// NewProgram makes the test. Errors name what in the configuration is wrong.
func NewProgram(c ProgramConfig) (*harness.Test, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	t := &harness.Test{Name: "program", Nodes: c.Nodes, Workload: &Program{config: c}, Header: c.Header(), Scratch: c.Scratch}
	var err error
	if t.Nemeses, err = makeNemeses(c.Nemeses, c.Faults); err != nil {
		return nil, about("nemesis", err)
	}
	for i := range c.Contenders {
		name := "locker"
		if round := i / len(c.Nodes); round > 0 {
			name += strconv.Itoa(round + 1)
		}
		t.Programs = append(t.Programs, c.contender(c.Nodes[i%len(c.Nodes)], name))
	}
	return t, nil
}

func (c ProgramConfig) check() error {
	ways := 0
	for _, given := range []bool{c.Lock != "", c.Acquire != "" || c.Release != "", c.Script != ""} {
		if given {
			ways++
		}
	}
	enters := func(text string) bool {
		return strings.Contains(text, "{critical}") || strings.Contains(text, "{mark}")
	}
	switch {
	case ways == 0:
		return fmt.Errorf("no program is given; give lock, acquire and release, or script")
	case ways > 1:
		return fmt.Errorf("lock, acquire with release, and script exclude each other; give one of them")
	case c.Lock != "" && !enters(c.Lock):
		return about("lock", fmt.Errorf("lock: %q does not run {critical}; write it where the work under the lock is started", c.Lock))
	case (c.Acquire == "") != (c.Release == ""):
		return fmt.Errorf("acquire needs release, and release needs acquire")
	case c.Script != "" && !enters(c.Script) && !strings.Contains(c.Script, "SCREWTAPE_MARK"):
		return about("script", fmt.Errorf("script: it has neither {critical} nor {mark}; write {critical} where a command does the work under the lock, or make and remove the file {mark}"))
	case len(c.Nodes) == 0 || c.Contenders == 0:
		return fmt.Errorf("a test needs a node and a contender")
	}
	return checkScratch(c.Scratch)
}

// contender is the program that takes the lock.
func (c ProgramConfig) contender(node, name string) harness.Program {
	fill := strings.NewReplacer(append(section(node, name, c.Hold), "{node}", node, "{share}", "/shared", "{local}", "/local")...)
	text := c.Lock
	switch {
	case c.Acquire != "":
		text = "{ " + c.Acquire + "\n} || exit\n{critical}\n" + c.Release
	case c.Script != "":
		text = scriptCommand(c.Script)
	}
	p := command(node, name, fill.Replace(text), map[string]string{"SCREWTAPE_MARK": markOf(node, name), "NODE": node})
	p.Timed = !c.Real
	p.Late, p.Once = true, true
	return p
}

// section is what stands for the words of a lock in a command: its file, the
// program's mark, and the work under the lock, which makes the mark and removes
// it again. That is a shell's, which has one thread: of a program with more it is
// chance which one of them closes what it has inherited.
func section(node, name string, hold time.Duration) []string {
	mark := markOf(node, name)
	critical := ": >" + mark + "; "
	if hold > 0 {
		critical += fmt.Sprintf("sleep %g; ", hold.Seconds())
	}
	return []string{"{file}", "/shared/" + lockFile, "{mark}", mark, "{critical}", "sh -c " + escape(critical+"exec rm "+mark)}
}

// markOf is the file that is there while a program is in the section.
func markOf(node, name string) string { return "/shared/" + sectionDir + "/" + node + "." + name }

// escape makes one word for sh of a text without quotes, so that it may stand
// within quotes of either kind, and outside.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(" >;", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// command is a program that is a command for sh. Its environment is always the
// same, but for where programs are found and what env says.
func command(node, name, text string, env map[string]string) harness.Program {
	p := harness.Program{Node: node, Name: name, Path: "/bin/sh", Args: []string{"sh", "-c", text}, Dir: "/", Horizon: horizon}
	all := map[string]string{"PATH": os.Getenv("PATH"), "LC_ALL": "C", "TZ": "UTC", "HOME": "/nonexistent", "PYTHONHASHSEED": "0"}
	maps.Copy(all, env)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		p.Env = append(p.Env, key+"="+all[key])
	}
	return p
}

// scriptCommand runs a script as its first line says, without a file that would
// have to lie somewhere.
func scriptCommand(script string) string {
	interpreter := "/bin/sh"
	if line, ok := strings.CutPrefix(script, "#!"); ok {
		line, _, _ = strings.Cut(line, "\n")
		interpreter = strings.TrimSpace(line)
	}
	const end = "END-OF-THE-SCRIPT-OF-SCREWTAPE"
	return "exec " + interpreter + " /dev/fd/3 3<<'" + end + "'\n" + strings.TrimSuffix(script, "\n") + "\n" + end + "\n"
}

// Prepare makes the directories.
func (p *Program) Prepare(s *share.Store) error { return (&Lock{}).Prepare(s) }

// Act does nothing: the contenders are clients.
func (p *Program) Act(*harness.Acts) error {
	p.inode, p.version, p.inside = 0, 0, nil
	return nil
}

// Observe notes who enters and leaves the section, and who removes the lock's
// file.
func (p *Program) Observe(d schedule.Decision, s *share.Store, h *history.Recorder) {
	who := schedule.Program(d.Process)
	switch d.Verb {
	case schedule.Start:
		if strings.Contains(who, "/") {
			h.Add(who, history.Invoke, "acquire", lockFile, "")
		}
	case schedule.Crash: // what it leaves of its mark means nothing
		p.inside = slices.DeleteFunc(p.inside, func(q string) bool { return covers(d.Process, q) })
	case schedule.PowerLoss:
		p.inside = nil
	}
	if d.Outcome == "ok" && len(d.Names) > 0 {
		p.observeMark(d, who, s, h)
	}
	inode := inodeOf(s, lockFile)
	if p.inode != 0 && inode != p.inode {
		h.Did(who, "remove-lock", lockFile)
	}
	p.inode, p.version = inode, s.Version()
}

// observeMark notes that a contender's mark appears or vanishes. To look at a mark
// that a crash has left makes none; to open it may.
func (p *Program) observeMark(d schedule.Decision, who string, s *share.Store, h *history.Recorder) {
	mark := d.Names[len(d.Names)-1]
	if mark != sectionDir+"/"+strings.ReplaceAll(who, "/", ".") {
		return
	}
	there, in := inodeOf(s, mark) != 0, slices.Contains(p.inside, who)
	switch {
	case there && !in && d.Verb != "unlink" && (d.Verb == "open" || s.Version() != p.version):
		p.inside = append(p.inside, who)
		h.Add(who, history.OK, "acquire", lockFile, "")
	case !there && in:
		p.inside = slices.DeleteFunc(p.inside, func(q string) bool { return q == who })
		h.Did(who, "release", lockFile)
	}
}

// inodeOf is the number of what lies at a path below the share's root, or 0.
func inodeOf(s *share.Store, name string) uint64 {
	dir, base := "/shared", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		dir, base = dir+"/"+name[:i], name[i+1:]
	}
	entries, err := s.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if e.Name == base {
			return e.Ino
		}
	}
	return 0
}

// Note says nothing: nobody knows what the files of any lock mean.
func (p *Program) Note(string, []byte) string { return "" }

// Judge looks whether two were in the section at once, whether the lock's file
// was removed while somebody else was in it, and whether somebody waits for
// ever or is refused what nobody alive holds. Files that are left beside the
// lock's break no promise, but are told.
func (p *Program) Judge(e *harness.End) check.Verdict { return p.judge(e, nil) }

// judge is Judge where some may stay: they are there in the end, and do not wait.
func (p *Program) judge(e *harness.End, stay []string) check.Verdict {
	list := slices.Concat(splitBrain(e.History, lockFile), stolenLocks(heldFromEntry(e.History), lockFile))
	if e.Bounded == "" {
		list = append(list, slices.DeleteFunc(waiting(e.History), func(a check.Anomaly) bool { return slices.Contains(stay, a.Subject) })...)
		list = append(list, keptOut(e.History)...)
	}
	v := verdict(list)
	v.Allowed = append(v.Allowed, leftOver(e.Share)...)
	return v
}

// heldFromEntry takes who is in the section for whose lock's file it is: who
// made the file need not hold the lock, nor who holds it have made it.
func heldFromEntry(ops []history.Op) []history.Op {
	held := slices.Clone(ops)
	last := ""
	for i, op := range held {
		switch {
		case op.Type != history.OK:
		case op.F == "acquire":
			held[i].F, last = "make-lock", op.Process
		case op.F == "release" && op.Process == last: // one who shares the section takes no lock away by leaving
			held[i].F = "remove-lock"
		}
	}
	return held
}

// A life is one run of a program, from its start to its end, or until what it
// has left in the background leaves the section.
type life struct {
	process    string
	start, end int // in the history
	step       int // of its end
	entered    bool
	how        string // it ended: "exit 1"; "" is by a crash, or not at all
}

// overlaps reports whether two were there at the same time.
func (l *life) overlaps(o *life) bool { return o.start < l.end && l.start < o.end }

// lives are the runs of all programs.
func lives(ops []history.Op) []*life {
	var list []*life
	open, last := map[string]*life{}, map[string]*life{}
	for i, op := range ops {
		switch l := open[op.Process]; {
		case op.F == "start" && strings.Contains(op.Value, "/"):
			open[op.Value] = &life{process: op.Value, start: i, end: len(ops)}
			last[op.Value] = open[op.Value]
			list = append(list, open[op.Value])
		case (op.F == "acquire" || op.F == "release") && op.Type == history.OK && last[op.Process] != nil:
			last[op.Process].entered = true
			last[op.Process].end = max(last[op.Process].end, i)
		case op.F == "exit" && strings.HasPrefix(op.Value, "exit ") && l != nil:
			l.how = op.Value
		}
		for p, l := range open {
			if ends(op)(p) {
				l.end, l.step = i, op.Step
				delete(open, p)
			}
		}
	}
	return list
}

// keptOut finds programs that ended without having been in the section although
// nobody who can have held the lock was alive meanwhile.
func keptOut(ops []history.Op) []check.Anomaly {
	var list []check.Anomaly
	for _, l := range hindered(lives(ops)) {
		list = append(list, check.Anomaly{Kind: check.Stuck, Subject: l.process, Step: l.step,
			Explanation: fmt.Sprintf("%s was kept out of %s, which nobody alive held (%s)", l.process, lockFile, l.how)})
	}
	return list
}

// hindered are the lives that ended by themselves without having entered, and
// that no other explains: one at the same time that entered, was killed, or is
// still there.
func hindered(all []*life) []*life {
	var list []*life
	for _, l := range all {
		explains := func(o *life) bool {
			return o != l && l.overlaps(o) && (o.entered || o.how == "")
		}
		if l.how != "" && !l.entered && !slices.ContainsFunc(all, explains) {
			list = append(list, l)
		}
	}
	return list
}

// leftOver are the files beside the lock's when all is over.
func leftOver(s *share.Store) []check.Anomaly {
	var list []check.Anomaly
	dir, base, _ := strings.Cut(lockFile, "/")
	s.Walk("/shared/"+dir, func(below string, e share.Entry) {
		if below != base && below != "" && !strings.HasPrefix(below, base+"/") {
			list = append(list, check.Anomaly{Kind: check.Stranded, Subject: dir + "/" + below, Step: -1,
				Explanation: fmt.Sprintf("%s/%s is left over", dir, below)})
		}
	})
	return list
}
