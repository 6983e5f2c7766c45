package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/api"
	"holdfast/api/google"
	"holdfast/booking"
	"holdfast/importer"
	"holdfast/inventory"
	"holdfast/storage"
)

type demoCommand struct {
	Address string `default:"127.0.0.1:8080" help:"Where to listen. (${default})"`
	Exit    bool   `help:"End after the demonstration, with 0 only if every answer was right, instead of serving on."`
}

func (cmd *demoCommand) Help() string {
	return `Creates a database in a temporary directory, with a clinic in Seoul and a
restaurant, and then books over real HTTP, printing each request and its answer.
It does not use the --database setting.`
}

//go:embed demo/clinic.yaml
var demoClinic []byte

// The names in the story; the ids are those of demo/clinic.yaml.
const (
	demoMerchant   = "gangnam-skin"
	demoLaserRoom  = "65a1f0c2b7e4d90001a00001" // room for one
	demoCareRoom   = "65a1f0c2b7e4d90001a00002"
	demoGroup      = "65a1f0c2b7e4d90001b00001"
	demoDoctor     = "65a1f0c2b7e4d90001c00001"
	demoUser       = "google"
	demoPassword   = "demo"
	demoRestaurant = "mapo-bistro"
)

func (cmd *demoCommand) Run(ctx context.Context, c *console) (err error) {
	dir, err := os.MkdirTemp("", "holdfast-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := storage.Open(ctx, filepath.Join(dir, "demo.db"), storage.Options{})
	if err != nil {
		return err
	}
	defer closing(db, &err)

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmd.Address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	// The story prints what goes over the wire, so the access log would repeat it.
	quiet := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() {
		served <- serve(serving, newServer(api.Config{
			Bookings: newService(db), Credentials: google.NewCredentials(google.Credential{User: demoUser, Password: demoPassword}), Healthy: db.Ping, Log: quiet,
		}), listener, &readiness{db: db}, 0, quiet)
	}()
	defer func() { stop(); err = errors.Join(err, <-served) }()

	s := &story{console: c, db: db, base: "http://" + listener.Addr().String(), client: &http.Client{Timeout: 30 * time.Second}}
	defer s.client.CloseIdleConnections()
	if err := s.tell(ctx, dir, time.Now()); err != nil {
		return fmt.Errorf("the story went wrong: %w", err)
	}
	if cmd.Exit {
		return nil
	}
	s.printf("\nStill serving on %s until you press Ctrl-C. Try it:\n\n", s.base)
	s.printf("  curl -u %s:%s %s/v3/HealthCheck\n\n", demoUser, demoPassword, s.base)
	s.printf("The clinic's access token is %s. docs/session.md shows how to call the rest.\n", s.token)
	<-ctx.Done()
	return nil
}

// story is the demonstration: each step prints what it sends and gets, and a wrong answer ends it.
type story struct {
	*console
	db     *storage.DB
	base   string
	client *http.Client
	token  string
	step   int
}

func (s *story) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func (s *story) title(text string) {
	s.step++
	s.printf("\n%d. %s\n", s.step, text)
}

func (s *story) ok(format string, args ...any) {
	s.printf("   ✓ "+format+"\n", args...)
}

// tell is the story. tomorrow is by the clinic's clock.
func (s *story) tell(ctx context.Context, dir string, now time.Time) error {
	s.title("Load a catalogue: a clinic from YAML, a restaurant from Google's three feeds")
	seoul, err := time.LoadLocation("Asia/Seoul")
	if err != nil {
		return err
	}
	tomorrow := inventory.DateOf(now.In(seoul).AddDate(0, 0, 1))
	at := func(hour int) int64 { return tomorrow.At(60*hour, seoul).Unix() }
	if err := s.load(ctx, dir, now, at(19)); err != nil {
		return err
	}

	s.title("A guest books through Google: CreateBooking, tomorrow 10:00 in the laser room")
	john := clinicRequest("token-of-john", "user-1", "John", at(10))
	var created struct {
		Booking struct {
			ID     string `json:"booking_id"`
			Status string `json:"status"`
		} `json:"booking"`
	}
	first, err := s.google(ctx, john, &created)
	if err != nil {
		return err
	}
	if created.Booking.Status != "CONFIRMED" {
		return errors.New("the booking was not confirmed")
	}
	s.ok("confirmed as %s", created.Booking.ID)

	s.title("The same request again (Google retries when an answer got lost)")
	again, err := s.google(ctx, john, nil)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, again) {
		return errors.New("the retry got another answer")
	}
	s.ok("the same booking, byte for byte")

	s.title("Another guest wants the same hour in the same room: full, told in a 200")
	jane := clinicRequest("token-of-jane", "user-2", "Jane", at(10))
	if err := s.refused(ctx, jane); err != nil {
		return err
	}

	s.title("The last table of the restaurant, 40 guests at once")
	if err := s.contest(ctx, at(19)); err != nil {
		return err
	}

	s.title("The clinic moves John: update-reservation to 15:00, another zone, with a doctor")
	b, err := s.stored(ctx, created.Booking.ID)
	if err != nil {
		return err
	}
	if err := s.exchange(ctx); err != nil {
		return err
	}
	move := updateReservation(b.ScheduleID, demoCareRoom, demoCareRoom, at(15))
	if status, body, err := s.clinic(ctx, "/schedule/open/v2/commands/update-reservation", move); err != nil {
		return err
	} else if status != http.StatusOK || string(body) != "{}" {
		return errors.New("the move was refused")
	}
	s.ok("moved, in one transaction: the laser room at 10:00 is free again")

	s.title("So Jane's retry, the very same request, is a new attempt and now succeeds")
	if _, err := s.google(ctx, jane, &created); err != nil {
		return err
	}
	if created.Booking.Status != "CONFIRMED" {
		return errors.New("the freed slot could not be booked")
	}
	s.ok("confirmed as %s", created.Booking.ID)

	s.title("A command that must be refused changes nothing")
	before, err := s.stored(ctx, b.ID.String())
	if err != nil {
		return err
	}
	nowhere := updateReservation(b.ScheduleID, "65a1f0c2b7e4d90001affff0", demoCareRoom, at(16))
	status, body, err := s.clinic(ctx, "/schedule/open/v2/commands/update-reservation", nowhere)
	if err != nil {
		return err
	}
	const documented = `{"status":400,"message":"InvalidRequestException","className":"InvalidRequestException","errorProperties":[{"key":"zoneId","reason":"NotFound"}]}`
	if status != http.StatusBadRequest || string(body) != documented {
		return errors.New("not the documented error body")
	}
	after, err := s.stored(ctx, b.ID.String())
	if err != nil {
		return err
	}
	if after.Version != before.Version || after.StartSec != at(15) {
		return errors.New("the refused command changed the visit")
	}
	s.ok("the documented body, and the visit stands at 15:00, version %d", after.Version)

	s.title("Who is coming?")
	if err := s.coming(ctx); err != nil {
		return err
	}

	s.title("Verify every invariant on the live database")
	broken, err := s.db.Verify(ctx, nil)
	if err != nil {
		return err
	}
	if len(broken) > 0 {
		return fmt.Errorf("invariants are broken: %v", broken)
	}
	s.ok("all hold: nothing oversold, nothing lost, one event and one outbox row for each change")
	return nil
}

