// Package letters is about text that people write into names and notes: the one form in which we compare
// it, its invisible characters, and its width on a terminal.
package letters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Form returns s in the form in which we compare and search names, NFC: macOS splits 김 into its letters,
// and most others do not. (Unicode Annex 15)
func Form(s string) string { return norm.NFC.String(s) }

// Apart returns s with every letter split, NFD.
func Apart(s string) string { return norm.NFD.String(s) }

// Blank reports whether s has nothing but space.
func Blank(s string) bool { return strings.TrimSpace(s) == "" }

// Seen reports whether all of s is visible: it has no control characters, none that reverse the direction
// of the text after them, and none without a shape of their own. Characters that a script needs are fine:
// a joiner within a Persian or an Indian word, a variant of a Chinese character in a Japanese name.
func Seen(s string) bool {
	_, found := Hidden(s)
	return !found
}

// Hidden returns the first invisible character of s, see [Seen].
func Hidden(s string) (first rune, found bool) {
	each(s, func(r rune, hidden bool) {
		if hidden && !found {
			first, found = r, true
		}
	})
	return first, found
}

// Shown returns s as a terminal can show it on one line: in one form, without invisible characters, and
// with a space for each control character.
func Shown(s string) string {
	var b strings.Builder
	each(Form(s), func(r rune, hidden bool) {
		switch {
		case !hidden:
			b.WriteRune(r)
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
			b.WriteByte(' ')
		}
	})
	return b.String()
}

// ShownLines applies [Shown] to each line.
func ShownLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Shown(lines[i])
	}
	return strings.Join(lines, "\n")
}

// each calls f with every character, and whether it is invisible in its place.
func each(s string, f func(r rune, hidden bool)) {
	before := rune(0)
	for i, r := range s {
		hidden := false
		if unseen(r) {
			after := rune(0)
			for _, after = range s[i+len(string(r)):] {
				break
			}
			hidden = !needed(before, r, after)
		}
		f(r, hidden)
		before = r
	}
}

// braille is the Braille pattern without dots: a symbol, but as blank as a space.
const braille = '\u2800'

// unseen reports whether r has no shape: controls, format characters, line separators, and characters that
// Unicode says are shown as nothing, such as the fillers of Hangul.
func unseen(r rune) bool {
	if r >= ' ' && r < 0x7f {
		return false
	}
	return r == braille || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// The joiners of letters.
const (
	nonJoiner = '\u200c'
	joiner    = '\u200d'
)

// joined are the scripts in which a joiner can change how a word reads.
var joined = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi,
	unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala,
	unicode.Khmer, unicode.Myanmar, unicode.Tibetan,
}

// needed reports whether an invisible character belongs between its two neighbours.
func needed(before, r, after rune) bool {
	switch {
	case r == nonJoiner || r == joiner:
		return unicode.In(before, joined...) && unicode.In(after, joined...)
	case unicode.Is(unicode.Mongolian, before):
		return unicode.Is(unicode.Mongolian, r)
	}
	return unicode.Is(unicode.Variation_Selector, r) && unicode.In(before, unicode.Han, unicode.So)
}

// Width returns how many columns s, as returned by [Shown], takes on a terminal: two for a Korean, Chinese
// or Japanese character, none for a separate accent. (Unicode Annex 11)
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

func columns(r rune) int {
	switch {
	case r >= ' ' && r < 0x7f:
		return 1
	case unseen(r), unicode.In(r, unicode.Mn, unicode.Me), letterWithin(r):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// letterWithin reports whether r is a vowel or a final consonant of Hangul, which is drawn within its
// syllable.
func letterWithin(r rune) bool { return r >= 0x1160 && r <= 0x11ff || r >= 0xd7b0 && r <= 0xd7ff }

// WriteJSON writes v as indented JSON that escapes invisible characters: it means the same, and is harmless
// to a terminal.
func WriteJSON(w io.Writer, v any) error {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	var b strings.Builder
	for _, r := range plain.String() {
		switch {
		case r == '\n' || !unseen(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
