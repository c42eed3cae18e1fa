package schedule

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A toy is a model of what the controller drives, made for comparing searches:
// programs are functions, and what they have seen so far is all their state, so
// that a toy can be copied at any point. It knows files with data, directories
// that must be empty to be removed, listings, time stamps, clocks, wake-ups by any
// change, a sink that takes messages, and crashes after a change with a restart.
type toy struct {
	programs map[string]program
	footnote func(Footprint) Footprint // makes footprints wrong, or is nil
	power    bool                      // its server may lose power after a change
	eager    bool                      // any change wakes whoever polls, also one of what it does not look at

	files     map[string]file
	births    map[string]int
	stamps    map[string]stamp // of inodes and directories
	now       int
	dirs      map[string]bool
	delivered []string // who delivered what, after whose crash; sorted by message
	crashed   []string // who has crashed after it had delivered something, or handed it on
	procs     map[string]process
	budget    int
	healing   bool
}

// A program is called anew for each step, and told what it was told before.
type program func(restarted bool, call func(verb string, names ...string) string)

type file struct{ inode, data string }

type stamp struct{ mtime, ctime int }

type process struct {
	seen      []string // what came of its calls
	times     []string // of these, what tells of the time
	since     int      // when it made its last step
	restarted bool
	down      bool
	mutated   bool
	looked    map[Resource]bool // since it last woke
	stale     bool              // that has changed since, or it has changed something
	gave      bool              // it has delivered something, or handed it on
}

// newToy makes a toy from programs by name and files with their data.
func newToy(programs map[string]program, files map[string]string, dirs []string, crashes int) *toy {
	t := &toy{programs: programs, files: map[string]file{}, births: map[string]int{}, stamps: map[string]stamp{}, dirs: map[string]bool{}, procs: map[string]process{}, budget: crashes}
	for _, d := range dirs {
		t.dirs[d] = true
	}
	for name, data := range files {
		t.files[name] = file{"i" + name, data}
	}
	for name := range programs {
		t.procs[name] = process{stale: true}
	}
	return t
}

func (t *toy) clone() *toy {
	c := *t
	c.files, c.births, c.stamps, c.dirs, c.procs = maps.Clone(t.files), maps.Clone(t.births), maps.Clone(t.stamps), maps.Clone(t.dirs), maps.Clone(t.procs)
	c.delivered, c.crashed = slices.Clone(t.delivered), slices.Clone(t.crashed)
	for name, p := range c.procs {
		p.seen, p.times = slices.Clone(p.seen), slices.Clone(p.times)
		c.procs[name] = p
	}
	return &c
}

var errAsked = errors.New("a call was made")

// held is the call that a process is at.
func (t *toy) held(name string) (d Decision, ok bool) {
	p, told := t.procs[name], 0
	if p.down {
		return d, false
	}
	defer func() {
		if r := recover(); r != nil && r != errAsked {
			panic(r)
		}
	}()
	t.programs[name](p.restarted, func(verb string, names ...string) string {
		if told < len(p.seen) {
			told++
			return p.seen[told-1]
		}
		d, ok = Decision{Process: name, Verb: verb, Names: names}, true
		panic(errAsked)
	})
	return d, ok
}

func (t *toy) options() []Option {
	var list []Option
	for name, p := range t.procs {
		if d, ok := t.held(name); ok && (d.Verb != Wake || p.stale) {
			list = append(list, Option{Decision: d})
		}
		if p.down {
			list = append(list, Option{Decision: Decision{Process: name, Verb: Start}, Restart: !t.healing})
		}
		if p.mutated && !p.down && t.budget > 0 && !t.healing {
			list = append(list, Option{Decision: Decision{Process: name, Verb: Crash}})
		}
	}
	if t.power && !t.healing && slices.ContainsFunc(slices.Collect(maps.Values(t.procs)), func(p process) bool { return p.mutated }) {
		list = append(list, Option{Decision: Decision{Process: Server, Verb: PowerLoss}, Wide: true})
	}
	Sort(list)
	return list
}