// load writes the clinic's catalogue and the restaurant's feeds to files, and imports them as anybody
// would.
func (s *story) load(ctx context.Context, dir string, now time.Time, dinnerSec int64) error {
	meta := fmt.Sprintf(`"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": %d}`, now.Unix())
	files := map[string]string{
		"clinic.yaml": string(demoClinic),
		"merchants.json": fmt.Sprintf(`{%s, "merchant": [{"merchant_id": %q, "name": "마포 비스트로", "category": "restaurant",
			"geo": {"unstructured_address": "12 Wausan-ro, Mapo-gu, Seoul"}}]}`, meta, demoRestaurant),
		"services.json": fmt.Sprintf(`{%s, "service": [{"merchant_id": %q, "service_id": "dinner",
			"localized_service_name": {"value": "Dinner"}}]}`, meta, demoRestaurant),
		"availability.json": fmt.Sprintf(`{%s, "service_availability": [{"availability": [
			{"merchant_id": %q, "service_id": "dinner", "start_sec": "%d", "duration_sec": "5400", "spots_total": "4", "spots_open": "1", "resources": {"party_size": 2}},
			{"merchant_id": %q, "service_id": "dinner", "start_sec": "%d", "duration_sec": "5400", "spots_total": "2", "spots_open": "2", "resources": {"party_size": 4}}]}]}`,
			meta, demoRestaurant, dinnerSec, demoRestaurant, dinnerSec),
	}
	var paths []string
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		paths = append(paths, path)
	}
	var said bytes.Buffer
	i := &importer.Importer{Service: newService(s.db), DB: s.db, By: operator, Out: &said, Warn: s.console.err, Progress: s.console.progress}
	i.Service.Now = func() time.Time { return now }
	if err := i.Load(ctx, paths); err != nil {
		return err
	}
	for line := range strings.Lines(said.String()) {
		s.ok("%s", strings.TrimSpace(strings.TrimPrefix(line, dir+string(filepath.Separator))))
	}
	return nil
}

