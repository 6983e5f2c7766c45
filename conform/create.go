package conform

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"holdfast/api/mapsbooking"
)

// create books some slots, each at another merchant if there are several.
func create(ctx context.Context, g *results) {
	const bookings = 3
	ids := map[string]bool{}
	for i := range bookings {
		slot, ok := g.pick(ctx, bookable...)
		if !ok && i == 0 {
			g.noSlot("slot")
			return
		}
		if !ok {
			break
		}
		a := g.book(ctx, slot)
		fault := a.fault()
		if a.cause == "SLOT_UNAVAILABLE" {
			fault += ", although the lookup before it said that the slot is available"
		}
		g.check(ctx, "create.booked", a.x, fault)
		if a.booking == nil {
			continue
		}
		f := judgeCreated(a)
		if f.id == "" && ids[a.booking.BookingId] {
			f.id = "two bookings have the booking_id " + a.booking.BookingId
		}
		ids[a.booking.BookingId] = true
		g.check(ctx, "create.id", a.x, f.id)
		g.check(ctx, "create.status", a.x, f.status)
		g.check(ctx, "create.slot", a.x, f.slot)
		g.check(ctx, "create.guest", a.x, f.guest)
		if slot.SpotsOpen == 1 {
			g.expect(ctx, "create.then-taken", slot, false)
		} else {
			g.skip("create.then-taken", "no slot with one open spot is free: one booking of several shows in no lookup")
		}
		statusAgrees(ctx, g, a)
	}
	refusesUnknown(ctx, g)
}

func statusAgrees(ctx context.Context, g *results, a *attempt) {
	x := g.ask(ctx, bookingStatus, &mapsbooking.GetBookingStatusRequest{BookingId: a.booking.BookingId}, &mapsbooking.GetBookingStatusResponse{})
	switch {
	case x.absent():
		g.skip("create.then-status", "GetBookingStatus is not offered (HTTP %d)", x.Status)
	case !x.ok():
		g.check(ctx, "create.then-status", x, x.fault())
	default:
		fault := ""
		if now, then := word(x.Raw, "booking_status"), word(a.x.Raw, "booking", "status"); now != then {
			fault = fmt.Sprintf("booking_status is %q, and CreateBooking said %q", now, then)
		}
		g.check(ctx, "create.then-status", x, fault)
	}
}

// refusesUnknown asks for something that no catalogue has.
func refusesUnknown(ctx context.Context, g *results) {
	slot := g.pool.page(1)[0]
	merchant, service := slot, slot
	merchant.MerchantID, service.ServiceID = "conform-unknown-merchant", "conform-unknown-service"
	x := g.book(ctx, merchant).x
	g.check(ctx, "create.unknown-merchant", x, notStatus(x, http.StatusBadRequest))
	x = g.book(ctx, service).x
	g.check(ctx, "create.unknown-service", x, notStatus(x, http.StatusBadRequest))
}

// createdFaults is what is wrong with a new booking.
type createdFaults struct{ id, status, slot, guest string }

// judgeCreated compares a booking with the request.
func judgeCreated(a *attempt) (f createdFaults) {
	b := a.booking
	if b.BookingId == "" {
		f.id = "booking_id is missing"
	}
	if s := word(a.x.Raw, "booking", "status"); s != "CONFIRMED" && s != "PENDING_MERCHANT_CONFIRMATION" {
		f.status = fmt.Sprintf("status is %q", s)
	}
	f.slot = sameSlot(a.slot, b.Slot)
	want, got := a.guest, b.UserInformation
	for _, p := range []struct{ name, want, got string }{
		{"user_id", want.UserId, got.GetUserId()},
		{"given_name", want.GivenName, got.GetGivenName()},
		{"family_name", want.FamilyName, got.GetFamilyName()},
		{"telephone", digits(want.Telephone), digits(got.GetTelephone())},
		{"email", strings.ToLower(want.Email), strings.ToLower(got.GetEmail())},
	} {
		if p.want != p.got && f.guest == "" {
			f.guest = fmt.Sprintf("user_information.%s is %q instead of %q", p.name, p.got, p.want)
		}
	}
	return f
}

// sameSlot compares what the answer must repeat of a slot.
func sameSlot(want Slot, got *mapsbooking.Slot) string {
	r := got.GetResources()
	for _, p := range []struct {
		name      string
		want, got any
	}{
		{"merchant_id", want.MerchantID, got.GetMerchantId()},
		{"service_id", want.ServiceID, got.GetServiceId()},
		{"start_sec", want.StartSec, got.GetStartSec()},
		{"duration_sec", want.DurationSec, got.GetDurationSec()},
		{"resources.staff_id", want.StaffID, r.GetStaffId()},
		{"resources.room_id", want.RoomID, r.GetRoomId()},
		{"resources.party_size", want.PartySize, r.GetPartySize()},
	} {
		// A server may say which member of staff or room it chose.
		if p.want != p.got && p.want != "" && p.want != int32(0) {
			return fmt.Sprintf("slot.%s is %v instead of %v", p.name, p.got, p.want)
		}
	}
	return ""
}

// digits returns the digits of a telephone number, which people write in several ways.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
