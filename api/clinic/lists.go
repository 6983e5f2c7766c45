package clinic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"holdfast/api/edge"
	"holdfast/booking"
	"holdfast/inventory"
)

// Queries of our own, for what a clinic's software cannot ask by the contract's pages:
// docs/clinic-queries.md.

// The sizes of the lists' pages.
const (
	mostOfCatalogue = 500
	mostBlocks      = 100
	mostChanges     = 100
)

// getStaff lists who works at the clinic, and when.
func (s *server) getStaff(ctx context.Context, req pageQuery) (list[staffMember], error) {
	m, err := s.bookings.Catalogue(ctx, edge.CallOf(ctx).Caller)
	if err != nil {
		return list[staffMember]{}, err
	}
	return pageOf(req, m.Staff, func(p inventory.Staff) (string, staffMember) {
		of := staffMember{ID: p.ID, Name: p.Name, Role: p.Role, Exclusive: p.Exclusive, ClosedDays: []string{}}
		if p.Timetable != nil {
			of.OperationTimetable = new(timetableOf(p.Timetable))
		}
		for _, d := range p.ClosedDays {
			of.ClosedDays = append(of.ClosedDays, d.String())
		}
		return p.ID, of
	})
}

// getZones lists the clinic's zones.
func (s *server) getZones(ctx context.Context, req pageQuery) (list[slotZone], error) {
	m, err := s.bookings.Catalogue(ctx, edge.CallOf(ctx).Caller)
	if err != nil {
		return list[slotZone]{}, err
	}
	return pageOf(req, m.Zones, func(z inventory.Zone) (string, slotZone) { return z.ID, slotZone{ID: z.ID, Name: z.Name} })
}

// pageOf returns a page of a part of the catalogue. Its cursor is the id of the last entry on the
// previous page; it is no longer valid once that entry is gone.
func pageOf[T, Wire any](req pageQuery, all []T, spell func(T) (id string, wire Wire)) (list[Wire], error) {
	_, limit, err := page(maybe[int32]{}, req.Limit, mostOfCatalogue, mostOfCatalogue)
	if err != nil {
		return list[Wire]{}, err
	}
	idOf := func(t T) string { id, _ := spell(t); return id }
	if c := req.Cursor.Value; c != nil {
		last := slices.IndexFunc(all, func(t T) bool { return inventory.SameID(idOf(t), *c) })
		if last < 0 {
			return list[Wire]{}, invalidCommand("cursor", notAvailable)
		}
		all = all[last+1:]
	}
	answer := list[Wire]{Data: []Wire{}}
	for _, t := range all[:min(limit, len(all))] {
		_, wire := spell(t)
		answer.Data = append(answer.Data, wire)
	}
	if limit < len(all) {
		answer.Next = idOf(all[limit-1])
	}
	return answer, nil
}

