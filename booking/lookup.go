package booking

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Booking returns a booking as it is now, or ErrNotFound.
func (s *Service) Booking(ctx context.Context, id uuid.UUID) (Booking, error) {
	b, err := s.Store.Booking(ctx, id)
	if err == nil && !b.IsVisit() {
		return Booking{}, ErrNotFound
	}
	return b, err
}

// Ahead returns a Google user's upcoming bookings at all merchants, by start: none that has begun,
// and none that was canceled. ErrNotFound if nobody with this id has ever booked. (Google's
// ListBookings)
func (s *Service) Ahead(ctx context.Context, googleUserID string) ([]Booking, error) {
	now := s.Now().Unix()
	found, err := s.Store.GuestBookings(ctx, googleUserID, []State{Pending, Confirmed}, now)
	if err != nil {
		return nil, err
	}
	// The chart may also have visits that the desk booked for somebody else.
	return slices.DeleteFunc(found, func(b Booking) bool { return b.StartSec <= now || b.Contact.UserID != googleUserID }), nil
}

// SetMarketing stores whether a Google user wants to hear from merchants. We send nothing because
// of it; the desk sees it with the user's bookings. (SetMarketingPreference)
func (s *Service) SetMarketing(ctx context.Context, googleUserID string, wanted bool) error {
	return s.Store.PutMarketing(ctx, googleUserID, wanted, s.Now().Unix())
}
