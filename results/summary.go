package results

import (
	"fmt"
	"html"
	"strings"
	"unicode"

	"screwtape/harness/check"
)

// MaxSummary bounds a summary, in bytes: CI systems cut off longer ones.
const MaxSummary = 60 << 10

// Summary tells reports in Markdown, the verdicts first, what takes space
// folded. It never exceeds MaxSummary; what is left out is counted.
func Summary(reports ...Report) string {
	const tail = 512 // room for saying what is left out
	var b strings.Builder
	left := 0
	add := func(text string) {
		if left > 0 || b.Len()+len(text) > MaxSummary-tail {
			left++
			return
		}
		b.WriteString(text)
	}
	add("| test | verdict | anomalies | schedules | traces | faults | seconds |\n|---|---|---|---:|---:|---|---:|\n")
	for _, r := range reports {
		add(fmt.Sprintf("| %s | %s | %s | %d | %d | %s | %.1f |\n", code(r.Test), mark(r.Verdict), inline(counted(r.Anomalies)), r.Schedules, r.Traces, inline(r.FaultText()), r.Seconds))
	}
	for _, r := range reports {
		add(section(r))
		for _, a := range r.Anomalies {
			add(anomalyText(a))
		}
		if len(r.Allowed) > 0 {
			add(fmt.Sprintf("\nWithin the promise: %s.\n", inline(counted(r.Allowed))))
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n%d more parts are left out here; verdict.json and report.html have everything.\n", left)
	}
	return b.String()
}

// mark names a verdict with a sign, which a colour-blind eye can tell.
func mark(v check.Validity) string {
	switch v {
	case check.Valid:
		return "✅ valid"
	case check.Invalid:
		return "❌ invalid"
	}
	return "❔ unknown"
}

func counted(anomalies []Anomaly) string {
	plain := make([]check.Anomaly, len(anomalies))
	for i, a := range anomalies {
		plain[i] = a.Anomaly
	}
	return check.Summary(plain)
}

func section(r Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s: %s\n\n", code(r.Test), mark(r.Verdict))
	if r.Why != "" {
		fmt.Fprintf(&b, "Unknown because: %s\n\n", inline(r.Why))
	}
	fmt.Fprintf(&b, "%s, %s, seed %d", count(r.Schedules, "schedule"), count(r.Traces, "distinct trace"), r.Seed)
	if r.Complete {
		b.WriteString("; everything within the bounds was looked at")
	}
	if r.Bounded > 0 {
		fmt.Fprintf(&b, "; %d hit a bound", r.Bounded)
	}
	if r.Divergences > 0 {
		fmt.Fprintf(&b, "; **%d did not come out the same twice**", r.Divergences)
	}
	b.WriteString(".")
	if r.Run != "" {
		fmt.Fprintf(&b, " Run: %s.", code(r.Run))
	}
	b.WriteString("\n")
	if text := r.OutsideText(); text != "" {
		fmt.Fprintf(&b, "\nWrote outside the share: %s.\n", inline(text))
	}
	if len(r.Claims) > 0 {
		b.WriteString("\n| claim | expected | observed | |\n|---|---|---|---|\n")
		for _, c := range r.Claims {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(c.ID), inline(c.Expected), inline(c.Observed), claimMark(c))
		}
	}
	if len(r.SetUps) > 0 {
		b.WriteString("\n| set-up | expected | observed | |\n|---|---|---|---|\n")
		for _, s := range r.SetUps {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(s.ID), inline(orNone(s.Expected)), inline(orNone(strings.Join(s.Observed, ", "))), okMark(s.OK))
		}
	}
	if len(r.Cells) > 0 {
		b.WriteString("\n| profile | flag | lock held by | outcome | exit | anomalies |\n|---|---|---|---|---:|---|\n")
		for _, c := range r.Cells {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %s |\n", code(c.Profile), code(c.Flag), inline(c.Holder), inline(c.Outcome), c.Exit, inline(strings.Join(c.Anomalies, ", ")))
		}
	}
	return b.String()
}

func claimMark(c Claim) string {
	if !c.OK && c.Open {
		return "❔ open"
	}
	return okMark(c.OK)
}

func okMark(ok bool) string {
	if ok {
		return "✅ as expected"
	}
	return "❌ not as expected"
}

func anomalyText(a Anomaly) string {
	var b strings.Builder
	unconfirmed := ""
	if a.Unconfirmed {
		unconfirmed = " (unconfirmed)"
	}
	fmt.Fprintf(&b, "\n<details><summary><b>%s</b> %s%s</summary>\n\n%s\n", html.EscapeString(oneLine(a.Kind)), html.EscapeString(oneLine(a.Subject)), unconfirmed, inline(a.Explanation))
	if a.Cause != "" {
		fmt.Fprintf(&b, "\nCause: %s\n", inline(a.Cause))
	}
	if a.Replay != "" {
		b.WriteString("\n" + block(a.Replay))
	}
	if text := tapeText(a.Tape); text != "" {
		b.WriteString("\n" + block(strings.TrimSpace(text)))
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// oneLine makes one line of a text, with nothing in it that a terminal obeys or an
// eye does not see.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// inline escapes a text for Markdown, so that nothing in it is markup.
func inline(s string) string {
	var b strings.Builder
	s = html.EscapeString(oneLine(s))
	number := len(s) - len(strings.TrimLeft(s, "0123456789")) // a list's item begins with one
	for i, r := range s {
		if strings.ContainsRune("\\`*_[]|~!$@:", r) || i == 0 && strings.ContainsRune("#+-=", r) || number > 0 && i == number && strings.ContainsRune(".)", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code sets a text as code in one line. A fence longer than any in the text
// holds it; a bar would end a table's cell even there.
func code(s string) string {
	if s == "" {
		return ""
	}
	s = strings.ReplaceAll(oneLine(s), "|", `\|`)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 || strings.HasPrefix(s, " ") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// block sets a text as a block of code.
func block(s string) string {
	fence := "```"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fence + "text\n" + s + "\n" + fence + "\n"
}
