package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

var update = flag.Bool("update", false, "write the answers of the transcripts anew; then read the diff as carefully as code")

// TestTranscripts plays the conversations in testdata/transcripts, each on an empty inventory, and compares every answer byte
// by byte.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/transcripts/*/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	rewrite := *update // from the first database; the other must agree
	o := storage.Options{Limit: time.Minute}
	storagetest.EachWith(t, o, func(t *testing.T, db storagetest.Database) {
		if err := load(t.Context(), db.DB, worldDir); err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			t.Run(strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), "testdata/transcripts/"), ".txt"), func(t *testing.T) {
				w := newWorld(t, db, options{})
				w.must(clear(db.Target))
				w.play(path, rewrite)
				w.check()
			})
		}
		rewrite = false
	})
}

// play plays a transcript. With rewrite it writes the answers into the file instead of comparing them.
func (w *world) play(path string, rewrite bool) {
	tr, err := readTranscript(path)
	w.must(err)
	s := &stage{world: w, placeholders: map[string]string{}}
	for i := range tr.steps {
		s.step(tr, &tr.steps[i], rewrite)
	}
	if rewrite {
		w.must(os.WriteFile(path, []byte(tr.text()), 0o600))
	}
}

// transcript is a file: steps between prose. A line with > belongs to a request, with < to an answer, with * to something else
// that happens, and with ? to a question without HTTP.
type transcript struct {
	path  string
	lines []string
	steps []step
}

type step struct {
	line   int      // of the first, from 0
	event  string   // after *
	ask    string   // after ?
	method string   // of a request
	target string   // its path
	header []string // its names and values in turn
	body   string
	answer []string // what is wanted: status, headers to look at, body

	from, to int // the answer's lines; equal if there is none yet
}

var headerLine = regexp.MustCompile(`^([A-Za-z-]+): (.*)$`)

