package google

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"holdfast/api/mapsbooking"
	"holdfast/booking"
)

// updateBooking cancels or changes a booking. v3 has no field mask: absent fields stay as they are.
func (s *server) updateBooking(ctx context.Context, req *mapsbooking.UpdateBookingRequest) (*mapsbooking.UpdateBookingResponse, error) {
	update, err := updateOf(req.GetBooking())
	if err != nil {
		return nil, err
	}
	if err := checkTexts(req.ProtoReflect(), ""); err != nil {
		return nil, err
	}
	b, err := s.bookings.Update(ctx, update)
	if failure := failureOf(ctx, err); failure != nil {
		return &mapsbooking.UpdateBookingResponse{BookingFailure: failure}, nil
	}
	if err != nil {
		return nil, renamed(err, inBooking)
	}
	return &mapsbooking.UpdateBookingResponse{Booking: messageOf(b)}, nil
}

// updateOf checks what the message alone can show to be wrong, and translates it.
// (UpdateBookingRequest: a status to cancel, or else start and duration, or the party size.)
func updateOf(b *mapsbooking.Booking) (booking.Update, error) {
	slot, resources, status := b.GetSlot(), b.GetSlot().GetResources(), b.GetStatus()
	var startSec, durationSec *int64
	if slot != nil {
		startSec, durationSec = slot.StartSec, slot.DurationSec
	}
	positive := func(n *int64, below int64) bool { return n == nil || *n > 0 && *n < below }
	changes := startSec != nil || durationSec != nil || resources.GetPartySize() != 0 ||
		resources.GetStaffId() != "" || resources.GetRoomId() != ""
	for _, rule := range []rule{
		{"booking", b != nil, missing},
		{"booking.booking_id", b.GetBookingId() != "", missing},
		{"booking.status", status == mapsbooking.BookingStatus_BOOKING_STATUS_UNSPECIFIED ||
			status == mapsbooking.BookingStatus_CONFIRMED || status == mapsbooking.BookingStatus_CANCELED, "must be CANCELED, or CONFIRMED as it is"},
		{"booking", changes || status != mapsbooking.BookingStatus_BOOKING_STATUS_UNSPECIFIED, "has nothing to change: a status or a part of the slot is required"},
		{"booking.slot.start_sec", positive(startSec, year10000Sec), "must be above zero and before the year 10000"},
		{"booking.slot.duration_sec", positive(durationSec, maxDurationSec+1), "must be above zero and at most 366 days"},
		{"booking.slot.resources.party_size", resources.GetPartySize() >= 0 && resources.GetPartySize() <= maxPartySize, "must be from 0 to 10000"},
	} {
		if !rule.ok {
			return booking.Update{}, badField(rule.field, rule.must)
		}
	}
	id, err := uuid.Parse(b.BookingId)
	if err != nil { // not an id of ours, so there is no such booking
		return booking.Update{}, badField("booking.booking_id", "names no booking")
	}
	u := booking.Update{
		BookingID: id, Cancel: status == mapsbooking.BookingStatus_CANCELED,
		MerchantID: slot.GetMerchantId(), ServiceID: slot.GetServiceId(),
		StartSec: startSec, DurationSec: durationSec,
	}
	if size := resources.GetPartySize(); size != 0 {
		u.PartySize = new(int(size))
	}
	if resources.GetStaffId() != "" {
		u.StaffID = &resources.StaffId
	}
	if resources.GetRoomId() != "" {
		u.RoomID = &resources.RoomId
	}
	return u, nil
}

// getBookingStatus returns the status of a booking. An unknown id is 404.
func (s *server) getBookingStatus(ctx context.Context, req *mapsbooking.GetBookingStatusRequest) (*mapsbooking.GetBookingStatusResponse, error) {
	if req.BookingId == "" {
		return nil, badField("booking_id", missing)
	}
	id, err := uuid.Parse(req.BookingId)
	if err != nil {
		return nil, notThere("booking_id", "there is no such booking")
	}
	b, err := s.bookings.Booking(ctx, id)
	if errors.Is(err, booking.ErrNotFound) {
		return nil, notThere("booking_id", "there is no such booking")
	}
	if err != nil {
		return nil, err
	}
	prepayment := mapsbooking.PrepaymentStatus_PREPAYMENT_NOT_PROVIDED
	if p := paymentMessage(b.Payment); p.GetPrepaymentStatus() != mapsbooking.PrepaymentStatus_PREPAYMENT_STATUS_UNSPECIFIED {
		prepayment = p.GetPrepaymentStatus()
	}
	return &mapsbooking.GetBookingStatusResponse{
		BookingId: b.ID.String(), BookingStatus: statuses[b.State], PrepaymentStatus: prepayment,
	}, nil
}

// listBookings returns a user's upcoming bookings at all merchants. An unknown user is 404.
func (s *server) listBookings(ctx context.Context, req *mapsbooking.ListBookingsRequest) (*mapsbooking.ListBookingsResponse, error) {
	if req.UserId == "" {
		return nil, badField("user_id", missing)
	}
	if err := checkTexts(req.ProtoReflect(), ""); err != nil {
		return nil, err
	}
	ahead, err := s.bookings.Ahead(ctx, req.UserId)
	if errors.Is(err, booking.ErrNotFound) {
		return nil, notThere("user_id", "nobody with this id has booked here")
	}
	if err != nil {
		return nil, err
	}
	resp := &mapsbooking.ListBookingsResponse{}
	for _, b := range ahead {
		resp.Bookings = append(resp.Bookings, messageOf(b))
	}
	return resp, nil
}

// setMarketingPreference stores whether a user wants marketing. Request and answer have the same
// fields; an absent user_to_receive_marketing is false.
func (s *server) setMarketingPreference(ctx context.Context, req *mapsbooking.SetMarketingPreferenceRequest) (*mapsbooking.SetMarketingPreferenceResponse, error) {
	switch {
	case req.UserInformation == nil:
		return nil, badField("user_information", missing)
	case req.GetUserInformation().UserId == "":
		return nil, badField("user_information.user_id", missing)
	}
	if err := checkTexts(req.ProtoReflect(), ""); err != nil {
		return nil, err
	}
	wanted := req.GetUserToReceiveMarketing()
	if err := s.bookings.SetMarketing(ctx, req.UserInformation.UserId, wanted); err != nil {
		return nil, err
	}
	return &mapsbooking.SetMarketingPreferenceResponse{UserInformation: req.UserInformation, UserToReceiveMarketing: &wanted}, nil
}
