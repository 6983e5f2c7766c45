package clinic

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"time"

	"holdfast/api/edge"
	"holdfast/booking"
)

// updateReservation changes a visit.
func (s *server) updateReservation(ctx context.Context, req updateReservation) (struct{}, error) {
	if err := req.check(s.dayAt(ctx)); err != nil {
		return struct{}{}, err
	}
	change, err := req.change(edge.CallOf(ctx).Caller)
	if err != nil {
		return struct{}{}, err
	}
	change.By, change.ScheduleID, change.Seen = desk(ctx), lookup(req.ScheduleID), seen(req.Version)
	return struct{}{}, s.bookings.Change(ctx, change)
}

// maxResources is how many stretches a visit may have, which bounds what a command locks.
// maxProcedures is how many procedures it may request.
const (
	maxResources  = 50
	maxProcedures = 50
)

// maxDocument is how long the funnel, and all requested procedures together, may be as stored, in
// bytes of JSON.
const maxDocument = 64 << 10

// otherDay returns the index of the first time that is not on the same day as the first one, by the
// clinic's clock; -1 if all are.
type otherDay func(times ...time.Time) (int, error)

// dayAt returns otherDay for the calling clinic.
func (s *server) dayAt(ctx context.Context) otherDay {
	return func(times ...time.Time) (int, error) {
		return s.bookings.OtherDay(ctx, edge.CallOf(ctx).Caller, times...)
	}
}

// check has rows B1 to B16, which the body and the clinic's calendar decide. The first row that
// applies to anything answers; within a row, the first stretch or procedure.
func (c *updateReservation) check(day otherDay) error {
	if c.ScheduleID.empty() { // B1
		return invalidCommand("scheduleId", required)
	}
	if err := c.reservation.check(day); err != nil {
		return err
	}
	return unusable(reflect.ValueOf(c).Elem(), "", "") // B16
}

// check has rows B2 to B15.
func (c *reservation) check(day otherDay) error {
	switch {
	case c.ZoneID.empty(): // B2
		return invalidCommand("zoneId", required)
	case c.OccupiedResources.Value == nil || len(*c.OccupiedResources.Value) == 0: // B3
		return invalidCommand("occupiedResources", required)
	case len(*c.OccupiedResources.Value) > maxResources:
		return invalidCommand("occupiedResources", notAvailable)
	}
	items := *c.OccupiedResources.Value
	err := firstOf("occupiedResources", items,
		configured, grouped, identified, of(timed), of(readable), of(ordered), attended, byAccount)
	if err != nil {
		return err
	}
	for _, err := range []error{
		sameDay("occupiedResources", items, day),                                                         // B11
		named("reservationAssignee", c.ReservationAssignee.Value), named("counselor", c.Counselor.Value), // B12
		accounted("counselor", c.Counselor.Value), // B12a
	} {
		if err != nil {
			return err
		}
	}
	if c.RequestedProcedures.Value != nil {
		if len(*c.RequestedProcedures.Value) > maxProcedures { // B13
			return invalidCommand("requestedProcedures", notAvailable)
		}
		return firstOf("requestedProcedures", *c.RequestedProcedures.Value, typed, described, complete)
	}
	return nil
}

// of applies a row to an occupied resource's times.
func of(row func(string, *period) error) func(string, *occupiedResource) error {
	return func(key string, it *occupiedResource) error { return row(key, &it.period) }
}

