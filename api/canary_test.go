package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/booking"
	"holdfast/storage"
)

// The canaries: what only their owner may ever see again. Each kind of secret has its own, so that a
// failure says which one leaked, with quotes in it, so that it looks different in JSON. They are long
// enough not to occur by chance in base64.
const (
	canaryGiven   = `Kanarienvogel-Vor"name`
	canaryFamily  = `Kanarienvogel-Nach"name`
	canaryPhone   = "+82 10-9753-1864"
	canaryUser    = "kanarienvogel-user-97531864"
	canaryStreet  = `Kanarienvogel"straße 17`
	canaryWish    = `Kanarienvogel "wünscht" sich etwas`
	canaryPayment = `{"kanarienvogel":"payment-token-1864"}`
	canaryFraud   = "kanarienvogel-fraud-signals"
	canaryMemo    = `Kanarienvogel "memo" <VIP>`
	canaryPerson  = `Kanarienvogel-Be"raterin`
	canaryTitle   = `Kanarienvogel-Be"handlung`
	canaryToken   = "kanarienvogel-idempotency-token"
)

func canaries() []string {
	return []string{
		canaryGiven, canaryFamily, canaryPhone, canaryUser, canaryStreet, canaryWish, canaryPayment, canaryFraud,
		canaryMemo, canaryPerson, canaryTitle, canaryToken, "kanarienvogel-", "KANARIENVOGEL",
	}
}

// canaryEmail differs for each request, because one guest cannot have two visits at a time.
func canaryEmail(n int) string { return fmt.Sprintf("kanarienvogel-%d@example.com", n) }

