package workloads

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/mail"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"screwtape/harness"
	"screwtape/harness/check"
	"screwtape/runner/profile"
)

// A System is what a system file describes: programs of anybody's, what clients
// do with them, and how it is seen what came of it. docs/systems.md explains it
// for those who write one.
type System struct {
	Name     string            `toml:"name"`
	About    string            `toml:"about"`
	Workload string            `toml:"workload"` // state, queue or lock
	Profile  string            `toml:"profile"`  // of the built-in programs that are held to do the same; see OnSystem
	Promise  check.Promise     `toml:"promise"`  // of a queue
	Clock    string            `toml:"clock"`    // virtual or real
	Horizon  duration          `toml:"horizon"`  // of its programs, see harness.Program
	Needs    []Need            `toml:"needs"`
	Env      map[string]string `toml:"env"`
	Share    map[string]string `toml:"share"`    // path -> text; one that ends in "/" is a directory
	Local    map[string]string `toml:"local"`    // the same for each node's private directory
	Scratch  []string          `toml:"scratch"`  // directories of the machine, see harness.Test
	Prepare  string            `toml:"prepare"`  // makes more of both, by a command that is run once
	Prepared string            `toml:"prepared"` // a command of which programs are forked
	Programs []SystemProgram   `toml:"program"`
	Acts     []Act             `toml:"act"`
	Read     string            `toml:"read"` // of a state: prints it
	// Delivered are, for a queue, the files that hold what was delivered; none
	// means that deliveries are what the mail server takes.
	Delivered  []string          `toml:"delivered"`
	Places     map[string]string `toml:"places"`     // pattern -> one of check's places
	Misleading string            `toml:"misleading"` // what a program writes of a message that it takes for damaged
}

// A duration is written as "90s" or "60h".
type duration time.Duration

// UnmarshalText reads it.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

// A Need is something that must be on the machine.
type Need struct {
	Command string `toml:"command"` // a program that is found in PATH
	File    string `toml:"file"`    // or a file
	Install string `toml:"install"` // the line that installs it
}

// A SystemProgram is a daemon: it is up when clients begin, and is started again
// after a crash.
type SystemProgram struct {
	Name    string   `toml:"name"`
	Command string   `toml:"command"`
	Fork    string   `toml:"fork"`    // what the prepared command is told, instead of a command
	Nodes   []string `toml:"nodes"`   // none is all
	Fresh   bool     `toml:"fresh"`   // see harness.Program.Anew
	Signals []string `toml:"signals"` // that an administrator sends it, of harness.AdminSignals
}

// An Act is what a client does, once: a command, which has done it when it ends
// with 0; a message that is handed to a mail server of the client's own node; or a
// file that comes to be.
type Act struct {
	Name    string   `toml:"name"`
	Command string   `toml:"command"`
	Fork    string   `toml:"fork"`  // as a program's
	Nodes   []string `toml:"nodes"` // of all but a file; none is all
	SMTP    int      `toml:"smtp"`  // the port of 127.0.0.1 on which the mail server listens
	LMTP    int      `toml:"lmtp"`  // the same of one that speaks LMTP (RFC 2033)
	File    string   `toml:"file"`  // below the share
	Text    string   `toml:"text"`  // of the file or message
}

// port is that of the mail server which gets the act's message, or 0.
func (a Act) port() int { return max(a.SMTP, a.LMTP) }

// envelope gives the addresses of a message's sender and recipient: those of its
// fields From and To, each of which holds one.
func (a Act) envelope() (from, to string, err error) {
	m, err := mail.ReadMessage(strings.NewReader(a.Text))
	if err != nil {
		return "", "", errors.New("its text is no message")
	}
	one := func(field string) (address string) {
		list, wrong := m.Header.AddressList(field)
		if wrong != nil || len(list) != 1 {
			err = fmt.Errorf("its text has no field %s: with one address", field)
			return ""
		}
		return list[0].Address
	}
	from, to = one("From"), one("To")
	return from, to, err
}

//go:embed systems/*.toml
var systemFiles embed.FS

// SystemNames are those of the systems that come with screwtape.
func SystemNames() []string {
	var names []string
	entries, _ := systemFiles.ReadDir("systems")
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	return names
}

