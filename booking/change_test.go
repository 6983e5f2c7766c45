package booking_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
)

func TestChangeMovesEverything(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		c := move(b, suite, at(15, 0), at(16, 30))
		c.Items[0].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
		c.Assignee = booking.Set(booking.Person{ID: "desk-1", Name: "박실장"})
		c.Counselor = booking.Set(booking.Person{ID: drLee, Name: "이의사"})
		c.ConsultationRequired, c.SedationRequired = booking.Set(true), booking.Set(false)
		c.Funnel = booking.Set(json.RawMessage(`{"funnelDetail":"blog"}`))
		c.Memo = booking.Set("")
		c.RequestedProcedures = booking.Set(json.RawMessage(`[]`))
		c.ConnectedChannel = booking.Set("HOMEPAGE")
		w.must(w.change(c))

		got := w.stored(b)
		want := b
		want.Version, want.ZoneID, want.StartSec, want.EndSec = 2, suite, at(15, 0), at(16, 30)
		yes, no, memo, channel := true, false, "", "HOMEPAGE"
		want.Assignee, want.Counselor = &booking.Person{ID: "desk-1", Name: "박실장"}, &booking.Person{ID: drLee, Name: "이의사"}
		want.ConsultationRequired, want.SedationRequired, want.Memo, want.ConnectedChannel = &yes, &no, &memo, &channel
		want.Funnel, want.RequestedProcedures = json.RawMessage(`{"funnelDetail":"blog"}`), json.RawMessage(`[]`)
		want.Resources = got.Resources
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("after the move (-want +got):\n%s", diff)
		}
		if r := got.Resources[0]; r.ZoneID != suite || r.Doctor == nil || r.Doctor.ID != drKim || r.DoctorID == nil || r.EndSec != at(16, 30) {
			w.t.Errorf("occupied %+v", r)
		}

		// The same command again finds nothing to do.
		before := w.rows()
		w.must(w.change(c))
		if diff := cmp.Diff(before, w.rows()); diff != "" {
			w.t.Errorf("the same command left a trace (-before +after):\n%s", diff)
		}

		// Absent keeps, null clears.
		w.must(w.change(booking.Change{
			By: theDesk, MerchantID: clinic, ScheduleID: b.ScheduleID, ZoneID: suite, Items: c.Items,
			SedationRequired: booking.Clear[bool](), Funnel: booking.Clear[json.RawMessage](), Memo: booking.Set("late"),
		}))
		late := "late"
		want = got
		want.Version, want.SedationRequired, want.Funnel, want.Memo = 3, nil, nil, &late
		if diff := cmp.Diff(want, w.stored(b)); diff != "" {
			w.t.Errorf("after the edit (-want +got):\n%s", diff)
		}
	})
}