func readTranscript(path string) (*transcript, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tr := &transcript{path: path, lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")}
	if first := tr.lines[0]; first == "" || strings.ContainsRune("><*?", rune(first[0])) || !strings.HasSuffix(first, ".") {
		return nil, fmt.Errorf("%s:1: a transcript begins with a sentence that says the behaviour", path)
	}
	for i := 0; i < len(tr.lines); {
		kind, rest, _ := strings.Cut(tr.lines[i], " ")
		switch kind {
		case ">":
			s, err := tr.readRequest(&i, rest)
			if err != nil {
				return nil, err
			}
			tr.steps = append(tr.steps, s)
		case "?":
			s := step{line: i, ask: rest}
			i++
			if err := tr.readAnswer(&i, &s); err != nil {
				return nil, err
			}
			tr.steps = append(tr.steps, s)
		case "*":
			tr.steps = append(tr.steps, step{line: i, event: rest})
			i++
		case "<":
			return nil, fmt.Errorf("%s:%d: an answer to nothing", path, i+1)
		default:
			i++
		}
	}
	return tr, nil
}

func (tr *transcript) readRequest(i *int, first string) (step, error) {
	s := step{line: *i}
	s.method, s.target, _ = strings.Cut(first, " ")
	var body []string
	for *i++; *i < len(tr.lines) && strings.HasPrefix(tr.lines[*i], ">"); *i++ {
		line := strings.TrimPrefix(strings.TrimPrefix(tr.lines[*i], ">"), " ")
		if m := headerLine.FindStringSubmatch(line); m != nil && body == nil {
			s.header = append(s.header, m[1], m[2])
			continue
		}
		body = append(body, line)
	}
	s.body = strings.Join(body, "\n")
	return s, tr.readAnswer(i, &s)
}

func (tr *transcript) readAnswer(i *int, s *step) error {
	s.from, s.to = *i, *i
	for *i < len(tr.lines) && tr.lines[*i] == "" {
		*i++
	}
	for ; *i < len(tr.lines) && strings.HasPrefix(tr.lines[*i], "<"); *i++ {
		s.answer = append(s.answer, strings.TrimPrefix(strings.TrimPrefix(tr.lines[*i], "<"), " "))
	}
	if n := len(s.answer); n > 0 {
		s.from, s.to = *i-n, *i
	} else if !*update {
		return fmt.Errorf("%s:%d: no answer follows", tr.path, s.line+1)
	}
	return nil
}

// text is the transcript with the answers that its steps have now.
func (tr *transcript) text() string {
	var out []string
	end := 0
	for _, s := range tr.steps {
		if s.event != "" {
			continue
		}
		out = append(out, tr.lines[end:s.from]...)
		if s.from == s.to && s.ask == "" {
			out = append(out, "")
		}
		for _, line := range s.answer {
			out = append(out, "< "+line)
		}
		end = s.to
	}
	return strings.Join(append(out, tr.lines[end:]...), "\n") + "\n"
}

// stage is a world in which a transcript is played. Transcripts use placeholders for what the stage learns on the way, such as
// ids of bookings: {{booking 1}} is the first one.
type stage struct {
	*world
	bookings     []booking.Booking
	tokens       []string
	where        string            // whose clock the transcript speaks of
	placeholders map[string]string // what they stand for → placeholder, as used so far
}

func (s *stage) step(tr *transcript, p *step, rewrite bool) {
	s.t.Helper()
	where := fmt.Sprintf("%s:%d", tr.path, p.line+1)
	var got []string
	switch {
	case p.event != "":
		if err := s.happen(p.event); err != nil {
			s.t.Fatalf("%s: %v", where, err)
		}
		return
	case p.ask != "":
		text, err := s.tell(p.ask)
		if err != nil {
			s.t.Fatalf("%s: %v", where, err)
		}
		got = []string{text}
	default:
		header := slices.Clone(p.header)
		for i := range header {
			header[i] = s.expand(header[i])
		}
		a, err := s.send(p.method, s.expand(p.target), s.expand(p.body), header...)
		if err != nil {
			s.t.Fatalf("%s: %v", where, err)
		}
		s.learn(a.body)
		got = append(got, strconv.Itoa(a.status))
		for _, line := range p.answer {
			if m := headerLine.FindStringSubmatch(line); m != nil {
				got = append(got, m[1]+": "+a.header.Get(m[1]))
			}
		}
		if a.body != "" {
			got = append(got, a.body)
			if kind := a.header.Get("Content-Type"); kind != "application/json" {
				s.t.Errorf("%s: Content-Type is %q, want application/json", where, kind)
			}
		}
		if a.header.Get("X-Request-Id") == "" {
			s.t.Errorf("%s: no X-Request-Id", where)
		}
	}
	if rewrite {
		p.answer = nil
		for _, line := range got {
			p.answer = append(p.answer, s.collapse(line))
		}
		return
	}
	want := s.expand(strings.Join(p.answer, "\n"))
	if text := strings.Join(got, "\n"); text != want {
		s.t.Errorf("%s:\ngot\n%s\nwant\n%s", where, s.collapse(text), strings.Join(p.answer, "\n"))
	}
}

// names are the placeholders of the catalogue's ids.
var names = map[string]string{
	"zone bed":        bed,
	"zone laser":      laser,
	"zone closed":     "65a000000000000000000003", // switched off in its group
	"zone attic":      attic,
	"zone lobby":      "65a000000000000000000005", // in no group
	"zone busan":      "65a200000000000000000001", // of clinic-2
	"zone ny day":     "65a300000000000000000001",
	"zone ny night":   "65a300000000000000000002",
	"zone pune":       "65a400000000000000000001",
	"zone chicago":    "65a600000000000000000001",
	"zone nowhere":    "65af0000000000000000ffff", // there is none
	"group skin":      skin,
	"group always":    always,
	"group busan":     "65b200000000000000000001",
	"group ny day":    "65b300000000000000000001",
	"group ny night":  "65b300000000000000000002",
	"group pune":      "65b400000000000000000001",
	"group ninety":    "65b600000000000000000001", // of chicago
	"group opening":   "65b600000000000000000002",
	"group none":      "65bf0000000000000000ffff",
	"dr kim":          drKim,
	"dr lee":          "65c000000000000000000002",
	"schedule nobody": "65d0000000000000000000ff",
}

// clocks are the time zones of {{2026-03-02 09:00 Seoul}}.
var clocks = map[string]string{"Seoul": "Asia/Seoul", "New York": "America/New_York", "Kolkata": "Asia/Kolkata", "UTC": "UTC"}

var (
	placeholder = regexp.MustCompile(`\{\{[^{}]*\}\}`)
	repeated    = regexp.MustCompile(`\{\{([0-9]+) times (\S+)\}\}`)
	numbered    = regexp.MustCompile(`^(booking|schedule|visitor|token) ([0-9]+)$`)
	spaces      = regexp.MustCompile(`^([0-9]+) spaces$`)
	moment      = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d) (.+)$`)
)

// expand replaces placeholders by their values.
func (s *stage) expand(text string) string {
	s.t.Helper()
	text = repeated.ReplaceAllStringFunc(text, func(p string) string {
		m := repeated.FindStringSubmatch(p)
		n, err := strconv.Atoi(m[1])
		s.must(err)
		return strings.TrimSuffix(strings.Repeat(m[2]+",", n), ",")
	})
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		value, err := s.value(p[2 : len(p)-2])
		if err != nil {
			s.t.Fatalf("%s: %v", p, err)
		}
		if _, used := s.placeholders[value]; !used && len(value) >= 8 && strings.TrimSpace(value) != "" {
			s.placeholders[value] = p
		}
		return value
	})
}

func (s *stage) value(name string) (string, error) {
	if id, ok := names[name]; ok {
		return id, nil
	}
	if guest, ok := strings.CutPrefix(name, "guest "); ok {
		return guestJSON(guest), nil
	}
	if guest, ok := strings.CutPrefix(name, "phone "); ok {
		return guestPhone(guest), nil
	}
	if clinic, ok := strings.CutPrefix(name, "key "); ok {
		return s.key(clinic), nil
	}
	if clinic, ok := strings.CutPrefix(name, "KEY "); ok {
		return strings.ToUpper(s.key(clinic)), nil
	}
	if name, ok := strings.CutPrefix(name, "CAPITAL "); ok {
		value, err := s.value(name)
		return strings.ToUpper(value), err
	}
	if m := spaces.FindStringSubmatch(name); m != nil {
		n, err := strconv.Atoi(m[1])
		return strings.Repeat(" ", n), err
	}
	if m := numbered.FindStringSubmatch(name); m != nil {
		n, err := strconv.Atoi(m[2])
		known := map[string]int{"booking": len(s.bookings), "schedule": len(s.bookings), "visitor": len(s.bookings), "token": len(s.tokens)}[m[1]]
		switch {
		case err != nil || n < 1 || n > known:
			return "", fmt.Errorf("there are %d so far", known)
		case m[1] == "booking":
			return s.bookings[n-1].ID.String(), nil
		case m[1] == "schedule":
			return s.bookings[n-1].ScheduleID, nil
		case m[1] == "visitor":
			return visitorID(s.bookings[n-1]), nil
		}
		return s.tokens[n-1], nil
	}
	if m := moment.FindStringSubmatch(name); m != nil {
		if clocks[m[2]] != "" {
			s.where = m[2]
		}
		t, err := readMoment(m[1], m[2])
		return strconv.FormatInt(t.Unix(), 10), err
	}
	return "", errors.New("nobody knows what that is")
}

// readMoment reads "2026-03-02 09:00" by the clock of a city or at an offset.
func readMoment(local, where string) (time.Time, error) {
	if zone, ok := clocks[where]; ok {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			return time.Time{}, err
		}
		return time.ParseInLocation("2006-01-02 15:04", local, loc)
	}
	return time.Parse("2006-01-02 15:04 -07:00", local+" "+where)
}

// collapse replaces values by their placeholders.
func (s *stage) collapse(text string) string {
	known := map[string]string{}
	for value, p := range s.placeholders {
		known[value] = p
	}
	for name, id := range names {
		known[id] = "{{" + name + "}}"
	}
	for i, b := range s.bookings {
		known[b.ID.String()] = fmt.Sprintf("{{booking %d}}", i+1)
		known[b.ScheduleID] = fmt.Sprintf("{{schedule %d}}", i+1)
	}
	for i, t := range s.tokens {
		known[t] = fmt.Sprintf("{{token %d}}", i+1)
	}
	values := make([]string, 0, len(known))
	for v := range known {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	for _, v := range values {
		text = strings.ReplaceAll(text, v, known[v])
	}
	if s.where == "" {
		return text
	}
	return startSec.ReplaceAllStringFunc(text, func(member string) string {
		sec, err := strconv.ParseInt(startSec.FindStringSubmatch(member)[1], 10, 64)
		s.must(err)
		loc, err := time.LoadLocation(clocks[s.where])
		s.must(err)
		return fmt.Sprintf(`"start_sec":"{{%s %s}}"`, time.Unix(sec, 0).In(loc).Format("2006-01-02 15:04"), s.where)
	})
}

var (
	bookingID = regexp.MustCompile(`"booking_id":"([^"]+)"`)
	newID     = regexp.MustCompile(`^\{"(?:scheduleId|occupiedTimeId)":"([^"]+)"\}$`)
	startSec  = regexp.MustCompile(`"start_sec":"([0-9]+)"`)
	tokenText = regexp.MustCompile(`^\{"token":"([^"]+)"\}$`)
)