// ReadSystem reads the system file of that name and checks it, or else finds the
// system of that name which comes with screwtape. It gives what a header's line
// "system" says of it: the text, or the name. Errors say FILE:LINE: what; mend.
func ReadSystem(name string) (string, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		_, err := parseSystem(name)
		return name, err
	}
	if err != nil {
		return "", err
	}
	_, err = ParseSystemFile(name, string(data))
	return string(data), err
}

// parseSystem reads what a header says of a system: the file's text, or the name
// of one that comes with screwtape.
func parseSystem(text string) (*System, error) {
	if strings.Contains(text, "\n") {
		return ParseSystemFile("system", text)
	}
	data, err := systemFiles.ReadFile("systems/" + text + ".toml")
	if err != nil {
		return nil, fmt.Errorf("there is no system file %s, and no system of that name; there are %s", text, strings.Join(SystemNames(), ", "))
	}
	return ParseSystemFile(text+".toml", string(data))
}

// kinds are how values of Go's types are called, and written, in a system file.
var kinds = map[string]struct{ what, write string }{
	"[]string":      {"a list", `["..."]`},
	"string":        {"a text", `"..."`},
	"check.Promise": {"a text", `"..."`},
	"int":           {"a whole number", "2525"},
	"bool":          {"true or false", "true"},
}

// ParseSystemFile reads a system file's text; file is what errors call it.
func ParseSystemFile(file, text string) (*System, error) {
	s := &System{Clock: "virtual", Promise: check.ExactlyOnce}
	d := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields()
	err := d.Decode(s)
	var unknown *toml.StrictMissingError
	var syntax *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		row, _ := unknown.Errors[0].Position()
		key := unknown.Errors[0].Key()
		return nil, fmt.Errorf("%s:%d: there is no key %q; leave it out, or see docs/systems.md for the keys that there are", file, row, strings.Join(key, "."))
	case errors.As(err, &syntax):
		row, _ := syntax.Position()
		what, mend := strings.TrimPrefix(syntax.Error(), "toml: "), "mend the line"
		if key := syntax.Key(); len(key) > 0 {
			for kind, wants := range kinds {
				if strings.HasSuffix(what, " of type "+kind) {
					what, mend = strings.Join(key, ".")+" is not "+wants.what, fmt.Sprintf("write %s = %s", key[len(key)-1], wants.write)
					break
				}
			}
		}
		return nil, fmt.Errorf("%s:%d: %s; %s", file, row, what, mend)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if f := s.fault(); f != nil {
		return nil, fmt.Errorf("%s:%d: %s; %s", file, lineOf(text, f.table, f.number, f.key), f.what, f.mend)
	}
	return s, nil
}

// A fault is the first thing that is wrong with a system file.
type fault struct {
	table  string // "" is the part above the first table
	number int    // which of the tables of that name
	key    string
	what   string
	mend   string
}

// places are what files can mean for a message in a system file.
var places = []string{check.Pck, check.Bak, check.Psv, check.Shunt, check.Tmp, check.UnservedSlice}