// contest lets 40 guests ask for one table at once.
func (s *story) contest(ctx context.Context, startSec int64) error {
	const guests = 40
	answers := make([][]byte, guests)
	errs := make([]error, guests)
	var done sync.WaitGroup
	release := make(chan struct{})
	for i := range guests {
		done.Go(func() {
			<-release
			_, answers[i], errs[i] = s.post(ctx, "/v3/CreateBooking", dinnerRequest(i, startSec), s.basic)
		})
	}
	close(release)
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	won, refused := 0, 0
	var no []byte
	for _, a := range answers {
		switch {
		case bytes.Contains(a, []byte(`"status":"CONFIRMED"`)):
			won++
		case bytes.Contains(a, []byte(`"booking_failure":{"cause":"SLOT_UNAVAILABLE"`)):
			refused++
			no = a
		}
	}
	s.printf("   → 40 × POST /v3/CreateBooking\n   ← 200 %s  (%d times)\n", no, refused)
	if won != 1 || refused != guests-1 {
		return fmt.Errorf("%d guests got the one table and %d were refused", won, refused)
	}
	s.ok("exactly one got it, %d got booking_failure in a 200", refused)
	return nil
}

// google posts a CreateBooking, prints request and answer, and decodes the answer.
func (s *story) google(ctx context.Context, request map[string]any, into any) ([]byte, error) {
	status, body, err := s.shown(ctx, "/v3/CreateBooking", request, s.basic)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("status %d", status)
	}
	if into == nil {
		return body, nil
	}
	return body, json.Unmarshal(body, into)
}

// refused posts a CreateBooking that must fail because the slot is full.
func (s *story) refused(ctx context.Context, request map[string]any) error {
	var answer struct {
		Failure struct{ Cause string } `json:"booking_failure"`
		Booking json.RawMessage        `json:"booking"`
	}
	if _, err := s.google(ctx, request, &answer); err != nil {
		return err
	}
	if answer.Failure.Cause != "SLOT_UNAVAILABLE" || answer.Booking != nil {
		return errors.New("it should have been refused with SLOT_UNAVAILABLE")
	}
	s.ok("refused, and nothing kept: a retry will be a new attempt")
	return nil
}

