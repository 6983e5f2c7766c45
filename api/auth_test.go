package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCredentials(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []Credential
		err      string
	}{
		{"none", "", nil, ""},
		{"only white space", " \n", nil, ""},
		{"one", "google:s3cret", []Credential{{"google", "s3cret"}}, ""},
		{"old and new", "google:s3cret,google:n3w", []Credential{{"google", "s3cret"}, {"google", "n3w"}}, ""},
		{"white space around pairs", " a:b , c:d\n", []Credential{{"a", "b"}, {"c", "d"}}, ""},
		{"a colon in a password", "a:b:c", []Credential{{"a", "b:c"}}, ""},
		{"no colon", "a:b,s3cret", nil, "credential 2: no colon between user and password"},
		{"empty user", ":s3cret", nil, "credential 1: the user is empty"},
		{"empty password", "s3cret:", nil, "credential 1: the password is empty"},
		{"only a colon", ":", nil, "credential 1: the user is empty"},
		{"a comma at the end", "a:s3cret,", nil, "credential 2: no colon between user and password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseCredentials(c.in)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
			if text := errText(err); text != c.err || strings.Contains(text, "s3cret") {
				t.Errorf("got error %q, want %q", text, c.err)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestBasicAuth(t *testing.T) {
	two := []Credential{{"old", "one"}, {"new", "two"}}
	for _, c := range []struct {
		name           string
		all            []Credential
		user, password string
		want           bool
	}{
		{"the first of two", two, "old", "one", true},
		{"the last of two", two, "new", "two", true},
		{"the user of one and the password of the other", two, "old", "two", false},
		{"the wrong password", two, "old", "on", false},
		{"a longer password", two, "old", "one\x00", false},
		{"the wrong user", two, "Old", "one", false},
		{"nothing", two, "", "", false},
		{"none configured", nil, "old", "one", false},
		{"none configured, nothing said", nil, "", "", false},
		{"an empty pair configured", []Credential{{}}, "", "", false},
		{"an empty password configured", []Credential{{"a", ""}}, "a", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{}}
			r.SetBasicAuth(c.user, c.password)
			caller, _, err := newBasicAuth(c.all).authenticate(r)
			if got := err == nil; got != c.want {
				t.Errorf("let in: %v, want %v", got, c.want)
			}
			if want := map[bool]string{true: "google", false: ""}[c.want]; caller != want {
				t.Errorf("caller %q, want %q", caller, want)
			}
		})
	}
	for _, header := range []string{"", "Basic", "Basic !", "Bearer b2xkOm9uZQ==", "b2xkOm9uZQ=="} {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		if _, _, err := newBasicAuth(two).authenticate(r); err == nil {
			t.Errorf("let in with Authorization %q", header)
		}
	}
}
