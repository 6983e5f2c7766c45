package booking

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
)

// TokenLife is how long a clinic's access token lasts.
const TokenLife = 24 * time.Hour

// NewKey makes an API key for a clinic. It is shown this once and stored
// hashed. ErrNotFound if there is no such clinic.
func (s *Service) NewKey(ctx context.Context, merchantID string) (key string, err error) {
	key = uuid.NewString() // random, not s.NewID: a key must not be guessable
	return key, s.Store.PutKey(ctx, hash(key), merchantID, s.Now().Unix())
}

// ExchangeKey gives an access token, valid for [TokenLife], for an API key.
// ErrNotFound if the key is unknown or no key at all.
func (s *Service) ExchangeKey(ctx context.Context, key string) (token string, err error) {
	id, err := uuid.Parse(key)
	if err != nil {
		return "", ErrNotFound
	}
	token = uuid.NewString()
	now := s.Now()
	return token, s.Store.PutToken(ctx, hash(id.String()), hash(token), now.Unix(), now.Add(TokenLife).Unix())
}

// Clinic returns the merchant whose access token this is; ErrNotFound if it is
// unknown or too old.
func (s *Service) Clinic(ctx context.Context, token string) (merchantID string, err error) {
	return s.Store.TokenMerchant(ctx, hash(token), s.Now().Unix())
}

// hash needs no salt and no slowness: what is hashed is 122 random bits.
func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
