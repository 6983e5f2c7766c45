package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/booking"
)

// together sends n requests over HTTP, all released at once, and returns their answers. The test fails if one does not get
// through.
func (w *world) together(n int, send func(i int) (answer, error)) []answer {
	w.t.Helper()
	answers, errs := make([]answer, n), make([]error, n)
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-release
			answers[i], errs[i] = send(i)
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
	for i, err := range errs {
		if err != nil {
			w.t.Errorf("request %d did not get through: %v", i, err)
		}
	}
	return answers
}

func (w *world) create(body string) (answer, error) {
	return w.send("POST", createPath, body, "Authorization", "google")
}

func (w *world) move(body string) (answer, error) {
	return w.send("POST", updatePath, body, "Authorization", clinic1)
}

// booked makes a booking that must succeed.
func (w *world) booked(body string) booking.Booking {
	w.t.Helper()
	a, err := w.create(body)
	w.must(err)
	id := bookingID.FindStringSubmatch(a.body)
	if a.status != 200 || id == nil {
		w.t.Fatalf("no booking: %d %s", a.status, a.body)
	}
	return w.booking(id[1])
}

// parked is the visit of a new guest two weeks later, where there is plenty of room.
func (w *world) parked(n int) booking.Booking {
	w.t.Helper()
	body := createJSON(fmt.Sprint("Visitor", n), fmt.Sprint("parked-", n), at(9+14*24, 0), "")
	return w.booked(strings.Replace(body, "skin-care", "night-care", 1))
}

// The only answers that a crowd may get.
const (
	movedBody = `{}`
	fullBody  = `{"status":400,"message":"InvalidRequestException","className":"InvalidRequestException","errorProperties":[{"key":"occupiedResources[0].startDateTimeUtc","reason":"NotAvailable"}]}`
)

