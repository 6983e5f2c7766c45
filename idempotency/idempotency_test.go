package idempotency

import (
	"testing"

	"github.com/google/uuid"
)

// claims is a transaction that has seen these claims before.
type claims struct {
	prior map[[2]string]Claim
}

func (c claims) Claimed(claim Claim) (Claim, bool) {
	prior, found := c.prior[[2]string{claim.Caller, claim.Token}]
	return prior, found
}

func TestOnce(t *testing.T) {
	first := Claim{Caller: "google", Token: "t", Fingerprint: Fingerprint([]byte("a")), Subject: uuid.UUID{1}}
	known := claims{prior: map[[2]string]Claim{{"google", "t"}: first}}
	erased := claims{prior: map[[2]string]Claim{{"google", "t"}: {Subject: uuid.UUID{1}, Fingerprint: []byte{}}}}
	for _, c := range []struct {
		name  string
		tx    claims
		claim Claim
		want  Outcome
	}{
		{"a new token", claims{}, first, Outcome{}},
		{"the same request again", known, Claim{Caller: "google", Token: "t", Fingerprint: Fingerprint([]byte("a")), Subject: uuid.UUID{2}},
			Outcome{Replay: true, Subject: uuid.UUID{1}}},
		{"another request under it", known, Claim{Caller: "google", Token: "t", Fingerprint: Fingerprint([]byte("b"))},
			Outcome{Replay: true, Subject: uuid.UUID{1}, Mismatch: true}},
		{"a request whose guest was erased", erased, first, Outcome{Replay: true, Subject: uuid.UUID{1}}},
		{"another caller's token", known, Claim{Caller: "clinic-1", Token: "t"}, Outcome{}},
		{"a token in other case", known, Claim{Caller: "google", Token: "T"}, Outcome{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Once(c.tx, c.claim); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
