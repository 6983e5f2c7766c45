package booking

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
	"holdfast/letters"
)

// Guest is a merchant's customer (내원객), as one chart.
type Guest struct {
	ID           uuid.UUID `json:"guest_id"`
	VisitorID    string    `json:"visitor_id"` // the clinic's name of the chart, 24 hex digits
	MerchantID   string    `json:"merchant_id"`
	GoogleUserID string    `json:"google_user_id,omitempty"`
	Email        string    `json:"email,omitempty"`
	Phone        string    `json:"phone,omitempty"`
	GivenName    string    `json:"given_name,omitempty"`
	FamilyName   string    `json:"family_name,omitempty"`
	CreatedSec   int64     `json:"created_sec"`

	// JoinedTo is the chart of the same person, which has the visits and keys; this one is
	// only another name of it. nil: it is a chart itself.
	JoinedTo *uuid.UUID `json:"joined_to,omitempty"`
}

// GuestKey is something that identifies a guest at a merchant.
type GuestKey struct {
	MerchantID string
	Key        string // "user:…", "email:…", "phone:…", or nobodyKey
}

// Visit is the part of a booking that matters for the guest's other bookings.
type Visit struct {
	BookingID  uuid.UUID
	GuestID    uuid.UUID
	State      State
	ServiceID  string
	StaffID    string
	RoomID     string
	PartySize  int
	StartSec   int64
	EndSec     int64
	ExpiresSec int64 // of a lease
	UserID     string
	Email      string
}

// guestKeys returns the keys that can find a contact, the surest first. home is the merchant's
// country, see [inventory.Merchant.Home].
func guestKeys(merchantID, home string, c Contact) []GuestKey {
	var keys []GuestKey
	add := func(key string) { keys = append(keys, GuestKey{MerchantID: merchantID, Key: key}) }
	if c.UserID != "" {
		add(UserKey(c.UserID))
	}
	if email := plainEmail(c.Email); email != "" {
		add("email:" + email)
	}
	for _, key := range phoneKeys(home, c.Telephone) {
		add(key)
	}
	return keys
}

// UserKey is the key of a Google user.
func UserKey(googleUserID string) string { return "user:" + googleUserID }

// plainEmail is an address in lower case and without space around it, which senders vary.
func plainEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// identify finds the guest to whom a contact with these keys belongs, or makes one with id newID.
// The user id is surest, then the email. A phone number finds the clinic's chart, but not one that
// is known to be another user's, because families share phones. changed reports whether the guest
// must be written. others are keys that this guest must not get: the number has another chart, and
// all its spellings lead there.
func identify(merchantID string, keys []GuestKey, c Contact, known map[GuestKey]Guest, newID uuid.UUID, nowSec int64) (g Guest, changed bool, others []GuestKey) {
	g = Guest{ID: newID, VisitorID: objectID(time.Unix(nowSec, 0), newID), MerchantID: merchantID, CreatedSec: nowSec}
	for _, k := range keys {
		found, ok := known[k]
		if !ok || k.isPhone() && foreign(found, c) {
			continue
		}
		g = found
		break
	}
	before := g
	fill := func(member *string, value string) {
		if *member == "" {
			*member = value
		}
	}
	fill(&g.GoogleUserID, c.UserID)
	fill(&g.Email, c.Email)
	fill(&g.Phone, c.Telephone)
	fill(&g.GivenName, letters.Form(c.GivenName))
	fill(&g.FamilyName, letters.Form(c.FamilyName))
	if slices.ContainsFunc(keys, func(k GuestKey) bool { owner, ok := known[k]; return ok && k.isPhone() && owner.ID != g.ID }) {
		others = slices.DeleteFunc(slices.Clone(keys), func(k GuestKey) bool { return !k.isPhone() })
	}
	newKey := slices.ContainsFunc(keys, func(k GuestKey) bool {
		_, owned := known[k]
		return !owned && !slices.Contains(others, k)
	})
	return g, g != before || newKey, others
}

