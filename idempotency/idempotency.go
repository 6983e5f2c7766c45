// Package idempotency makes a repeated request do nothing the second time.
//
// A caller names each request with a token. The request claims the token in the same database
// transaction in which it does its work, and before it looks at anything else: otherwise a retry of the
// booking that took the last spot would find the slot full. So a token exists exactly if the booking that
// it made exists. A request that fails, for whatever reason, leaves no token behind, and its retry is a
// new attempt. There is no "in progress" mark that a crash could leave behind: a concurrent copy waits
// for the transaction that holds the token, and then finds the winner's booking.
package idempotency

import (
	"bytes"
	"crypto/sha256"

	"github.com/google/uuid"
)

// Claim is one use of a token.
type Claim struct {
	Caller      string    // tokens are unique per caller, over all merchants
	Token       string    // as the caller sent it
	Fingerprint []byte    // of the request, see [Fingerprint]; in a prior claim empty if it has been erased
	Subject     uuid.UUID // the booking that the request makes
	AtSec       int64     // Unix seconds
}

// Tx is what [Once] needs of a transaction.
type Tx interface {
	// Claimed returns the claim that an earlier transaction has made under this caller and token. If
	// there is none, it makes the claim.
	Claimed(c Claim) (prior Claim, found bool)
}

// Outcome says whether a request is new.
type Outcome struct {
	Replay   bool      // the token was used before, by a request that succeeded
	Subject  uuid.UUID // of a replay: what that request made
	Mismatch bool      // of a replay: that request was a different one under the same token
}

// Once claims the token for this request, or returns what the first request under it made. The token
// alone decides (CreateBookingRequest.idempotency_token): a different request under a known token is a
// replay too, and reported as a mismatch, unless the first one's fingerprint has been erased.
func Once(tx Tx, c Claim) Outcome {
	prior, found := tx.Claimed(c)
	if !found {
		return Outcome{}
	}
	return Outcome{
		Replay:   true,
		Subject:  prior.Subject,
		Mismatch: len(prior.Fingerprint) > 0 && !bytes.Equal(prior.Fingerprint, c.Fingerprint),
	}
}

// Fingerprint returns a digest of a request in its canonical form. We store it only to notice two
// different requests under one token. It goes when the guest is erased, because somebody who knows most
// of a request could find the rest by trial.
func Fingerprint(canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	return sum[:]
}
