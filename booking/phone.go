package booking

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// E164 returns a telephone number in the one form that is valid everywhere, such as
// "+821012345678". country (ISO 3166-1, or "") is where it is dialled if it has no calling code. The
// result is "" if the text is not a number that can be dialled: then only an equal text is the same
// number. (ITU-T E.164)
func E164(country, written string) string {
	n := parsePhone(country, dialled(written))
	if n == nil {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}

// parsePhone reads a number of digits, with or without a + in front; nil if it is not a number. It
// checks the length, and not which numbers have been assigned, because those change.
func parsePhone(country, number string) *phonenumbers.PhoneNumber {
	// Most of the world dials 00 for another country, and elsewhere people write it all the same.
	if rest, ok := strings.CutPrefix(number, "00"); ok {
		if n, err := phonenumbers.Parse("+"+rest, ""); err == nil && phonenumbers.IsValidNumber(n) {
			return n
		}
	}
	n, err := phonenumbers.Parse(number, country)
	if err != nil || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE {
		return nil
	}
	return n
}

// dialled is the part of a number that people dial: its digits, in any script, and a + in front.
func dialled(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9', r == '+' && b.Len() == 0:
			b.WriteRune(r)
		case r == '＋' && b.Len() == 0:
			b.WriteByte('+')
		case r >= 0x80 && unicode.IsDigit(r):
			b.WriteByte('0' + digitOf(r))
		}
	}
	return b.String()
}

// digitOf is the value of a digit in any script. Unicode has the ten digits of a script in a row,
// from zero on.
func digitOf(r rune) byte {
	value := byte(0)
	for unicode.IsDigit(r-1) && value < 9 {
		r, value = r-1, value+1
	}
	return value
}

// plainPhone is a number without what people put between the digits.
func plainPhone(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= '0' && r <= '9' || r == '+' && b.Len() == 0 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// HasDigit reports whether there is a digit, of any script, in a number.
func HasDigit(phone string) bool { return strings.ContainsFunc(phone, unicode.IsDigit) }

// samePhone reports whether two texts are the same number, dialled in that country.
func samePhone(country, a, b string) bool {
	if plain := plainPhone(a); plain != "" && plain == plainPhone(b) {
		return true
	}
	// Spellings of one number differ only at its beginning.
	if last(dialled(a)) != last(dialled(b)) {
		return false
	}
	one := E164(country, a)
	return one != "" && one == E164(country, b)
}

// last are the digits with which every spelling of a number ends.
func last(digits string) string { return digits[max(0, len(digits)-4):] }

// phoneKey begins the keys of telephone numbers.
const phoneKey = "phone:"

// phoneKeys returns the keys of a number: its one form, and the text as written, by which servers of
// earlier releases know it.
func phoneKeys(country, written string) []string {
	var keys []string
	for _, form := range []string{E164(country, written), plainPhone(written)} {
		if form != "" && !slices.Contains(keys, phoneKey+form) {
			keys = append(keys, phoneKey+form)
		}
	}
	return keys
}

// spellings returns the ways in which people write the number with this E.164 form, digits only:
// with its country's code or, at home, without, and with or without the 0 that is dialled there.
func spellings(country, e164 string) []string {
	n := parsePhone("", e164)
	if n == nil {
		return nil
	}
	code := strconv.Itoa(int(n.GetCountryCode()))
	bare := phonenumbers.GetNationalSignificantNumber(n)
	all := []string{code + bare, code + "0" + bare, "00" + code + bare, "00" + code + "0" + bare}
	for _, national := range []string{bare, "0" + bare} {
		if E164(country, national) == e164 {
			all = append(all, national)
		}
	}
	return all
}
