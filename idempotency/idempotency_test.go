package idempotency

import (
	"errors"
	"testing"

	"github.com/google/uuid"
)

// claims is a transaction that has seen these claims before.
type claims struct {
	prior map[[2]string]Claim
	err   error
}

func (c claims) Claimed(claim Claim) (Claim, bool, error) {
	prior, found := c.prior[[2]string{claim.Caller, claim.Token}]
	return prior, found, c.err
}

func TestOnce(t *testing.T) {
	broken := errors.New("connection lost")
	first := Claim{Caller: "google", Token: "t", Fingerprint: Fingerprint([]byte("a")), Subject: uuid.UUID{1}}
	known := claims{prior: map[[2]string]Claim{{"google", "t"}: first}}
	erased := claims{prior: map[[2]string]Claim{{"google", "t"}: {Subject: uuid.UUID{1}, Fingerprint: []byte{}}}}
	for _, c := range []struct {
		name  string
		tx    claims
		claim Claim
		want  Outcome
		err   error
	}{
		{"a new token", claims{}, first, Outcome{}, nil},
		{"the same request again", known, Claim{Caller: "google", Token: "t", Fingerprint: Fingerprint([]byte("a")), Subject: uuid.UUID{2}},
			Outcome{Replay: true, Subject: uuid.UUID{1}}, nil},
		{"another request under it", known, Claim{Caller: "google", Token: "t", Fingerprint: Fingerprint([]byte("b"))},
			Outcome{Replay: true, Subject: uuid.UUID{1}, Mismatch: true}, nil},
		{"a request whose guest was erased", erased, first, Outcome{Replay: true, Subject: uuid.UUID{1}}, nil},
		{"another caller's token", known, Claim{Caller: "clinic-1", Token: "t"}, Outcome{}, nil},
		{"a token in other case", known, Claim{Caller: "google", Token: "T"}, Outcome{}, nil},
		{"the database fails", claims{err: broken}, first, Outcome{}, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Once(c.tx, c.claim)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}
