package google

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
	"holdfast/booking"
)

// maxLookup is how many slots one lookup may ask about.
const maxLookup = 1000

// batchAvailabilityLookup returns which of a merchant's slots can be booked right now: exactly one
// answer for each slot in the request, in order.
func (s *server) batchAvailabilityLookup(ctx context.Context, req *mapsbooking.BatchAvailabilityLookupRequest) (*mapsbooking.BatchAvailabilityLookupResponse, error) {
	slots, err := slotsOf(req)
	if err != nil {
		return nil, err
	}
	available, err := s.bookings.Available(ctx, req.MerchantId, slots)
	var invalid *booking.Invalid
	if errors.As(err, &invalid) && invalid.Field == booking.FieldService {
		return nil, badField(fmt.Sprintf("slot_time[%d].service_id", invalid.Resource), "must be a service of the merchant")
	}
	if err != nil {
		return nil, renamed(err, map[string]string{"slot.merchant_id": "merchant_id"})
	}
	resp := &mapsbooking.BatchAvailabilityLookupResponse{}
	for i, asked := range req.SlotTime {
		resp.SlotTimeAvailability = append(resp.SlotTimeAvailability, &mapsbooking.SlotTimeAvailability{
			SlotTime: asked, Available: &available[i],
		})
	}
	return resp, nil
}

// slotsOf checks what the message alone can show to be wrong, and translates it. An impossible time is
// not an error: such a slot is not available.
func slotsOf(req *mapsbooking.BatchAvailabilityLookupRequest) ([]booking.Slot, error) {
	switch {
	case req.MerchantId == "":
		return nil, badField("merchant_id", missing)
	case len(req.SlotTime) == 0:
		return nil, badField("slot_time", missing)
	case len(req.SlotTime) > maxLookup:
		return nil, badField("slot_time", fmt.Sprintf("must have at most %d slots", maxLookup))
	}
	if err := checkTexts(req.ProtoReflect(), ""); err != nil {
		return nil, err
	}
	slots := make([]booking.Slot, len(req.SlotTime))
	for i, t := range req.SlotTime {
		path := fmt.Sprintf("slot_time[%d]", i)
		if t.GetServiceId() == "" {
			return nil, badField(path+".service_id", missing)
		}
		if err := checkTexts(t.ProtoReflect(), path); err != nil {
			return nil, err
		}
		slots[i] = within(booking.Slot{
			ServiceID: t.ServiceId, StartSec: t.StartSec, DurationSec: t.DurationSec,
			StaffID: t.GetResourceIds().GetStaffId(), RoomID: t.GetResourceIds().GetRoomId(),
			PartySize: int(t.GetResourceIds().GetPartySize()),
		})
	}
	return slots, nil
}

// within keeps a slot's times within what we can calculate with. It moves an impossible slot to where
// nothing is available, the beginning of 1970.
func within(s booking.Slot) booking.Slot {
	if s.StartSec < 0 || s.StartSec >= year10000Sec || s.DurationSec < 0 || s.DurationSec > maxDurationSec ||
		s.PartySize < 0 || s.PartySize > maxPartySize {
		s.StartSec, s.DurationSec, s.PartySize = 0, 0, 0
	}
	return s
}

// checkAvailability is the legacy lookup of one slot: how often it can be booked right now.
func (s *server) checkAvailability(ctx context.Context, req *mapsbooking.CheckAvailabilityRequest) (*mapsbooking.CheckAvailabilityResponse, error) {
	slot := req.GetSlot()
	switch {
	case slot == nil:
		return nil, badField("slot", missing)
	case slot.MerchantId == "":
		return nil, badField("slot.merchant_id", missing)
	case slot.ServiceId == "":
		return nil, badField("slot.service_id", missing)
	}
	if err := checkTexts(req.ProtoReflect(), ""); err != nil {
		return nil, err
	}
	rooms, err := s.bookings.Rooms(ctx, slot.MerchantId, []booking.Slot{within(slotOf(slot))})
	if err != nil {
		return nil, err
	}
	count := int32(min(rooms[0], 1<<20)) //nolint:gosec // bounded
	return &mapsbooking.CheckAvailabilityResponse{
		Slot: slot, CountAvailable: &count,
		DurationRequirement: mapsbooking.DurationRequirement_DO_NOT_SHOW_DURATION,
		AvailabilityUpdate: &mapsbooking.AvailabilityUpdate{SlotAvailability: []*mapsbooking.SlotAvailability{
			{Slot: proto.CloneOf(slot), CountAvailable: &count},
		}},
	}, nil
}