func (t *toy) do(d Decision) (Decision, Footprint) {
	var f Footprint
	p := t.procs[d.Process]
	p.mutated = false
	d.Outcome = "ok"
	entry := func(name string) Resource { return Resource("e:" + name) }
	listing := func(name string) Resource { return Resource("l:" + dirOf(name)) }
	changed := false
	// stamps notes a change of an inode, and now as its time.
	stamps := func(inode string, mtime bool) {
		s := t.stamps[inode]
		s.ctime = t.now
		if mtime {
			s.mtime = t.now
		}
		t.stamps[inode] = s
		f.Writes = append(f.Writes, Resource("a:"+inode))
	}
	// enters notes that an entry comes or goes.
	enters := func(name string) {
		dir := dirOf(name)
		t.stamps[dir] = stamp{t.now, t.now}
		f.Writes, f.Adds = append(f.Writes, entry(name)), append(f.Adds, listing(name), Resource("a:"+dir))
	}
	switch d.Verb {
	case PowerLoss:
		panic("the server lost power, which is not to be tried")
	case Crash:
		t.budget--
		p.down = true
		if p.gave {
			t.crashed = append(t.crashed, d.Process)
		}
	case Start:
		p = process{restarted: true, stale: true}
	case Wake:
		p.stale, p.looked = false, nil
		f.Writes = append(f.Writes, timeGone)
		if due := p.since + naps(d); due > t.now {
			t.now = due
			f.Writes = append(f.Writes, moved)
		}
	case "clock":
		f.Reads = append(f.Reads, timeGone)
		d.Outcome = fmt.Sprint("at ", t.now)
	case "stat":
		f.Reads = append(f.Reads, entry(d.Names[0]))
		d.Outcome = "ENOENT"
		inode := t.files[d.Names[0]].inode
		if t.dirs[d.Names[0]] {
			inode = d.Names[0]
		}
		if inode != "" {
			f.Reads = append(f.Reads, Resource("a:"+inode))
			d.Outcome = fmt.Sprint(t.stamps[inode])
		}
	case "utimens":
		f.Reads = append(f.Reads, entry(d.Names[0]))
		d.Outcome = "ENOENT"
		if at, ok := t.files[d.Names[0]]; ok {
			stamps(at.inode, false)
			t.stamps[at.inode] = stamp{-1, t.now}
			f.Writes = append(f.Writes, Resource("t:"+at.inode))
			d.Outcome, changed = "ok", true
		}
	case Deliver:
		f.Writes = append(f.Writes, Resource("m:"+d.Names[0]))
		t.delivered = append(t.delivered, fmt.Sprintf("%s by %s after %v", d.Names[0], d.Process, t.crashed))
		slices.SortStableFunc(t.delivered, func(a, b string) int { return strings.Compare(a[:2], b[:2]) })
		p.mutated, p.gave = true, true
	case "list":
		f.Reads = append(f.Reads, Resource("l:"+d.Names[0]))
		d.Outcome = strings.Join(t.list(d.Names[0]), " ")
	case "read":
		f.Reads = append(f.Reads, entry(d.Names[0]))
		d.Outcome = "ENOENT"
		if at, ok := t.files[d.Names[0]]; ok {
			f.Reads = append(f.Reads, Resource("d:"+at.inode))
			d.Outcome = "=" + at.data
		}
	case "write": // what is there already
		f.Reads = append(f.Reads, entry(d.Names[0]))
		d.Outcome = "ENOENT"
		if at, ok := t.files[d.Names[0]]; ok {
			f.Writes = append(f.Writes, Resource("d:"+at.inode))
			stamps(at.inode, true)
			t.files[d.Names[0]] = file{at.inode, d.Names[1]}
			d.Outcome, changed = "ok", true
		}
	case "create":
		name := d.Names[0]
		if _, ok := t.files[name]; ok || t.dirs[name] {
			f.Reads, d.Outcome = append(f.Reads, entry(name)), "EEXIST"
			break
		}
		if dir := dirOf(name); !t.dirs[dir] {
			f.Reads, d.Outcome = append(f.Reads, entry(dir), entry(name)), "ENOTDIR"
			break
		}
		f.Reads = append(f.Reads, entry(dirOf(name)))
		t.births[name]++
		inode := fmt.Sprintf("i%s %d", name, t.births[name])
		t.files[name] = file{inode, ""}
		f.Writes = append(f.Writes, Resource("d:"+inode))
		stamps(inode, true)
		enters(name)
		changed = true
	case "rename":
		from, to := d.Names[0], d.Names[1]
		at, ok := t.files[from]
		if !ok {
			f.Reads, d.Outcome = append(f.Reads, entry(from), entry(to)), "ENOENT"
			break
		}
		delete(t.files, from)
		t.files[to] = at
		p.gave = p.gave || strings.HasSuffix(from, ".tmp")
		stamps(at.inode, false)
		enters(from)
		enters(to)
		changed = true
	case "unlink":
		name := d.Names[0]
		if _, ok := t.files[name]; !ok {
			f.Reads, d.Outcome = append(f.Reads, entry(name)), "ENOENT"
			break
		}
		delete(t.files, name)
		enters(name)
		changed = true
	case "rmdir":
		name := d.Names[0]
		switch {
		case !t.dirs[name]:
			f.Reads, d.Outcome = append(f.Reads, entry(name)), "ENOENT"
		case len(t.list(name)) > 0:
			f.Reads, d.Outcome = append(f.Reads, entry(name), Resource("l:"+name)), "ENOTEMPTY"
		default:
			delete(t.dirs, name)
			f.Writes = append(f.Writes, Resource("l:"+name), Resource("a:"+name))
			enters(name)
			changed = true
		}
	case "mkdir":
		name := d.Names[0]
		if t.dirs[name] {
			f.Reads, d.Outcome = append(f.Reads, entry(name)), "EEXIST"
			break
		}
		t.dirs[name] = true
		f.Writes = append(f.Writes, Resource("l:"+name))
		stamps(name, true)
		enters(name)
		changed = true
	default:
		panic("no such call: " + d.Verb)
	}
	if d.Verb != Crash && d.Verb != Start {
		p.seen = append(p.seen, d.Outcome)
		if d.Verb == "clock" || d.Verb == "stat" {
			p.times = append(p.times, d.Outcome)
		}
	}
	p.since = t.now
	p.mutated = p.mutated || changed
	if len(f.Reads) > 0 {
		p.looked = maps.Clone(p.looked)
		if p.looked == nil {
			p.looked = map[Resource]bool{}
		}
		for _, r := range f.Reads {
			p.looked[r] = true
		}
	}
	t.procs[d.Process] = p
	if next, ok := t.held(d.Process); ok && next.Verb == Wake && naps(next) > 0 {
		f.Reads = append(f.Reads, asleep)
	}
	for name, q := range t.procs {
		q.stale = q.stale || t.eager && changed || name == d.Process && (changed || d.Verb == Deliver) || name != d.Process && f.changesAny(q.looked)
		t.procs[name] = q
	}
	if t.footnote != nil {
		f = t.footnote(f)
	}
	return d, f
}