// outcome returns what an answer says: booked, taken (there is no room), moved, or the whole answer if it is any other.
func (a answer) outcome() string {
	var created struct {
		Booking *struct {
			ID     string `json:"booking_id"`
			Status string `json:"status"`
		} `json:"booking"`
		Failure *struct {
			Cause string `json:"cause"`
		} `json:"booking_failure"`
	}
	switch {
	case a.status == 200 && a.body == movedBody:
		return "moved"
	case a.status == 400 && a.body == fullBody:
		return "taken"
	case a.status != 200 || json.Unmarshal([]byte(a.body), &created) != nil:
	case created.Booking != nil && created.Failure == nil && created.Booking.Status == "CONFIRMED":
		return "booked"
	case created.Failure != nil && created.Booking == nil && created.Failure.Cause == "SLOT_UNAVAILABLE":
		return "taken"
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}

// wantOutcomes counts what came of it.
func (w *world) wantOutcomes(answers []answer, want map[string]int) {
	w.t.Helper()
	got := map[string]int{}
	for _, a := range answers {
		got[a.outcome()]++
	}
	for outcome, n := range got {
		if want[outcome] != n {
			w.t.Errorf("%d times %s, want %d", n, outcome, want[outcome])
		}
	}
	for outcome, n := range want {
		if got[outcome] == 0 && n > 0 {
			w.t.Errorf("never %s, want %d times", outcome, n)
		}
	}
}

// 200 guests want the three places of one hour at the clinic, whose slots
// nobody has touched.
func TestRaceForThreePlaces(t *testing.T) {
	each(t, func(w *world) {
		answers := w.together(200, func(i int) (answer, error) {
			return w.create(createJSON(fmt.Sprint("Guest", i), fmt.Sprint("token-", i), at(9, 0), ""))
		})
		w.wantOutcomes(answers, map[string]int{"booked": 3, "taken": 197})
		zones := map[string]int{}
		for _, b := range w.stored(clinic1) {
			zones[b.ZoneID]++
		}
		if len(zones) != 2 || zones[bed] != 2 || zones[laser] != 1 {
			w.t.Errorf("bookings by zone: %v, want two beds and the laser room", zones)
		}
	})
}

// 200 guests want the three mats of a yoga class, a published slot.
func TestRaceForThreeMats(t *testing.T) {
	each(t, func(w *world) {
		answers := w.together(200, func(i int) (answer, error) {
			return w.create(fmt.Sprintf(`{"slot":{"merchant_id":"studio-1","service_id":"yoga","start_sec":"%d","duration_sec":"3600"},"user_information":%s,"idempotency_token":"token-%d"}`,
				at(10, 0), guestJSON(fmt.Sprint("Guest", i)), i))
		})
		w.wantOutcomes(answers, map[string]int{"booked": 3, "taken": 197})
		if n := len(w.stored("studio-1")); n != 3 {
			w.t.Errorf("%d bookings are stored, want 3", n)
		}
	})
}

// 16 concurrent copies of one request, like an impatient caller's retries, make one booking and get the same bytes, even for
// the last place. So do later copies when the place is long gone.
func TestRaceOfCopies(t *testing.T) {
	each(t, func(w *world) {
		for round, hour := range []int{9, 10, 11, 14, 15} {
			body := createJSON(fmt.Sprint("Guest", round), fmt.Sprint("token-", round), at(hour, 0), laser)
			copies := func() string {
				answers := w.together(16, func(int) (answer, error) { return w.create(body) })
				w.wantOutcomes(answers, map[string]int{"booked": 16})
				for _, a := range answers {
					if a.body != answers[0].body {
						w.t.Errorf("two answers to one request:\n%s\n%s", answers[0].body, a.body)
					}
				}
				return answers[0].body
			}
			first := copies()
			rival, err := w.create(createJSON(fmt.Sprint("Rival", round), fmt.Sprint("rival-", round), at(hour, 0), laser))
			w.must(err)
			w.wantOutcomes([]answer{rival}, map[string]int{"taken": 1})
			if again := copies(); again != first {
				w.t.Errorf("asked again when the room was full:\n%s\nbefore:\n%s", again, first)
			}
		}
		if n := len(w.stored(clinic1)); n != 5 {
			w.t.Errorf("%d bookings are stored, want 5", n)
		}
	})
}

// Copies among strangers: everybody asks four times at once for two beds. Everybody gets one answer, two get a bed, and those
// refused can try again.
func TestRaceOfCopiesAmongStrangers(t *testing.T) {
	each(t, func(w *world) {
		const guests = 20
		bodies := make([]string, guests)
		for g := range guests {
			bodies[g] = createJSON(fmt.Sprint("Guest", g), fmt.Sprint("token-", g), at(9, 0), bed)
		}
		answers := w.together(4*guests, func(i int) (answer, error) { return w.create(bodies[i%guests]) })
		w.wantOutcomes(answers, map[string]int{"booked": 8, "taken": 4*guests - 8})
		for g := range guests {
			for i := g; i < len(answers); i += guests {
				if answers[i].outcome() != answers[g].outcome() {
					w.t.Errorf("guest %d was told %s and %s", g, answers[g].outcome(), answers[i].outcome())
				}
			}
		}
	})
}

// 50 visits are moved to one place at once: exactly one gets it, and the others
// stay where they were, as they were.
func TestRaceOfMoves(t *testing.T) {
	each(t, func(w *world) {
		visits := make([]booking.Booking, 50)
		for i := range visits {
			visits[i] = w.parked(i)
		}
		answers := w.together(len(visits), func(i int) (answer, error) {
			return w.move(moveJSON(visits[i].ScheduleID, skin, laser, at(15, 0)))
		})
		w.wantOutcomes(answers, map[string]int{"moved": 1, "taken": 49})
		for i, before := range visits {
			after := w.booking(before.ID.String())
			switch moved := answers[i].outcome() == "moved"; {
			case moved && (after.StartSec != at(15, 0) || after.ZoneID != laser || after.Version != 2):
				w.t.Errorf("the one that was moved: %+v", after)
			case !moved && (after.StartSec != before.StartSec || after.ZoneID != attic || after.Version != 1):
				w.t.Errorf("one that was refused: %+v", after)
			}
		}
	})
}

// A guest and the desk want one place: in every round one of them gets it, and the other keeps the place that it would have
// left.
func TestRaceOfChannels(t *testing.T) {
	each(t, func(w *world) {
		won := map[string]int{}
		for round := range 12 {
			start := at([]int{9, 10, 11, 14}[round%4]+24*(round/4), 0)
			visit := w.parked(round)
			answers := w.together(2, func(i int) (answer, error) {
				if i == round%2 { // who is released first must not always be the same
					return w.create(createJSON(fmt.Sprint("Guest", round), fmt.Sprint("guest-", round), start, laser))
				}
				return w.move(moveJSON(visit.ScheduleID, skin, laser, start))
			})
			guest, desk := answers[round%2].outcome(), answers[1-round%2].outcome()
			switch {
			case guest == "booked" && desk == "taken":
				won["guest"]++
				if b := w.booking(visit.ID.String()); b.StartSec != visit.StartSec || b.Version != 1 {
					w.t.Errorf("the visit that was refused is at %s, version %d", time.Unix(b.StartSec, 0), b.Version)
				}
			case guest == "taken" && desk == "moved":
				won["desk"]++
			default:
				w.t.Errorf("the guest: %s\nthe desk: %s", guest, desk)
			}
		}
		w.t.Logf("won: %v", won)
	})
}

// Guests book, ask again and are moved about, all at once: callers can act on every answer, and what the service says is
// booked is booked.
func TestRaceOfEverybody(t *testing.T) {
	each(t, func(w *world) {
		var visits []booking.Booking
		for i, hour := range []int{9, 10, 11, 14, 15, 16} {
			visits = append(visits, w.booked(createJSON(fmt.Sprint("Visit", i), fmt.Sprint("visit-", i), at(hour, 0), bed)))
		}
		hours := []int{9, 10, 11, 14, 15, 16}
		answers := w.together(120, func(i int) (answer, error) {
			hour := at(hours[i%len(hours)], 0)
			switch i % 3 {
			case 0: // the same six visits are moved to and fro
				return w.move(moveJSON(visits[i/3%6].ScheduleID, skin, []string{bed, laser}[i/3%2], at(hours[(i/3+i/7)%6], 30*(i/2%2))))
			case 1: // 20 guests, each twice
				g := i / 3 % 20
				return w.create(createJSON(fmt.Sprint("Guest", g), fmt.Sprint("guest-", g), at(hours[g%6], 0), ""))
			}
			return w.create(createJSON(fmt.Sprint("Other", i), fmt.Sprint("other-", i), hour, laser))
		})
		booked := map[string]bool{}
		for i, a := range answers {
			switch o := a.outcome(); o {
			case "booked":
				booked[bookingID.FindStringSubmatch(a.body)[1]] = true
			case "taken", "moved":
			default:
				w.t.Errorf("answer %d: %s", i, o)
			}
		}
		stored := w.stored(clinic1)
		if len(stored) != len(visits)+len(booked) {
			w.t.Errorf("%d bookings are stored, want %d", len(stored), len(visits)+len(booked))
		}
		for id := range booked {
			if b := w.booking(id); b.State != booking.Confirmed {
				w.t.Errorf("%s was confirmed and is %s", id, b.State)
			}
		}
	})
}

// reserveJSON is a reserve of a visitor with that number for an hour.
func reserveJSON(phone, group, zone string, startSec int64) string {
	move := moveJSON("x", group, zone, startSec)
	return strings.Replace(move, `"scheduleId":"x"`, fmt.Sprintf(`"visitorName":"김환자","visitorPhone":%q`, phone), 1)
}

// Sixteen copies of a desk's command under one Idempotency-Key, for the last
// place: one visit, and sixteen times the same bytes.
func TestDeskCopiesAtOnce(t *testing.T) {
	each(t, func(w *world) {
		block := fmt.Sprintf(`{"reservationGroupId":%q,"zoneId":%q,"startDateTimeUtc":"2026-03-02T05:00:00Z","endDateTimeUtc":"2026-03-02T06:00:00Z"}`, skin, bed)
		for command, body := range map[string]string{
			"v2/commands/reserve":              reserveJSON("010-1234-5678", skin, laser, at(9, 0)),
			"v1/commands/create-occupied-time": block,
		} {
			before := len(w.stored(clinic1))
			answers := w.together(16, func(int) (answer, error) {
				return w.send("POST", "/schedule/open/"+command, body, "Authorization", clinic1, "Idempotency-Key", command)
			})
			for _, a := range answers {
				if a.status != 200 || a.body != answers[0].body {
					w.t.Errorf("%s: got %d %s and %s", command, a.status, a.body, answers[0].body)
				}
			}
			if n := len(w.stored(clinic1)) - before; n != 1 {
				w.t.Errorf("%s made %d", command, n)
			}
		}
	})
}
