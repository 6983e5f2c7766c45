package booking_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"holdfast/booking"
)

func TestE164(t *testing.T) {
	for _, c := range []struct{ country, written, want string }{
		{"KR", "010-1234-5678", "+821012345678"},
		{"KR", "010 1234 5678", "+821012345678"},
		{"KR", "(010) 1234.5678", "+821012345678"},
		{"KR", "10-1234-5678", "+821012345678"},
		{"KR", "+82 10-1234-5678", "+821012345678"},
		{"KR", "82 10 1234 5678", "+821012345678"},
		{"KR", "0082-10-1234-5678", "+821012345678"},
		{"KR", "001-82-10-1234-5678", "+821012345678"}, // as one dials from Korea
		{"KR", "+82 (0)10-1234-5678", "+821012345678"},
		{"KR", "0082 (0)10 1234 5678", "+821012345678"},
		{"KR", "０１０ー１２３４ー５６７８", "+821012345678"},
		{"KR", "＋８２ １０ １２３４ ５６７８", "+821012345678"},
		{"KR", "\u202a+82 10-1234-5678\u202c", "+821012345678"}, // as contacts are copied
		{"KR", "tel:+82-10-1234-5678", "+821012345678"},
		{"KR", "02-123-4567", "+8221234567"},
		{"KR", "010-5999-1234", "+821059991234"}, // not given out yet
		{"KR", "0014155552671", "+14155552671"},
		{"KR", "00 86 138 0013 8000", "+8613800138000"},
		{"US", "(415) 555-2671", "+14155552671"},
		{"US", "1-415-555-2671", "+14155552671"},
		{"US", "011 82 10 1234 5678", "+821012345678"},
		{"US", "010-1234-5678", ""},
		{"IT", "06 1234 5678", "+390612345678"}, // where the 0 is a part of it
		{"IT", "+39 06 1234 5678", "+390612345678"},
		{"GB", "020 7946 0123", "+442079460123"},
		{"GB", "+44 (0)20 7946 0123", "+442079460123"},
		{"", "+44 20 7946 0123", "+442079460123"},
		{"", "0044 20 7946 0123", "+442079460123"},
		{"", "020 7946 0123", ""},
		{"EG", "٠١٠ ١٢٣٤ ٥٦٧٨", "+201012345678"},
		{"KR", "1588-0000", "+8215880000"}, // of no town
		{"KR", "112", ""},
		{"KR", "+82 10", ""},
		{"KR", "010-1234-5678 ext 5", "+8210123456785"}, // an extension, which is another number
		{"KR", "010-1234-5678 / 010-9999-8888", ""},
		{"KR", "by mail", ""},
		{"KR", "+", ""},
		{"KR", "", ""},
		{"XX", "010-1234-5678", ""},
	} {
		if got := booking.E164(c.country, c.written); got != c.want {
			t.Errorf("%q in %q is %q, want %q", c.written, c.country, got, c.want)
		}
	}
}

// A Korean mobile number is the same however it is written, and its E.164 form means the same in every country.
func TestE164IsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bare := "10" + rapid.StringMatching(`[0-9]{8}`).Draw(t, "number")
		want := "+82" + bare
		for _, written := range []string{"0" + bare, bare, "+82" + bare, "+820" + bare, "0082" + bare, "00820" + bare, "82" + bare} {
			if got := booking.E164("KR", written); got != want {
				t.Fatalf("%s is %q, want %q", written, got, want)
			}
		}
		for _, country := range []string{"", "KR", "US", "DE"} {
			if got := booking.E164(country, want); got != want {
				t.Fatalf("%s in %q is %q", want, country, got)
			}
		}
	})
}

// Nothing that is written makes it fail.
func FuzzE164(f *testing.F) {
	f.Add("KR", "+82 (0)10-1234-5678")
	f.Fuzz(func(t *testing.T, country, written string) {
		if got := booking.E164(country, written); got != "" && booking.E164(country, got) != got {
			t.Errorf("%q in %q is %q, and that is %q", written, country, got, booking.E164(country, got))
		}
	})
}

func BenchmarkE164(b *testing.B) {
	for _, written := range []string{"+821012345678", "+82 10-1234-5678", "010-1234-5678", "0082 10-1234-5678", "none"} {
		b.Run(fmt.Sprintf("%q", written), func(b *testing.B) {
			for b.Loop() {
				booking.E164("KR", written)
			}
		})
	}
}
