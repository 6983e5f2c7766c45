package booking

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"holdfast/letters"
)

// Servers of earlier releases know a number only as it is written, so one number may have several
// charts. This file tidies up what they leave, and keep leaving while they run beside this one, in
// small transactions.

// Joined is the action of an event: the visit moved to an older chart, because its own turned out
// to be the same person's. Like every change it has an outbox row, but there is nothing to deliver.
const Joined Action = "JOINED"

// numberBatch is how many keys one transaction looks at.
const numberBatch = 500

// Clash is two charts that each have a key of the same number.
type Clash struct {
	Keys   [2]GuestKey // as it was written, and its one form
	Charts [2]Guest    // whose they are
}

// Numbers is what was tidied up.
type Numbers struct {
	Keys   int // keys that were looked at
	Joined int // charts that were joined to an older one
}

// NormalizeNumbers gives every telephone number that an earlier release has stored its one form,
// and one chart. If a number has two charts, and nothing says that these are two people, the older
// one gets the younger one's visits and keys, and the younger one stays as another name of it. If
// they are members of a family, both stay, and the number leads to the older one. NormalizeNumbers
// calls progress (if not nil) after each step. It can be interrupted and run again at any time,
// beside servers of any release.
func (s *Service) NormalizeNumbers(ctx context.Context, progress func(Numbers)) (done Numbers, err error) {
	if progress == nil {
		progress = func(Numbers) {}
	}
	for {
		seen, clashes, err := s.Store.NormalizePhones(ctx, E164, numberBatch)
		if err != nil {
			return done, fmt.Errorf("normalize numbers: %w", err)
		}
		if done.Keys += seen; seen == 0 && len(clashes) == 0 {
			return done, nil
		}
		settled := 0
		for _, c := range clashes {
			if err := ctx.Err(); err != nil {
				return done, err
			}
			met, joined, err := s.meet(ctx, c)
			if err != nil {
				return done, fmt.Errorf("join charts: %w", err)
			}
			if met {
				settled++
			}
			if joined {
				done.Joined++
			}
		}
		if seen+settled == 0 {
			return done, fmt.Errorf("%w: the charts of %d numbers change all the time", ErrUnavailable, len(clashes))
		}
		progress(done)
		if err := ctx.Err(); err != nil {
			return done, err
		}
	}
}

// meet makes one chart of two, or gives the number to the older one. met is false if one of them
// has changed meanwhile.
func (s *Service) meet(ctx context.Context, c Clash) (met, joined bool, err error) {
	older, younger := c.Charts[0], c.Charts[1]
	if cmp.Or(cmp.Compare(older.CreatedSec, younger.CreatedSec), bytes.Compare(older.ID[:], younger.ID[:])) > 0 {
		older, younger = younger, older
	}
	if onePerson(older, younger) {
		if err := s.moveVisits(ctx, younger.ID, older); err != nil {
			return false, false, err
		}
	}
	return s.Store.MeetCharts(ctx, c.Keys, older.ID, younger.ID, join)
}

// StrayVisits moves the visits that a server of an earlier release has made for charts that had
// been joined to others, and returns for how many charts it did.
func (s *Service) StrayVisits(ctx context.Context) (moved int, err error) {
	for {
		younger, older, found, err := s.Store.Stray(ctx)
		if err != nil || !found {
			return moved, err
		}
		if err := s.moveVisits(ctx, younger, older); err != nil {
			return moved, err
		}
		moved++
	}
}

// moveVisits moves a chart's visits to another chart, a few in each transaction.
func (s *Service) moveVisits(ctx context.Context, from uuid.UUID, to Guest) error {
	for {
		ids, err := s.Store.VisitsOf(ctx, from, eraseBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		now := s.Now()
		touches := Footprint{Bookings: ids, Visitor: VisitorKey{MerchantID: to.MerchantID, VisitorID: to.VisitorID}}
		err = s.Store.InTx(ctx, touches, func(tx Tx) error {
			chart, found := tx.Visitor()
			if !found || chart.ID != to.ID {
				return fmt.Errorf("%w: the chart has been erased meanwhile", ErrUnavailable)
			}
			for _, id := range ids {
				if b, found := tx.Booking(id); found && b.GuestID == from {
					tx.PutBooking(b.joined(to.ID, now))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// joined returns the booking moved to another chart, and the event that says so.
func (b Booking) joined(to uuid.UUID, now time.Time) (Booking, Event) {
	side := func(id uuid.UUID) json.RawMessage { return json.RawMessage(`{"guest_id":"` + id.String() + `"}`) }
	e := Event{By: theClock, Action: Joined, AtSec: now.Unix(), Before: side(b.GuestID), After: side(to)}
	b.GuestID = to
	b.Version++
	return b, e
}

// onePerson reports whether two charts with one telephone number are the same person's: neither is
// known to be another user's, and they have one name.
func onePerson(a, b Guest) bool {
	contact := func(g Guest) Contact { return Contact{UserID: g.GoogleUserID, Email: g.Email} }
	return !foreign(a, contact(b)) && !foreign(b, contact(a)) && sameName(a, b)
}

// sameName reports whether two charts have the same name, given or family name first, whatever is
// between them. A chart without a name matches any.
func sameName(a, b Guest) bool {
	plain := func(parts ...string) string {
		return strings.Map(func(r rune) rune {
			if unicode.In(r, unicode.L, unicode.M, unicode.N) {
				return unicode.ToLower(r)
			}
			return -1
		}, letters.Form(strings.Join(parts, "")))
	}
	name := plain(a.GivenName, a.FamilyName)
	other := plain(b.GivenName, b.FamilyName)
	return name == "" || other == "" || name == other || name == plain(b.FamilyName, b.GivenName)
}

// join returns the older of two charts, completed with what only the younger one knows; ok is false
// if they are two people.
func join(older, younger Guest) (joined Guest, ok bool) {
	if !onePerson(older, younger) {
		return Guest{}, false
	}
	for _, m := range [][2]*string{
		{&older.GoogleUserID, &younger.GoogleUserID}, {&older.Email, &younger.Email}, {&older.Phone, &younger.Phone},
	} {
		if *m[0] == "" {
			*m[0] = *m[1]
		}
	}
	if older.GivenName+older.FamilyName == "" {
		older.GivenName, older.FamilyName = younger.GivenName, younger.FamilyName
	}
	return older, true
}
