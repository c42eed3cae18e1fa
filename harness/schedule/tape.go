package schedule

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Tape is a schedule as text: a header, then one decision a line. A machine
// records one, a person may write one, and Replay forces either.
type Tape struct {
	// File is where the tape was read from; divergences name it.
	File   string
	Header Header
	// Sparse tapes ("calls: named") leave calls out: a line names a process
	// and a call that it is to reach. In the others ("calls: all") every
	// decision is a line.
	Sparse bool
	Lines  []Line
}

// A Header is what a tape says about itself, in the order of its lines. The
// key "calls" is not among its fields: it is the tape's Sparse.
type Header []Field

// A Field is one line of a header. A key is a lower-case word; a value may be
// any string.
type Field struct {
	Key, Value string
	Number     int // of the line in its file, from 1; 0 for none
}

// Get returns the value of key, "" if there is none.
func (h Header) Get(key string) string {
	for _, f := range h {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// Line returns the number in its file of the line that says key, from 1; 0 if
// there is none.
func (h Header) Line(key string) int {
	for _, f := range h {
		if f.Key == key {
			return f.Number
		}
	}
	return 0
}

// Set changes the value of key, or adds it at the end.
func (h *Header) Set(key, value string) {
	for i, f := range *h {
		if f.Key == key {
			(*h)[i].Value = value
			return
		}
	}
	*h = append(*h, Field{Key: key, Value: value})
}

// A Line is one decision of a tape, or in a sparse tape what a decision has to
// look like.
type Line struct {
	Decision
	// Any, written "...", stands for whatever names there are.
	Any bool
	// Glob says which of the names are patterns as in path.Match; nil for
	// none of them. One without a slash matches the last element of any path.
	Glob []bool
	// Comment is what follows '#' on the line. Comments on lines of their own
	// are not kept.
	Comment string
	// Number is the line's number in its file, from 1; 0 for none.
	Number int
}

// MatchesCall reports whether d is what the line names, its outcome apart:
// that is known only once d is done.
func (l Line) MatchesCall(d Decision) bool {
	if l.Process != d.Process || l.Verb != d.Verb {
		return false
	}
	if l.Any {
		return true
	}
	if len(l.Names) != len(d.Names) {
		return false
	}
	for i, name := range l.Names {
		if l.glob(i) && !matches(name, d.Names[i]) || !l.glob(i) && name != d.Names[i] {
			return false
		}
	}
	return true
}

// Matches reports whether d is what the line names, with the outcome that it
// names if it does.
func (l Line) Matches(d Decision) bool {
	return l.MatchesCall(d) && (l.Outcome == "" || l.Outcome == d.Outcome)
}

func (l Line) glob(i int) bool { return i < len(l.Glob) && l.Glob[i] }

func matches(pattern, name string) bool {
	if !strings.Contains(pattern, "/") {
		name = path.Base(strings.TrimPrefix(name, "local:"))
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// Named returns the sparse tape that has the same lines.
func (t *Tape) Named() *Tape {
	return &Tape{File: t.File, Header: slices.Clone(t.Header), Sparse: true, Lines: slices.Clone(t.Lines)}
}

// A SyntaxError is the place in a tape that cannot be read.
type SyntaxError struct {
	File    string
	Line    int    // from 1
	Problem string // what is wrong
	Mend    string // what to do about it
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: %s; %s", e.File, e.Line, e.Problem, e.Mend)
}

const (
	magic    = "screwtape tape"
	version  = "1"
	callsKey = "calls"
)

// Parse reads a tape; name is what its errors call the file. An error in the
// text is a *SyntaxError.
func Parse(name string, r io.Reader) (*Tape, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := parser{tape: &Tape{File: name, Sparse: true}}
	for i, line := range strings.Split(string(text), "\n") {
		if e := p.line(i+1, strings.TrimSuffix(line, "\r")); e != nil {
			e.File, e.Line = name, i+1
			return nil, e
		}
	}
	return p.tape, nil
}

type parser struct {
	tape  *Tape
	calls bool // the header had a line "calls"
}

func wrong(mend, problem string, args ...any) *SyntaxError {
	return &SyntaxError{Problem: fmt.Sprintf(problem, args...), Mend: mend}
}

func (p *parser) line(number int, text string) *SyntaxError {
	if number == 1 {
		return p.first(text)
	}
	text = strings.Trim(text, " \t")
	if text == "" || text[0] == '#' {
		return nil
	}
	if key, value, ok := headerLine(text); ok {
		return p.header(number, key, value)
	}
	return p.decision(number, text)
}

func (p *parser) first(text string) *SyntaxError {
	got, ok := strings.CutPrefix(strings.TrimRight(text, " \t"), magic+" ")
	if !ok {
		return wrong(fmt.Sprintf("begin it with %q", magic+" "+version), "not a tape")
	}
	if got != version {
		return wrong("replay it with the screwtape that wrote it", "tape format %q is not known, only %s is", got, version)
	}
	return nil
}

func headerLine(text string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(text, ":")
	if !ok || !isWord(key) || value != "" && value[0] != ' ' && value[0] != '\t' {
		return "", "", false
	}
	return key, strings.TrimLeft(value, " \t"), true
}

// isWord reports whether s can be a verb, or the key of a header.
func isWord(s string) bool {
	for i := range len(s) {
		letter := 'a' <= s[i] && s[i] <= 'z'
		other := '0' <= s[i] && s[i] <= '9' || s[i] == '_' || s[i] == '-'
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	return s != ""
}

func (p *parser) header(number int, key, value string) *SyntaxError {
	if len(p.tape.Lines) > 0 {
		return wrong("move it above the first decision", "header line %q among the decisions", key)
	}
	if key == callsKey && p.calls || slices.ContainsFunc(p.tape.Header, func(f Field) bool { return f.Key == key }) {
		return wrong("keep one of the two", "%q is said twice", key)
	}
	value, err := headerValue(value)
	if err != nil {
		return err
	}
	if key != callsKey {
		p.tape.Header = append(p.tape.Header, Field{key, value, number})
		return nil
	}
	p.calls = true
	switch value {
	case "all":
		p.tape.Sparse = false
	case "named":
		p.tape.Sparse = true
	default:
		return wrong(`write "all" if every decision is a line, "named" if not`, "calls are %q", value)
	}
	return nil
}

func headerValue(text string) (string, *SyntaxError) {
	if strings.HasPrefix(text, `"`) {
		value, rest, err := quoted(text)
		if err != nil {
			return "", err
		}
		if rest != "" && rest[0] != '#' {
			return "", wrong("quote all of it, or nothing", "%q follows a quoted value", rest)
		}
		return value, nil
	}
	if i := commentStart(text); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimRight(text, " \t")
	if !plainValue(text) {
		return "", wrong(`write it in "quotes", with escapes as in Go`, "the value holds what cannot be printed")
	}
	return text, nil
}

// commentStart is the place of the first '#' that begins a word, or -1.
func commentStart(s string) int {
	for i := range len(s) {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// A token is a word of a line.
type token struct {
	text   string
	quoted bool
}

func (p *parser) decision(number int, text string) *SyntaxError {
	tokens, comment, err := split(text)
	if err != nil {
		return err
	}
	if !tokens[0].quoted && !bareProcess(tokens[0].text) || tokens[0].text == "" {
		return wrong("begin the line with NODE/PROGRAM, as in a/runner", "%q is not the name of a process", tokens[0].text)
	}
	if len(tokens) == 1 {
		return wrong("write what it does, as in \"a/runner wake\"", "%q does nothing", tokens[0].text)
	}
	if tokens[1].quoted || !isWord(tokens[1].text) {
		return wrong("write a lower-case word such as open, rename, wake or crash", "%q is not a verb", tokens[1].text)
	}
	line := Line{Comment: comment, Number: number}
	line.Process, line.Verb = tokens[0].text, tokens[1].text

	names := tokens[2:]
	if i := slices.Index(names, token{text: "="}); i >= 0 {
		outcome := names[i+1:]
		if len(outcome) != 1 || outcome[0].text == "" || !outcome[0].quoted && !bareName(outcome[0].text) {
			return wrong("write one word after it, as in = ok or = ENOENT", `"=" is not followed by an outcome`)
		}
		line.Outcome = outcome[0].text
		names = names[:i]
	}
	if err := p.names(&line, names); err != nil {
		return err
	}
	p.tape.Lines = append(p.tape.Lines, line)
	return nil
}

func (p *parser) names(line *Line, names []token) *SyntaxError {
	for i, name := range names {
		if !name.quoted && name.text == "..." {
			if len(names) > 1 {
				return wrong("leave the other names out, or use patterns", `"..." stands for all names`)
			}
			if !p.tape.Sparse {
				return wrong(`say "calls: named" in the header, or name them`, `"..." on a tape of all calls`)
			}
			line.Any = true
			return nil
		}
		line.Names = append(line.Names, name.text)
		if name.quoted || bareName(name.text) {
			continue
		}
		if !bareGlob(name.text) {
			return wrong(`write it in "quotes", with escapes as in Go, and blanks around = and before #`, "%q cannot stand as it is", name.text)
		}
		if !p.tape.Sparse {
			return wrong(`say "calls: named" in the header, or write the name in "quotes"`, "pattern %q on a tape of all calls", name.text)
		}
		if _, err := path.Match(name.text, ""); err != nil {
			return wrong(`mend it, or write it in "quotes" if it is a name`, "%q is no pattern", name.text)
		}
		if line.Glob == nil {
			line.Glob = make([]bool, len(names))
		}
		line.Glob[i] = true
	}
	return nil
}

// split takes a line that is not blank apart.
func split(text string) (tokens []token, comment string, err *SyntaxError) {
	for text != "" {
		switch text[0] {
		case '#':
			return tokens, cleanComment(text[1:]), nil
		case '"':
			value, rest, err := quoted(text)
			if err != nil {
				return nil, "", err
			}
			tokens, text = append(tokens, token{value, true}), rest
		default:
			end := strings.IndexAny(text, " \t")
			if end < 0 {
				end = len(text)
			}
			tokens, text = append(tokens, token{text: text[:end]}), text[end:]
		}
		text = strings.TrimLeft(text, " \t")
	}
	return tokens, "", nil
}

// quoted reads the Go string that text begins with.
func quoted(text string) (value, rest string, err *SyntaxError) {
	prefix, e := strconv.QuotedPrefix(text)
	if e != nil {
		return "", "", wrong("end it with a quote, and write escapes as in Go", "%q is not a quoted string", text)
	}
	value, _ = strconv.Unquote(prefix)
	rest = text[len(prefix):]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", "", wrong("put a blank there", "no blank after %q", value)
	}
	return value, strings.TrimLeft(rest, " \t"), nil
}

// Server is the process of the lines that are about the file server.
const Server = "server"

// special characters have a meaning in a pattern.
const special = `*?[\`

func bareName(s string) bool {
	return s != "..." && bareGlob(s) && !strings.ContainsAny(s, special)
}

// bareGlob reports whether s can stand without quotes if it is a pattern.
func bareGlob(s string) bool { return printable(s) && !strings.ContainsAny(s, "\"'`#=") }

// bareProcess reports whether a process can stand without quotes: '#' counts
// its threads, so it may be anywhere but at the beginning.
func bareProcess(s string) bool {
	return printable(s) && s[0] != '#' && !strings.ContainsAny(s, "\"'`=") && !strings.HasSuffix(s, ":")
}

// printable reports whether s is a word that every editor shows as it is.
func printable(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == ' ' || !unicode.IsPrint(r)
	})
}

func plainValue(s string) bool {
	return utf8.ValidString(s) && s == strings.TrimSpace(s) && !strings.HasPrefix(s, `"`) && commentStart(s) < 0 &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func cleanComment(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

// String returns the decision as a recorded tape has it.
func (d Decision) String() string { return Line{Decision: d}.String() }

// String returns the line as it stands on its tape, without a line end.
func (l Line) String() string {
	var b strings.Builder
	b.WriteString(quoteUnless(bareProcess, l.Process))
	b.WriteByte(' ')
	b.WriteString(l.Verb)
	if l.Any {
		b.WriteString(" ...")
	} else {
		for i, name := range l.Names {
			b.WriteByte(' ')
			if l.glob(i) {
				b.WriteString(globText(name))
			} else {
				b.WriteString(quoteUnless(bareName, name))
			}
		}
	}
	if l.Outcome != "" {
		b.WriteString(" = ")
		b.WriteString(quoteUnless(bareName, l.Outcome))
	}
	if comment := cleanComment(l.Comment); comment != "" {
		b.WriteString("  # ")
		b.WriteString(comment)
	}
	return b.String()
}

func quoteUnless(bare func(string) bool, s string) string {
	if bare(s) {
		return s
	}
	return strconv.Quote(s)
}

// globText writes a pattern. What a pattern cannot hold becomes "?".
func globText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !bareGlob(string(r)) {
			return '?'
		}
		return r
	}, s)
}

// String returns the text of the tape.
func (t *Tape) String() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", magic, version)
	for _, f := range t.Header {
		if f.Key != callsKey {
			fmt.Fprintf(&b, "%s: %s\n", f.Key, quoteUnless(plainValue, f.Value))
		}
	}
	calls := "all"
	if t.Sparse {
		calls = "named"
	}
	fmt.Fprintf(&b, "%s: %s\n\n", callsKey, calls)
	for _, l := range t.Lines {
		b.WriteString(l.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// WriteTo writes the text of the tape.
func (t *Tape) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, t.String())
	return int64(n), err
}