func (s *System) fault() *fault {
	top := func(key, what, mend string) *fault { return &fault{"", 0, key, what, mend} }
	switch {
	case s.Name == "":
		return top("name", "the system has no name", `begin with name = "..."`)
	case s.Workload != "state" && s.Workload != "queue" && s.Workload != "lock":
		return top("workload", fmt.Sprintf("workload is %q", s.Workload), `write "state", "queue" or "lock"`)
	case s.Clock != "virtual" && s.Clock != "real":
		return top("clock", fmt.Sprintf("clock is %q", s.Clock), `write "virtual" or "real"`)
	case !slices.Contains(check.Promises, s.Promise):
		return top("promise", fmt.Sprintf("promise is %q", s.Promise), "write one of "+promises())
	case s.Profile != "" && !slices.Contains(profile.Names(), s.Profile):
		return top("profile", fmt.Sprintf("there is no profile %q", s.Profile), "write one of "+strings.Join(profile.Names(), ", "))
	case s.Workload == "state" && s.Read == "":
		return top("read", "nothing says what the state is", `write read = "..." with a command that prints it`)
	case s.Workload != "state" && s.Read != "":
		return top("read", "a "+s.Workload+" has no state to read", "leave it out")
	case s.Workload != "queue" && (len(s.Delivered) > 0 || len(s.Places) > 0 || s.Misleading != ""):
		return top("workload", "delivered, places and misleading are a queue's", `leave them out, or write workload = "queue"`)
	case s.Workload == "lock" && len(s.Programs) > 0:
		return &fault{"program", 0, "name", "a lock has no programs beside its acts", "make an [[act]] of what takes the lock"}
	case len(s.Acts) == 0:
		return top("name", "nobody does anything", "add an [[act]]")
	}
	if _, err := regexp.Compile(s.Misleading); err != nil {
		return top("misleading", err.Error(), "mend the pattern")
	}
	for _, p := range slices.Sorted(maps.Keys(s.Places)) {
		if !slices.Contains(places, s.Places[p]) {
			return &fault{"places", 0, p, fmt.Sprintf("%q is no place", s.Places[p]), "write one of " + strings.Join(places, ", ")}
		}
		if _, err := path.Match(p, ""); err != nil {
			return &fault{"places", 0, p, err.Error(), "mend the pattern"}
		}
	}
	for i, n := range s.Needs {
		if (n.Command == "") == (n.File == "") || n.Install == "" {
			return top("needs", fmt.Sprintf("need %d does not say what and how to install it", i+1), `write {command = "...", install = "..."} or {file = "...", install = "..."}`)
		}
	}
	for _, dir := range s.Scratch {
		if !canBeScratch(dir) {
			return top("scratch", fmt.Sprintf("%q cannot be scratch", dir), "name a directory that programs may fill as they like, such as /tmp")
		}
	}
	names := map[string]bool{preparedName: true}
	for i, p := range s.Programs {
		if f := nameFault("program", i, p.Name, names); f != nil {
			return f
		}
		if (p.Command == "") == (p.Fork == "") {
			return &fault{"program", i, "name", "the program " + p.Name + " is not one of a command and a fork", `write command = "...", or fork = "..." with what the prepared command is told`}
		}
		if f := s.forkFault("program", i, p.Fork); f != nil {
			return f
		}
		for j, sig := range p.Signals {
			if slices.Contains(p.Signals[:j], sig) {
				return &fault{"program", i, "signals", sig + " is there twice", "name each signal once"}
			}
			if !slices.Contains(harness.AdminSignals, sig) {
				return &fault{"program", i, "signals", fmt.Sprintf("%q is no signal that an administrator sends", sig), "write one of " + strings.Join(harness.AdminSignals, ", ")}
			}
		}
	}
	for i, a := range s.Acts {
		if f := nameFault("act", i, a.Name, names); f != nil {
			return f
		}
		if f := s.forkFault("act", i, a.Fork); f != nil {
			return f
		}
		ways := 0
		for _, way := range []bool{a.Command != "", a.Fork != "", a.SMTP != 0, a.LMTP != 0, a.File != ""} {
			if way {
				ways++
			}
		}
		switch {
		case ways != 1:
			return &fault{"act", i, "name", "the act " + a.Name + " is not one of a command, a fork, a message and a file", `write command = "...", fork = "...", smtp = PORT or lmtp = PORT and text = "...", or file = "..." and text = "..."`}
		case a.Text != "" && a.SMTP == 0 && a.LMTP == 0 && a.File == "":
			return &fault{"act", i, "text", "the act " + a.Name + " puts its text nowhere", `write smtp = PORT, lmtp = PORT or file = "..." instead of the command, or leave it out`}
		case a.SMTP != 0 || a.LMTP != 0:
			if f := s.messageFault(i, a); f != nil {
				return f
			}
		case a.File != "" && s.Workload != "queue":
			return &fault{"act", i, "file", "what is done to a " + s.Workload + " is a command", `write command = "..."`}
		}
		switch {
		case (a.port() != 0 || a.File != "") && !strings.Contains(a.Text, messageID("{id}")):
			return &fault{"act", i, "text", "the text of the act " + a.Name + " has no Message-ID by which its message is found", "write <{id}@...> in it"}
		case a.port() == 0 && a.File == "" && s.Workload != "lock" && !s.saysID(a):
			key := "command"
			if a.Fork != "" {
				key = "fork"
			}
			return &fault{"act", i, key, "the act " + a.Name + " says no {id}, by which is seen what came of it", "write {id} in what it puts in; a daemon is a [[program]]"}
		}
	}
	return nil
}

