package booking

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

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
}

// GuestKey is something a guest can be known by at a merchant.
type GuestKey struct {
	MerchantID string
	Key        string // "user:…", "email:…" or "phone:…"
}

// Visit is the part of a booking that matters to the guest's other bookings.
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

// guestKeys are what a contact can be found by, the surest first.
func guestKeys(merchantID string, c Contact) []GuestKey {
	var keys []GuestKey
	add := func(kind, value string) {
		if value != "" {
			keys = append(keys, GuestKey{MerchantID: merchantID, Key: kind + ":" + value})
		}
	}
	if c.UserID != "" {
		keys = append(keys, GuestKey{MerchantID: merchantID, Key: UserKey(c.UserID)})
	}
	add("email", plainEmail(c.Email))
	add("phone", plainPhone(c.Telephone))
	return keys
}

// UserKey is the key of a guest that is known by Google's user id.
func UserKey(googleUserID string) string { return "user:" + googleUserID }

// plainEmail is an address without what senders vary: case and outer space.
func plainEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// plainPhone is a number without what people put between the digits.
func plainPhone(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= '0' && r <= '9' || r == '+' && b.Len() == 0 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// HasDigit reports whether there is a digit, of any script, in a number.
func HasDigit(phone string) bool { return strings.ContainsFunc(phone, unicode.IsDigit) }

// identify finds the guest a contact belongs to, or makes one with id newID.
// The user id is surest, then the email. A phone number finds the clinic's
// chart, but families share phones: a chart that is known to be another user's
// is not taken. changed is whether the guest must be written.
func identify(merchantID string, c Contact, known map[GuestKey]Guest, newID uuid.UUID, nowSec int64) (g Guest, changed bool) {
	g = Guest{ID: newID, VisitorID: objectID(time.Unix(nowSec, 0), newID), MerchantID: merchantID, CreatedSec: nowSec}
	for _, k := range guestKeys(merchantID, c) {
		found, ok := known[k]
		if !ok || strings.HasPrefix(k.Key, "phone:") && foreign(found, c) {
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
	newKey := slices.ContainsFunc(guestKeys(merchantID, c), func(k GuestKey) bool { _, ok := known[k]; return !ok })
	return g, g != before || newKey
}

// foreign reports whether a chart is known to be somebody else's. The desk knows
// people by their number alone, and takes the chart that has it.
func foreign(g Guest, c Contact) bool {
	if c.UserID == "" && c.Email == "" {
		return false
	}
	return g.GoogleUserID != "" && g.GoogleUserID != c.UserID ||
		g.Email != "" && plainEmail(g.Email) != plainEmail(c.Email)
}

// welcome refuses a guest whom the merchant does not take. now is for what is
// still ahead of the guest.
func welcome(c Contact, rules inventory.GuestRules, visits []Visit, now time.Time) *Failure {
	same := func(banned string) bool {
		return banned == c.UserID || plainEmail(banned) == plainEmail(c.Email) ||
			plainPhone(banned) != "" && plainPhone(banned) == plainPhone(c.Telephone)
	}
	switch {
	case slices.ContainsFunc(rules.Banned, same):
		return refuse(BannedUser, "the merchant takes no bookings from this guest")
	case letters.Blank(c.GivenName):
		return refuse(UnsupportedName, "the given name is blank")
	case !matches(rules.NamePattern, letters.Form(c.GivenName)),
		c.FamilyName != "" && !matches(rules.NamePattern, letters.Form(c.FamilyName)):
		return refuse(UnsupportedName, "the merchant cannot take such a name")
	case !HasDigit(c.Telephone):
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

// matches reports whether s is as the pattern wants it. The catalogue has
// checked that it is one.
func matches(pattern, s string) bool {
	ok, err := regexp.MatchString(pattern, s)
	return ok && err == nil
}

// of reports whether the visit is the contact's: same user, or same email
// without case.
func (v Visit) of(c Contact) bool {
	return v.UserID != "" && v.UserID == c.UserID || v.Email != "" && plainEmail(v.Email) == plainEmail(c.Email)
}

// overlap refuses a booking of somebody who has another visit at that time
// already: same user, or same email without case. Only the very same slot with
// another party size is told as SlotAlreadyBookedByUser.
// (CreateBookingRequest.idempotency_token, and the causes 2 and 12.)
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
