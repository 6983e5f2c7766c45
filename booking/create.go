package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/idempotency"
	"holdfast/inventory"
)

// Create is a guest's request for a new booking (Google's CreateBooking).
type Create struct {
	Caller      string // whose idempotency tokens these are
	Token       string
	Fingerprint []byte // of the request, see [idempotency.Fingerprint]

	MerchantID       string
	ServiceID        string
	StartSec         int64 // Unix seconds
	DurationSec      int64
	StaffID          string // "": any or none
	RoomID           string // "": any or none
	PartySize        int    // 0: not said
	AvailabilityTag  string
	ConfirmationMode ConfirmationMode
	LeaseID          *string // nil: none

	Contact           Contact
	Payment           *Payment
	AdditionalRequest string
	OfferID           string
}

// Outcome is what became of a request under an idempotency token.
type Outcome struct {
	Booking  Booking
	Replay   bool // an earlier request made it; the booking is as it is now
	Mismatch bool // that was a different request under the same token
}

// Create makes a booking, or returns the one that this token made before, as it
// is now. It returns *Invalid if the request names what does not exist and
// *Failure if it cannot be had; then nothing is kept, the token neither, and
// the same request is a new attempt.
func (s *Service) Create(ctx context.Context, c Create) (Outcome, error) {
	now, id, guestID := s.Now(), s.NewID(), s.NewID()
	claim := idempotency.Claim{
		Caller: c.Caller, Token: c.Token, Fingerprint: c.Fingerprint, Subject: id, AtSec: now.Unix(),
	}
	var out Outcome
	err := s.run(ctx, c.MerchantID, func(m *inventory.Merchant) (Keys, func(Tx) error) {
		p := c.plan(m, now)
		touches := Keys{Claim: &claim, Slots: p.slots()}
		if p.invalid == nil && p.closed == nil {
			touches.GuestKeys, touches.NewGuest = guestKeys(c.MerchantID, c.Contact), guestID
			touches.FromSec, touches.ToSec = c.StartSec, c.StartSec+c.DurationSec
		}
		return touches, func(tx Tx) error {
			first, err := idempotency.Once(tx, claim)
			if err != nil {
				return err
			}
			if first.Replay {
				b, found := tx.Booking()
				if !found {
					return fmt.Errorf("the token's booking %s is not there", first.Subject)
				}
				out = Outcome{Booking: b, Replay: true, Mismatch: first.Mismatch}
				return nil
			}
			b, err := c.book(tx, p, id, guestID, now)
			out = Outcome{Booking: b}
			return err
		}
	})
	if err != nil {
		return Outcome{}, err
	}
	return out, nil
}

// book is what happens to a request that is new. The order is the order in
// which a guest should be told: what does not exist, what is closed, what they
// have already, what is full, what cannot be paid.
func (c Create) book(tx Tx, p plan, id, newGuest uuid.UUID, now time.Time) (Booking, error) {
	if p.invalid != nil {
		return Booking{}, p.invalid
	}
	slots, err := tx.Slots(p.slots())
	if err != nil {
		return Booking{}, err
	}
	if p.published && !slices.ContainsFunc(p.places, func(pl place) bool { return pl.exists(slots) }) {
		return Booking{}, unknown(FieldStart, "no slot of this service was ever published at that time for that staff, room and party size")
	}
	if p.closed != nil {
		return Booking{}, p.closed
	}
	if c.LeaseID != nil {
		return Booking{}, refuse(LeaseExpired, "the lease is not, or no longer, held")
	}

	b := c.booking(id, now)
	if f := overlap(b, tx.Visits()); f != nil {
		return Booking{}, f
	}
	pl, ok := p.choose(slots)
	if !ok {
		return Booking{}, refuse(SlotUnavailable, "the slot is full")
	}
	if err := inventory.Move(tx, id, nil, pl.holds); err != nil {
		return Booking{}, fmt.Errorf("take a slot that had room: %w", err)
	}
	if c.OfferID != "" {
		return Booking{}, refuse(OfferUnavailable, "there is no such offer")
	}
	if c.Payment != nil && c.Payment.ProcessedBy == ProcessedByPartner {
		return Booking{}, refuse(PaymentError, "this partner does not charge cards")
	}

	guest, changed := identify(c.MerchantID, c.Contact, tx.Guests(), newGuest, now.Unix())
	if changed {
		tx.PutGuest(guest)
	}
	b.GuestID = guest.ID
	b.ZoneID = pl.item.ZoneID
	b.Resources = []OccupiedResource{pl.item}
	_, after, err := difference(Booking{}, b)
	if err != nil {
		return Booking{}, err
	}
	tx.PutBooking(b, Event{Actor: ByGuest, Action: Created, AtSec: now.Unix(), Before: []byte("{}"), After: after})
	return b, nil
}

// booking is the request as a booking, not yet at any place.
func (c Create) booking(id uuid.UUID, now time.Time) Booking {
	state := Confirmed
	if c.ConfirmationMode == Asynchronous {
		state = Pending
	}
	return Booking{
		ID: id, ScheduleID: scheduleID(now, id), MerchantID: c.MerchantID, ServiceID: c.ServiceID,
		State: state, Version: 1, StartSec: c.StartSec, EndSec: c.StartSec + c.DurationSec,
		PartySize: c.PartySize, StaffID: c.StaffID, RoomID: c.RoomID,
		AvailabilityTag: c.AvailabilityTag, ConfirmationMode: c.ConfirmationMode,
		Contact: c.Contact, AdditionalRequest: c.AdditionalRequest, Payment: c.Payment,
		CreatedBy: ByGuest, CreatedSec: now.Unix(),
	}
}

