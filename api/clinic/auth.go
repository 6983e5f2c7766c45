package clinic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"holdfast/api/edge"
	"holdfast/booking"
)

// challenge is the WWW-Authenticate of a 401.
const challenge = `Bearer realm="holdfast"`

// bearer finds the clinic whose access token the request has, and the key for which the token was
// given (row A1).
func (s *server) bearer(r *http.Request) (edge.Caller, error) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !found || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return edge.Caller{}, edge.ErrUnauthorized
	}
	leave, err := s.attempts.Enter(r.Context())
	if err != nil {
		return edge.Caller{}, err
	}
	defer leave()
	merchantID, keyID, err := s.bookings.Clinic(r.Context(), token)
	switch {
	case errors.Is(err, booking.ErrNotFound):
		return edge.Caller{}, edge.ErrUnauthorized
	case err != nil:
		return edge.Caller{}, fmt.Errorf("%w: look up access token: %w", booking.ErrUnavailable, err)
	}
	return edge.Caller{Name: merchantID, KeyID: keyID}, nil
}

// exchangeKey is the body of exchange-token.
type exchangeKey struct {
	Key maybe[id] `json:"key"`
}

// accessToken is its answer.
type accessToken struct {
	Token string `json:"token"`
}

// exchangeToken gives a clinic an access token for its API key. The key is the credential, so the
// call needs no other.
func (s *server) exchangeToken(ctx context.Context, req exchangeKey) (accessToken, error) {
	if req.Key.empty() {
		return accessToken{}, invalidCommand("key", required)
	}
	leave, err := s.attempts.Enter(ctx)
	if err != nil {
		return accessToken{}, err
	}
	token, err := func() (string, error) {
		defer leave() // give the place back before making those wait who failed too often
		return s.bookings.ExchangeKey(ctx, string(*req.Key.Value))
	}()
	if errors.Is(err, booking.ErrNotFound) {
		return accessToken{}, s.attempts.Failed(ctx, invalidRequest("key", notFound), s.log)
	}
	return accessToken{Token: token}, err
}
