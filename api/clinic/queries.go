package clinic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"holdfast/api/edge"
	"holdfast/booking"
	"holdfast/inventory"
)

// The queries. Their rows are in the tables in docs/clinic-queries.md. The contract's pages do not
// use the two class names consistently; if a page says which one, the query uses that.

// getReservationGroups returns how the clinic's groups are set up.
func (s *server) getReservationGroups(ctx context.Context, _ noMembers) (list[reservationGroupOf], error) {
	groups, err := s.bookings.Groups(ctx, edge.CallOf(ctx).Caller)
	if err != nil {
		return list[reservationGroupOf]{}, err
	}
	answer := list[reservationGroupOf]{Data: []reservationGroupOf{}}
	for i, g := range groups {
		of := reservationGroupOf{
			ID: g.ID, Title: g.Title, IntervalMinutes: g.IntervalSec / 60, IntervalCapacities: []intervalCapacity{},
			IsDefault: i == 0, SameDayCloseBufferMinutes: g.SameDayCloseBufferSec / 60, Order: i,
			OperationTimetable: timetableOf(g.Timetable),
		}
		if !g.StartDate.IsZero() {
			of.StartDate = g.StartDate.String()
		}
		for _, z := range g.Zones {
			of.IntervalCapacities = append(of.IntervalCapacities, intervalCapacity{Enabled: z.Enabled, IntervalCapacity: z.Capacity, ZoneID: z.ZoneID})
		}
		answer.Data = append(answer.Data, of)
	}
	return answer, nil
}

