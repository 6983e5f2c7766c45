package google

import (
	"context"

	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
	"holdfast/booking"
)

// createLease holds a slot for a while. The answer is the requested lease with its id and its expiry,
// which may be sooner than requested.
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
	if failure := failureOf(ctx, err); failure != nil {
		return &mapsbooking.CreateLeaseResponse{BookingFailure: failure}, nil
	}
	if err != nil {
		return nil, renamed(err, inLease)
	}
	held := proto.CloneOf(lease)
	held.LeaseId, held.LeaseExpirationTimeSec = b.ID.String(), b.ExpiresSec
	return &mapsbooking.CreateLeaseResponse{Lease: held}, nil
}
