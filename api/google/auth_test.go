package google

import (
	"net/http"
	"strings"
	"testing"
	"time"

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
		{"one", "google:s3cret", []Credential{{User: "google", Password: "s3cret"}}, ""},
		{"old and new", "google:s3cret,google:n3w", []Credential{{User: "google", Password: "s3cret"}, {User: "google", Password: "n3w"}}, ""},
		{"white space around pairs", " a:b , c:d\n", []Credential{{User: "a", Password: "b"}, {User: "c", Password: "d"}}, ""},
		{"a colon in a password", "a:b:c", []Credential{{User: "a", Password: "b:c"}}, ""},
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

func TestParseCredentialsFile(t *testing.T) {
	day := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, in string
		want     []Credential
		err      string
	}{
		{"one", "google:s3cret\n", []Credential{{User: "google", Password: "s3cret"}}, ""},
		{"without the last end of line", "google:s3cret", []Credential{{User: "google", Password: "s3cret"}}, ""},
		{"with a day", "google:s3cret 2027-01-31\n", []Credential{{User: "google", Password: "s3cret", Expires: day}}, ""},
		{"old and new", "# until January\r\n\r\n google:s3cret\t2027-01-31 \r\n  # then\ngoogle:n,w:#\n", []Credential{{User: "google", Password: "s3cret", Expires: day}, {User: "google", Password: "n,w:#"}}, ""},
		{"empty", "", nil, "there is no line with user:password"},
		{"only a comment", "# s3cret\n\n", nil, "there is no line with user:password"},
		{"no colon", "a:b\ns3cret\n", nil, "line 2: no colon between user and password"},
		{"empty user", ":s3cret", nil, "line 1: the user is empty"},
		{"empty password", "s3cret:", nil, "line 1: the password is empty"},
		{"no such day", "a:b\n\na:s3cret 2027-02-30", nil, "line 3: behind user:password only a date like 2027-01-31 may follow"},
		{"a password in two words", "a:b s3cret", nil, "line 1: behind user:password only a date like 2027-01-31 may follow"},
		{"more behind the day", "a:b 2027-01-31 s3cret", nil, "line 1: behind user:password only a date like 2027-01-31 may follow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseCredentialsFile(c.in)
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
	two := []Credential{{User: "old", Password: "one"}, {User: "new", Password: "two"}}
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
		{"an empty password configured", []Credential{{User: "a"}}, "a", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{}}
			r.SetBasicAuth(c.user, c.password)
			who, err := newBasicAuth(c.all).authenticate(r)
			if got := err == nil; got != c.want {
				t.Errorf("let in: %v, want %v", got, c.want)
			}
			if want := map[bool]string{true: "google", false: ""}[c.want]; who.Name != want {
				t.Errorf("caller %q, want %q", who.Name, want)
			}
		})
	}
	for _, header := range []string{"", "Basic", "Basic !", "Bearer b2xkOm9uZQ==", "b2xkOm9uZQ=="} {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		if _, err := newBasicAuth(two).authenticate(r); err == nil {
			t.Errorf("let in with Authorization %q", header)
		}
	}
}