// timetableOf returns a week in the contract's words. Without a timetable every day is open around
// the clock.
func timetableOf(week *inventory.Timetable) operationTimetable {
	if week == nil {
		day := &inventory.Day{End: 24 * 60}
		week = &inventory.Timetable{day, day, day, day, day, day, day}
	}
	day := func(d time.Weekday) operationDay {
		of := operationDay{Breaktime: []breakTime{}}
		if week[d] == nil {
			return of
		}
		of.Enabled, of.StartTime, of.EndTime = true, clock(week[d].Start), clock(week[d].End)
		for _, b := range week[d].Breaks {
			of.Breaktime = append(of.Breaktime, breakTime{StartTime: clock(b.Start), EndTime: clock(b.End)})
		}
		return of
	}
	return operationTimetable{
		Monday: day(time.Monday), Tuesday: day(time.Tuesday), Wednesday: day(time.Wednesday), Thursday: day(time.Thursday),
		Friday: day(time.Friday), Saturday: day(time.Saturday), Sunday: day(time.Sunday),
	}
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// getReservationSlotsByGroup is V1: one group, with its own names for everything.
func (s *server) getReservationSlotsByGroup(ctx context.Context, req slotsByGroup) (list[reservationSlot], error) {
	switch {
	case req.ReservationGroupID.empty():
		return list[reservationSlot]{}, invalidRequest("reservationGroupId", required)
	case req.StartDate.empty():
		return list[reservationSlot]{}, invalidRequest("startDate", required)
	case req.EndDate.empty():
		return list[reservationSlot]{}, invalidRequest("endDate", required)
	case req.Timezone.empty():
		return list[reservationSlot]{}, invalidRequest("timezone", required)
	case !isObjectID(*req.ReservationGroupID.Value):
		return list[reservationSlot]{}, invalidRequest("id", notAvailable)
	}
	loc, ok := timezone(*req.Timezone.Value)
	if !ok {
		return list[reservationSlot]{}, invalidRequest("timezone", notAvailable)
	}
	from, ok := moment(*req.StartDate.Value, 0, loc)
	if !ok {
		return list[reservationSlot]{}, invalidRequest("startDate", notAvailable)
	}
	to, ok := moment(*req.EndDate.Value, 24*60, loc)
	if !ok {
		return list[reservationSlot]{}, invalidRequest("endDate", notAvailable)
	}
	if !inRange(from, to) {
		return list[reservationSlot]{}, invalidRequest("endDate", invalidTimeRange)
	}
	return s.groupSlots(ctx, []id{*req.ReservationGroupID.Value}, req.DoctorID, from, to, map[booking.Field]error{
		booking.FieldResourceGroup: &refusal{class: "NotFoundException", key: "id", reason: notFound},
		booking.FieldRange:         invalidRequest("endDate", invalidTimeRange),
	})
}

// mostGroups is how many groups one query may name.
const mostGroups = 50

// getReservationSlotsByGroups is V2: several groups, each once.
func (s *server) getReservationSlotsByGroups(ctx context.Context, req slotsByGroups) (list[reservationSlot], error) {
	if req.ReservationGroupIDs.Value == nil || len(*req.ReservationGroupIDs.Value) == 0 {
		return list[reservationSlot]{}, invalidRequest("reservationGroupIds", required)
	}
	ids := *req.ReservationGroupIDs.Value
	if len(ids) > mostGroups {
		return list[reservationSlot]{}, invalidRequest("reservationGroupIds", notAvailable)
	}
	if n := slices.IndexFunc(ids, func(s id) bool { return s == "" }); n >= 0 {
		return list[reservationSlot]{}, invalidRequest(nth("reservationGroupIds", n), required)
	}
	if n := slices.IndexFunc(ids, func(s id) bool { return !isObjectID(s) }); n >= 0 {
		return list[reservationSlot]{}, invalidRequest(nth("reservationGroupIds", n), notAvailable)
	}
	from, to, err := between(req.StartDateTimeUtc, req.EndDateTimeUtc, invalidRequest)
	if err != nil {
		return list[reservationSlot]{}, err
	}
	return s.groupSlots(ctx, ids, req.DoctorID, from, to, nil)
}

// groupSlots returns the slots of groups. words renames the fields of refusals.
func (s *server) groupSlots(ctx context.Context, groups []id, doctor maybe[id], from, to time.Time, words map[booking.Field]error) (list[reservationSlot], error) {
	q := booking.SlotsQuery{MerchantID: edge.CallOf(ctx).Caller, FromSec: ceilSec(from), ToSec: ceilSec(to)}
	for _, g := range groups {
		q.GroupIDs = append(q.GroupIDs, string(g))
	}
	if !doctor.empty() {
		if !isObjectID(*doctor.Value) {
			return list[reservationSlot]{}, invalidRequest("doctorId", notAvailable)
		}
		q.DoctorID = string(*doctor.Value)
	}
	slots, err := s.bookings.GroupSlots(ctx, q)
	var invalid *booking.Invalid
	if errors.As(err, &invalid) {
		switch {
		case words[invalid.Field] != nil:
			return list[reservationSlot]{}, words[invalid.Field]
		case invalid.Field == booking.FieldResourceGroup:
			return list[reservationSlot]{}, invalidRequest(nth("reservationGroupIds", invalid.Resource), notFound)
		}
	}
	return list[reservationSlot]{Data: reservationSlots(slots)}, err
}

// getReservationSlotsByScheduleIDV1 handles only visits of one stretch. As on its page, a missing id
// gets the same answer as a malformed one.
func (s *server) getReservationSlotsByScheduleIDV1(ctx context.Context, req slotsBySchedule) (list[reservationSlot], error) {
	if req.ScheduleID.empty() {
		return list[reservationSlot]{}, invalidCommand("scheduleId", notAvailable)
	}
	items, err := s.scheduleSlots(ctx, req)
	switch {
	case err != nil:
		return list[reservationSlot]{}, err
	case len(items) != 1:
		return list[reservationSlot]{}, invalidRequest("occupiedResources", notAvailable)
	}
	return list[reservationSlot]{Data: reservationSlots(items[0].Slots)}, nil
}

// getReservationSlotsByScheduleIDV2 returns the slots for each stretch.
func (s *server) getReservationSlotsByScheduleIDV2(ctx context.Context, req slotsBySchedule) (list[resourceSlots], error) {
	if req.ScheduleID.empty() {
		return list[resourceSlots]{}, invalidCommand("scheduleId", required)
	}
	items, err := s.scheduleSlots(ctx, req)
	if err != nil {
		return list[resourceSlots]{}, err
	}
	answer := list[resourceSlots]{Data: []resourceSlots{}}
	for _, it := range items {
		answer.Data = append(answer.Data, resourceSlots{
			OccupiedResourceID: strconv.Itoa(it.Item), ReservationGroupID: it.Group, ZoneID: it.Zone, Slots: reservationSlots(it.Slots),
		})
	}
	return answer, nil
}

func (s *server) scheduleSlots(ctx context.Context, req slotsBySchedule) ([]booking.ItemSlots, error) {
	if !isObjectID(*req.ScheduleID.Value) {
		return nil, invalidCommand("scheduleId", notAvailable)
	}
	from, to, err := between(req.StartDateTimeUtc, req.EndDateTimeUtc, invalidCommand)
	if err != nil {
		return nil, err
	}
	return s.bookings.ScheduleSlots(ctx, scheduleKey(ctx, req.ScheduleID), ceilSec(from), ceilSec(to))
}

func reservationSlots(slots []booking.GroupSlot) []reservationSlot {
	all := make([]reservationSlot, len(slots))
	for i, s := range slots {
		all[i] = reservationSlot{
			ReservationGroupID: s.GroupID, Zone: slotZone{ID: s.Zone.ID, Name: s.Zone.Name},
			StartDateTimeUtc: utc(s.StartSec), EndDateTimeUtc: utc(s.EndSec), Capacity: s.Capacity, ReservationCount: s.Taken,
		}
	}
	return all
}

// between reads the range of a query. The class of its refusals depends on the query, except that an
// end not after the start is always an InvalidCommandException.
func between(start, end maybe[string], invalid func(key, reason string) error) (from, to time.Time, err error) {
	const startKey, endKey = "startDateTimeUtc", "endDateTimeUtc"
	switch {
	case start.empty():
		return from, to, invalid(startKey, required)
	case end.empty():
		return from, to, invalid(endKey, required)
	}
	var ok bool
	if from, ok = instant(*start.Value); !ok {
		return from, to, invalid(startKey, notAvailable)
	}
	if to, ok = instant(*end.Value); !ok {
		return from, to, invalid(endKey, notAvailable)
	}
	if !inRange(from, to) {
		return from, to, invalidCommand(endKey, invalidTimeRange)
	}
	return from, to, nil
}

func inRange(from, to time.Time) bool {
	return to.After(from) && to.Sub(from) <= booking.LongestRange
}

// moment reads an instant, or a day, which means this many minutes after its midnight by the clock
// in loc.
func moment(s string, minutes int, loc *time.Location) (t time.Time, ok bool) {
	if d, err := inventory.ParseDate(s); err == nil {
		t := d.At(minutes, loc)
		return t, writable(t)
	}
	return instant(s)
}

// timezone finds a location by its name in the tz database. Only Go knows "Local".
func timezone(name string) (*time.Location, bool) {
	loc, err := time.LoadLocation(name)
	return loc, err == nil && name != "Local"
}

// ceilSec rounds up to a whole second. Slots start on whole seconds, so those at or after t are those
// at or after the result.
func ceilSec(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

func utc(sec int64) string { return time.Unix(sec, 0).UTC().Format(time.RFC3339) }

// isObjectID reports whether s has the form of the contract's ids.
func isObjectID(s id) bool { return inventory.IsObjectID(string(s)) }

// getScheduleDetail returns everything about one visit.
func (s *server) getScheduleDetail(ctx context.Context, req scheduleDetailQuery) (scheduleDetail, error) {
	switch {
	case req.ScheduleID.empty():
		return scheduleDetail{}, invalidCommand("scheduleId", required)
	case !isObjectID(*req.ScheduleID.Value):
		return scheduleDetail{}, invalidCommand("scheduleId", notAvailable)
	}
	var history booking.HistoryPage
	var err error
	if _, history.Limit, err = page(maybe[int32]{}, req.Limit, mostHistories, mostHistories); err != nil {
		return scheduleDetail{}, err
	}
	if c := req.Cursor.Value; c != nil {
		if history.After, err = strconv.ParseInt(*c, 10, 64); err != nil || history.After < 1 {
			return scheduleDetail{}, invalidCommand("cursor", notAvailable)
		}
	}
	v, more, err := s.bookings.Schedule(ctx, scheduleKey(ctx, req.ScheduleID), history)
	if err != nil {
		return scheduleDetail{}, err
	}
	histories, err := historiesOf(v.Events)
	if err != nil {
		return scheduleDetail{}, err
	}
	s.patientDataRead(ctx, v)
	answer := scheduleDetail{Data: scheduleWithHistory{schedule: scheduleOf(v), Histories: histories}}
	if more { // a visit's events are its versions without a gap, so the last one's version continues the list
		answer.Next = strconv.FormatInt(history.After+int64(len(histories)), 10)
	}
	return answer, nil
}

// The sizes of a list's pages.
const (
	mostHistories = 500
	mostSchedules = 500
	mostVisitors  = 100
	mostOffset    = 10_000
	mostSought    = 256 // bytes of a name
)

// getSchedules lists who comes on a day.
func (s *server) getSchedules(ctx context.Context, req schedulesQuery) (list[schedule], error) {
	if req.Date.empty() {
		return list[schedule]{}, invalidCommand("date", required)
	}
	day, err := inventory.ParseDate(*req.Date.Value)
	if err != nil {
		return list[schedule]{}, invalidCommand("date", notAvailable)
	}
	q := booking.SchedulesQuery{MerchantID: edge.CallOf(ctx).Caller, Day: day, Waiting: req.WaitsForConfirmation.Value}
	for _, f := range []struct {
		key  string
		from maybe[id]
		to   *string
	}{{"reservationGroupId", req.ReservationGroupID, &q.GroupID}, {"zoneId", req.ZoneID, &q.ZoneID}} {
		if f.from.empty() {
			continue
		}
		if !isObjectID(*f.from.Value) {
			return list[schedule]{}, invalidCommand(f.key, notAvailable)
		}
		*f.to = string(*f.from.Value)
	}
	if q.Offset, q.Limit, err = page(req.Offset, req.Limit, mostSchedules, mostSchedules); err != nil {
		return list[schedule]{}, err
	}
	if c := req.Cursor.Value; c != nil {
		if q.After, err = position(*c); err != nil {
			return list[schedule]{}, invalidCommand("cursor", notAvailable)
		}
	}
	found, more, err := s.bookings.Schedules(ctx, q)
	var invalid *booking.Invalid
	if errors.As(err, &invalid) && invalid.Field == booking.FieldResourceGroup {
		return list[schedule]{}, invalidRequest("reservationGroupId", notFound)
	}
	if err != nil {
		return list[schedule]{}, err
	}
	answer := list[schedule]{Data: schedulesOf(found)}
	if more {
		last := found[len(found)-1].Booking
		answer.Next = strconv.FormatInt(last.StartSec, 10) + "." + last.ID.String()
	}
	s.patientDataRead(ctx, found...)
	return answer, nil
}

// position reads the cursor in a list of visits.
func position(cursor string) (p booking.Position, err error) {
	start, last, _ := strings.Cut(cursor, ".")
	p.StartSec, err = strconv.ParseInt(start, 10, 64)
	if err == nil {
		p.ID, err = uuid.Parse(last)
	}
	return p, err
}

// page reads which part of a list to return.
func page(offset, limit maybe[int32], otherwise, most int32) (from, n int, err error) {
	if offset.Value != nil {
		if *offset.Value < 0 || *offset.Value > mostOffset {
			return 0, 0, invalidCommand("offset", notAvailable)
		}
		from = int(*offset.Value)
	}
	if limit.Value != nil {
		if otherwise = *limit.Value; otherwise < 1 || otherwise > most {
			return 0, 0, invalidCommand("limit", notAvailable)
		}
	}
	return from, int(otherwise), nil
}

// searchVisitors finds charts.
func (s *server) searchVisitors(ctx context.Context, req searchVisitors) (list[visitor], error) {
	q := booking.GuestSearch{MerchantID: edge.CallOf(ctx).Caller}
	var err error
	if q.Offset, q.Limit, err = page(req.Offset, req.Limit, 20, mostVisitors); err != nil {
		return list[visitor]{}, err
	}
	if c := req.Cursor.Value; c != nil {
		if q.After, err = uuid.Parse(*c); err != nil {
			return list[visitor]{}, invalidCommand("cursor", notAvailable)
		}
	}
	if err := unusable(reflect.ValueOf(&req).Elem(), "", ""); err != nil { // a NUL
		return list[visitor]{}, err
	}
	text := func(m maybe[string]) string {
		if m.Value == nil {
			return ""
		}
		return strings.TrimSpace(*m.Value)
	}
	q.NamePart, q.Email, q.VisitorID = text(req.PartOfVisitorName), text(req.Email), inventory.PlainID(text(req.ChartNumber))
	switch {
	case len(q.NamePart) > mostSought || strings.ContainsFunc(q.NamePart, unicode.IsControl):
		return list[visitor]{}, invalidCommand("partOfVisitorName", notAvailable)
	case text(req.DateOfBirth) != "": // we store no dates of birth
		return list[visitor]{}, invalidCommand("dateOfBirth", notAvailable)
	}
	if p := req.Phone.Value; p != nil {
		switch {
		case text(p.CountryCode) == "":
			return list[visitor]{}, invalidCommand("phone.countryCode", required)
		case text(p.PhoneNumber) == "":
			return list[visitor]{}, invalidCommand("phone.phoneNumber", required)
		}
		if q.Phones = booking.PhoneSpellings(*p.CountryCode.Value, *p.PhoneNumber.Value); len(q.Phones) == 0 {
			return list[visitor]{}, invalidCommand("phone.phoneNumber", notAvailable)
		}
		q.Phone = "+" + *p.CountryCode.Value + *p.PhoneNumber.Value
	}
	if q.NamePart == "" && q.Email == "" && q.VisitorID == "" && len(q.Phones) == 0 {
		return list[visitor]{}, invalidCommand("partOfVisitorName", required)
	}
	found, more, err := s.bookings.Guests(ctx, q)
	if err != nil {
		return list[visitor]{}, err
	}
	answer := list[visitor]{Data: []visitor{}}
	read := make([]booking.Schedule, len(found))
	for i, g := range found {
		answer.Data = append(answer.Data, visitor{
			ID: g.VisitorID, ChartNumber: g.VisitorID, Name: booking.Name(g.GivenName, g.FamilyName), PhoneNumber: phoneOf(g.Phone), Email: g.Email,
		})
		read[i].Guest = g
	}
	if more {
		answer.Next = found[len(found)-1].ID.String()
	}
	s.patientDataRead(ctx, read...)
	return answer, nil
}

// patientDataRead logs that somebody has read patients' data: whose data, by their ids, but none of
// the data itself.
func (s *server) patientDataRead(ctx context.Context, read ...booking.Schedule) {
	k := edge.CallOf(ctx)
	schedules, visitors := []string{}, []string{}
	for _, v := range read {
		if v.Booking.ScheduleID != "" {
			schedules = append(schedules, v.Booking.ScheduleID)
		}
		if !slices.Contains(visitors, v.Guest.VisitorID) {
			visitors = append(visitors, v.Guest.VisitorID)
		}
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "patient data read",
		slog.String("request_id", k.ID), slog.String("caller", k.Caller), slog.Int("count", len(read)),
		slog.Any("schedules", schedules), slog.Any("visitors", visitors))
}

// schedulesOf returns visits in the contract's words.
func schedulesOf(found []booking.Schedule) []schedule {
	all := make([]schedule, len(found))
	for i, v := range found {
		all[i] = scheduleOf(v)
	}
	return all
}

// bookingOf returns what was said and bought when the visit was made.
func bookingOf(v booking.Schedule) scheduleBooking {
	b := v.Booking
	of := scheduleBooking{
		Origin: "DESK", StaffID: b.StaffID, RoomID: b.RoomID, PartySize: b.PartySize,
		AdditionalRequest: b.AdditionalRequest, OfferID: b.OfferID, Payment: paymentOf(b.Payment),
	}
	if b.CreatedBy == booking.ByGuest {
		of.Origin, of.BookingID = "GOOGLE", b.ID.String()
	}
	if b.ServiceID != "" {
		of.Service = &scheduleService{ID: b.ServiceID, Name: v.ServiceName}
	}
	return of
}

// paymentOf returns what was agreed about payment.
func paymentOf(p *booking.Payment) *payment {
	if p == nil {
		return nil
	}
	of := &payment{
		PrepaymentStatus: unless(p.PrepaymentStatus, "PREPAYMENT_STATUS_UNSPECIFIED"), PaymentTransactionID: p.TransactionID,
		Price: priceOf(p.Price), TaxAmount: priceOf(p.TaxAmount), Fees: priceOf(p.Fees), FeesAndTaxes: priceOf(p.FeesAndTaxes),
		PaymentProcessedBy: unless(p.ProcessedBy, "PAYMENT_PROCESSED_BY_UNSPECIFIED"),
		PaymentOptionID:    p.PaymentOptionID, UserPaymentOptionID: p.UserPaymentOptionID,
	}
	if d := p.Deposit; d != nil {
		of.Deposit = &deposit{priceOf(d.Deposit), d.MinAdvanceCancellationSec, unless(d.Type, fixedRate)}
	}
	if f := p.NoShowFee; f != nil {
		of.NoShowFee = &noShowFee{priceOf(f.Fee), unless(f.Type, fixedRate)}
	}
	return of
}

// fixedRate is the price type's zero value, which is not written.
const fixedRate = "FIXED_RATE_DEFAULT"

func unless(word, zero string) string {
	if word == zero {
		return ""
	}
	return word
}

func priceOf(p *inventory.Price) *price {
	if p == nil {
		return nil
	}
	return &price{p.Micros, p.Currency, p.Tag}
}

// scheduleOf returns a visit in the contract's words, with the name and number that were given with
// this visit, because families share charts.
func scheduleOf(v booking.Schedule) schedule {
	b := v.Booking
	of := schedule{
		ID: b.ScheduleID,
		Visitor: scheduleVisitor{
			ID: v.Guest.VisitorID, Name: booking.Name(b.Contact.GivenName, b.Contact.FamilyName),
			Phone: phoneOf(b.Contact.Telephone), ChartNumber: v.Guest.VisitorID,
		},
		FlowStep: statuses[b.State].flowStep,
		Reservation: scheduleReservation{
			StartDateTime: utc(b.StartSec), EndDateTime: utc(b.EndSec),
			ConsultationRequired: b.ConsultationRequired, SedationRequired: b.SedationRequired,
			Counselor: colleagueOf(b.Counselor), Funnel: b.Funnel, ReservationMemo: b.Memo, ZoneID: b.ZoneID,
			ReservationAssignee: colleagueOf(b.Assignee), Status: statuses[b.State].status,
			RequestedProcedures: b.RequestedProcedures, ConnectedChannel: b.ConnectedChannel,
		},
		CreatedDateTimeUtc: utc(b.CreatedSec),
		Tasks:              []noMembers{}, PurchaseIDs: []string{}, PrescriptionIDs: []string{}, EtceteraWorks: []noMembers{},
		OccupiedResources: occupiedOf(b.Resources), Version: b.Version, WaitsForConfirmation: b.State == booking.Pending, Booking: bookingOf(v),
	}
	if b.RequestedProcedures == nil {
		of.Reservation.RequestedProcedures = json.RawMessage("[]")
	}
	if len(b.Resources) > 0 {
		of.Reservation.ReservationGroupID = b.Resources[0].GroupID
		of.Reservation.Doctor = colleagueOf(b.Resources[0].Doctor)
	}
	return of
}

func occupiedOf(resources []booking.OccupiedResource) []scheduleOccupied {
	all := make([]scheduleOccupied, len(resources))
	for i, r := range resources {
		all[i] = scheduleOccupied{
			ID: strconv.Itoa(i), StartDateTimeUtc: utc(r.StartSec), EndDateTimeUtc: utc(r.EndSec),
			ReservationGroup: occupiedGroup{ReservationGroupID: r.GroupID, ZoneID: r.ZoneID, Doctor: colleagueOf(r.Doctor)},
		}
	}
	return all
}

func colleagueOf(p *booking.Person) *colleague {
	if p == nil {
		return nil
	}
	return &colleague{ID: p.ID, Name: p.Name}
}

func phoneOf(s string) *phone {
	country, number := booking.SplitPhone(s)
	if number == "" {
		return nil
	}
	return &phone{CountryCode: country, PhoneNumber: number}
}

// statuses are the contract's words for the states: of the reservation, and of the visit's progress.
var statuses = map[booking.State]struct{ status, flowStep string }{
	booking.Held:       {"RESERVATION_STATUS_UNSPECIFIED", "FLOW_STATUS_UNSPECIFIED"},
	booking.Expired:    {"RESERVATION_STATUS_UNSPECIFIED", "FLOW_STATUS_UNSPECIFIED"},
	booking.Pending:    {"RESERVED", "RESERVED"},
	booking.Confirmed:  {"RESERVED", "RESERVED"},
	booking.InProgress: {"IN_PROGRESS", "RECEPTION"},
	booking.Completed:  {"COMPLETED", "COMPLETED"},
	booking.Canceled:   {"CANCELED", "FLOW_STATUS_UNSPECIFIED"},
	booking.Declined:   {"CANCELED", "FLOW_STATUS_UNSPECIFIED"},
	booking.Failed:     {"CANCELED", "FLOW_STATUS_UNSPECIFIED"},
	booking.NoShow:     {"NO_SHOW", "FLOW_STATUS_UNSPECIFIED"},
}

// actors are the words for who changed a visit.
var actors = map[booking.Actor]string{
	booking.ByGuest:    "GUEST",
	booking.ByDesk:     "DESK",
	booking.ByOperator: "OPERATOR",
	booking.ByClock:    "CLOCK",
}

// historiesOf returns a visit's history in the contract's words. It leaves out members for which the
// contract has no word, such as Google's.
func historiesOf(events []booking.Event) ([]scheduleHistory, error) {
	all := make([]scheduleHistory, len(events))
	for i, e := range events {
		before, err := changed(e.Before)
		if err != nil {
			return nil, err
		}
		after, err := changed(e.After)
		if err != nil {
			return nil, err
		}
		all[i] = scheduleHistory{DateTimeUtc: utc(e.AtSec), Actor: actors[e.Actor], Action: string(e.Action), Before: before, After: after}
	}
	return all, nil
}

// changed returns the members of one side of an event in the contract's words. What the event
// withholds stays "withheld".
func changed(side json.RawMessage) (map[string]any, error) {
	var there map[string]json.RawMessage
	if err := json.Unmarshal(side, &there); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	delete(there, "contact")
	rest, err := json.Marshal(there)
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	var b booking.Booking
	if err := json.Unmarshal(rest, &b); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	spelled := map[string]any{}
	for member, word := range map[string]struct {
		name  string
		value any
	}{
		"state":                 {"status", statuses[b.State].status},
		"start_sec":             {"startDateTime", utc(b.StartSec)},
		"end_sec":               {"endDateTime", utc(b.EndSec)},
		"zone_id":               {"zoneId", b.ZoneID},
		"occupied_resources":    {"occupiedResources", occupiedOf(b.Resources)},
		"reservation_assignee":  {"reservationAssignee", colleagueOf(b.Assignee)},
		"consultation_required": {"consultationRequired", b.ConsultationRequired},
		"sedation_required":     {"sedationRequired", b.SedationRequired},
		"counselor":             {"counselor", colleagueOf(b.Counselor)},
		"funnel":                {"funnel", b.Funnel},
		"reservation_memo":      {"reservationMemo", b.Memo},
		"requested_procedures":  {"requestedProcedures", b.RequestedProcedures},
		"connected_channel":     {"connectedChannel", b.ConnectedChannel},
	} {
		if _, given := there[member]; given {
			spelled[word.name] = word.value
		}
	}
	return spelled, nil
}