// learn records the bookings and tokens that an answer names for the first time.
func (s *stage) learn(body string) {
	s.t.Helper()
	for _, m := range bookingID.FindAllStringSubmatch(body, -1) {
		if !slices.ContainsFunc(s.bookings, func(b booking.Booking) bool { return b.ID.String() == m[1] }) {
			s.bookings = append(s.bookings, s.booking(m[1]))
		}
	}
	if m := newID.FindStringSubmatch(body); m != nil && !slices.ContainsFunc(s.bookings, func(b booking.Booking) bool { return b.ScheduleID == m[1] }) {
		s.bookings = append(s.bookings, s.schedule(m[1]))
	}
	if m := tokenText.FindStringSubmatch(body); m != nil && !slices.Contains(s.tokens, m[1]) {
		s.tokens = append(s.tokens, m[1])
	}
}

// visitorID is the clinic's name of the guest that was made with a booking.
func visitorID(b booking.Booking) string { return fmt.Sprintf("%08x%x", b.CreatedSec, b.GuestID[8:]) }

// happen is what a line with * says:
//
//   - It is 2026-03-02 08:30 Seoul.
//   - 24 hours pass.
//   - Visit 1 becomes CANCELED.
//   - Visit 1 is refunded.
//   - An import takes surgery from clinic-1. (A service, a zone or a doctor.)
func (s *stage) happen(event string) error {
	event = strings.TrimSuffix(event, ".")
	if m := moment.FindStringSubmatch(strings.TrimPrefix(event, "It is ")); m != nil {
		t, err := readMoment(m[1], m[2])
		s.clock.Store(t.Unix())
		return err
	}
	var n int
	var word string
	if _, err := fmt.Sscanf(event, "%d hours pass", &n); err == nil {
		s.clock.Add(int64(n) * 3600)
		return nil
	}
	if _, err := fmt.Sscanf(event, "Visit %d becomes %s", &n, &word); err == nil && n >= 1 && n <= len(s.bookings) {
		s.end(s.booking(s.bookings[n-1].ID.String()), booking.State(word))
		return nil
	}
	if _, err := fmt.Sscanf(event, "Visit %d is refunded", &n); err == nil && n >= 1 && n <= len(s.bookings) {
		_, err := s.service.Refund(s.t.Context(), booking.By{Actor: booking.ByDesk}, s.bookings[n-1].ID)
		return err
	}
	var id, from string
	if _, err := fmt.Sscanf(s.expand(event), "An import takes %s from %s", &id, &from); err == nil {
		return s.take(id, from)
	}
	return fmt.Errorf("nobody knows how %q happens", event)
}

