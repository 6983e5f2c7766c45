package booking

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// TokenLife is how long a clinic's access token lasts.
const TokenLife = 24 * time.Hour

// Key is what we store about a clinic's API key. The key itself is shown once, when it is made,
// and stored as a digest.
type Key struct {
	ID         string `json:"key_id"` // the first digits of its digest
	MerchantID string `json:"merchant_id"`
	Name       string `json:"name,omitempty"` // for people
	CreatedSec int64  `json:"created_sec"`
	UsedSec    int64  `json:"used_sec,omitempty"`    // when it was last exchanged; 0: never
	ExpiresSec int64  `json:"expires_sec,omitempty"` // when it ends, because another has replaced it; 0: never
	RevokedSec int64  `json:"revoked_sec,omitempty"` // 0: it is not
}

// keyIDLength is how many bytes of a digest name its key: enough to tell keys apart, few enough
// to read out.
const keyIDLength = 6

// KeyID is the name of the key with this digest.
func KeyID(digest []byte) string { return hex.EncodeToString(digest[:min(keyIDLength, len(digest))]) }

// Good reports whether the key can be exchanged at that time (Unix seconds).
func (k Key) Good(nowSec int64) bool {
	return k.RevokedSec == 0 && (k.ExpiresSec == 0 || nowSec < k.ExpiresSec)
}

// NewKey makes an API key for a merchant, be it a clinic or from feeds. The key is shown only
// this once, and stored as a digest; name is for people. ErrNotFound if there is no such
// merchant.
func (s *Service) NewKey(ctx context.Context, merchantID, name string) (key string, err error) {
	key = uuid.NewString() // random, not s.NewID: a key must not be guessable
	return key, s.Store.PutKey(ctx, hash(key), merchantID, name, s.Now().Unix())
}

// Keys returns the keys of a merchant, or of all ("").
func (s *Service) Keys(ctx context.Context, merchantID string) ([]Key, error) {
	all, err := s.Store.ClinicKeys(ctx)
	var keys []Key
	for _, k := range all {
		if merchantID == "" || k.MerchantID == merchantID {
			keys = append(keys, k.Key)
		}
	}
	return keys, err
}

// errKeyEnded: a key that has been revoked or replaced cannot be changed again.
var errKeyEnded = errors.New("the key has been revoked or replaced already")

// RotateKey replaces a key with a new one. The old one can be exchanged until overlap has
// passed, and its tokens last as long as always, so a clinic is never refused while it changes
// over. ErrNotFound if there is no such key.
func (s *Service) RotateKey(ctx context.Context, id string, overlap time.Duration) (key string, err error) {
	old, err := s.key(ctx, id)
	if err != nil {
		return "", err
	}
	now := s.Now()
	if old.ExpiresSec != 0 || old.RevokedSec != 0 {
		if err := s.Store.Settled(ctx); err != nil {
			return "", err
		}
		return "", errKeyEnded
	}
	key = uuid.NewString()
	return key, s.Store.ReplaceKey(ctx, old.Digest, hash(key), now.Unix(), now.Add(overlap).Unix())
}

// RevokeKey ends a key and all its tokens at once. Revoking it again succeeds. ErrNotFound if
// there is no such key.
func (s *Service) RevokeKey(ctx context.Context, id string) error {
	k, err := s.key(ctx, id)
	switch {
	case err != nil:
		return err
	case k.RevokedSec != 0:
		return s.Store.Settled(ctx)
	}
	return s.Store.RevokeKey(ctx, k.Digest, s.Now().Unix())
}

// key finds a key by its id, or by a prefix of its id that no other has.
func (s *Service) key(ctx context.Context, id string) (StoredKey, error) {
	all, err := s.Store.ClinicKeys(ctx)
	if err != nil {
		return StoredKey{}, err
	}
	var found []StoredKey
	for _, k := range all {
		if id != "" && strings.HasPrefix(k.ID, strings.ToLower(id)) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return StoredKey{}, ErrNotFound
	case 1:
		return found[0], nil
	}
	return StoredKey{}, fmt.Errorf("%d keys start with %q", len(found), id)
}

// ExchangeKey returns an access token, valid for [TokenLife], for an API key. If the key then has
// more valid tokens than [Service.MaxTokens], the oldest ones end. ErrNotFound if the key is
// malformed, unknown or has ended.
func (s *Service) ExchangeKey(ctx context.Context, key string) (token string, err error) {
	id, err := uuid.Parse(key)
	if err != nil {
		return "", ErrNotFound
	}
	token = uuid.NewString()
	now := s.Now()
	return token, s.Store.PutToken(ctx, hash(id.String()), hash(token), now.Unix(), now.Add(TokenLife).Unix(), cmp.Or(s.MaxTokens, MaxTokens))
}

// Clinic returns the merchant whose access token this is, and the id of the key that it was
// given for. ErrNotFound if the token is unknown or too old, or its key has been revoked.
func (s *Service) Clinic(ctx context.Context, token string) (merchantID, keyID string, err error) {
	return s.Store.TokenMerchant(ctx, hash(token), s.Now().Unix())
}

// hash needs neither salt nor slowness, because it hashes 122 random bits.
func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
