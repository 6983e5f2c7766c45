package booking

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Reserve is the clinic's command for a new visit (reserve V2 and reserve-by-visitor-id V2): what a
// [Change] says, and who comes.
type Reserve struct {
	Change // of a visit that has nothing yet; without a ScheduleID
	Once   *Once

	// Who comes: the guest with this number, which has at least one digit, or a new one
	// with that name; or, without a number, the visitor with this id.
	Name, Phone string
	VisitorID   string
}

// Reserve makes a visit, confirmed at once. It returns *Invalid for a visitor, zone or group that
// this clinic does not have, and *Failure if there is no room or the visitor has another visit at
// that time, in the order of the decision table (docs/clinic-commands.md). Notice, buffers, the
// start date and the guest rules bind Google's guests, not the desk.
func (s *Service) Reserve(ctx context.Context, r Reserve) (Outcome, error) {
	now, id, guestID := s.Now(), s.NewID(), s.NewID()
	return s.makeOnce(ctx, r.MerchantID, r.Once, id, now, func(m *inventory.Merchant) (Footprint, func(Tx) (Booking, error)) {
		r := r
		r.Change = r.spelled(m)
		items, holds, invalid := r.occupy(m, now)
		touches := Footprint{}
		var keys []GuestKey
		if r.Phone == "" {
			touches.Visitor = VisitorKey{MerchantID: r.MerchantID, VisitorID: r.VisitorID}
		}
		if invalid == nil {
			touches.announce(slices.Concat(holds...)...)
			touches.FromSec, touches.ToSec = envelope(items)
			touches.Steady = slices.ContainsFunc(items, OccupiedResource.unheld)
			if r.Phone != "" {
				keys = guestKeys(r.MerchantID, m.Home(), r.contact())
				touches.GuestKeys, touches.NewGuest = keys, guestID
			}
		}
		return touches, func(tx Tx) (Booking, error) {
			known, found := tx.Visitor()
			switch {
			case r.Phone == "" && !found:
				return Booking{}, unknown(FieldVisitor, "no such visitor of this clinic")
			case invalid != nil:
				return Booking{}, invalid
			}
			contact := known.contact()
			if r.Phone != "" {
				contact = r.contact()
				guest, changed, others := identify(r.MerchantID, keys, contact, tx.Guests(), guestID, now.Unix())
				if known = guest; changed {
					tx.PutGuest(guest, others...)
				}
			}
			b := r.apply(r.booking(id, known.ID, contact, now), items)
			if f := collide(b, tx.Visits()); f != nil {
				return Booking{}, f
			}
			if err := r.move(tx, m, Booking{ID: id}, holds); err != nil {
				return Booking{}, err
			}
			return putNext(tx, Booking{}, b, Event{By: r.By, Action: Created, AtSec: now.Unix()})
		}
	})
}

// contact returns what the command says about the visitor. A clinic writes a name in one piece.
func (r Reserve) contact() Contact { return Contact{GivenName: r.Name, Telephone: r.Phone} }

// contact returns what we know about a guest for whom the desk books. It leaves out the Google user
// id: Google does not know about the visit, and must not list it.
func (g Guest) contact() Contact {
	return Contact{GivenName: g.GivenName, FamilyName: g.FamilyName, Telephone: g.Phone, Email: g.Email}
}

// booking returns a visit of the guest that has no time yet.
func (r Reserve) booking(id, guestID uuid.UUID, c Contact, now time.Time) Booking {
	return Booking{
		ID: id, ScheduleID: objectID(now, id), MerchantID: r.MerchantID, GuestID: guestID, State: Confirmed,
		Contact: c, CreatedBy: r.Actor, CreatedSec: now.Unix(),
	}
}
