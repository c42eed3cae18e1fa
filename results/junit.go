package results

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"screwtape/harness/check"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitDetail `xml:"failure"`
	Error   *junitDetail `xml:"error"`
	Skipped *junitDetail `xml:"skipped"`
}

type junitDetail struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes reports as JUnit XML, a suite for each. A case is an anomaly,
// which fails with its replay command and its tape in the text; or a claim, a
// set-up or a cell; or, where a report has none of these, the test itself. An
// unknown verdict is an error, an open claim is skipped.
func JUnit(reports ...Report) ([]byte, error) {
	all := junitSuites{Name: "screwtape"}
	seconds := 0.0
	for _, r := range reports {
		s := junitSuite{Name: r.Test, Time: duration(r.Seconds), Cases: cases(r)}
		for _, c := range s.Cases {
			s.Tests++
			switch {
			case c.Failure != nil:
				s.Failures++
			case c.Error != nil:
				s.Errors++
			case c.Skipped != nil:
				s.Skipped++
			}
		}
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
		seconds += r.Seconds
		all.Suites = append(all.Suites, s)
	}
	all.Time = duration(seconds)
	text, err := xml.MarshalIndent(all, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}

func duration(seconds float64) string { return fmt.Sprintf("%.3f", seconds) }

func cases(r Report) []junitCase {
	var cs []junitCase
	for _, a := range r.Anomalies {
		text := a.Explanation + "\n"
		if a.Cause != "" {
			text += "cause: " + a.Cause + "\n"
		}
		if a.Replay != "" {
			text += "\nreplay: " + a.Replay + "\n"
		}
		text += tapeText(a.Tape)
		detail := &junitDetail{Message: a.Explanation, Type: a.Kind, Text: text}
		c := junitCase{Class: r.Test, Name: a.Kind + " " + a.Subject, Time: duration(0), Failure: detail}
		if a.Unconfirmed {
			detail.Message = "unconfirmed: " + detail.Message
			c.Failure, c.Error = nil, detail
		}
		cs = append(cs, c)
	}
	for _, claim := range r.Claims {
		c := junitCase{Class: r.Test + ".claims", Name: claim.ID, Time: duration(claim.Seconds)}
		said := fmt.Sprintf("expected %s, observed %s", claim.Expected, claim.Observed)
		switch {
		case claim.OK:
		case claim.Open:
			c.Skipped = &junitDetail{Message: "open: " + said}
		default:
			text := said + "\n"
			if claim.Tape != "" {
				text += "\nreplay: " + ReplayCommand(claim.Tape) + "\n"
			}
			c.Failure = &junitDetail{Message: said, Type: "claim", Text: text + tapeText(claim.Tape)}
		}
		cs = append(cs, c)
	}
	for _, setUp := range r.SetUps {
		c := junitCase{Class: r.Test, Name: setUp.ID, Time: duration(setUp.Seconds)}
		said := fmt.Sprintf("%s: expected %s, observed %s", setUp.Is, orNone(setUp.Expected), orNone(strings.Join(setUp.Observed, ", ")))
		switch {
		case setUp.OK:
		case setUp.Why != "":
			c.Error = &junitDetail{Message: "unknown: " + setUp.Why, Type: "verdict", Text: said}
		default:
			c.Failure = &junitDetail{Message: said, Type: "setup", Text: said + "\n\nreplay: " + setUp.Replay + "\n" + tapeText(setUp.Tape)}
		}
		cs = append(cs, c)
	}
	for _, cell := range r.Cells {
		c := junitCase{Class: r.Test + ".cells", Name: fmt.Sprintf("%s %s, lock held by %s", cell.Profile, cell.Flag, cell.Holder), Time: duration(0)}
		if len(cell.Anomalies) > 0 {
			said := fmt.Sprintf("%s: %s, exit %d", strings.Join(cell.Anomalies, ", "), cell.Outcome, cell.Exit)
			c.Failure = &junitDetail{Message: said, Type: cell.Anomalies[0], Text: said + "\n\nreplay: " + ReplayCommand(cell.Tape) + "\n" + tapeText(cell.Tape)}
		}
		cs = append(cs, c)
	}
	if r.Verdict == check.Unknown && len(r.Anomalies) == 0 || len(cs) == 0 {
		c := junitCase{Class: r.Test, Name: r.Test, Time: duration(r.Seconds)}
		switch r.Verdict {
		case check.Valid:
		case check.Invalid:
			c.Failure = &junitDetail{Message: "invalid", Type: "verdict"}
		default:
			c.Error = &junitDetail{Message: "unknown: " + r.Why, Type: "verdict"}
		}
		cs = append(cs, c)
	}
	return cs
}

// orNone names no anomaly at all.
func orNone(kinds string) string { return cmp.Or(kinds, "none") }

// maxTape bounds what of a tape is put into a text, in bytes.
const maxTape = 16 << 10

// tapeText returns a tape for a text, or where it lies if it cannot be read.
func tapeText(tape string) string {
	if tape == "" {
		return ""
	}
	text, err := os.ReadFile(tape)
	if err != nil {
		return "\ntape: " + tape + "\n"
	}
	if len(text) > maxTape {
		text = append(text[:maxTape:maxTape], "\n... (the whole of it is in the file)\n"...)
	}
	return fmt.Sprintf("\ntape: %s\n%s", tape, text)
}

// ReplayCommand is the command that plays a tape again, or a claim, fit for a
// shell.
func ReplayCommand(tape string) string {
	plain := tape != "" && strings.Trim(tape, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-:=@") == ""
	if !plain {
		tape = "'" + strings.ReplaceAll(tape, "'", `'\''`) + "'"
	}
	return "screwtape replay " + tape
}