func (k GuestKey) isPhone() bool { return strings.HasPrefix(k.Key, phoneKey) }

// foreign reports whether a chart is known to be somebody else's. The desk knows people only by
// their number, and uses the chart that has it.
func foreign(g Guest, c Contact) bool {
	if c.UserID == "" && c.Email == "" {
		return false
	}
	return g.GoogleUserID != "" && g.GoogleUserID != c.UserID ||
		g.Email != "" && plainEmail(g.Email) != plainEmail(c.Email)
}

// welcome refuses a guest whom the merchant does not take. now tells which visits are still ahead.
func welcome(c Contact, m *inventory.Merchant, visits []Visit, now time.Time) *Failure {
	rules := m.Guests
	same := func(banned string) bool {
		return banned == c.UserID || plainEmail(banned) == plainEmail(c.Email) || samePhone(m.Home(), banned, c.Telephone)
	}
	switch {
	case slices.ContainsFunc(rules.Banned, same):
		return refuse(BannedUser, "the merchant takes no bookings from this guest")
	case c.GivenName != "" && letters.Blank(c.GivenName):
		return refuse(UnsupportedName, "the given name is blank")
	case !matches(rules.NamePattern, letters.Form(c.GivenName)),
		c.FamilyName != "" && !matches(rules.NamePattern, letters.Form(c.FamilyName)):
		return refuse(UnsupportedName, "the merchant cannot take such a name")
	case c.Telephone != "" && !HasDigit(c.Telephone):
		return refuse(UnsupportedPhoneNumber, "the telephone number has no digit")
	case !matches(rules.PhonePattern, plainPhone(c.Telephone)):
		return refuse(UnsupportedPhoneNumber, "the merchant cannot take such a phone number")
	}
	ahead := 0
	for _, v := range visits {
		if v.of(c) && v.State.ahead() && v.EndSec > now.Unix() {
			ahead++
		}
	}
	if rules.MaxUpcoming > 0 && ahead >= rules.MaxUpcoming {
		return refuse(UserOverBookingLimit, fmt.Sprintf("the guest has %d bookings ahead already", ahead))
	}
	return nil
}

// matches reports whether s matches the pattern, which the catalogue has checked.
func matches(pattern, s string) bool {
	ok, err := regexp.MatchString(pattern, s)
	return ok && err == nil
}

// of reports whether the visit is the contact's: same user, or same email regardless of case.
func (v Visit) of(c Contact) bool {
	return v.UserID != "" && v.UserID == c.UserID || v.Email != "" && plainEmail(v.Email) == plainEmail(c.Email)
}

// overlap refuses a booking if the guest (same user, or same email regardless of case) has another
// visit at that time. The cause is SlotAlreadyBookedByUser only for the very same slot with
// another party size. (CreateBookingRequest.idempotency_token, and the causes 2 and 12.)
func overlap(b Booking, visits []Visit) *Failure {
	for _, v := range visits {
		if v.BookingID == b.ID || !v.of(b.Contact) || !v.State.ahead() || !meets(v, b) {
			continue
		}
		sameSlot := v.ServiceID == b.ServiceID && v.StartSec == b.StartSec && v.EndSec == b.EndSec &&
			v.StaffID == b.StaffID && v.RoomID == b.RoomID
		if sameSlot && v.PartySize != b.PartySize {
			return refuse(SlotAlreadyBookedByUser, "the guest has this slot for another party size")
		}
		return refuse(OverlappingReservation, "the guest has another booking at that time")
	}
	return nil
}

// collide refuses to move a visit over another visit of the same chart.
func collide(b Booking, visits []Visit) *Failure {
	for _, v := range visits {
		if v.BookingID != b.ID && v.GuestID == b.GuestID && v.State.ahead() && meets(v, b) {
			return refuse(OverlappingReservation, "the visitor has another visit at that time")
		}
	}
	return nil
}

func meets(v Visit, b Booking) bool { return v.StartSec < b.EndSec && b.StartSec < v.EndSec }