// take imports a clinic's catalogue without the service, zone or doctor of that
// id, until the transcript ends.
func (s *stage) take(id, clinic string) error {
	m, err := s.db.Refreshed(s.t.Context(), clinic)
	if err != nil {
		return err
	}
	s.t.Cleanup(func() {
		if err := s.db.PutClinic(context.Background(), *m, s.clock.Load()); err != nil {
			s.t.Error(err)
		}
	})
	next := *m
	next.Services = slices.DeleteFunc(slices.Clone(m.Services), func(v inventory.Service) bool { return v.ID == id })
	next.Staff = slices.DeleteFunc(slices.Clone(m.Staff), func(v inventory.Staff) bool { return v.ID == id })
	next.Groups = slices.Clone(m.Groups)
	for i, g := range m.Groups {
		next.Groups[i].Zones = slices.DeleteFunc(slices.Clone(g.Zones), func(v inventory.GroupZone) bool { return v.ZoneID == id })
	}
	return s.db.PutClinic(s.t.Context(), next, s.clock.Load())
}

// tell answers "visit 1": what is stored of it, as the desk sees it, with the number of its events. Times are by the merchant's
// clock.
func (s *stage) tell(ask string) (string, error) {
	var n int
	if _, err := fmt.Sscanf(ask, "visit %d", &n); err != nil || n < 1 || n > len(s.bookings) {
		return "", fmt.Errorf("nobody knows the answer to %q", ask)
	}
	b := s.booking(s.bookings[n-1].ID.String())
	events, err := s.db.Events(s.t.Context(), b.ID)
	if err != nil {
		return "", err
	}
	m, err := s.db.Merchant(s.t.Context(), b.MerchantID)
	if err != nil {
		return "", err
	}
	local := func(sec int64) string { return time.Unix(sec, 0).In(m.Location).Format(time.RFC3339) }
	type stretch struct {
		Group  string          `json:"group,omitempty"`
		Zone   string          `json:"zone,omitempty"`
		Doctor *booking.Person `json:"doctor,omitempty"`
		Start  string          `json:"start"`
		End    string          `json:"end"`
		Spots  int             `json:"spots"`
	}
	told := struct {
		State                booking.State   `json:"state"`
		Version              int64           `json:"version"`
		Events               int             `json:"events"`
		Start                string          `json:"start"`
		End                  string          `json:"end"`
		Zone                 string          `json:"zone,omitempty"`
		Occupied             []stretch       `json:"occupied"`
		Assignee             *booking.Person `json:"reservationAssignee,omitempty"`
		ConsultationRequired *bool           `json:"consultationRequired,omitempty"`
		SedationRequired     *bool           `json:"sedationRequired,omitempty"`
		Counselor            *booking.Person `json:"counselor,omitempty"`
		Funnel               json.RawMessage `json:"funnel,omitempty"`
		Memo                 *string         `json:"reservationMemo,omitempty"`
		RequestedProcedures  json.RawMessage `json:"requestedProcedures,omitempty"`
		ConnectedChannel     *string         `json:"connectedChannel,omitempty"`
	}{
		State: b.State, Version: b.Version, Events: len(events), Start: local(b.StartSec), End: local(b.EndSec), Zone: b.ZoneID,
		Assignee: b.Assignee, ConsultationRequired: b.ConsultationRequired, SedationRequired: b.SedationRequired,
		Counselor: b.Counselor, Funnel: b.Funnel, Memo: b.Memo, RequestedProcedures: b.RequestedProcedures, ConnectedChannel: b.ConnectedChannel,
	}
	for _, r := range b.Resources {
		told.Occupied = append(told.Occupied, stretch{Group: r.GroupID, Zone: r.ZoneID, Doctor: r.Doctor, Start: local(r.StartSec), End: local(r.EndSec), Spots: r.Spots})
	}
	text, err := json.Marshal(told)
	return string(text), err
}

