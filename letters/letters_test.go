package letters_test

import (
	"encoding/json"
	"strings"
	"testing"

	"holdfast/letters"
)

func TestForm(t *testing.T) {
	for apart, whole := range map[string]string{
		"\u1100\u1175\u11b7\u1106\u1175\u11ab\u1109\u116e": "김민수",
		"Jose\u0301":    "José",
		"김민수":           "김민수",
		"John":          "John",
		"\u212bngstrom": "Ångstrom",
	} {
		if got := letters.Form(apart); got != whole {
			t.Errorf("Form(%+q) = %+q, want %+q", apart, got, whole)
		}
	}
}

func TestSeen(t *testing.T) {
	for s, want := range map[string]bool{
		"":                            true,
		"John":                        true,
		"김민수":                         true,
		"\u1100\u1175\u11b7":          true, // 김, taken apart
		"José O’Neill-Müller":         true,
		"علی\u200cرضا":                true, // one name with two parts
		"क्\u200dष":                   true,
		"葛\U000e0100城":                true, // a variant of the character
		"Anna ❤\ufe0f":                true,
		"Jo\u200bhn":                  false,
		"Jo\u200dhn":                  false,
		"김\u200c민수":                   false,
		"علی\u200c":                   false, // joins it to nothing
		"\u202eJohn":                  false,
		"John\u202c":                  false,
		"a\u2066b":                    false,
		"\u200e":                      false,
		"\u061cعلی":                   false,
		"\ufeffJohn":                  false,
		"Jo\u00adhn":                  false,
		"\u3164":                      false, // Hangul's filler, which is a letter
		"\u115f\u1160":                false,
		"\uffa0":                      false,
		"\u2800":                      false, // Braille without a dot
		"John\ufe0f":                  false,
		"a\u034fb":                    false,
		"a\U000e0041":                 false, // a tag
		"a\x00b":                      false,
		"a\tb":                        false,
		"a\nb":                        false,
		"\x1b[31mJohn":                false,
		"\u009b31mJohn":               false,
		"a\u2028b":                    false,
		"a\x7f":                       false,
		"\u180b":                      false,
		"\u1820\u180b\u1820":          true, // a variant of a Mongolian letter
		"a\ufff9b":                    false,
		"two words\u00a0and\u3000all": true, // spaces are seen
	} {
		if got := letters.Seen(s); got != want {
			t.Errorf("Seen(%+q) = %v", s, got)
		}
	}
}

func TestShown(t *testing.T) {
	for s, want := range map[string]string{
		"김민수":                      "김민수",
		"\u1100\u1175\u11b7":       "김",
		"one\ntwo\x1b[2J\u009bend": "one two [2J end",
		"\u202eevil\u202c":         "evil",
		"a\u200bb\ufeff":           "ab",
		"علی\u200cرضا":             "علی\u200cرضا",
		"bad \xff byte":            "bad \ufffd byte",
	} {
		if got := letters.Shown(s); got != want {
			t.Errorf("Shown(%+q) = %+q, want %+q", s, got, want)
		}
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{
		"":                   0,
		"John":               4,
		"김민수":                6,
		"\u1100\u1175\u11b7": 2,
		"Jose\u0301":         4,
		"ＡＢ":                 4,
		"한글 abc":             8,
		"東京":                 4,
		"ｱｲ":                 2, // half-width
		"10:00–11:00":        11,
		"😀":                  2,
	} {
		if got := letters.Width(s); got != want {
			t.Errorf("Width(%+q) = %d, want %d", s, got, want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	said := map[string]string{"name": "\u202e김\x1b\u009b\u200b<\U000e0041\"\n\u2028\ufeff"}
	var b strings.Builder
	if err := letters.WriteJSON(&b, said); err != nil {
		t.Fatal(err)
	}
	const want = "{\n  \"name\": \"\\u202e김\\u001b\\u009b\\u200b<\\udb40\\udc41\\\"\\n\\u2028\\ufeff\"\n}\n"
	if b.String() != want {
		t.Errorf("wrote %q, want %q", b.String(), want)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back["name"] != said["name"] {
		t.Errorf("reads as %+q, %v", back["name"], err)
	}
}
