package main

import (
	"fmt"
	"os"
	"strings"
)

// progress shows how far a long step has come, on one line if there is a terminal; otherwise it only says when the step is done.
func progress(label string, done, total int) {
	info, err := os.Stderr.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	switch {
	case terminal:
		const width = 40
		filled := width * done / total
		fmt.Fprintf(os.Stderr, "\r%s [%s%s] %d%%", label, strings.Repeat("#", filled), strings.Repeat(".", width-filled), 100*done/total)
		if done == total {
			fmt.Fprintln(os.Stderr)
		}
	case done == total:
		note("%s: done", label)
	}
}