// exchange makes an API key for the clinic and exchanges it for a token.
func (s *story) exchange(ctx context.Context) error {
	key, err := newService(s.db).NewKey(ctx, demoMerchant, "demo")
	if err != nil {
		return err
	}
	_, body, err := s.clinic(ctx, "/open/authorization/commands/exchange-token", map[string]any{"key": key})
	if err != nil {
		return err
	}
	var answer struct{ Token string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	s.token = answer.Token
	return nil
}

func (s *story) clinic(ctx context.Context, path string, request map[string]any) (int, []byte, error) {
	return s.shown(ctx, path, request, func(r *http.Request) {
		if s.token != "" {
			r.Header.Set("Authorization", "Bearer "+s.token)
		}
	})
}

func (s *story) basic(r *http.Request) { r.SetBasicAuth(demoUser, demoPassword) }

// shown is post that prints request and answer.
func (s *story) shown(ctx context.Context, path string, request map[string]any, auth func(*http.Request)) (int, []byte, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return 0, nil, err
	}
	s.printf("   → POST %s\n     %s\n", path, text)
	status, body, err := s.post(ctx, path, request, auth)
	if err == nil {
		s.printf("   ← %d %s\n", status, body)
	}
	return status, body, err
}

func (s *story) post(ctx context.Context, path string, request map[string]any, auth func(*http.Request)) (status int, body []byte, err error) {
	text, err := json.Marshal(request)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	auth(r)
	answer, err := s.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, bytes.TrimSpace(body), err
}

// stored reads a booking of the clinic without HTTP.
func (s *story) stored(ctx context.Context, id string) (booking.Booking, error) {
	all, err := s.db.Bookings(ctx, demoMerchant, 0, 1<<62)
	if err != nil {
		return booking.Booking{}, err
	}
	for _, b := range all {
		if b.ID.String() == id {
			return b, nil
		}
	}
	return booking.Booking{}, fmt.Errorf("booking %s is not stored", id)
}

// coming prints the desk's list, indented.
func (s *story) coming(ctx context.Context) error {
	var list bytes.Buffer
	if err := listBookings(ctx, s.db, &bookingsCommand{}, &list); err != nil {
		return err
	}
	for l := range strings.Lines(list.String()) {
		s.printf("   %s", l)
	}
	return nil
}

func clinicRequest(token, user, name string, startSec int64) map[string]any {
	return map[string]any{
		"slot": map[string]any{
			"merchant_id": demoMerchant, "service_id": "laser-toning", "start_sec": fmt.Sprint(startSec), "duration_sec": "3600",
			"resources": map[string]any{"room_id": demoLaserRoom},
		},
		"user_information": map[string]any{
			"user_id": user, "given_name": name, "family_name": "Smith",
			"telephone": "+82 10-1234-5678", "email": strings.ToLower(name) + "@example.com",
		},
		"payment_information": map[string]any{"prepayment_status": "PREPAYMENT_NOT_PROVIDED"},
		"idempotency_token":   token,
	}
}

func dinnerRequest(i int, startSec int64) map[string]any {
	return map[string]any{
		"slot": map[string]any{
			"merchant_id": demoRestaurant, "service_id": "dinner", "start_sec": fmt.Sprint(startSec), "duration_sec": "5400",
			"resources": map[string]any{"party_size": 2},
		},
		"user_information": map[string]any{
			"user_id": fmt.Sprintf("diner-%d", i), "given_name": "Guest", "family_name": fmt.Sprintf("No. %d", i+1),
			"telephone": fmt.Sprintf("+82 10-9999-%04d", i), "email": fmt.Sprintf("diner%d@example.com", i),
		},
		"idempotency_token": fmt.Sprintf("dinner-%d", i),
	}
}

func updateReservation(scheduleID, receptionZone, zone string, startSec int64) map[string]any {
	utc := func(sec int64) string { return time.Unix(sec, 0).UTC().Format(time.RFC3339) }
	return map[string]any{
		"scheduleId": scheduleID, "zoneId": receptionZone,
		"occupiedResources": []any{map[string]any{
			"startDateTimeUtc": utc(startSec), "endDateTimeUtc": utc(startSec + 3600),
			"reservationGroup": map[string]any{
				"reservationGroupId": demoGroup, "zoneId": zone,
				"doctor": map[string]any{"id": demoDoctor, "name": "김지우"},
			},
		}},
		"reservationMemo": "전화로 오후 변경 요청",
	}
}
