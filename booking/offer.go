package booking

import (
	"time"

	"holdfast/inventory"
)

// offer is what the booking takes of the offer that it names, and why it cannot
// have it, as far as the catalogue tells. (CreateBookingRequest.offer_id)
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

// notFor refuses an offer for a visit that it is not for.
func notFor(o *inventory.Offer, m *inventory.Merchant, serviceID string, startSec int64) *Failure {
	if o.Holds(serviceID, time.Unix(startSec, 0), m.Location) {
		return nil
	}
	return refuse(OfferUnavailable, "the offer is not for this service or day")
}

// keepsOffer refuses to move a booking with an offer to where the offer is not
// for. An offer that the merchant has taken back since is kept.
func keepsOffer(b Booking, m *inventory.Merchant) *Failure {
	if m == nil || b.OfferID == "" || m.Offer(b.OfferID) == nil {
		return nil
	}
	return notFor(m.Offer(b.OfferID), m, b.ServiceID, b.StartSec)
}