// canaryCreate is a CreateBooking with a canary in every confidential member.
func canaryCreate(n int, startSec int64, more string) string {
	user := map[string]any{
		"user_id": fmt.Sprint(canaryUser, n), "given_name": canaryGiven, "family_name": canaryFamily,
		"telephone": canaryPhone, "email": canaryEmail(n),
		"address": map[string]any{"street_address": canaryStreet, "locality": canaryStreet, "postal_code": "04100"},
	}
	information, err := json.Marshal(user)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"slot":{"merchant_id":"clinic-1","service_id":"skin-care","start_sec":"%d","duration_sec":"3600"},"user_information":%s,`+
		`"payment_information":{"prepayment_status":"PREPAYMENT_NOT_PROVIDED","fraud_signals":%q},`+
		`"payment_processing_parameters":{"unparsed_payment_method_token":%q},"additional_request":%q,"idempotency_token":"%s-%d"%s}`,
		startSec, information, canaryFraud, canaryPayment, canaryWish, canaryToken, n, more)
}

// canaryMove is an update-reservation with canaries in what the desk writes.
func canaryMove(scheduleID, zone string, startSec int64, more string) string {
	desk := fmt.Sprintf(`,"reservationMemo":%q,"counselor":{"id":"65c0000000000000000000cc","name":%q},"reservationAssignee":{"id":"a","name":%q},"funnel":{"funnelDetail":%q},`+
		`"requestedProcedures":[{"type":"TICKET","ticketConfiguration":{"ticketId":"t","ticketTitle":%q,"optionTitle":"o"}}]`,
		canaryMemo, canaryPerson, canaryPerson, canaryMemo, canaryTitle)
	return strings.TrimSuffix(moveJSON(scheduleID, skin, zone, startSec), "}") + desk + more + "}"
}

// panicky is a store whose transactions panic with values that must not be logged.
type panicky struct {
	booking.Store
	panics *atomic.Bool
}

func (s panicky) InTx(ctx context.Context, touches booking.Footprint, f func(booking.Tx) error) error {
	return s.Store.InTx(ctx, touches, func(tx booking.Tx) error {
		err := f(tx)
		if s.panics.Load() {
			panic(fmt.Sprintf("%s %s %+v", canaryGiven, canaryPhone, touches.GuestKeys))
		}
		return err
	})
}

// listener records answers, and knows the secrets to look for.
type listener struct {
	w       *world
	secrets []string
	refused []string // answers other than a booking
}

// tell sends a request and records the answer if it is a "no". A "no" never repeats the request, or
// what others have sent.
func (l *listener) tell(wantStatus int, method, path, body, auth string) answer {
	l.w.t.Helper()
	a, err := l.w.send(method, path+"?name="+canaryUser, body, "Authorization", auth,
		"User-Agent", canaryUser, "X-Forwarded-For", canaryUser, "X-Request-Id", canaryGiven, "Cookie", canaryUser,
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate", "k="+canaryUser, "Baggage", "user="+canaryUser)
	l.w.must(err)
	if a.status != wantStatus {
		l.w.t.Errorf("%s: got %d %s, want %d", path, a.status, a.body, wantStatus)
	}
	if !strings.Contains(a.body, `{"booking":`) && !strings.Contains(a.body, `{"token":`) {
		l.refused = append(l.refused, fmt.Sprint(a.body, a.header))
	}
	return a
}

// TestNothingPersonalGetsOut puts canaries into requests of every outcome:
// success, refusal in a 200, 400, 401, 413, 503 from a database that fails at
// every point, 500 from a panic. None of them sings in the log, in a trace, or in an answer
// to somebody who was refused.
func TestNothingPersonalGetsOut(t *testing.T) {
	var down atomic.Value // the point at which the database fails
	down.Store("")
	var panics atomic.Bool
	o := options{
		mayError: true,
		traced:   "always_on",
		storage: storage.Options{Fault: func(point string) error {
			if down.Load() == point {
				return fmt.Errorf("fault %s: %w", point, io.ErrUnexpectedEOF)
			}
			return nil
		}},
		store: func(s booking.Store) booking.Store { return panicky{s, &panics} },
	}
	eachWith(t, o, func(w *world) {
		l := &listener{w: w, secrets: append(canaries(), googlePassword, w.key(clinic1), w.token(clinic1))}
		for _, who := range []string{"google", clinic1} {
			_, secret, _ := strings.Cut(w.credentials("", who), " ")
			l.secrets = append(l.secrets, secret)
		}

		// 200 with a booking, its retry, another request under its token.
		visit := w.booking(bookingID.FindStringSubmatch(l.tell(200, "POST", createPath, canaryCreate(1, at(9, 0), ""), "google").body)[1])
		l.tell(200, "POST", createPath, canaryCreate(1, at(9, 0), ""), "google")
		l.tell(200, "POST", createPath, canaryCreate(1, at(15, 0), ""), "google")
		l.tell(200, "POST", updatePath, canaryMove(visit.ScheduleID, bed, at(10, 0), ""), clinic1)

		// 200 with a booking_failure.
		l.tell(200, "POST", createPath, strings.Replace(canaryCreate(1, at(10, 0), ""), canaryToken+"-1", canaryToken+"-1b", 1), "google") // overlap
		for n := 10; n < 12; n++ {
			l.tell(200, "POST", createPath, canaryCreate(n, at(10, 0), ""), "google")
		}
		l.tell(200, "POST", createPath, canaryCreate(12, at(10, 0), ""), "google") // full
		l.tell(200, "POST", createPath, canaryCreate(12, at(13, 0), ""), "google") // closed
		l.tell(200, "POST", createPath, canaryCreate(12, at(15, 0), `,"offer_id":"`+canaryToken+`"`), "google")
		l.tell(200, "POST", createPath, canaryCreate(12, at(15, 0), `,"lease_ref":{"lease_id":"`+canaryToken+`"}`), "google")

		l.malformed()
		l.badCommands(visit)
		l.desk()
		l.strangers()

		// 503: the database fails at each point, and a 500: a panic.
		for i, point := range []string{"after the token", "after the slots", "before COMMIT", "after COMMIT"} {
			down.Store(point)
			l.tell(503, "POST", createPath, canaryCreate(20+i, at(15, 0), ""), "google")
			if point == "before COMMIT" { // after COMMIT the next run finds that it has happened
				l.tell(503, "POST", updatePath, canaryMove(visit.ScheduleID, bed, at(16, i), ""), clinic1)
			}
			down.Store("")
		}
		panics.Store(true)
		l.tell(500, "POST", createPath, canaryCreate(30, at(15, 0), ""), "google")
		l.tell(500, "POST", updatePath, canaryMove(visit.ScheduleID, bed, at(11, 0), ""), clinic1)
		panics.Store(false)

		// Whatever happened, the service goes on.
		l.tell(200, "POST", createPath, canaryCreate(30, at(11, 0), ""), "google")
		l.tell(200, "POST", updatePath, canaryMove(visit.ScheduleID, bed, at(11, 0), ""), clinic1)

		w.traced()
		sent := w.traces.Received()
		log := w.log.String()
		for what, text := range map[string]string{"the log": log, "a trace": sent, "an answer": strings.Join(l.refused, "\n")} {
			for _, s := range escaped(text, l.secrets) {
				w.t.Errorf("%q is in %s", s, what)
			}
		}
		// There is a log at all, with what an operator needs.
		for _, word := range []string{`"panic"`, "panicky.InTx.func1", `"unavailable"`, "SLOT_UNAVAILABLE", visit.ID.String(), `"route":"/v3/CreateBooking"`, `"caller":"clinic-1"`} {
			if !strings.Contains(log, word) {
				w.t.Errorf("%s is not in the log", word)
			}
		}
		for _, word := range []string{"POST /v3/CreateBooking", "SLOT_UNAVAILABLE", "clinic-1", "commit", "slot unavailable"} {
			if !strings.Contains(sent, word) {
				w.t.Errorf("%s is in no trace", word)
			}
		}
		if w.t.Failed() {
			w.t.Logf("the log:\n%s", log)
		}
	})
}

// desk sends commands that say who comes, and their refusals.
func (l *listener) desk() {
	const key = canaryToken + "-desk"
	name := strings.ReplaceAll(canaryGiven, `"`, `\"`)
	body := func(zone string, startSec int64, more string) string {
		memo := fmt.Sprintf(`,"reservationMemo":%q`, canaryMemo)
		return strings.TrimSuffix(strings.Replace(reserveJSON(canaryPhone, skin, zone, startSec), "김환자", name, 1), "}") + memo + more + "}"
	}
	send := func(wantStatus int, path, body string) {
		l.w.t.Helper()
		a, err := l.w.send("POST", "/schedule/open/"+path, body, "Authorization", clinic1, "Idempotency-Key", key)
		l.w.must(err)
		if a.status != wantStatus {
			l.w.t.Errorf("%s: got %d %s, want %d", path, a.status, a.body, wantStatus)
		}
		l.refused = append(l.refused, fmt.Sprint(a.body, a.header))
	}
	const reserve, byID = "v2/commands/reserve", "v2/commands/reserve-by-visitor-id"
	send(200, reserve, body(laser, at(15, 0), ""))
	send(200, reserve, body(laser, at(15, 0), ""))
	send(400, reserve, body(laser, at(16, 0), "")) // another command under the key
	send(400, reserve, body(laser, at(15, 0), `,"`+canaryUser+`":1,"`+canaryUser+`":2`))
	send(400, reserve, body(canaryUser, at(15, 0), ""))
	send(400, reserve, body(laser, at(15, 0), `,"connectedChannel":"`+canaryUser+`"`))
	send(400, byID, strings.Replace(body(laser, at(15, 0), ""), `"visitorName"`, `"visitorId":"`+canaryUser+`","visitorName"`, 1))
	send(400, "v1/commands/cancel-reservation", `{"scheduleId":"`+canaryUser+`","reason":"`+canaryUser+`"}`)
	send(400, "v1/commands/create-occupied-time", `{"reservationGroupId":"`+canaryUser+`","zoneId":"z","startDateTimeUtc":"2026-03-02T05:00:00Z","endDateTimeUtc":"2026-03-02T06:00:00Z","memo":"`+canaryUser+`"}`)
	send(400, "v1/commands/delete-occupied-time", `{"occupiedTimeId":"`+canaryUser+`"}`)
}

// malformed sends what CreateBooking answers with 400 or 413.
func (l *listener) malformed() {
	good := canaryCreate(40, at(15, 0), "")
	for _, body := range []string{
		canaryGiven, `{"` + canaryUser, good + good, `"` + canaryUser + `"`, `{"slot":"` + canaryUser + `"}`,
		strings.Replace(good, `"3600"`, `"`+canaryUser+`"`, 1),
		strings.Replace(good, `"PREPAYMENT_NOT_PROVIDED"`, `"`+canaryUser+`"`, 1),
		strings.Replace(good, `"clinic-1"`, `"`+canaryUser+`"`, 1),
		strings.Replace(good, `"skin-care"`, `"`+canaryUser+`"`, 1),
		strings.Replace(good, `"duration_sec"`, `"resources":{"staff_id":"`+canaryUser+`"},"duration_sec"`, 1),
		strings.Replace(good, `"duration_sec"`, `"resources":{"room_id":"`+canaryUser+`"},"duration_sec"`, 1),
		strings.Replace(good, `"04100"`, `{"`+canaryUser+`":1}`, 1),
		strings.Replace(good, canaryToken, strings.Repeat(canaryToken, 20), 1),
		strings.Replace(good, `kanarienvogel-40@`, `kanarienvogel-40\u0000@`, 1),
		strings.Replace(good, `"user_information"`, `"user_information":{"given_name":"`+canaryUser+`"},"userInformation"`, 1),
		strings.Replace(good, `"fraud_signals"`, `"`+canaryUser+`":1,"`+canaryUser+`":2,"fraud_signals"`, 1),
		canaryCreate(40, at(15, 7), ""),
	} {
		l.tell(400, "POST", createPath, body, "google")
	}
	l.tell(413, "POST", createPath, good+strings.Repeat(" ", 256<<10), "google")
}

// badCommands sends what update-reservation and exchange-token refuse.
func (l *listener) badCommands(visit booking.Booking) {
	good := canaryMove(visit.ScheduleID, bed, at(15, 0), "")
	for _, body := range []string{
		canaryMemo, good + "x", strings.Replace(good, `"65c0000000000000000000cc"`, "17", 1), strings.Replace(good, "65c0000000000000000000cc", canaryUser, 1),
		canaryMove(visit.ScheduleID, bed, at(15, 0), `,"reservation_memo":"`+canaryUser+`"`),
		strings.Replace(good, `"counselor":{"id":"65c0000000000000000000cc"`, `"counselor":{"id":""`, 1),
		strings.Replace(good, `"TICKET"`, `"`+canaryUser+`"`, 1),
		strings.Replace(good, visit.ScheduleID, canaryUser, 1),
		strings.Replace(good, bed, canaryUser, 1),
		strings.Replace(good, skin, canaryUser, 1),
		strings.Replace(good, "2026-03-02T", canaryUser, 1),
		canaryMove(visit.ScheduleID, bed, at(13, 0), ""),
		canaryMove(visit.ScheduleID, bed, at(15, 0), `,"connectedChannel":"`+canaryUser+`"`),
		canaryMove(visit.ScheduleID, bed, at(15, 0), `,"`+canaryUser+`":1,"`+canaryUser+`":2`),
		strings.Replace(good, "<VIP>", `<VIP>\u0000`, 1),
		strings.Replace(good, `"optionTitle":"o"`, `"optionTitle":"o","medicalService":{"translsMap":{"`+canaryUser+`":7}}`, 1),
	} {
		l.tell(400, "POST", updatePath, body, clinic1)
	}
	l.tell(400, "POST", exchangePath, `{"key":"`+canaryUser+`"}`, "none")
	l.tell(400, "POST", exchangePath, `{"key":["`+canaryUser+`"]}`, "none")
	l.tell(200, "POST", exchangePath, `{"key":"`+l.w.key(clinic1)+`","name":"`+canaryUser+`"}`, "none")
}

// strangers have no credentials or wrong ones, or look for what does not exist.
func (l *listener) strangers() {
	body := canaryCreate(50, at(15, 0), "")
	for _, who := range []string{"none", "wrong", "Basic " + canaryUser, "Bearer " + canaryUser, canaryUser} {
		l.tell(401, "POST", createPath, body, who)
		l.tell(401, "POST", updatePath, body, who)
	}
	l.tell(404, "POST", "/v3/"+canaryUser, body, "google")
	l.tell(404, "POST", "/"+canaryUser, body, "none")
	l.tell(404, "POST", "/open/"+canaryUser, body, "none")
	l.tell(405, "PUT", createPath, body, "google")
	l.tell(405, "KANARIENVOGEL", createPath, body, "google")
}

// escaped returns the secrets that a text contains: plain, as in JSON, in Go's quotes, in a URL or in SQL,
// in hex, or in base64 at any offset.
func escaped(text string, secrets []string) []string {
	var out []string
	for _, s := range secrets {
		inJSON, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		var plain bytes.Buffer
		e := json.NewEncoder(&plain)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			panic(err)
		}
		looks := []string{s, strings.Trim(string(inJSON), `"`), strings.Trim(plain.String(), "\"\n"), strings.Trim(fmt.Sprintf("%q", s), `"`), strings.Trim(fmt.Sprintf("%+q", s), `"`),
			url.QueryEscape(s), url.PathEscape(s), strings.ReplaceAll(s, "'", "''"), hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
		for offset := range 3 {
			// The middle of it, which does not depend on what is around.
			coded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + s))
			coded = strings.TrimRight(coded, "=")[min(4, 4*offset):]
			looks = append(looks, coded[:len(coded)-2], strings.NewReplacer("+", "-", "/", "_").Replace(coded[:len(coded)-2]))
		}
		if slices.ContainsFunc(looks, func(look string) bool { return strings.Contains(text, look) }) {
			out = append(out, s)
		}
	}
	return out
}

