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

// Erased is the action of an event: what was known of the guest is gone. It has
// an outbox row like every change, but there is nothing to tell anybody.
const Erased Action = "ERASED"

// eraseBatch is how many visits, or guests, are erased in one transaction: few
// enough that nobody waits for it.
const eraseBatch = 50

// erased is the booking without anything that says who came or what they suffer
// from, or that somebody has written about them. When and where it was, what it held, and what was to
// be paid stay.
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

// Retention is what was erased because it had been kept for long enough.
type Retention struct {
	Visits      int `json:"visits"`
	Guests      int `json:"guests"`
	Preferences int `json:"preferences"` // for marketing, of people who have never been guests
}

// Retain erases what is known of the guests of visits that ended longer ago than
// after, and then the guests who have no others: those who have booked since, or
// have a visit to come, stay. What somebody who is nobody's guest said of marketing
// so long ago goes too. It works in small transactions, tells progress (if
// not nil) after each, and can be broken off and run again at any time.
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

// eraseVisits erases those of the bookings that may be, as they are under the
// lock, and returns how many.
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

// Subject is whom to erase: the charts that any of these names finds, at one
// merchant or at all. A telephone number, however it is written, finds the chart that
// it leads to; families share one.
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

// charts are those that the subject's names find.
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

// Sharing returns the charts at a merchant, or ("") at all, that have a telephone
// number which does not lead to them, because somebody of their family has it too.
func (s *Service) Sharing(ctx context.Context, merchantID, phone string) ([]Guest, error) {
	led, all, err := s.numbered(ctx, merchantID, phone)
	if err != nil {
		return nil, fmt.Errorf("look for guests: %w", err)
	}
	return slices.DeleteFunc(once(all), func(g Guest) bool {
		return slices.ContainsFunc(led, func(l Guest) bool { return l.ID == g.ID })
	}), nil
}

// numbered are the charts that a telephone number leads to, and all that have it, as
// it is read where their merchants are.
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

// once are the charts by id, each once.
func once(charts []Guest) []Guest {
	slices.SortFunc(charts, func(a, b Guest) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return slices.CompactFunc(charts, func(a, b Guest) bool { return a.ID == b.ID })
}

// Erasure is what was erased of one person.
type Erasure struct {
	Guests   int `json:"guests"` // charts
	Visits   int `json:"visits"`
	Canceled int `json:"canceled"` // of them, because they were still to come
}

// StillAhead says that somebody cannot be erased because of visits to come.
type StillAhead struct {
	Visits []string // schedule ids
}

func (a *StillAhead) Error() string {
	return fmt.Sprintf("%d visits are still to come: %s", len(a.Visits), strings.Join(a.Visits, " "))
}

// Erase erases what is known of one person: the charts, what they are found by,
// what their visits say of them, and whether they want to hear from merchants.
// Visits to come are canceled first if cancel says so, else it returns
// *StillAhead and has done nothing. It returns ErrNotFound if nobody is known by
// these names. Broken off, it can be run again, by the same names.
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
	forgotten, err := s.Store.ForgetMarketing(ctx, subject.UserID) // who has never booked may have said something
	if err == nil && len(ids) == 0 && !forgotten {
		err = ErrNotFound
	}
	return done, err
}

// holdsAhead reports whether somebody still waits for the booking.
func (b Booking) holdsAhead(now time.Time) bool {
	return b.EndSec > now.Unix() && b.State.ahead() || b.State == Held && !b.lapsed(now)
}

// clearAhead cancels what is still to come, or refuses.
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
