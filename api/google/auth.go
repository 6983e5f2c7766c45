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

// Credential is a pair of user and password that Google may use. Pairs expire every six months, so
// an old and a new one are valid at the same time.
type Credential struct {
	User, Password string
	Expires        time.Time // when Google stops using it; zero: not known
}

// ParseCredentials reads "user:password,user:password". A password may contain colons but no commas;
// white space around a pair does not count. An error says which pair is wrong, but does not repeat
// it.
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

// leastPassword is how long a password should be, in bytes. Nobody guesses 16 random letters and
// digits, however many attempts get past the limit.
const leastPassword = 16

// Weak reports whether the password is short enough to be guessed.
func (c Credential) Weak() bool { return len(c.Password) < leastPassword }

// ParseCredentialsFile reads a file with one pair per line, "user:password" or "user:password
// 2027-01-31" with the day (UTC) on which Google stops using it. A password here has no white space,
// and the file no byte-order mark, which would become part of the first user. Empty lines and lines
// that begin with # do not count. A file without a pair is an error, because it may be half written.
// An error says which line is wrong, but does not repeat it.
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

// Credentials are the pairs that Google may use now. They can be replaced while the server runs: each
// request is compared with either the old pairs or the new ones, never with some of both.
type Credentials struct {
	now atomic.Pointer[basicAuth]
}

// NewCredentials returns Credentials with these pairs. Without any, nobody gets in.
func NewCredentials(all ...Credential) *Credentials {
	c := &Credentials{}
	c.Replace(all)
	return c
}

// Replace replaces all pairs from the next request on.
func (c *Credentials) Replace(all []Credential) {
	b := newBasicAuth(all)
	c.now.Store(&b)
}

// Expiries returns when each pair expires, in order; zero if that is not known.
func (c *Credentials) Expiries() []time.Time {
	var all []time.Time
	for _, pair := range *c.now.Load() {
		all = append(all, pair.expires)
	}
	return all
}

// caller is Google's name as owner of idempotency tokens. It is the same for all credentials, because
// a retry after a rotation must still find its booking.
const caller = "google"

// basicAuth has Google's credentials, hashed so that all have the same length.
type basicAuth []hashedPair

type hashedPair struct {
	user, password [sha256.Size]byte
	expires        time.Time
}

func newBasicAuth(all []Credential) basicAuth {
	var b basicAuth
	for _, c := range all {
		if c.User != "" && c.Password != "" { // an empty one would let in callers who send nothing
			b = append(b, hashedPair{sha256.Sum256([]byte(c.User)), sha256.Sum256([]byte(c.Password)), c.Expires})
		}
	}
	return b
}

// authenticate lets in callers with one of the current credentials.
func (c *Credentials) authenticate(r *http.Request) (edge.Caller, error) {
	return c.now.Load().authenticate(r)
}

// authenticate compares with every credential, always to the end, so that the time it takes reveals
// nothing. A pair stays valid after its date: Google stops using it by itself, and a wrong date must
// not lock Google out earlier.
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
