package clinic

import (
	"context"
	"reflect"
	"strings"
	"unicode/utf8"

	"holdfast/api/edge"
	"holdfast/booking"
	"holdfast/idempotency"
	"holdfast/letters"
)

// The commands besides update-reservation. Their rows are in docs/clinic-commands.md.

// idempotencyKey is the header that names a command that makes something.
const idempotencyKey = "Idempotency-Key"

// onceOf reads the header, if there is one: 1 to 255 printable ASCII characters of the caller's
// choice. It names command with req. (Row K1.)
func onceOf(ctx context.Context, command string, req any) (*booking.Once, error) {
	k := edge.CallOf(ctx)
	keys := k.Header.Values(idempotencyKey)
	if len(keys) == 0 {
		return nil, nil //nolint:nilnil // no header, which is not an error
	}
	key := keys[0]
	if len(keys) > 1 || key == "" || len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, invalidCommand(idempotencyKey, notAvailable)
	}
	text, err := edge.CompactJSON(req)
	if err != nil {
		return nil, err
	}
	return &booking.Once{
		// The caller's name for Google has no slash, so the two cannot collide.
		Caller: "clinic/" + k.Caller, Token: key, Fingerprint: idempotency.Fingerprint(append([]byte(command+" "), text...)),
	}, nil
}

// first refuses a different command under a known key (row K2).
func (s *server) first(ctx context.Context, out booking.Outcome, err error) (booking.Booking, error) {
	if err != nil {
		return booking.Booking{}, err
	}
	s.counters.Count(ctx, s.log, out)
	if out.Mismatch {
		return booking.Booking{}, invalidCommand(idempotencyKey, notAvailable)
	}
	return out.Booking, nil
}

// reserve makes a visit for whoever has the phone number.
func (s *server) reserve(ctx context.Context, req reserve) (newSchedule, error) {
	return s.makeVisit(ctx, "reserve", &req, &req.reservation, func(r *booking.Reserve) {
		r.Name, r.Phone = strings.TrimSpace(*req.VisitorName.Value), strings.TrimSpace(*req.VisitorPhone.Value)
	})
}

// reserveByVisitorID makes a visit for a visitor whom the clinic knows.
func (s *server) reserveByVisitorID(ctx context.Context, req reserveByVisitorID) (newSchedule, error) {
	return s.makeVisit(ctx, "reserve-by-visitor-id", &req, &req.reservation, func(r *booking.Reserve) {
		r.VisitorID = lookup(req.VisitorID)
	})
}

// makeVisit carries out a command that makes a visit; whose says for whom.
func (s *server) makeVisit(ctx context.Context, command string, req interface{ check(otherDay) error }, visit *reservation, whose func(*booking.Reserve)) (newSchedule, error) {
	merchantID := edge.CallOf(ctx).Caller
	once, err := onceOf(ctx, command, req)
	if err != nil {
		return newSchedule{}, err
	}
	if err := req.check(s.dayAt(ctx)); err != nil {
		return newSchedule{}, err
	}
	change, err := visit.change(merchantID)
	if err != nil {
		return newSchedule{}, err
	}
	change.By = desk(ctx)
	r := booking.Reserve{Change: change, Once: once}
	whose(&r)
	out, err := s.bookings.Reserve(ctx, r)
	b, err := s.first(ctx, out, err)
	return newSchedule{ScheduleID: b.ScheduleID}, err
}

// How long a name and a number may be, in characters. A number becomes a key in the database.
const (
	maxVisitorName  = 200
	maxVisitorPhone = 64
)

// check has rows R1 and R2, and rows B2 to B16 of update-reservation.
func (c *reserve) check(day otherDay) error {
	name, phone := c.VisitorName.Value, c.VisitorPhone.Value
	switch {
	case name == nil: // R1
		return invalidCommand("visitorName", required)
	case letters.Blank(*name), !letters.Seen(*name), utf8.RuneCountInString(*name) > maxVisitorName:
		return invalidCommand("visitorName", notAvailable)
	case phone == nil: // R2
		return invalidCommand("visitorPhone", required)
	case !booking.HasDigit(*phone), utf8.RuneCountInString(*phone) > maxVisitorPhone:
		return invalidCommand("visitorPhone", notAvailable)
	}
	if err := c.reservation.check(day); err != nil {
		return err
	}
	return unusable(reflect.ValueOf(c).Elem(), "", "") // B16
}

