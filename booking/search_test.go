package booking

import (
	"strings"
	"testing"
)

func TestSearchTerms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"a", "a"},
		{"aba", "a|ab|b|ba"},
		{"김민수", "김|김민|민|민수|수"},
		{"e\u0301", "e|e\u0301|\u0301"},
	} {
		if got := strings.Join(SearchTerms(c.text), "|"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	for _, c := range []struct{ part, want string }{
		{"", ""}, {"a", "a"}, {"aa", "aa"}, {"aba", "ab|ba"}, {"이산", "이산"},
	} {
		if got := strings.Join(PartTerms(c.part), "|"); got != c.want {
			t.Errorf("part %q: got %q, want %q", c.part, got, c.want)
		}
	}
}

// Whatever is a part of a name, the name has its terms.
func TestPartsHaveTheTermsOfTheName(t *testing.T) {
	for _, name := range [][2]string{{"Zoë", "ÉMILE"}, {"길동", "홍"}, {"", "Prince"}, {"a  b", " c "}, {"\xff", "x"}} {
		text := []rune(NameText(name[0], name[1]))
		has := map[string]bool{}
		for _, term := range SearchTerms(string(text)) {
			has[term] = true
		}
		for from := range text {
			for to := from + 1; to <= len(text); to++ {
				for _, term := range PartTerms(string(text[from:to])) {
					if !has[term] {
						t.Errorf("%q has not %q of its part %q", string(text), term, string(text[from:to]))
					}
				}
			}
		}
	}
}
