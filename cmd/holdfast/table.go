package main

import (
	"io"
	"strings"

	"holdfast/letters"
)

// table is what a command prints for people, in lines of cells. Text that people typed can neither break it nor
// move the cursor, and Korean letters, which take two columns each, stay aligned.
type table struct{ lines [][]string }

// row adds a line. It shows an empty cell as a dash.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if cells[i] = letters.Shown(c); cells[i] == "" {
			cells[i] = "-"
		}
	}
	t.lines = append(t.lines, cells)
}

// flush prints the lines so far, and forgets them.
func (t *table) flush(w io.Writer) error {
	err := t.print(w)
	t.lines = t.lines[:0]
	return err
}

// print writes all lines. It does not pad the last cell of a line.
func (t *table) print(w io.Writer) error {
	var widths []int
	for _, cells := range t.lines {
		for i, c := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], letters.Width(c))
		}
	}
	var b strings.Builder
	for _, cells := range t.lines {
		for i, c := range cells {
			b.WriteString(c)
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-letters.Width(c)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