// answered returns the answers in the transcripts of an area.
func answered(t *testing.T, area string) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/transcripts/" + area + "/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts of %s: %v", area, err)
	}
	var all []string
	for _, path := range paths {
		tr, err := readTranscript(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range tr.steps {
			if s.method != "" && len(s.answer) > 0 {
				all = append(all, s.answer[len(s.answer)-1])
			}
		}
	}
	return all
}

// The transcripts have the seven documented bodies of update-reservation V2, byte by byte, so that what -update writes cannot
// drift from the contract.
func TestDocumentedErrorBodies(t *testing.T) {
	all := answered(t, "update-reservation")
	for _, c := range []struct{ class, key, reason string }{
		{"InvalidRequestException", "scheduleId", "NotFound"},
		{"InvalidCommandException", "occupiedResources", "Required"},
		{"InvalidCommandException", "occupiedResources[0].configuration", "Required"},
		{"InvalidCommandException", "occupiedResources[1].configuration", "Required"},
		{"InvalidCommandException", "occupiedResources[0].reservationGroup", "Required"},
		{"InvalidCommandException", "occupiedResources[1].reservationGroup", "Required"},
		{"InvalidCommandException", "occupiedResources[1].startDateTimeUtc", "NotAvailable"}, // never 0: it is the one compared with
		{"InvalidCommandException", "occupiedResources[2].startDateTimeUtc", "NotAvailable"},
		{"InvalidRequestException", "zoneId", "NotFound"},
		{"InvalidRequestException", "occupiedResources[0].zoneId", "NotFound"},
		{"InvalidRequestException", "occupiedResources[1].zoneId", "NotFound"},
	} {
		body := `{"status":400,"message":"` + c.class + `","className":"` + c.class + `","errorProperties":[{"key":"` + c.key + `","reason":"` + c.reason + `"}]}`
		if !slices.Contains(all, body) {
			t.Errorf("no transcript is answered with %s", body)
		}
	}
}

