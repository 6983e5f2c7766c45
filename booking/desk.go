package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Schedule is a visit with what the desk sees along with it.
type Schedule struct {
	Booking Booking
	Guest   Guest   // the chart
	Events  []Event // oldest first; only if the history was asked for
	// ServiceName is the booked service's current name; "" if there is none.
	ServiceName string
}

// nameServices sets the ServiceName of a merchant's visits.
func (s *Service) nameServices(ctx context.Context, merchantID string, visits []Schedule) error {
	if len(visits) == 0 {
		return nil
	}
	m, err := s.Store.Merchant(ctx, merchantID)
	if err != nil {
		return fmt.Errorf("read catalogue: %w", err)
	}
	for i := range visits {
		if known := m.Service(visits[i].Booking.ServiceID); known != nil {
			visits[i].ServiceName = known.Name
		}
	}
	return nil
}

// PageBytes bounds a page of a list or a history, in bytes as stored; a page has at least one
// visit or change. It bounds a page's memory where the number of entries alone does not.
const PageBytes = 1 << 20

// HistoryPage says which part of a visit's history to read.
type HistoryPage struct {
	After int64 // the version of the last change on the previous page; 0: from the first on
	Limit int   // how many changes at most; 0: none
}

// Groups returns a clinic's groups in the catalogue's order. It reads them anew, because the desk
// looks at them after changing them.
func (s *Service) Groups(ctx context.Context, merchantID string) ([]inventory.Group, error) {
	m, err := s.Store.Refreshed(ctx, merchantID)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	return m.Groups, nil
}

// Schedule returns a visit of a clinic with a page of its history, and whether there is more of
// that, or *Invalid. Neither a lease nor a time that the desk has closed is a visit.
func (s *Service) Schedule(ctx context.Context, key ScheduleKey, history HistoryPage) (found Schedule, more bool, err error) {
	found, more, err = s.Store.Schedule(ctx, key, history)
	if errors.Is(err, ErrNotFound) || err == nil && !found.Booking.IsVisit() {
		return Schedule{}, false, unknown(FieldSchedule, "no such schedule of this clinic")
	}
	if err != nil {
		return Schedule{}, false, err
	}
	named := []Schedule{found}
	err = s.nameServices(ctx, key.MerchantID, named)
	return named[0], more, err
}

// Position is a visit's place in the order of a list.
type Position struct {
	StartSec int64 // Unix seconds
	ID       uuid.UUID
}

// SchedulesQuery asks for the visits of a day.
type SchedulesQuery struct {
	MerchantID string // of the caller's token
	Day        inventory.Date
	GroupID    string   // only visits with a stretch in this group; "": in any
	ZoneID     string   // and in this zone
	Waiting    *bool    // only those that wait, or do not wait, for the clinic's confirmation; nil: all
	After      Position // only those after it, the last of the previous page
	Offset     int      // how many of them to leave out first
	Limit      int      // how many to return at most
}

// ScheduleRange is what [Store.Schedules] reads: a query with its day as a time.
type ScheduleRange struct {
	SchedulesQuery
	CatalogueVersion int64
	FromSec          int64 // visits that overlap [FromSec, ToSec), Unix seconds
	ToSec            int64
}

// Schedules returns the visits in any state that are at least partly on a day, by the clinic's
// clock, ordered by start and without their history, and whether there are more. A visit over
// midnight is on both days. It returns *Invalid for a group or zone that this clinic does not have.
func (s *Service) Schedules(ctx context.Context, q SchedulesQuery) (found []Schedule, more bool, err error) {
	err = s.replanned(ctx, q.MerchantID, func(m *inventory.Merchant) (err error) {
		r := ScheduleRange{SchedulesQuery: q, CatalogueVersion: m.Version}
		r.FromSec, r.ToSec = q.Day.At(0, m.Location).Unix(), q.Day.At(24*60, m.Location).Unix()
		found, more, err = s.Store.Schedules(ctx, r)
		switch {
		case err != nil:
			return err
		case q.GroupID != "" && m.Group(q.GroupID) == nil:
			return unknown(FieldResourceGroup, "no such group of this clinic")
		case q.ZoneID != "" && m.Zone(q.ZoneID) == nil:
			return unknown(FieldZone, "no such zone of this clinic")
		}
		return nil
	})
	if err == nil {
		err = s.nameServices(ctx, q.MerchantID, found)
	}
	if err != nil {
		return nil, false, err
	}
	return found, more, nil
}

// GuestSearch says which of a clinic's guests to look for. Empty members do not matter; all
// others must match, and at least one of the first four must be given.
type GuestSearch struct {
	MerchantID string   // of the caller's token
	NamePart   string   // a part of the name, ASCII letters in either case
	Phones     []string // the number is one of these, digits only; see [PhoneSpellings]
	Phone      string   // the same number with its country's calling code: "+82 010-1234-5678"
	PhoneKey   string   // or the chart has this key, which [Service.Guests] makes from Phone
	Email      string   // the whole address, in either case
	VisitorID  string
	After      uuid.UUID // only those after it, the last of the previous page
	Offset     int       // how many of them to leave out first
	Limit      int       // how many to return at most
}

// Guests returns a page of the charts that a search finds, oldest first, and whether there are
// more.
func (s *Service) Guests(ctx context.Context, q GuestSearch) (found []Guest, more bool, err error) {
	q.Email = plainEmail(q.Email)
	if number := E164("", q.Phone); number != "" {
		q.PhoneKey, q.Phones = phoneKey+number, append(q.Phones, spellings("", number)...)
	}
	if found, more, err = s.Store.SearchGuests(ctx, q); err != nil {
		return nil, false, fmt.Errorf("search guests: %w", err)
	}
	return found, more, nil
}

// PhoneSpellings returns the ways in which people write a number, digits only, given its
// country's calling code and the number within it: with the code or without, and with or without
// the 0 that is dialled within the country.
func PhoneSpellings(countryCode, number string) []string {
	country, given := digits(countryCode), digits(number)
	if given == "" {
		return nil
	}
	bare := strings.TrimPrefix(given, "0")
	spellings := []string{given, bare, "0" + bare}
	if country != "" {
		spellings = append(spellings, country+given, country+bare, "00"+country+bare)
	}
	slices.Sort(spellings)
	return slices.Compact(spellings)
}

func digits(s string) string { return strings.TrimPrefix(plainPhone(s), "+") }

// SplitPhone splits a number into its country's calling code and the rest, digits only. Without a
// + in front nobody knows the country, and the code is "". (ITU-T E.164: codes have one to three
// digits, and none is a prefix of another.)
func SplitPhone(s string) (countryCode, number string) {
	plain, international := strings.CutPrefix(plainPhone(s), "+")
	if !international {
		return "", plain
	}
	length := 3
	switch {
	case plain == "":
		return "", ""
	case plain[0] == '1' || plain[0] == '7':
		length = 1
	case slices.Contains(twoDigitCodes, plain[:min(2, len(plain))]):
		length = 2
	}
	length = min(length, len(plain))
	return plain[:length], plain[length:]
}

// twoDigitCodes are the calling codes of two digits.
var twoDigitCodes = strings.Fields("20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 " +
	"51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98")

// Name is what a guest is called, as Google shows it: given name first.
func Name(givenName, familyName string) string {
	return strings.TrimSpace(givenName + " " + familyName)
}

// LongestRange is the longest time for which one query may ask for slots: 62 days, and the hour
// that clocks may be put back.
const LongestRange = 62*24*time.Hour + time.Hour
