package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"holdfast/booking"
)

// Credential is a pair that Google may show. Google's expire every six months,
// so an old and a new one are good at the same time.
type Credential struct{ User, Password string }

// ParseCredentials reads "user:password,user:password". A password may have
// colons but no commas; white space around a pair does not count. An error says
// which pair is wrong and not what it is.
func ParseCredentials(s string) ([]Credential, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var all []Credential
	for i, pair := range strings.Split(s, ",") {
		user, password, found := strings.Cut(strings.TrimSpace(pair), ":")
		switch {
		case !found:
			return nil, fmt.Errorf("credential %d: no colon between user and password", i+1)
		case user == "":
			return nil, fmt.Errorf("credential %d: the user is empty", i+1)
		case password == "":
			return nil, fmt.Errorf("credential %d: the password is empty", i+1)
		}
		all = append(all, Credential{User: user, Password: password})
	}
	return all, nil
}

// googleCaller is whose idempotency tokens Google's are, under every credential:
// a retry after a rotation must still find its booking.
const googleCaller = "google"

// errUnauthorized does not say what was wrong.
var errUnauthorized = &refusal{status: http.StatusUnauthorized, message: "credentials are missing or not valid"}

// basicAuth knows Google's credentials, hashed so that all are of one length.
type basicAuth []struct{ user, password [sha256.Size]byte }

func newBasicAuth(all []Credential) basicAuth {
	var b basicAuth
	for _, c := range all {
		if c.User != "" && c.Password != "" { // an empty one would let in who says nothing
			b = append(b, struct{ user, password [sha256.Size]byte }{sha256.Sum256([]byte(c.User)), sha256.Sum256([]byte(c.Password))})
		}
	}
	return b
}

// authenticate compares with every credential, always to the end, so that the
// time it takes tells nothing.
func (b basicAuth) authenticate(r *http.Request) (caller, keyID string, err error) {
	user, password, given := r.BasicAuth()
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	good := 0
	for i := range b {
		good |= subtle.ConstantTimeCompare(u[:], b[i].user[:]) & subtle.ConstantTimeCompare(p[:], b[i].password[:])
	}
	if !given || good == 0 {
		return "", "", errUnauthorized
	}
	return googleCaller, "", nil
}

// bearer finds the clinic whose access token the request shows, and the key that
// it was given for (row A1).
func (s *server) bearer(r *http.Request) (merchantID, keyID string, err error) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !found || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", "", errUnauthorized
	}
	merchantID, keyID, err = s.bookings.Clinic(r.Context(), token)
	switch {
	case errors.Is(err, booking.ErrNotFound):
		return "", "", errUnauthorized
	case err != nil:
		return "", "", fmt.Errorf("%w: look up access token: %w", booking.ErrUnavailable, err)
	}
	return merchantID, keyID, nil
}

// exchangeKey is the body of exchange-token.
type exchangeKey struct {
	Key maybe[id] `json:"key"`
}

// accessToken is its answer.
type accessToken struct {
	Token string `json:"token"`
}

// exchangeToken gives a clinic an access token for its API key. The key is the
// credential, so the call needs no other.
func (s *server) exchangeToken(ctx context.Context, req exchangeKey) (accessToken, error) {
	if req.Key.empty() {
		return accessToken{}, invalidCommand("key", required)
	}
	token, err := s.bookings.ExchangeKey(ctx, string(*req.Key.Value))
	if errors.Is(err, booking.ErrNotFound) {
		return accessToken{}, invalidRequest("key", notFound)
	}
	return accessToken{Token: token}, err
}