// getOccupiedTimes lists the times in a range that the desk has closed.
func (s *server) getOccupiedTimes(ctx context.Context, req occupiedTimesQuery) (list[occupiedTime], error) {
	from, to, err := between(req.StartDateTimeUtc, req.EndDateTimeUtc, invalidCommand)
	if err != nil {
		return list[occupiedTime]{}, err
	}
	q := booking.BlocksQuery{MerchantID: edge.CallOf(ctx).Caller, FromSec: from.Unix(), ToSec: ceilSec(to)}
	if !req.ZoneID.empty() {
		if !isObjectID(*req.ZoneID.Value) {
			return list[occupiedTime]{}, invalidCommand("zoneId", notAvailable)
		}
		q.ZoneID = string(*req.ZoneID.Value)
	}
	if _, q.Limit, err = page(maybe[int32]{}, req.Limit, mostBlocks, mostBlocks); err != nil {
		return list[occupiedTime]{}, err
	}
	if c := req.Cursor.Value; c != nil {
		start, id, _ := strings.Cut(*c, ".")
		var err1, err2 error
		q.AfterSec, err1 = strconv.ParseInt(start, 10, 64)
		if q.AfterID, err2 = uuid.Parse(id); errors.Join(err1, err2) != nil {
			return list[occupiedTime]{}, invalidCommand("cursor", notAvailable)
		}
	}
	found, more, err := s.bookings.Blocks(ctx, q)
	if err != nil {
		return list[occupiedTime]{}, err
	}
	answer := list[occupiedTime]{Data: []occupiedTime{}}
	for _, b := range found {
		of := occupiedTime{
			OccupiedTimeID: b.ScheduleID, StartDateTimeUtc: utc(b.StartSec), EndDateTimeUtc: utc(b.EndSec),
			ZoneID: b.ZoneID, Memo: b.Memo, CreatedDateTimeUtc: utc(b.CreatedSec),
		}
		if len(b.Resources) > 0 {
			of.ReservationGroupID, of.Doctor = b.Resources[0].GroupID, colleagueOf(b.Resources[0].Doctor)
		}
		answer.Data = append(answer.Data, of)
	}
	if more {
		last := found[len(found)-1]
		answer.Next = fmt.Sprintf("%d.%s", last.StartSec, last.ID)
	}
	return answer, nil
}

// getChangedSchedules lists the visits that have changed since a time.
func (s *server) getChangedSchedules(ctx context.Context, req changedSchedulesQuery) (list[schedule], error) {
	q := booking.ChangesQuery{MerchantID: edge.CallOf(ctx).Caller, Waiting: req.WaitsForConfirmation.Value}
	switch {
	case req.Cursor.Value != nil:
		var ok bool
		if q.Cursor, ok = readChangesCursor(*req.Cursor.Value); !ok {
			return list[schedule]{}, invalidCommand("cursor", notAvailable)
		}
	case req.ChangedSince.empty():
		return list[schedule]{}, invalidCommand("changedSince", required)
	default:
		since, ok := instant(*req.ChangedSince.Value)
		if !ok {
			return list[schedule]{}, invalidCommand("changedSince", notAvailable)
		}
		q.Cursor.SinceSec = since.Unix()
	}
	if q.Cursor.SinceSec < s.bookings.Now().Add(-booking.LongestRange).Unix() {
		return list[schedule]{}, invalidCommand("changedSince", invalidTimeRange)
	}
	var err error
	if _, q.Limit, err = page(maybe[int32]{}, req.Limit, mostChanges, mostChanges); err != nil {
		return list[schedule]{}, err
	}
	found, next, more, err := s.bookings.Changes(ctx, q)
	if err != nil {
		return list[schedule]{}, err
	}
	answer := list[schedule]{Data: schedulesOf(found)}
	if more {
		answer.Next = changesCursor(next)
	} else {
		answer.Later = changesCursor(next)
	}
	s.patientDataRead(ctx, found...)
	return answer, nil
}

// changesCursor writes how far a reader has come: a time, and, while there are more pages, when the
// reading began and the last change that it looked at.
func changesCursor(c booking.ChangesCursor) string {
	if c.SettledSec == 0 {
		return strconv.FormatInt(c.SinceSec, 10)
	}
	return fmt.Sprintf("%d.%d.%d.%d.%s", c.SinceSec, c.SettledSec, c.After.AtSec, c.After.Version, c.After.BookingID)
}

func readChangesCursor(s string) (c booking.ChangesCursor, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 1 && len(parts) != 5 {
		return c, false
	}
	numbers := []*int64{&c.SinceSec, &c.SettledSec, &c.After.AtSec, &c.After.Version}
	for i, part := range parts[:min(len(parts), len(numbers))] {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 {
			return c, false
		}
		*numbers[i] = n
	}
	if len(parts) == 1 {
		return c, true
	}
	id, err := uuid.Parse(parts[4])
	c.After.BookingID = id
	return c, err == nil && c.SettledSec > 0
}
