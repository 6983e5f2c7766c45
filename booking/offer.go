package booking

import (
	"time"

	"holdfast/inventory"
)

// offer returns what the booking takes of the offer that it names, or why it cannot have the offer,
// as far as the catalogue shows. (CreateBookingRequest.offer_id)
func (c Create) offer(m *inventory.Merchant, now time.Time) ([]inventory.Hold, *Failure) {
	if c.OfferID == "" || m == nil {
		return nil, nil
	}
	o := m.Offer(c.OfferID)
	if o == nil {
		return nil, refuse(OfferUnavailable, "there is no such offer")
	}
	if f := notFor(o, m, c.ServiceID, c.StartSec); f != nil {
		return nil, f
	}
	return o.Use(m.ID, now.Unix()), nil
}

// notFor refuses an offer that does not apply to the visit.
func notFor(o *inventory.Offer, m *inventory.Merchant, serviceID string, startSec int64) *Failure {
	if o.Holds(serviceID, time.Unix(startSec, 0), m.Location) {
		return nil
	}
	return refuse(OfferUnavailable, "the offer is not for this service or day")
}

// keepsOffer refuses to move a booking with an offer to where the offer does not apply. The booking
// keeps an offer that the merchant has withdrawn since.
func keepsOffer(b Booking, m *inventory.Merchant) *Failure {
	if m == nil || b.OfferID == "" || m.Offer(b.OfferID) == nil {
		return nil
	}
	return notFor(m.Offer(b.OfferID), m, b.ServiceID, b.StartSec)
}