// check has row V1, and rows B2 to B16 of update-reservation.
func (c *reserveByVisitorID) check(day otherDay) error {
	if c.VisitorID.empty() { // V1
		return invalidCommand("visitorId", required)
	}
	if err := c.reservation.check(day); err != nil {
		return err
	}
	return unusable(reflect.ValueOf(c).Elem(), "", "") // B16
}

// cancelReservation cancels a visit, or records a no-show.
func (s *server) cancelReservation(ctx context.Context, req cancelReservation) (struct{}, error) {
	switch {
	case req.ScheduleID.empty():
		return struct{}{}, invalidCommand("scheduleId", required)
	case req.Reason.empty():
		return struct{}{}, invalidCommand("reason", required)
	}
	as, known := reasons[*req.Reason.Value]
	if !known {
		return struct{}{}, invalidCommand("reason", notAvailable)
	}
	return struct{}{}, s.bookings.SettleVisit(ctx, desk(ctx), scheduleKey(ctx, req.ScheduleID), as, seen(req.Version))
}

// settle returns the command that settles a visit.
func (s *server) settle(as booking.Settlement) func(context.Context, oneSchedule) (struct{}, error) {
	return func(ctx context.Context, req oneSchedule) (struct{}, error) {
		if req.ScheduleID.empty() {
			return struct{}{}, invalidCommand("scheduleId", required)
		}
		return struct{}{}, s.bookings.SettleVisit(ctx, desk(ctx), scheduleKey(ctx, req.ScheduleID), as, seen(req.Version))
	}
}

// scheduleKey names a visit or a block of the calling clinic.
func scheduleKey(ctx context.Context, m maybe[id]) booking.ScheduleKey {
	return booking.ScheduleKey{MerchantID: edge.CallOf(ctx).Caller, ScheduleID: lookup(m)}
}

// desk is the desk of the calling clinic.
func desk(ctx context.Context) booking.By {
	return booking.By{Actor: booking.ByDesk, KeyID: edge.CallOf(ctx).KeyID}
}

// createOccupiedTime closes a time.
func (s *server) createOccupiedTime(ctx context.Context, req createOccupiedTime) (newOccupiedTime, error) {
	merchantID := edge.CallOf(ctx).Caller
	once, err := onceOf(ctx, "create-occupied-time", &req)
	if err != nil {
		return newOccupiedTime{}, err
	}
	if err := req.check(s.dayAt(ctx)); err != nil {
		return newOccupiedTime{}, err
	}
	block := booking.Block{By: desk(ctx), MerchantID: merchantID, Memo: req.Memo.Value, Once: once, Item: booking.Item{
		GroupID: lookup(req.ReservationGroupID), ZoneID: lookup(req.ZoneID), Doctor: req.Doctor.Value.booking(),
	}}
	block.StartSec, block.EndSec = req.seconds()
	out, err := s.bookings.Block(ctx, block)
	b, err := s.first(ctx, out, err)
	return newOccupiedTime{OccupiedTimeID: b.ScheduleID}, err
}

// check has rows O1 to O8, which the body and the clinic's time zone decide.
func (c *createOccupiedTime) check(day otherDay) error {
	switch {
	case c.ReservationGroupID.empty(): // O1
		return invalidCommand("reservationGroupId", required)
	case c.ZoneID.empty(): // O2
		return invalidCommand("zoneId", required)
	}
	for _, row := range []func(string, *period) error{timed, readable, ordered} { // O3 to O5
		if err := row("", &c.period); err != nil {
			return err
		}
	}
	start, end := c.times()
	switch n, err := day(start, end); { // O6
	case err != nil:
		return err
	case n >= 0:
		return invalidCommand("endDateTimeUtc", invalidTimeRange)
	}
	for _, err := range []error{named("doctor", c.Doctor.Value), accounted("doctor", c.Doctor.Value)} { // O7, O7a
		if err != nil {
			return err
		}
	}
	return unusable(reflect.ValueOf(c).Elem(), "", "") // O8
}

// deleteOccupiedTime opens a time again.
func (s *server) deleteOccupiedTime(ctx context.Context, req oneOccupiedTime) (struct{}, error) {
	if req.OccupiedTimeID.empty() {
		return struct{}{}, invalidCommand("occupiedTimeId", required)
	}
	return struct{}{}, s.bookings.Unblock(ctx, desk(ctx), scheduleKey(ctx, req.OccupiedTimeID))
}
