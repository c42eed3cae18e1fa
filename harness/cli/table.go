package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A table is text in columns. A cell may have several lines, and a long one
// gets them.
type table struct {
	head []string
	rows [][]string
}

// maxCell is how wide a cell is at most, in characters, unless one word of it
// is longer.
const maxCell = 44

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer) {
	widths := make([]int, len(t.head))
	var rows [][][]string // lines of cells of rows
	for _, row := range append([][]string{t.head}, t.rows...) {
		cells := make([][]string, len(row))
		for i, cell := range row {
			cells[i] = wrap(cell, maxCell)
			for _, line := range cells[i] {
				widths[i] = max(widths[i], utf8.RuneCountInString(line))
			}
		}
		rows = append(rows, cells)
	}
	for _, cells := range rows {
		for line := 0; printLine(w, widths, cells, line); line++ {
		}
	}
}

// printLine prints the line of that number of every cell that has so many, and
// reports whether there was one.
func printLine(w io.Writer, widths []int, cells [][]string, line int) bool {
	var b strings.Builder
	some := false
	for i, cell := range cells {
		text := ""
		if line < len(cell) {
			text, some = cell[line], true
		}
		fmt.Fprintf(&b, "%-*s  ", widths[i], text)
	}
	if some {
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	return some
}

// wrap breaks a text between words into lines of at most so many characters.
func wrap(text string, width int) []string {
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			switch {
			case line == "":
				line = word
			case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
				line += " " + word
			default:
				lines = append(lines, line)
				line = word
			}
		}
		lines = append(lines, line)
	}
	return lines
}
