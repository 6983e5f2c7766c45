package booking

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// Over is a booking that has ended and whose guest's data has been erased, with what
// decides whether it may leave the database.
type Over struct {
	ID          uuid.UUID
	GuestID     uuid.UUID
	Version     int64
	StartSec    int64
	EndSec      int64
	ErasedSec   int64 // 0: not erased
	Tokens      int64 // how many idempotency tokens name it
	TokenSec    int64 // when the youngest of them was claimed; 0: it has none
	Undelivered bool  // some change of it waits to be reported to others
	OfferUse    bool  // it counts as a use of an offer that the merchant still has
}

// Rows is about how many rows hang on the booking: they decide how many bookings one
// transaction can delete.
func (o Over) Rows() int64 { return 8 + 2*o.Version + o.Tokens }

// Archival says which bookings may be archived.
type Archival struct {
	UntilSec       int64 // those that ended then or before
	TokensUntilSec int64 // and whose tokens were all claimed then or before
	Undelivered    bool  // also those with changes that wait to be reported
}

// NewArchival is the rule at this time: bookings that ended longer ago than after, if
// all their tokens are older than tokens. A visit must not leave before its tokens may:
// then --after would promise what the tokens do not keep.
func NewArchival(now time.Time, after, tokens time.Duration, undelivered bool) (Archival, error) {
	switch {
	case tokens < 0:
		return Archival{}, errors.New("--keep-tokens must not be below zero")
	case after < tokens:
		return Archival{}, errors.New("--after must not be shorter than --keep-tokens: a booking stays as long as its tokens")
	}
	return Archival{UntilSec: now.Add(-after).Unix(), TokensUntilSec: now.Add(-tokens).Unix(), Undelivered: undelivered}, nil
}

// Stay is why a booking that has ended stays in the database.
type Stay string

// The reasons to stay.
const (
	StaysUnerased    Stay = "not erased"      // no archive outlives an erasure
	StaysToken       Stay = "token too young" // a retry may still come
	StaysUndelivered Stay = "undelivered"     // others have not been told of a change
	StaysOffer       Stay = "uses an offer"   // the use has to count
	StaysChanged     Stay = "changed"         // while it was being archived
)

// Stays says why the booking must stay, or nothing if it may be archived.
func (a Archival) Stays(o Over) Stay {
	switch {
	case o.EndSec > a.UntilSec:
		return StaysChanged
	case o.ErasedSec == 0:
		return StaysUnerased
	case o.Tokens > 0 && o.TokenSec > a.TokensUntilSec:
		return StaysToken
	case o.Undelivered && !a.Undelivered:
		return StaysUndelivered
	case o.OfferUse:
		return StaysOffer
	}
	return ""
}

// Unnamed is the event without the charts that a booking was moved between: whatever
// leads to a chart stays in the database.
func (e Event) Unnamed() Event {
	if e.Action == Joined {
		e.Before, e.After = []byte("{}"), []byte("{}")
	}
	return e
}
