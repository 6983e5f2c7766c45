package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/letters"
	"holdfast/storage"
)

type bookingsCommand struct {
	Merchant string `placeholder:"ID" help:"Only this merchant's; by default all merchants'."`
	Day      string `placeholder:"YYYY-MM-DD" help:"Only those that fall on this day, even partly, in the merchant's time zone; by default all."`
	Waiting  bool   `help:"Only those that wait for the merchant's confirmation: see booking confirm and decline."`
	JSON     bool   `help:"Print one JSON array with every stored field."`
}

func (cmd *bookingsCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	return listBookings(ctx, db, cmd, c.out)
}

func listBookings(ctx context.Context, db *storage.DB, cmd *bookingsCommand, out io.Writer) (err error) {
	var day inventory.Date
	if cmd.Day != "" {
		if day, err = inventory.ParseDate(cmd.Day); err != nil {
			return fmt.Errorf("--day: %w", err)
		}
	}
	ids := []string{cmd.Merchant}
	if cmd.Merchant == "" {
		if ids, err = db.MerchantIDs(ctx); err != nil {
			return err
		}
	}
	all := []record{}
	var list table
	list.row("TIME", "GUEST", "PHONE", "SERVICE", "ZONE", "DOCTOR", "STATE", "MEMO")
	for _, id := range ids {
		m, err := db.Merchant(ctx, id)
		if errors.Is(err, booking.ErrNotFound) {
			return fmt.Errorf("--merchant: there is no merchant %q", id)
		}
		if err != nil {
			return err
		}
		from, to := int64(0), int64(math.MaxInt64)
		if cmd.Day != "" {
			from, to = day.At(0, m.Location).Unix(), day.At(24*60, m.Location).Unix()
		}
		found, err := db.Bookings(ctx, id, from, to)
		if err != nil {
			return err
		}
		wanted, err := db.Marketing(ctx, userIDs(found))
		if err != nil {
			return err
		}
		for _, b := range found {
			if b.IsLease() || cmd.Waiting && b.State != booking.Pending {
				continue
			}
			if !cmd.JSON {
				list.visit(m, b)
				continue
			}
			r := record{Booking: b}
			if w, said := wanted[b.Contact.UserID]; said {
				r.Marketing = &w
			}
			all = append(all, r)
		}
	}
	if cmd.JSON {
		return letters.WriteJSON(out, all)
	}
	return list.print(out)
}

// record is a booking with what else is stored about its guest.
type record struct {
	booking.Booking
	Marketing *bool `json:"user_to_receive_marketing,omitempty"` // nil: never said
}

func userIDs(bookings []booking.Booking) []string {
	set := map[string]bool{}
	for _, b := range bookings {
		set[b.Contact.UserID] = true
	}
	return slices.Collect(maps.Keys(set))
}

// visit adds a booking as the desk reads it. A visit with several stretches has a line for each.
func (t *table) visit(m *inventory.Merchant, b booking.Booking) {
	service := b.ServiceID
	if s := m.Service(b.ServiceID); s != nil && s.Name != "" {
		service = s.Name
	}
	memo := b.AdditionalRequest
	if b.Memo != nil {
		memo = strings.TrimSpace(memo + " " + *b.Memo)
	}
	for _, r := range b.Resources {
		zone, doctor := "", ""
		if m.Kind == inventory.MerchantFeed { // of feeds we know only ids
			zone, doctor = b.RoomID, b.StaffID
		}
		if z := m.Zone(r.ZoneID); z != nil {
			zone = z.Name
		}
		if r.Doctor != nil {
			doctor = r.Doctor.Name
		}
		t.row(inventory.Period(r.StartSec, r.EndSec, m.Location), booking.Name(b.Contact.GivenName, b.Contact.FamilyName),
			b.Contact.Telephone, service, zone, doctor, string(b.State), memo)
	}
}
