package inventory

import (
	"slices"
	"time"
)

// Offer is something that a merchant gives guests who ask for it with a booking (CreateBookingRequest.offer_id),
// for some visits and a limited number of times.
type Offer struct {
	ID         string
	ServiceIDs []string // empty: any service
	First      Date     // the first and the last day on which a visit with it may start; zero: any
	Last       Date
	Uses       *int // how many live bookings may have it; nil: any number
}

// Offer returns the offer with this id, or nil.
func (m *Merchant) Offer(id string) *Offer {
	return find(m.Offers, func(o Offer) bool { return o.ID == id })
}

// Holds reports whether the offer applies to a visit of this service that starts then, by the merchant's
// calendar.
func (o *Offer) Holds(serviceID string, start time.Time, loc *time.Location) bool {
	day := DateOf(start.In(loc))
	return (len(o.ServiceIDs) == 0 || slices.Contains(o.ServiceIDs, serviceID)) &&
		(o.First.IsZero() || !day.Before(o.First)) && (o.Last.IsZero() || !o.Last.Before(day))
}

// quotaResource is something with a limited number of simultaneous uses, whatever the time: one slot, which
// starts at 0.
func quotaResource(merchantID, ref string, uses int) Resource {
	return newResource(Resource{MerchantID: merchantID, Kind: KindQuota, Ref: ref, SlotSeconds: 1, DefaultCapacity: uses})
}

// Use returns what one booking takes of the offer: nothing if the offer is unlimited.
func (o *Offer) Use(merchantID string, nowSec int64) []Hold {
	if o.Uses == nil {
		return nil
	}
	return []Hold{quotaResource(merchantID, offerRef(o.ID), *o.Uses).use(nowSec)}
}

// LeaseUse returns what one lease takes of the merchant's leases: nothing if their number is unlimited.
func (m *Merchant) LeaseUse(nowSec int64) []Hold {
	if m.Guests.MaxLeases == 0 {
		return nil
	}
	return []Hold{quotaResource(m.ID, leasesRef, m.Guests.MaxLeases).use(nowSec)}
}

func (r Resource) use(nowSec int64) Hold { return r.Hold(0, 1, 1, nowSec) }

const leasesRef = "leases"

func offerRef(id string) string { return "offer " + id }

// IsUseOf reports whether the hold is a use of the offer.
func (h Hold) IsUseOf(offerID string) bool {
	return h.Resource.Kind == KindQuota && h.Resource.Ref == offerRef(offerID)
}

// IsLeaseUse reports whether the hold is a lease's use of the quota of leases.
func (h Hold) IsLeaseUse() bool { return h.Resource.Kind == KindQuota && h.Resource.Ref == leasesRef }

// quotas returns the merchant's limited quotas.
func (m *Merchant) quotas() []Resource {
	var rs []Resource
	for _, o := range m.Offers {
		for _, h := range o.Use(m.ID, 0) {
			rs = append(rs, h.Resource)
		}
	}
	for _, h := range m.LeaseUse(0) {
		rs = append(rs, h.Resource)
	}
	return rs
}

// Places returns the holds of a time and a place, without those of quotas.
func Places(holds []Hold) []Hold {
	return slices.DeleteFunc(slices.Clone(holds), func(h Hold) bool { return h.Resource.Kind == KindQuota })
}
