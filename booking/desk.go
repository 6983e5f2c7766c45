package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/inventory"
)

// Schedule is a visit with what the desk sees around it.
type Schedule struct {
	Booking Booking
	Guest   Guest   // the chart
	Events  []Event // oldest first; only where the history was asked for
}

// Groups returns a clinic's groups in the catalogue's order, read anew: the
// desk looks at them after it has changed them.
func (s *Service) Groups(ctx context.Context, merchantID string) ([]inventory.Group, error) {
	m, err := s.Store.Refreshed(ctx, merchantID)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	return m.Groups, nil
}

// Schedule returns a visit of a clinic with its history, or *Invalid. A lease
// is no visit, and neither is a time that the desk has closed.
func (s *Service) Schedule(ctx context.Context, key ScheduleKey) (Schedule, error) {
	found, err := s.Store.Schedule(ctx, key)
	if errors.Is(err, ErrNotFound) || err == nil && !found.Booking.IsVisit() {
		return Schedule{}, unknown(FieldSchedule, "no such schedule of this clinic")
	}
	return found, err
}

// SchedulesQuery asks for the visits of a day.
type SchedulesQuery struct {
	MerchantID string // of the caller's token
	Day        inventory.Date
	GroupID    string // only visits with a stretch in this group; "": in any
	ZoneID     string // and in this zone
	Offset     int    // how many of them to leave out first
	Limit      int    // how many to return at most
}

// Schedules returns the visits that start on a day, by the clinic's clock, in
// whatever state, by start; without their history. It returns *Invalid for a
// group or zone that this clinic does not have.
func (s *Service) Schedules(ctx context.Context, q SchedulesQuery) ([]Schedule, error) {
	var found []Schedule
	err := s.replanned(ctx, q.MerchantID, func(m *inventory.Merchant) error {
		from, to := q.Day.At(0, m.Location), q.Day.At(24*60, m.Location)
		all, err := s.Store.Schedules(ctx, m.ID, m.Version, from.Unix(), to.Unix())
		switch {
		case err != nil:
			return err
		case q.GroupID != "" && m.Group(q.GroupID) == nil:
			return unknown(FieldResourceGroup, "no such group of this clinic")
		case q.ZoneID != "" && m.Zone(q.ZoneID) == nil:
			return unknown(FieldZone, "no such zone of this clinic")
		}
		found = q.of(all)
		return nil
	})
	return found, err
}

// of picks those that the query wants.
func (q SchedulesQuery) of(all []Schedule) []Schedule {
	all = slices.DeleteFunc(all, func(v Schedule) bool {
		return !v.Booking.IsVisit() || !slices.ContainsFunc(v.Booking.Resources, func(r OccupiedResource) bool {
			return (q.GroupID == "" || r.GroupID == q.GroupID) && (q.ZoneID == "" || r.ZoneID == q.ZoneID)
		})
	})
	all = all[min(q.Offset, len(all)):]
	return all[:min(q.Limit, len(all))]
}

// GuestSearch says which of a clinic's guests are looked for. A member that is
// empty does not matter; all others have to apply.
type GuestSearch struct {
	MerchantID string   // of the caller's token
	NamePart   string   // a part of the name, ASCII letters in either case
	Phones     []string // one of these is the number, digits only; see [PhoneSpellings]
	Phone      string   // the same number with its country's calling code: "+82 010-1234-5678"
	PhoneKey   string   // or this is a key of the chart; made by [Service.Guests] of Phone
	Email      string   // the whole address, in either case
	VisitorID  string
	Offset     int // how many of them to leave out first
	Limit      int // how many to return at most
}

// Guests returns the charts that a search finds, the oldest first.
func (s *Service) Guests(ctx context.Context, q GuestSearch) ([]Guest, error) {
	q.Email = plainEmail(q.Email)
	if number := E164("", q.Phone); number != "" {
		q.PhoneKey, q.Phones = phoneKey+number, append(q.Phones, spellings("", number)...)
	}
	found, err := s.Store.SearchGuests(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("search guests: %w", err)
	}
	return found, nil
}

// PhoneSpellings are the ways, digits only, in which people write down a number
// that is given by its country's calling code and the number within it: with the
// code or without, and with or without the 0 that is dialled within the country.
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

// SplitPhone takes a number apart into its country's calling code and the rest,
// digits only. Without a + in front nobody knows the country: the code is "".
// (ITU-T E.164: codes have one to three digits, and none begins another.)
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

// LongestRange is how long a time slots may be asked for: 62 days, with an hour
// that clocks give back.
const LongestRange = 62*24*time.Hour + time.Hour