// firstOf applies row after row to element after element.
func firstOf[T any](key string, list []T, rows ...func(key string, element *T) error) error {
	for _, row := range rows {
		for n := range list {
			if err := row(nth(key, n), &list[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// configured is row B4: no member of the oneof is set. The oneof is called configuration, but that is
// not a member; we do not read the wrapper {"configuration":{"reservationGroup":{…}}}.
func configured(key string, it *occupiedResource) error {
	if !it.ReservationGroup.Given && !it.emptyWrapper() {
		return invalidCommand(key+".configuration", required)
	}
	return nil
}

// grouped is row B5: the member is present but empty, or there is a literal configuration object
// without it.
func grouped(key string, it *occupiedResource) error {
	g := it.ReservationGroup.Value
	if g == nil || !g.ReservationGroupID.Given && !g.ZoneID.Given && !g.Doctor.Given {
		return invalidCommand(key+".reservationGroup", required)
	}
	return nil
}

// emptyWrapper reports whether there is a literal configuration object with no reservationGroup, or
// an empty one.
func (it *occupiedResource) emptyWrapper() bool {
	if it.Configuration.Value == nil {
		return false
	}
	wrapper, ok := (*it.Configuration.Value).(map[string]any)
	if !ok {
		return false
	}
	group, isObject := wrapper["reservationGroup"].(map[string]any)
	return wrapper["reservationGroup"] == nil || isObject && len(group) == 0
}

// identified is row B6.
func identified(key string, it *occupiedResource) error {
	switch g := it.ReservationGroup.Value; {
	case g.ReservationGroupID.empty():
		return invalidCommand(key+".reservationGroupId", required)
	case g.ZoneID.empty():
		return invalidCommand(key+".zoneId", required)
	}
	return nil
}

// timed is row B7.
func timed(key string, p *period) error {
	switch {
	case p.StartDateTimeUtc.Value == nil:
		return invalidCommand(edge.Join(key, "startDateTimeUtc"), required)
	case p.EndDateTimeUtc.Value == nil:
		return invalidCommand(edge.Join(key, "endDateTimeUtc"), required)
	}
	return nil
}

// readable is row B8.
func readable(key string, p *period) error {
	if _, ok := instant(*p.StartDateTimeUtc.Value); !ok {
		return invalidCommand(edge.Join(key, "startDateTimeUtc"), notAvailable)
	}
	if _, ok := instant(*p.EndDateTimeUtc.Value); !ok {
		return invalidCommand(edge.Join(key, "endDateTimeUtc"), notAvailable)
	}
	return nil
}

// ordered is row B9.
func ordered(key string, p *period) error {
	start, end := p.times()
	if !end.After(start) || end.Sub(start) >= 24*time.Hour {
		return invalidCommand(edge.Join(key, "endDateTimeUtc"), invalidTimeRange)
	}
	return nil
}

// attended is row B10.
func attended(key string, it *occupiedResource) error {
	return named(key+".doctor", it.ReservationGroup.Value.Doctor.Value)
}

// byAccount is row B10a.
func byAccount(key string, it *occupiedResource) error {
	return accounted(key+".doctor", it.ReservationGroup.Value.Doctor.Value)
}

// accounted refuses a person whose id cannot be a practitioner's, because we could hold nobody's time
// for it.
func accounted(key string, p *practitioner) error {
	if p == nil || p.ID.empty() || isObjectID(*p.ID.Value) {
		return nil
	}
	return invalidCommand(key+".id", notAvailable)
}

// named requires a person, if there is one, to have id and name.
func named[ID ~string](key string, p *personOf[ID]) error {
	switch {
	case p == nil:
		return nil
	case p.ID.empty():
		return invalidCommand(key+".id", required)
	case p.Name.empty():
		return invalidCommand(key+".name", required)
	}
	return nil
}

// sameDay is row B11: a visit is on one day of the clinic's calendar. It compares only starts, as the
// key says.
func sameDay(key string, items []occupiedResource, day otherDay) error {
	starts := make([]time.Time, len(items))
	for i := range items {
		starts[i], _ = items[i].times()
	}
	n, err := day(starts...)
	if err == nil && n >= 0 {
		err = invalidCommand(nth(key, n)+".startDateTimeUtc", notAvailable)
	}
	return err
}

// times returns the period's times, which row B8 has checked.
func (p *period) times() (start, end time.Time) {
	start, _ = instant(*p.StartDateTimeUtc.Value)
	end, _ = instant(*p.EndDateTimeUtc.Value)
	return start, end
}

// seconds returns the times as stored: the end is rounded up, so that a visit is never too short.
func (p *period) seconds() (startSec, endSec int64) {
	start, end := p.times()
	return start.Unix(), end.Add(time.Second - 1).Unix()
}

// rfc3339 is what an instant looks like. Go's own parser accepts more, such as one-digit hours
// (go.dev/issue/54580).
var rfc3339 = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// instant reads an RFC 3339 time with an offset or Z.
func instant(s string) (t time.Time, ok bool) {
	if !rfc3339.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	return t, err == nil && writable(t)
}

// writable reports whether t, rounded up to a second, has a four-digit year in UTC, too. An offset can
// lead beyond that, and nobody could read our answer.
func writable(t time.Time) bool {
	return t.UTC().Year() >= 1 && t.Add(time.Second-1).UTC().Year() <= 9999
}

// typed is row B13.
func typed(key string, p *requestedProcedure) error {
	if p.Type.Value == nil || *p.Type.Value == procedureUnspecified {
		return invalidCommand(key+".type", required)
	}
	return nil
}

// described is row B14: exactly the configuration that the type names is present. It is about money,
// so if there are two we do not guess.
func described(key string, p *requestedProcedure) error {
	option, ticket := p.OptionConfiguration.Value != nil, p.TicketConfiguration.Value != nil
	switch {
	case *p.Type.Value == procedureOption && !option:
		return invalidCommand(key+".optionConfiguration", required)
	case *p.Type.Value == procedureOption && ticket:
		return invalidCommand(key+".ticketConfiguration", notAvailable)
	case *p.Type.Value == procedureTicket && !ticket:
		return invalidCommand(key+".ticketConfiguration", required)
	case *p.Type.Value == procedureTicket && option:
		return invalidCommand(key+".optionConfiguration", notAvailable)
	}
	return nil
}

// complete is row B15.
func complete(key string, p *requestedProcedure) error {
	option, ticket := p.OptionConfiguration.Value, p.TicketConfiguration.Value
	switch {
	case *p.Type.Value == procedureOption && option.OptionID.empty():
		return invalidCommand(key+".optionConfiguration.optionId", required)
	case *p.Type.Value == procedureOption && option.OptionTitle.empty():
		return invalidCommand(key+".optionConfiguration.optionTitle", required)
	case *p.Type.Value == procedureOption && option.Price.Value == nil:
		return invalidCommand(key+".optionConfiguration.price", required)
	case *p.Type.Value == procedureTicket && ticket.TicketID.empty():
		return invalidCommand(key+".ticketConfiguration.ticketId", required)
	case *p.Type.Value == procedureTicket && ticket.TicketTitle.empty():
		return invalidCommand(key+".ticketConfiguration.ticketTitle", required)
	case *p.Type.Value == procedureTicket && ticket.OptionTitle.empty():
		return invalidCommand(key+".ticketConfiguration.optionTitle", required)
	}
	return nil
}

// change translates a command that passed check. In optional members absent keeps, null clears, and a
// value sets.
func (c *reservation) change(merchantID string) (booking.Change, error) {
	b := booking.Change{
		MerchantID:           merchantID,
		ZoneID:               lookup(c.ZoneID),
		Assignee:             editPerson(c.ReservationAssignee),
		ConsultationRequired: edit(c.ConsultationRequired),
		SedationRequired:     edit(c.SedationRequired),
		Counselor:            editPerson(c.Counselor),
		Memo:                 edit(c.ReservationMemo),
		ConnectedChannel:     editChannel(c.ConnectedChannel),
	}
	for i := range *c.OccupiedResources.Value {
		it := &(*c.OccupiedResources.Value)[i]
		start, end := it.seconds()
		b.Items = append(b.Items, booking.Item{
			GroupID:  lookup(it.ReservationGroup.Value.ReservationGroupID),
			ZoneID:   lookup(it.ReservationGroup.Value.ZoneID),
			Doctor:   it.ReservationGroup.Value.Doctor.Value.booking(),
			StartSec: start,
			EndSec:   end,
		})
	}
	var err error
	if b.Funnel, err = editDocument("funnel", c.Funnel); err != nil {
		return booking.Change{}, err
	}
	b.RequestedProcedures, err = editDocument("requestedProcedures", c.RequestedProcedures)
	return b, err
}

// lookup returns an id to look up. One that no database could store becomes "", so that its row, in
// its turn, does not find it.
func lookup(m maybe[id]) string {
	s := string(*m.Value)
	if len(s) > 256 || strings.Contains(s, "\x00") {
		return ""
	}
	return s
}

func (p *personOf[ID]) booking() *booking.Person {
	if p == nil {
		return nil
	}
	return &booking.Person{ID: string(*p.ID.Value), Name: *p.Name.Value}
}

// seen returns the version of the visit that the caller knows, if the caller says so.
func seen(m maybe[int32]) *int64 {
	if m.Value == nil {
		return nil
	}
	return new(int64(*m.Value))
}

func edit[T any](m maybe[T]) booking.Edit[T] { return booking.Edit[T]{Given: m.Given, To: m.Value} }

func editPerson[ID ~string](m maybe[personOf[ID]]) booking.Edit[booking.Person] {
	return booking.Edit[booking.Person]{Given: m.Given, To: m.Value.booking()}
}

func editChannel(m maybe[channel]) booking.Edit[string] {
	if m.Value == nil || *m.Value == channelUnspecified {
		return booking.Edit[string]{Given: m.Given}
	}
	return booking.Set(string(*m.Value))
}

// editDocument stores a part of the command that no rule reads in its canonical form: those members
// of the schema that have a value, in the schema's order. If it is too long, that is row B17.
func editDocument[T any](key string, m maybe[T]) (booking.Edit[json.RawMessage], error) {
	if m.Value == nil {
		return booking.Edit[json.RawMessage]{Given: m.Given}, nil
	}
	text, err := edge.CompactJSON(m.Value)
	if err == nil && len(text) > maxDocument {
		err = invalidCommand(key, notAvailable)
	}
	return booking.Set(text), err
}