// messageFault finds what is wrong with an act that hands over a message.
func (s *System) messageFault(number int, a Act) *fault {
	key := "smtp"
	if a.LMTP != 0 {
		key = "lmtp"
	}
	_, _, err := a.envelope()
	switch {
	case s.Workload != "queue":
		return &fault{"act", number, key, "what is done to a " + s.Workload + " is a command", `write command = "..."`}
	case a.port() < 1 || a.port() > 65535:
		return &fault{"act", number, key, fmt.Sprintf("there is no port %d", a.SMTP+a.LMTP), "write one from 1 to 65535"}
	case a.port() == harness.MailPort:
		return &fault{"act", number, key, "port 25 is that of the mail sink, to which programs deliver", "have the program listen on another one"}
	case len(s.Programs) == 0:
		return &fault{"act", number, key, "no program listens for the message of the act " + a.Name, "add the [[program]] that does"}
	case err != nil:
		return &fault{"act", number, "text", "the message of the act " + a.Name + " has no envelope: " + err.Error(), "begin it with From: and To:, one address each, and with Message-ID: <{id}@...>"}
	}
	return nil
}

// saysID reports whether the act is told its id, be it by the environment.
func (s *System) saysID(a Act) bool {
	for _, text := range append(slices.Collect(maps.Values(s.Env)), a.Command, a.Fork) {
		if strings.Contains(text, "{id}") {
			return true
		}
	}
	return false
}

// canBeScratch reports whether a node can have a directory of its own in the
// place of this one.
func canBeScratch(dir string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(dir, "/"), "/")
	return path.IsAbs(dir) && path.Clean(dir) == dir && !slices.Contains([]string{"", "dev", "local", "proc", "shared", "sys"}, top)
}

// checkScratch says which of the directories cannot be scratch on this machine.
func checkScratch(dirs []string) error {
	for _, dir := range dirs {
		if info, err := os.Stat(dir); !canBeScratch(dir) || err != nil || !info.IsDir() {
			return fmt.Errorf("scratch: %q is no directory that can be it; make one, or name another, such as /tmp", dir)
		}
	}
	return nil
}

var wordly = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func nameFault(table string, number int, name string, taken map[string]bool) *fault {
	switch {
	case !wordly.MatchString(name):
		return &fault{table, number, "name", fmt.Sprintf("%q cannot be a name", name), "use lower-case letters, digits and -"}
	case taken[name]:
		return &fault{table, number, "name", name + " is there twice", "give each its own name"}
	}
	taken[name] = true
	return nil
}

// forkFault finds what is wrong with what a prepared command is told.
func (s *System) forkFault(table string, number int, line string) *fault {
	switch {
	case line == "":
		return nil
	case s.Prepared == "":
		return &fault{table, number, "fork", "there is nothing prepared to fork from", `write prepared = "..." above the first table, or command = "..."`}
	case strings.Contains(line, "\n"):
		return &fault{table, number, "fork", "what the prepared command is told has more than one line", "write one"}
	}
	return nil
}

// lineOf is the number of the line of a key in one of the tables of that name,
// or of the table, or 1.
func lineOf(text, table string, number int, key string) int {
	line, seen, here := 1, -1, table == ""
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") && !strings.HasPrefix(l, "[[\"") {
			here = false
			if strings.Trim(strings.SplitN(l, "#", 2)[0], "[] ") == table {
				if seen++; seen == number {
					here, line = true, i+1
				}
			}
			continue
		}
		k, _, ok := strings.Cut(l, "=")
		if ok && here && strings.Trim(strings.TrimSpace(k), `"'`) == key {
			return i + 1
		}
	}
	return line
}

// missing says what the machine lacks for the system, and how it is installed.
func (s *System) missing() error {
	for _, n := range s.Needs {
		var err error
		if n.Command != "" {
			_, err = exec.LookPath(n.Command)
		} else {
			_, err = os.Stat(n.File)
		}
		if err != nil {
			return &Missing{s.Name, n}
		}
	}
	return nil
}

// Missing is the error of a test whose programs are not on this machine.
type Missing struct {
	System string
	Need   Need
}

func (m *Missing) Error() string {
	return fmt.Sprintf("%s needs %s%s, which is not here; install it: %s", m.System, m.Need.Command, m.Need.File, m.Need.Install)
}
