package booking

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Charts are searched by terms: the characters of a name, and its pairs of
// neighbouring characters. A part of a name has all of its own pairs in common with
// the name; pairs and not triples, because many a Korean name has two syllables.
// Names that have the terms are then looked at: that they have them in another order
// is no match.

// SearchTerms are the terms of a text by which any part of it is found, each once.
func SearchTerms(text string) []string {
	runes := []rune(text)
	var terms []string
	for i, r := range runes {
		terms = append(terms, string(r))
		if i > 0 {
			terms = append(terms, string(runes[i-1:i+1]))
		}
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// PartTerms are the terms that a text has if this is a part of it: few that tell
// as much as all, each once.
func PartTerms(part string) []string {
	terms := SearchTerms(part)
	pair := func(term string) bool { return len([]rune(term)) == 2 }
	if slices.ContainsFunc(terms, pair) {
		terms = slices.DeleteFunc(terms, func(term string) bool { return !pair(term) })
	}
	return terms
}

// NameText is what a name is searched in: given name and family name in both
// orders, with a space between them and without, since "홍길동" may have been split
// either way. The letters A to Z are small.
func NameText(givenName, familyName string) string {
	return LowerASCII(givenName + " " + familyName + " " + givenName + "\n" + familyName + givenName)
}

// LowerASCII makes A to Z small and leaves every other letter: SQLite knows no
// others, and both databases are to find the same.
func LowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// indexBatch is how many charts are made searchable in one transaction: few enough
// that nobody waits for it.
const indexBatch = 100

// IndexGuests makes some charts searchable by their index that are new or have
// changed, and returns how many; 0: all are. Nothing waits for it: a search looks at
// the others one by one.
func (s *Service) IndexGuests(ctx context.Context) (int, error) {
	n, err := s.Store.IndexGuests(ctx, indexBatch)
	if err != nil {
		return 0, fmt.Errorf("index guests: %w", err)
	}
	return n, nil
}