// plan is where a request could be booked, as far as the catalogue tells.
type plan struct {
	invalid   *Invalid // nothing here
	closed    *Failure // not now
	published bool     // the slots must have been published
	places    []place  // the first that has room is taken
}

// place is one way to seat the request.
type place struct {
	item  OccupiedResource
	holds []inventory.Hold
}

func (p plan) slots() []inventory.SlotKey {
	var holds []inventory.Hold
	for _, pl := range p.places {
		holds = append(holds, pl.holds...)
	}
	return inventory.Keys(holds...)
}

func (p plan) choose(slots map[inventory.SlotKey]inventory.Slot) (place, bool) {
	for _, pl := range p.places {
		if inventory.Fits(slots, nil, pl.holds) == nil {
			return pl, true
		}
	}
	return place{}, false
}

func (pl place) exists(slots map[inventory.SlotKey]inventory.Slot) bool {
	var missing *inventory.Missing
	return !errors.As(inventory.Fits(slots, nil, pl.holds), &missing)
}

// plan is pure: it looks at the request, the catalogue (nil: no such merchant)
// and the time.
func (c Create) plan(m *inventory.Merchant, now time.Time) plan {
	if m == nil {
		return plan{invalid: unknown(FieldMerchant, "no such merchant")}
	}
	svc := m.Service(c.ServiceID)
	if svc == nil {
		return plan{invalid: unknown(FieldService, "no such service of this merchant")}
	}
	var p plan
	if m.Kind == inventory.MerchantFeed {
		p = c.planPublished(m, now)
	} else {
		p = c.planClinic(m, svc, now)
	}
	start := time.Unix(c.StartSec, 0)
	switch {
	case p.closed != nil:
	case start.Before(now):
		p.closed = refuse(SlotUnavailable, "the time is past")
	case start.Before(now.Add(time.Duration(svc.MinAdvanceBookingSec) * time.Second)):
		p.closed = refuse(SlotUnavailable, "too soon: the service must be booked longer in advance")
	}
	return p
}

// planPublished: a slot published for a party of this size is one table; one
// published without a size has a seat for each of the party.
func (c Create) planPublished(m *inventory.Merchant, now time.Time) plan {
	at := func(partySize, spots int) place {
		r := inventory.PublishedResource(m.ID, c.ServiceID, c.DurationSec, c.StaffID, c.RoomID, partySize)
		end := c.StartSec + c.DurationSec
		return place{
			item:  OccupiedResource{ResourceID: r.ID, StartSec: c.StartSec, EndSec: end, Spots: spots},
			holds: []inventory.Hold{r.Hold(c.StartSec, end, spots, now.Unix())},
		}
	}
	p := plan{published: true}
	if c.PartySize > 0 {
		p.places = append(p.places, at(c.PartySize, 1))
	}
	p.places = append(p.places, at(0, max(1, c.PartySize)))
	return p
}

// planClinic: the service names the group, the guest perhaps the zone (Google's
// room) and the doctor (Google's staff). Without a room every enabled zone will
// do.
func (c Create) planClinic(m *inventory.Merchant, svc *inventory.Service, now time.Time) plan {
	invalid := func(f Field, detail string) plan { return plan{invalid: unknown(f, detail)} }
	g := m.Group(svc.GroupID)
	var doctor *inventory.Staff
	if c.StaffID != "" {
		if doctor = m.StaffMember(c.StaffID); doctor == nil {
			return invalid(FieldStaff, "no such member of staff at this merchant")
		}
	}
	zones := g.Zones
	if c.RoomID != "" {
		z := g.Zone(c.RoomID)
		if z == nil {
			return invalid(FieldRoom, "the service is not offered in such a room")
		}
		zones = []inventory.GroupZone{*z}
	}
	if c.DurationSec != svc.DurationSec {
		return invalid(FieldDuration, fmt.Sprintf("the service takes %d seconds", svc.DurationSec))
	}
	if !g.OnGrid(c.StartSec) {
		return invalid(FieldStart, fmt.Sprintf("visits of this service start every %d seconds, and not at that time", g.IntervalSec))
	}
	start, end := time.Unix(c.StartSec, 0), time.Unix(c.StartSec+c.DurationSec, 0)
	if !g.Open(start, end, m.Location) || !g.OpenToGuests(start, now, m.Location) {
		return plan{closed: refuse(SlotUnavailable, "closed at that time")}
	}
	var p plan
	for _, z := range zones {
		if z.Enabled {
			item := Item{GroupID: g.ID, ZoneID: z.ZoneID, StartSec: c.StartSec, EndSec: c.StartSec + c.DurationSec}
			if doctor != nil {
				item.Doctor = &Person{ID: doctor.ID, Name: doctor.Name}
			}
			occupied, holds := item.occupy(m, g, z, now)
			p.places = append(p.places, place{item: occupied, holds: holds})
		}
	}
	if len(p.places) == 0 {
		p.closed = refuse(SlotUnavailable, "the service is switched off")
	}
	return p
}