// Google's samples are in the transcripts as published, and the answer to the first is the published one, except for the
// booking's id.
func TestGoogleSamples(t *testing.T) {
	const samples = "mapsbooking/testdata/"
	for transcript, sample := range map[string]string{
		"create-booking/google-sample-reservations": "reservations.create_booking.request.json",
		"create-booking/google-sample-fitness":      "fitness.create_booking.request.json",
	} {
		tr, err := readTranscript("testdata/transcripts/" + transcript + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(samples + sample)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(tr.steps, func(s step) bool { return s.method == http.MethodPost })
		request := tr.steps[i]
		if diff := cmp.Diff(strings.TrimSpace(string(want)), request.body); diff != "" {
			t.Errorf("%s is not sent as published (-published +sent):\n%s", sample, diff)
		}
		if sample != "reservations.create_booking.request.json" {
			continue
		}
		published, err := os.ReadFile(samples + "reservations.create_booking.response.json")
		if err != nil {
			t.Fatal(err)
		}
		document := func(text string) (v any) {
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		got := strings.Replace(request.answer[len(request.answer)-1], "{{booking 1}}", "890", 1)
		if diff := cmp.Diff(document(string(published)), document(got)); diff != "" {
			t.Errorf("another shape than the published answer (-published +answered):\n%s", diff)
		}
	}
}

// The full command has every member of the schema, with every kind of procedure.
func TestFullCommandIsFull(t *testing.T) {
	tr, err := readTranscript("testdata/transcripts/update-reservation/full-command.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/update-reservation-v2.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	for _, s := range tr.steps {
		if s.target == updatePath {
			var command any
			if err := json.Unmarshal([]byte(s.body), &command); err != nil {
				t.Fatal(err)
			}
			leaves("", command, func(path string) { sent[path] = true })
		}
	}
	members := 0
	var look func(path string, schema map[string]any)
	look = func(path string, schema map[string]any) {
		members++
		if !sent[path] {
			t.Errorf("nobody sends %s", path)
		}
		if items, ok := schema["items"].(map[string]any); ok {
			look(path+"[]", items)
		}
		if properties, ok := schema["properties"].(map[string]any); ok {
			for name, p := range properties {
				look(path+"."+name, p.(map[string]any))
			}
		}
	}
	look("", schema)
	if members < 100 {
		t.Errorf("the schema has %d members: it has been misread", members)
	}
}

// leaves calls found with every member of a JSON value.
func leaves(path string, v any, found func(string)) {
	found(path)
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			leaves(path+"."+name, member, found)
		}
	case []any:
		for _, item := range v {
			leaves(path+"[]", item, found)
		}
	}
}