// Rows C1 to C7 of the decision table: refusals, which change nothing.
func TestChangeRefusals(t *testing.T) {
	const nowhere = "65f0000000000000000000ff"
	for _, c := range []struct {
		name     string
		change   func(w *world, c *booking.Change)
		field    booking.Field
		cause    booking.Cause
		resource int
	}{
		{"C1 schedule unknown", func(_ *world, c *booking.Change) { c.ScheduleID = nowhere }, booking.FieldSchedule, 0, -1},
		{"C1 schedule malformed", func(_ *world, c *booking.Change) { c.ScheduleID = "x" }, booking.FieldSchedule, 0, -1},
		{"C1 schedule empty", func(_ *world, c *booking.Change) { c.ScheduleID = "" }, booking.FieldSchedule, 0, -1},
		{"C1 another clinic's schedule", func(_ *world, c *booking.Change) { c.MerchantID = "clinic-2" }, booking.FieldSchedule, 0, -1},
		{"C1 goes before C3", func(_ *world, c *booking.Change) { c.ScheduleID, c.ZoneID = nowhere, nowhere }, booking.FieldSchedule, 0, -1},
		{"C3 zone unknown", func(_ *world, c *booking.Change) { c.ZoneID = nowhere }, booking.FieldZone, 0, -1},
		{"C4 group unknown", func(_ *world, c *booking.Change) { c.Items[1].GroupID = nowhere }, booking.FieldResourceGroup, 0, 1},
		{"C4 of a later item goes before C5", func(_ *world, c *booking.Change) {
			c.Items[0].ZoneID, c.Items[1].GroupID = nowhere, nowhere
		}, booking.FieldResourceGroup, 0, 1},
		{"C5 zone unknown", func(_ *world, c *booking.Change) { c.Items[1].ZoneID = nowhere }, booking.FieldResourceZone, 0, 1},
		{"C5 zone not in the group", func(_ *world, c *booking.Change) { c.Items[0].ZoneID = attic }, booking.FieldResourceZone, 0, 0},
		{"C5 zone switched off", func(_ *world, c *booking.Change) { c.Items[0].ZoneID = closed }, booking.FieldResourceZone, 0, 0},
		{"C6 the visitor has another visit", func(w *world, c *booking.Change) {
			other := w.request(at(15, 0))
			other.Contact.UserID = "user-1"
			w.booked(other)
		}, 0, booking.OverlappingReservation, -1},
		{"C7 closed", func(_ *world, c *booking.Change) { c.Items[1].EndSec = at(18, 30) }, 0, booking.SlotUnavailable, 1},
		{"C7 in the break", func(_ *world, c *booking.Change) { c.Items[0].StartSec = at(13, 30) }, 0, booking.SlotUnavailable, 0},
		{"C7 the second is full", func(w *world, _ *booking.Change) {
			other := w.request(at(16, 0))
			other.RoomID = suite
			w.booked(other)
		}, 0, booking.SlotUnavailable, 1},
		{"C7 the first is full, the second closed", func(w *world, c *booking.Change) {
			other := w.request(at(15, 0))
			other.RoomID = suite
			w.booked(other)
			c.Items[0].ZoneID = suite
			c.Items[1].EndSec = at(19, 0)
		}, 0, booking.SlotUnavailable, 0},
		{"C7 two on a lane with room for one", func(_ *world, c *booking.Change) {
			c.Items[0] = c.Items[1]
		}, 0, booking.SlotUnavailable, 1},
		{"C7 the doctor is at another visit", func(w *world, c *booking.Change) {
			other := w.request(at(16, 0))
			other.StaffID = drKim
			w.booked(other)
			c.Items[1].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
		}, 0, booking.SlotUnavailable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				other := testClinic()
				other.ID = "clinic-2"
				w.must(w.db.PutClinic(t.Context(), other, eight.Unix()))
				b := w.booked(w.request(at(9, 0)))
				command := booking.Change{
					By: theDesk, MerchantID: clinic, ScheduleID: b.ScheduleID, ZoneID: bed,
					Items: []booking.Item{
						{GroupID: queue, ZoneID: bed, StartSec: at(15, 0), EndSec: at(16, 0)},
						{GroupID: queue, ZoneID: suite, StartSec: at(16, 0), EndSec: at(17, 0)},
					},
				}
				c.change(w, &command)
				before := w.rows()
				err := w.change(command)
				if c.field != 0 {
					if got := w.wantField(err, c.field); got.Resource != c.resource {
						w.t.Errorf("resource %d, want %d", got.Resource, c.resource)
					}
				} else if got := w.wantCause(err, c.cause); got.Resource != c.resource {
					w.t.Errorf("resource %d, want %d", got.Resource, c.resource)
				}
				if diff := cmp.Diff(before, w.rows()); diff != "" {
					w.t.Errorf("it left traces (-before +after):\n%s", diff)
				}
			})
		})
	}
}

func TestChangeAllowed(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world, b booking.Booking) booking.Change
	}{
		{"half an hour over its own old time, in a zone with room for one", func(w *world, b booking.Booking) booking.Change {
			w.must(w.change(move(b, suite, at(9, 0), at(10, 0))))
			return move(b, suite, at(9, 30), at(10, 30))
		}},
		{"into the past, within opening times", func(_ *world, b booking.Booking) booking.Change {
			c := move(b, bed, at(9-72, 0), at(10-72, 0)) // last Friday
			return c
		}},
		{"an unknown doctor is kept by name", func(_ *world, b booking.Booking) booking.Change {
			c := move(b, bed, at(9, 0), at(10, 0))
			c.Items[0].Doctor = &booking.Person{ID: "65c0000000000000000000ee", Name: "초빙"}
			return c
		}},
		{"one exclusive doctor twice at once counts once", func(_ *world, b booking.Booking) booking.Change {
			c := move(b, bed, at(9, 0), at(10, 0))
			c.Items = append(c.Items, booking.Item{GroupID: queue, ZoneID: suite, StartSec: at(9, 0), EndSec: at(10, 0)})
			c.Items[0].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
			c.Items[1].Doctor = c.Items[0].Doctor
			return c
		}},
		{"two beds at once", func(_ *world, b booking.Booking) booking.Change {
			c := move(b, bed, at(9, 0), at(10, 0))
			c.Items = append(c.Items, c.Items[0])
			return c
		}},
		{"odd seconds, rounded outward", func(_ *world, b booking.Booking) booking.Change {
			return move(b, suite, at(15, 10)+7, at(15, 50)+1)
		}},
		{"over the visit of somebody else on the same phone", func(w *world, b booking.Booking) booking.Change {
			other := w.request(at(15, 0))
			other.Contact.Telephone = b.Contact.Telephone
			w.booked(other)
			return move(b, bed, at(15, 0), at(16, 0))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				b := w.booked(w.request(at(9, 0)))
				command := c.change(w, b)
				w.must(w.change(command))
				got := w.stored(b)
				if got.StartSec != command.Items[0].StartSec || got.EndSec != command.Items[0].EndSec {
					w.t.Errorf("got %d to %d", got.StartSec, got.EndSec)
				}
			})
		})
	}
}

