package google

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"holdfast/api/edge"
)

// Credential is a pair that Google may show. They expire every six months,
// so an old and a new one are good at the same time.
type Credential struct {
	User, Password string
	Expires        time.Time // when Google stops to use it; zero: not known
}

// ParseCredentials reads "user:password,user:password". A password may have
// colons but no commas; white space around a pair does not count. An error says
// which pair is wrong and not what it is.
func ParseCredentials(s string) ([]Credential, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var all []Credential
	for i, pair := range strings.Split(s, ",") {
		c, err := parseCredential(strings.TrimSpace(pair))
		if err != nil {
			return nil, fmt.Errorf("credential %d: %w", i+1, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func parseCredential(pair string) (c Credential, err error) {
	user, password, found := strings.Cut(pair, ":")
	switch {
	case !found:
		return c, errors.New("no colon between user and password")
	case user == "":
		return c, errors.New("the user is empty")
	case password == "":
		return c, errors.New("the password is empty")
	case !utf8.ValidString(pair) || strings.ContainsFunc(pair, func(r rune) bool { return !unicode.IsPrint(r) }):
		return c, errors.New("there is a character that nobody can see or that is not UTF-8: save it as UTF-8 without a byte-order mark")
	}
	return Credential{User: user, Password: password}, nil
}

// leastPassword is how long a password should be, in bytes: with 16 random
// letters and digits guessing finds nothing, whatever gets past the limit.
const leastPassword = 16

// Weak reports whether the password is so short that it could be guessed.
func (c Credential) Weak() bool { return len(c.Password) < leastPassword }

// ParseCredentialsFile reads a file with one pair a line, "user:password" or
// "user:password 2027-01-31" with the day (UTC) on which Google stops to use it.
// There is no white space in a password here, and no byte-order mark before the
// first pair, which would be part of the user. Empty lines, and those that begin
// with #, say nothing. A file without any pair is an error: it was half written.
// An error says which line is wrong and not what it is.
func ParseCredentialsFile(text string) ([]Credential, error) {
	if !utf8.ValidString(text) || strings.HasPrefix(text, "\ufeff") {
		return nil, errors.New("it is not UTF-8, or begins with a byte-order mark: save it as UTF-8 without one")
	}
	var all []Credential
	n := 0
	for line := range strings.Lines(text) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		c, err := parseCredential(words[0])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if len(words) > 1 {
			if c.Expires, err = time.Parse(time.DateOnly, words[1]); err != nil || len(words) > 2 { // err repeats the text
				return nil, fmt.Errorf("line %d: behind user:password only a date like 2027-01-31 may follow", n)
			}
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no line with user:password")
	}
	return all, nil
}

// Credentials are those that Google may show now. They can be replaced while
// requests are served: each request is held against the old ones or the new
// ones, never against some of both.
type Credentials struct {
	now atomic.Pointer[basicAuth]
}

// NewCredentials returns credentials; with none of them nobody is let in.
func NewCredentials(all ...Credential) *Credentials {
	c := &Credentials{}
	c.Replace(all)
	return c
}

// Replace puts others in their place, from the next request on.
func (c *Credentials) Replace(all []Credential) {
	b := newBasicAuth(all)
	c.now.Store(&b)
}

// Expiries returns when each pair expires, in their order; zero if that is not
// known.
func (c *Credentials) Expiries() []time.Time {
	var all []time.Time
	for _, pair := range *c.now.Load() {
		all = append(all, pair.expires)
	}
	return all
}

// caller is whose idempotency tokens Google's are, under every credential:
// a retry after a rotation must still find its booking.
const caller = "google"

// basicAuth knows Google's credentials, hashed so that all are of one length.
type basicAuth []hashedPair

type hashedPair struct {
	user, password [sha256.Size]byte
	expires        time.Time
}

func newBasicAuth(all []Credential) basicAuth {
	var b basicAuth
	for _, c := range all {
		if c.User != "" && c.Password != "" { // an empty one would let in who says nothing
			b = append(b, hashedPair{sha256.Sum256([]byte(c.User)), sha256.Sum256([]byte(c.Password)), c.Expires})
		}
	}
	return b
}

// authenticate lets in who shows one of the credentials as they are now.
func (c *Credentials) authenticate(r *http.Request) (edge.Caller, error) {
	return c.now.Load().authenticate(r)
}

// authenticate compares with every credential, always to the end, so that the
// time it takes tells nothing. A pair whose day has come is still good: Google
// stops by itself, and a date that is a slip must not stop it earlier.
func (b basicAuth) authenticate(r *http.Request) (edge.Caller, error) {
	user, password, given := r.BasicAuth()
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	good := 0
	for i := range b {
		good |= subtle.ConstantTimeCompare(u[:], b[i].user[:]) & subtle.ConstantTimeCompare(p[:], b[i].password[:])
	}
	if !given || good == 0 {
		return edge.Caller{}, edge.ErrUnauthorized
	}
	return edge.Caller{Name: caller}, nil
}
