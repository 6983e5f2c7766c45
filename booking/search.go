package booking

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The search index of charts has terms: the characters of a name, and its pairs of adjacent
// characters. A name has all the pairs of each of its parts. The terms are pairs and not triples
// because many Korean names have two syllables. The search then compares the names that have all
// terms, because having them in another order is no match.

// SearchTerms returns the terms by which any part of a text can be found, each once.
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

// PartTerms returns terms that every text with this part has, each once: as few as say the same as
// all of them.
func PartTerms(part string) []string {
	terms := SearchTerms(part)
	pair := func(term string) bool { return len([]rune(term)) == 2 }
	if slices.ContainsFunc(terms, pair) {
		terms = slices.DeleteFunc(terms, func(term string) bool { return !pair(term) })
	}
	return terms
}

// NameText is the text in which a search looks for a name: given name and family name in both
// orders, with and without a space between them, because "홍길동" may be split either way. A to Z are
// in lower case.
func NameText(givenName, familyName string) string {
	return LowerASCII(givenName + " " + familyName + " " + givenName + "\n" + familyName + givenName)
}

// LowerASCII puts A to Z in lower case and leaves every other letter alone. SQLite knows no others,
// and both databases must find the same.
func LowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// indexBatch is how many charts one transaction indexes: few enough that nobody waits for it.
const indexBatch = 100

// IndexGuests indexes some of the charts that are new or have changed, and returns how many; 0 means
// that all are indexed. Nothing depends on it: a search looks at the others one by one.
func (s *Service) IndexGuests(ctx context.Context) (int, error) {
	n, err := s.Store.IndexGuests(ctx, indexBatch)
	if err != nil {
		return 0, fmt.Errorf("index guests: %w", err)
	}
	return n, nil
}