// A visit whose time is no longer within the opening times can still be edited, but not moved to another closed time.
func TestChangeAfterTheTimetableChanged(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		m := testClinic()
		for _, day := range m.Groups[0].Timetable {
			if day != nil {
				day.Start = 10 * 60
			}
		}
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		c := move(b, bed, at(9, 0), at(10, 0))
		c.Memo = booking.Set("rings the bell")
		w.must(w.change(c))
		w.wantCause(w.change(move(b, bed, at(9, 30), at(10, 30))), booking.SlotUnavailable)
	})
}

// A change writes one event and one outbox row with the new version, and the
// event holds only what changed, and no personal data.
func TestChangeWritesOneEvent(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		w.must(w.change(move(b, bed, at(9, 30), at(10, 30))))
		events, err := w.db.Events(w.t.Context(), b.ID)
		w.must(err)
		if len(events) != 2 || events[0].Action != booking.Created || events[1].Action != booking.Changed || events[1].Actor != booking.ByDesk {
			w.t.Fatalf("got %+v", events)
		}
		var was, is map[string]json.RawMessage
		w.must(json.Unmarshal(events[1].Before, &was))
		w.must(json.Unmarshal(events[1].After, &is))
		if len(was) != 3 || len(is) != 3 || is["start_sec"] == nil || is["end_sec"] == nil || is["occupied_resources"] == nil {
			w.t.Errorf("before %s, after %s", events[1].Before, events[1].After)
		}
	})
}

// The event of a new booking has all its members except empty ones. For members that may say something about the guest it has only
// that they are set.
func TestEventOfANewBooking(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.AdditionalRequest = "a quiet room"
		c.Payment = &booking.Payment{PrepaymentStatus: "PREPAYMENT_PROVIDED", TransactionID: "transaction-7"}
		b := w.booked(c)
		events, err := w.db.Events(w.t.Context(), b.ID)
		w.must(err)
		want := fmt.Sprintf(`{"additional_request":"withheld","contact":"withheld","end_sec":%d,`+
			`"occupied_resources":[{"resource_id":%q,"group_id":%q,"zone_id":%q,"start_sec":%d,"end_sec":%d,"spots":1}],`+
			`"payment":{"prepayment_status":"PREPAYMENT_PROVIDED","payment_transaction_id":"withheld"},`+
			`"service_id":%q,"start_sec":%d,"state":"CONFIRMED","zone_id":%q}`,
			at(10, 0), b.Resources[0].ResourceID, queue, bed, at(9, 0), at(10, 0), skinCare, at(9, 0), bed)
		if string(events[0].Before) != "{}" || string(events[0].After) != want {
			w.t.Errorf("before %s, after\n%s, want\n%s", events[0].Before, events[0].After, want)
		}
	})
}

// An interval cannot change while there are future visits; once they are over, or gone, it can, and past visits still count.
func TestIntervalChange(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		m := testClinic()
		m.Groups[0].IntervalSec = 3600
		err := w.db.PutClinic(w.t.Context(), m, eight.Unix())
		var conflict *booking.Conflict
		if !errors.As(err, &conflict) || !strings.Contains(conflict.Detail, queue) || len(conflict.Visits) != 1 || conflict.Visits[0] != b.ScheduleID {
			w.t.Fatalf("got %v", err)
		}
		w.booked(w.request(at(9, 30))) // the half hours are still there
		w.must(w.db.PutClinic(w.t.Context(), m, at(10, 30)))
		c := w.request(at(9, 30))
		_, err = w.create(c)
		w.wantCause(err, booking.SlotUnavailable) // it was one
		w.booked(w.request(at(14, 0)))
	})
}

// A command that knows an older version of a visit undoes nothing: of 16 edits that have seen the same version only one succeeds,
// even beside a guest who moves the visit.
func TestEditsOfOneVersion(t *testing.T) {
	eachRace(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		var done, refused atomic.Int64
		w.together(16, 0, func(i int) {
			if i == 0 {
				if _, err := w.update(reschedule(b, at(14, 0))); err != nil {
					w.t.Error(err)
				}
				return
			}
			c := move(b, bed, at(9, 0), at(10, 0))
			c.Memo, c.Seen = booking.Set(fmt.Sprint(i)), new(int64(1))
			var invalid *booking.Invalid
			switch err := w.change(c); {
			case err == nil:
				done.Add(1)
			case errors.As(err, &invalid) && invalid.Field == booking.FieldVersion:
				refused.Add(1)
			default:
				w.t.Error(err)
			}
		})
		got := w.stored(b)
		if done.Load() > 1 || done.Load()+refused.Load() != 15 || got.StartSec != at(14, 0) || got.Version != 2+done.Load() {
			w.t.Errorf("%d edits done, %d refused; the visit is at %d, version %d", done.Load(), refused.Load(), got.StartSec, got.Version)
		}
	})
}