// The search finds secrets in every form.
func TestEscapedFindsCanaries(t *testing.T) {
	for _, s := range []string{canaryGiven, canaryPhone, canaryMemo, canaryPayment, googlePassword} {
		inJSON, err := json.Marshal(map[string]string{"a": s})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"before " + s + " after", string(inJSON), fmt.Sprintf("%+q", s),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte("a" + s + "b")), base64.StdEncoding.EncodeToString([]byte("google:" + s + "bcd")),
			base64.URLEncoding.EncodeToString([]byte(s)), fmt.Sprintf("%x", "a"+s+"b"), fmt.Sprintf("%X", s), "/v3?name=" + url.QueryEscape(s), "/v3/" + url.PathEscape(s),
		} {
			if len(escaped(text, []string{s})) != 1 {
				t.Errorf("%q is not found in %s", s, text)
			}
		}
		if got := escaped("SLOT_UNAVAILABLE clinic-1 01953f3a-0000-7000-8000-000000000001", []string{s}); got != nil {
			t.Errorf("%q is found where it is not", got)
		}
	}
}

// TestNothingPersonalIsPrinted runs the test above in a process of its own and looks at everything that it
// prints, because a library's default logger would bypass ours.
func TestNothingPersonalIsPrinted(t *testing.T) {
	const child = "HOLDFAST_CANARY_CHILD"
	if os.Getenv(child) != "" {
		t.Skip("this is the child")
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingPersonalGetsOut$/^SQLite$", "-test.v=false")
	command.Env = append(os.Environ(), child+"=1")
	out, err := command.CombinedOutput()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("the test above fails:\n%s", out)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range escaped(string(out), append(canaries(), googlePassword)) {
		t.Errorf("%q is printed", s)
	}
	if !strings.Contains(string(out), "PASS") || t.Failed() {
		t.Errorf("printed past the log:\n%s", out)
	}
}
