// Package idempotency makes a request that arrives again do nothing again.
//
// A caller names each request with a token. The token is claimed in the same
// database transaction as what the request does, and before anything else is
// looked at: otherwise the retry of the booking that took the last spot would
// be told that the slot is full. So a token is there exactly when the booking
// it made is there. A request that fails, for whatever reason, leaves no token
// behind, and its retry is a new attempt. There is no "in progress" mark that a
// crash could leave standing: a concurrent copy waits for the transaction that
// holds the token and then finds the winner's booking.
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
	Fingerprint []byte    // of the request, see [Fingerprint]; of a prior claim empty if it has been erased
	Subject     uuid.UUID // the booking that the request makes
	AtSec       int64     // Unix seconds
}

// Tx is what [Once] needs of a transaction.
type Tx interface {
	// Claimed returns the claim that stood under this caller and token before
	// this transaction, if there was one. If there was none, the claim is made.
	Claimed(c Claim) (prior Claim, found bool)
}

// Outcome says whether a request is new.
type Outcome struct {
	Replay   bool      // the token was used before, by a request that succeeded
	Subject  uuid.UUID // then: what that request made
	Mismatch bool      // then: that request was another one under the same token
}

// Once claims the token for this request, or tells what the first request under
// it made. The token alone decides (CreateBookingRequest.idempotency_token): a
// different request under a known token is a replay too, reported as a
// mismatch, unless the fingerprint of the first has been erased: then nobody can
// tell.
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

// Fingerprint is a digest of a request in its canonical form. It is kept only
// to notice two different requests under one token, and goes when the guest is
// erased: who knows most of a request can find the rest in it by trial.
func Fingerprint(canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	return sum[:]
}