// naps is how long a sleep lasts.
func naps(d Decision) int {
	if len(d.Names) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(d.Names[0])
	return n
}

func dirOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return "."
}

func (t *toy) list(dir string) []string {
	var list []string
	for name := range t.files {
		if dirOf(name) == dir {
			list = append(list, name[strings.LastIndexByte(name, '/')+1:])
		}
	}
	slices.Sort(list)
	return list
}

// state is the toy as text; only what can still matter of it.
func (t *toy) state() string {
	var b strings.Builder
	t.write(&b, true)
	for _, name := range slices.Sorted(maps.Keys(t.procs)) {
		p := t.procs[name]
		fmt.Fprintf(&b, "%s %q %d %v %v %v %v %v %v\n", name, p.seen, p.since, p.restarted, p.down, p.mutated, p.looked, p.stale, p.gave)
	}
	fmt.Fprint(&b, t.budget, t.healing, t.crashed, t.now, t.stamps)
	return b.String()
}

// write writes what lies where and what was delivered, and, with births, how
// often each file came into being.
func (t *toy) write(b *strings.Builder, births bool) {
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		fmt.Fprintf(b, "%s=%s ", name, t.files[name].data)
		if births {
			fmt.Fprintf(b, "(%s) ", t.files[name].inode)
		}
	}
	fmt.Fprintln(b, slices.Sorted(maps.Keys(t.dirs)), t.delivered)
	if births {
		fmt.Fprintln(b, t.births)
	}
}

