package api

import (
	"context"

	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
	"holdfast/booking"
)

// createLease holds a slot for a while. The answer is the lease as it was asked
// for, with its id and with when it expires, which may be sooner.
func (s *server) createLease(ctx context.Context, req *mapsbooking.CreateLeaseRequest) (*mapsbooking.CreateLeaseResponse, error) {
	lease := req.GetLease()
	slot := lease.GetSlot()
	if lease == nil {
		return nil, badField("lease", missing)
	}
	for _, rule := range append(slotRules(slot), rule{"lease_expiration_time_sec", lease.LeaseExpirationTimeSec >= 0, "must not be below zero"}) {
		if !rule.ok {
			return nil, badField("lease."+rule.field, rule.must)
		}
	}
	if err := checkTexts(req.ProtoReflect(), ""); err != nil {
		return nil, err
	}
	b, err := s.bookings.Lease(ctx, booking.Lease{
		Slot: slotOf(slot), UserID: lease.UserReference, ExpiresSec: lease.LeaseExpirationTimeSec,
	})
	if failure := bookingFailure(ctx, err); failure != nil {
		return &mapsbooking.CreateLeaseResponse{BookingFailure: failure}, nil
	}
	if err != nil {
		return nil, renamed(err, inLease)
	}
	held := proto.CloneOf(lease)
	held.LeaseId, held.LeaseExpirationTimeSec = b.ID.String(), b.ExpiresSec
	return &mapsbooking.CreateLeaseResponse{Lease: held}, nil
}

// inLease spells the fields of a slot where the slot is part of a lease.
var inLease = map[string]string{
	"slot.merchant_id":        "lease.slot.merchant_id",
	"slot.service_id":         "lease.slot.service_id",
	"slot.start_sec":          "lease.slot.start_sec",
	"slot.duration_sec":       "lease.slot.duration_sec",
	"slot.resources.staff_id": "lease.slot.resources.staff_id",
	"slot.resources.room_id":  "lease.slot.resources.room_id",
}
