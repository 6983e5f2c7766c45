package booking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Erased is the action of an event: the guest's data is gone. Like every change it has an outbox
// row, but there is nothing to deliver.
const Erased Action = "ERASED"

// eraseBatch is how many visits or guests one transaction erases: few enough that nobody waits
// for it.
const eraseBatch = 50

// erased is the booking without anything that says who came or what they suffer from, and without
// what anybody has written about them. When and where it was, what it held, and what was to be
// paid stay.
func (b Booking) erased(now time.Time) Booking {
	b.Contact, b.AdditionalRequest = Contact{}, ""
	b.Memo, b.Funnel, b.RequestedProcedures, b.ConnectedChannel, b.SedationRequired = nil, nil, nil, nil, nil
	if b.Payment != nil {
		p := *b.Payment
		p.TransactionID, p.UserPaymentOptionID = "", ""
		b.Payment = &p
	}
	b.ErasedSec = now.Unix()
	return b
}

// Retention is what was erased because it had been stored for long enough.
type Retention struct {
	Visits      int `json:"visits"`
	Guests      int `json:"guests"`
	Preferences int `json:"preferences"` // for marketing, of people who never were guests
}

// Retain erases the guests' data from visits that ended longer ago than after, and then the guests
// who have no other visits; those who have booked since, or have a future visit, stay. Marketing
// preferences that are as old, of people who are nobody's guests, go too. It works in small
// transactions, calls progress (if not nil) after each, and can be interrupted and run again at
// any time.
func (s *Service) Retain(ctx context.Context, by By, after time.Duration, progress func(Retention)) (done Retention, err error) {
	if after < 0 {
		return done, errors.New("visits to come are not erased")
	}
	if progress == nil {
		progress = func(Retention) {}
	}
	cutoff := s.Now().Add(-after).Unix()
	for {
		ids, err := s.Store.Unerased(ctx, cutoff, eraseBatch)
		if err != nil {
			return done, fmt.Errorf("look for old visits: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		n, err := s.eraseVisits(ctx, by, ids, func(b Booking) bool { return b.EndSec <= cutoff })
		if done.Visits += n; err != nil {
			return done, err
		}
		progress(done)
		if err := ctx.Err(); err != nil {
			return done, err
		}
	}
	for last := uuid.Nil; ; {
		ids, err := s.Store.IdleGuests(ctx, cutoff, last, eraseBatch)
		if err != nil {
			return done, fmt.Errorf("look for guests: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		n, err := s.Store.ForgetGuests(ctx, ids)
		if done.Guests += n; err != nil {
			return done, fmt.Errorf("forget guests: %w", err)
		}
		last = ids[len(ids)-1]
		progress(done)
		if err := ctx.Err(); err != nil {
			return done, err
		}
	}
	for last := ""; ; {
		next, n, err := s.Store.ForgetIdleMarketing(ctx, cutoff, last, eraseBatch)
		if done.Preferences += n; err != nil {
			return done, fmt.Errorf("forget marketing preferences: %w", err)
		}
		if last = next; last == "" {
			return done, nil
		}
		progress(done)
		if err := ctx.Err(); err != nil {
			return done, err
		}
	}
}

// eraseVisits erases those of the bookings that may still be erased once they are locked, and
// returns how many.
func (s *Service) eraseVisits(ctx context.Context, by By, ids []uuid.UUID, may func(Booking) bool) (n int, err error) {
	now := s.Now()
	err = s.Store.InTx(ctx, Footprint{Bookings: ids}, func(tx Tx) error {
		n = 0
		for _, id := range ids {
			b, found := tx.Booking(id)
			if !found || b.ErasedSec != 0 || !may(b) {
				continue
			}
			if _, err := putNext(tx, b, b.erased(now), Event{By: by, Action: Erased, AtSec: now.Unix()}); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// Subject is whom to erase: the charts that any of these names finds, at one merchant or at all. A
// telephone number, however written, finds only the chart that it leads to, because families share
// numbers.
type Subject struct {
	MerchantID string // "": at all
	UserID     string // Google's id of the user
	Email      string
	Phone      string
	VisitorID  string // the clinic's name of a chart
}

// Home is a merchant and the country by which its numbers are read, see
// [inventory.Merchant.Home].
type Home struct{ MerchantID, Country string }

// charts returns the charts that the subject's names find.
func (s *Service) charts(ctx context.Context, subject Subject) ([]Guest, error) {
	var keys []string
	for _, k := range guestKeys("", "", Contact{UserID: subject.UserID, Email: subject.Email}) {
		keys = append(keys, k.Key)
	}
	found, err := s.Store.GuestsNamed(ctx, subject.MerchantID, keys, subject.VisitorID)
	if err != nil {
		return nil, err
	}
	led, _, err := s.numbered(ctx, subject.MerchantID, subject.Phone)
	return once(append(found, led...)), err
}

// Sharing returns the charts, at a merchant or ("") at all, that have this telephone number but
// are not the chart that it leads to, because somebody in their family has it too.
func (s *Service) Sharing(ctx context.Context, merchantID, phone string) ([]Guest, error) {
	led, all, err := s.numbered(ctx, merchantID, phone)
	if err != nil {
		return nil, fmt.Errorf("look for guests: %w", err)
	}
	return slices.DeleteFunc(once(all), func(g Guest) bool {
		return slices.ContainsFunc(led, func(l Guest) bool { return l.ID == g.ID })
	}), nil
}

// numbered returns the charts that a telephone number leads to, and all charts that have it, read
// for the countries of their merchants.
func (s *Service) numbered(ctx context.Context, merchantID, phone string) (led, all []Guest, err error) {
	if phone == "" {
		return nil, nil, nil
	}
	if _, err := s.NormalizeNumbers(ctx, nil); err != nil {
		return nil, nil, err
	}
	homes, err := s.Store.Homes(ctx, merchantID)
	if err != nil {
		return nil, nil, err
	}
	at := map[string][]string{} // the merchants in each country
	for _, h := range homes {
		at[h.Country] = append(at[h.Country], h.MerchantID)
	}
	for country, merchants := range at {
		numbers := append(spellings(country, E164(country, phone)), digits(phone))
		some, written, err := s.Store.GuestsWithNumber(ctx, merchants, phoneKeys(country, phone), numbers)
		if err != nil {
			return nil, nil, err
		}
		led = append(led, some...)
		for _, g := range written {
			if samePhone(country, g.Phone, phone) {
				all = append(all, g)
			}
		}
	}
	return led, all, nil
}

// once returns the charts sorted by id, each once.
func once(charts []Guest) []Guest {
	slices.SortFunc(charts, func(a, b Guest) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return slices.CompactFunc(charts, func(a, b Guest) bool { return a.ID == b.ID })
}

// Erasure is what was erased of one person.
type Erasure struct {
	Guests   int `json:"guests"` // charts
	Visits   int `json:"visits"`
	Canceled int `json:"canceled"` // of them, because they were in the future
}

// StillAhead says that somebody cannot be erased because of future visits.
type StillAhead struct {
	Visits []string // schedule ids
}

func (a *StillAhead) Error() string {
	return fmt.Sprintf("%d visits are still to come: %s", len(a.Visits), strings.Join(a.Visits, " "))
}

// Erase erases one person's data: the charts, the keys that find them, what their visits say about
// them, and whether they want to hear from merchants. With cancel it first cancels future visits;
// without, it returns *StillAhead and does nothing if there are any. It returns ErrNotFound if
// these names find nobody. If it is interrupted, run it again with the same names.
func (s *Service) Erase(ctx context.Context, by By, subject Subject, cancel bool) (done Erasure, err error) {
	subject.VisitorID = inventory.PlainID(subject.VisitorID)
	guests, err := s.charts(ctx, subject)
	if err != nil {
		return done, fmt.Errorf("look for guests: %w", err)
	}
	ids := make([]uuid.UUID, len(guests))
	for i, g := range guests {
		ids[i] = g.ID
	}
	bookings, err := s.Store.UnerasedOf(ctx, ids)
	if err != nil {
		return done, fmt.Errorf("look for visits: %w", err)
	}
	if done.Canceled, err = s.clearAhead(ctx, by, bookings, cancel); err != nil {
		return done, err
	}
	visits := make([]uuid.UUID, len(bookings))
	for i, b := range bookings {
		visits[i] = b.ID
	}
	for some := range slices.Chunk(visits, eraseBatch) {
		n, err := s.eraseVisits(ctx, by, some, func(b Booking) bool { return !b.holdsAhead(s.Now()) })
		if done.Visits += n; err != nil {
			return done, err
		}
	}
	for some := range slices.Chunk(ids, eraseBatch) {
		n, err := s.Store.ForgetGuests(ctx, some)
		if done.Guests += n; err != nil {
			return done, fmt.Errorf("forget guests: %w", err)
		}
	}
	if done.Guests < len(ids) {
		return done, fmt.Errorf("%w: the person has booked meanwhile; run it again", ErrUnavailable)
	}
	forgotten, err := s.Store.ForgetMarketing(ctx, subject.UserID) // even people who never booked may have one
	if err == nil && len(ids) == 0 && !forgotten {
		err = ErrNotFound
	}
	return done, err
}

// holdsAhead reports whether the booking is still in the future: a visit, or a lease.
func (b Booking) holdsAhead(now time.Time) bool {
	return b.EndSec > now.Unix() && b.State.ahead() || b.State == Held && !b.lapsed(now)
}

// clearAhead cancels future visits, or refuses.
func (s *Service) clearAhead(ctx context.Context, by By, bookings []Booking, cancel bool) (canceled int, err error) {
	now := s.Now()
	var ahead []Booking
	refused := &StillAhead{}
	for _, b := range bookings {
		if !b.holdsAhead(now) {
			continue
		}
		ahead = append(ahead, b)
		if !cancel && b.State != Held || b.State == InProgress {
			refused.Visits = append(refused.Visits, b.ScheduleID)
		}
	}
	if refused.Visits != nil {
		return 0, refused
	}
	for _, b := range ahead {
		if b.State == Held {
			err = s.Store.InTx(ctx, Footprint{Bookings: []uuid.UUID{b.ID}}, func(tx Tx) error { return giveUp(tx, b.ID, true, now) })
		} else {
			_, err = s.Settle(ctx, by, b.ID, CallOff)
			canceled++
		}
		if err != nil {
			return canceled, fmt.Errorf("cancel %s: %w", b.ScheduleID, err)
		}
	}
	return canceled, nil
}