// end is what a schedule came to: what lies where, who delivered what, and,
// where no program polls, what each has seen; where it does, how late it was. A poll
// that finds nothing new may come or not.
func (t *toy) end() string {
	var b strings.Builder
	t.write(&b, false)
	for _, name := range slices.Sorted(maps.Keys(t.procs)) {
		if p := t.procs[name]; !t.polls(name) {
			fmt.Fprintf(&b, "%s %q\n", name, p.seen)
		} else {
			fmt.Fprintf(&b, "%s %q\n", name, p.times)
		}
	}
	return b.String()
}

// polls reports whether a program ever sleeps, or looks around when it is
// restarted.
func (t *toy) polls(name string) bool {
	polls := false
	for _, restarted := range []bool{false, true} {
		made := 0
		func() {
			defer func() {
				if r := recover(); r != nil && r != errAsked {
					panic(r)
				}
			}()
			t.programs[name](restarted, func(verb string, _ ...string) string {
				polls = polls || verb == Wake || verb == "list" && restarted
				if made++; made == 20 {
					panic(errAsked)
				}
				return "ok"
			})
		}()
	}
	return polls
}

// play lets a strategy make one schedule, and returns what it came to.
func (t *toy) play(s Strategy) (string, error) {
	for range 10_000 {
		options := t.options()
		choice := None
		if len(options) > 0 {
			var err error
			if choice, err = s.Pick(options); err != nil {
				return "", err
			}
		}
		if choice == None {
			if t.healing {
				return t.end(), nil
			}
			t.healing = true
			continue
		}
		d, f := t.do(options[choice].Decision)
		if err := s.Done(d, f); err != nil {
			return "", err
		}
	}
	return "", errors.New("it does not end")
}

// bruteForce is every end that there is: it tries every option everywhere, and
// knows nothing of footprints. A sleep that takes time and the call after it are one
// step, as they are to the search; without time it does not matter.
func (t *toy) bruteForce() (ends map[string]bool, states int) {
	ends, seen := map[string]bool{}, map[string]bool{}
	var visit func(*toy)
	visit = func(t *toy) {
		state := t.state()
		if seen[state] {
			return
		}
		seen[state] = true
		options := t.options()
		for _, o := range options {
			next := t.clone()
			next.do(o.Decision)
			if d, ok := next.held(o.Process); ok && naps(o.Decision) > 0 && d.Verb != Wake {
				next.do(d)
			}
			visit(next)
		}
		if slices.ContainsFunc(options, Option.free) {
			return
		}
		if t.healing {
			ends[t.end()] = true
			return
		}
		next := t.clone()
		next.healing = true
		visit(next)
	}
	visit(t.clone())
	return ends, len(seen)
}

// exhaust is every end that the exhaustive search comes to, in schedules of which
// so many are under way at once. Each is planned here and made elsewhere.
func (t *toy) exhaust(x *Exhaustive, atOnce, most int) (ends map[string]bool, schedules int, err error) {
	ends = map[string]bool{}
	plans, lessons := newMail(), newMail()
	for !x.Over() && schedules < most {
		var players []Player
		for len(players) < min(atOnce, most-schedules) {
			plan, ok := x.Next()
			if !ok {
				break
			}
			var sent Plan
			if err := plans.send(plan, &sent); err != nil {
				return ends, schedules, err
			}
			players = append(players, sent.Player())
		}
		if len(players) == 0 {
			return ends, schedules, errors.New("it is not over, and has no plan")
		}
		for _, p := range slices.Backward(players) {
			end, err := t.clone().play(p)
			if err != nil {
				return ends, schedules, err
			}
			if f := p.(*follower); f.Scout == 0 {
				ends[end] = true
			}
			schedules++
		}
		for _, p := range players {
			var l Lesson
			if err := lessons.send(p.Lesson(), &l); err != nil {
				return ends, schedules, err
			}
			x.Learn(true, l)
		}
	}
	return ends, schedules, nil
}

// A mail sends values to another process, which is this one.
type mail struct {
	out *gob.Encoder
	in  *gob.Decoder
}

func newMail() mail {
	var pipe bytes.Buffer
	return mail{gob.NewEncoder(&pipe), gob.NewDecoder(&pipe)}
}

// send sends a value, and receives it as what got points to.
func (m mail) send(v, got any) error {
	return errors.Join(m.out.Encode(v), m.in.Decode(got))
}
