package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A journal that is read back says what was sent and answered, even if a crash has cut off the last line.
func TestJournalIsReplayed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path)
	must(t, err)
	to := place{Lane: 1, Slot: 2, Len: 1}
	ask := record{Op: "a", Deed: create, To: &to}
	for want, o := range []outcome{unknown, refused, done} {
		ask.At = int64(10 * want)
		n, err := j.sent(ask)
		must(t, err)
		if n != want {
			t.Errorf("try %d, want %d", n, want)
		}
		if o != unknown { // of that one no answer came
			must(t, j.told(record{At: ask.At + 5, Op: "a", Try: n, Outcome: o, Booking: "b-1"}))
		}
	}
	_, err = j.sent(record{At: 40, Op: "b", Deed: look})
	must(t, err)
	must(t, j.close())
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteString(`{"at":50,"op":"b","try":0,"outc`)
	must(t, errors.Join(err, file.Close()))

	ops, err := replayFile(path)
	must(t, err)
	if len(ops) != 2 || ops[0].name != "a" || ops[1].name != "b" || *ops[0].To != to {
		t.Fatalf("operations: %+v", ops)
	}
	a := ops[0]
	if got := a.acknowledged(); got == nil || got.booking != "b-1" || got.sent != 20 || got.told != 25 {
		t.Errorf("acknowledged: %+v", got)
	}
	if sent, ok := a.doubt(); !ok || sent != 0 {
		t.Errorf("in doubt: %d, %t", sent, ok)
	}
	if !a.settled() || ops[1].settled() {
		t.Errorf("settled: %t and %t", a.settled(), ops[1].settled())
	}
}

func TestJournalWithoutASenseIsRefused(t *testing.T) {
	for _, text := range []string{
		`{"op":"a","try":0,"outcome":"done"}`,
		`{"op":"a","try":1,"sent":true}`,
		`{"op":`,
	} {
		if _, err := replay(strings.NewReader(text + "\n")); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

func TestAnswersAreRead(t *testing.T) {
	for _, c := range []struct {
		deed
		status int
		retry  string
		body   string
		want   outcome
		cause  string
	}{
		{create, 200, "", `{"booking":{"booking_id":"b"}}`, done, ""},
		{create, 200, "", `{"booking_failure":{"cause":"SLOT_UNAVAILABLE"}}`, refused, full},
		{create, 200, "", `{"booking_failure":{"cause":"PAYMENT_ERROR"}}`, odd, ""},
		{use, 200, "", `{"booking_failure":{"cause":"LEASE_EXPIRED"}}`, refused, leaseExpired},
		{use, 200, "", `{"booking_failure":{"cause":"SLOT_UNAVAILABLE"}}`, odd, ""},
		{cancel, 200, "", `{"booking_failure":{"cause":"SLOT_UNAVAILABLE"}}`, odd, ""},
		{create, 200, "", `{"booking":{}}`, odd, ""},
		{create, 200, "", `{}`, odd, ""},
		{create, 200, "", `{"booki`, odd, ""},
		{create, 503, "1", `{}`, unknown, ""},
		{create, 503, "", `{}`, odd, ""},
		{create, 500, "", `{}`, odd, ""},
		{move, 400, "", `{}`, odd, ""},
		{look, 200, "", `{"slot_time_availability":[{"available":true},{}]}`, done, ""},
		{lease, 200, "", `{"lease":{"lease_id":"l","lease_expiration_time_sec":"7"}}`, done, ""},
		{desk, 200, "", `{}`, done, ""},
		{desk, 400, "", `{"errorProperties":[{"key":"occupiedResources[0].startDateTimeUtc","reason":"NotAvailable"}]}`, refused, full},
		{desk, 400, "", `{"errorProperties":[{"key":"scheduleId","reason":"NotFound"}]}`, odd, ""},
	} {
		if got := read(c.deed, c.status, c.retry, []byte(c.body)); got.outcome != c.want || got.cause != c.cause {
			t.Errorf("%s %d %s: got %s %q, want %s %q", c.deed, c.status, c.body, got.outcome, got.cause, c.want, c.cause)
		}
	}
}

// history is a journal of the tests: an operation with its tries.
func history(name string, d deed, of string, to *place, tries ...try) *operation {
	return &operation{name: name, record: record{Op: name, Deed: d, Of: of, To: to}, tries: tries}
}

func keep(id, user string, at place) stored {
	s := stored{ID: id, State: "CONFIRMED"}
	s.Contact.UserID = user
	s.Resources = append(s.Resources, struct {
		GroupID  string `json:"group_id"`
		StartSec int64  `json:"start_sec"`
		EndSec   int64  `json:"end_sec"`
	}{group(at.Lane), at.startSec(1), at.startSec(1) + at.lengthSec()})
	return s
}

func TestJudge(t *testing.T) {
	at, to := place{Lane: 0, Slot: 0, Len: 1}, place{Lane: 0, Slot: 1, Len: 1}
	ok := try{sent: 10, told: 20, outcome: done, booking: "b"}
	no := try{sent: 10, told: 20, outcome: refused, cause: full}
	lost := try{sent: 1, outcome: unknown}
	later := try{sent: 30, told: 40, outcome: done, booking: "b"}
	canceled := keep("b", "a", at)
	canceled.State = "CANCELED"
	for _, c := range []struct {
		name string
		ops  []*operation
		kept []stored
		want string // the charges
	}{
		{"booked", []*operation{history("a", create, "", &at, ok)}, []stored{keep("b", "a", at)}, ""},
		{"lost", []*operation{history("a", create, "", &at, ok)}, nil, "lost"},
		{"lost, another is there", []*operation{history("a", create, "", &at, ok)}, []stored{keep("c", "a", at)}, "lost"},
		{"elsewhere", []*operation{history("a", create, "", &at, ok)}, []stored{keep("b", "a", to)}, "wrong place"},
		{"doubled", []*operation{history("a", create, "", &at, ok)}, []stored{keep("b", "a", at), keep("c", "a", at)}, "doubled"},
		{"told two ids", []*operation{history("a", create, "", &at, ok, try{sent: 30, told: 40, outcome: done, booking: "c"})}, []stored{keep("b", "a", at)}, "doubled"},
		{"refused", []*operation{history("a", create, "", &at, no)}, nil, ""},
		{"refused, and there", []*operation{history("a", create, "", &at, no)}, []stored{keep("b", "a", at)}, "phantom"},
		{"refused after a try in doubt, and there", []*operation{history("a", create, "", &at, lost, no)}, []stored{keep("b", "a", at)}, ""},
		{"refused after it was made", []*operation{history("a", create, "", &at, ok, try{sent: 30, told: 40, outcome: refused, cause: full})}, []stored{keep("b", "a", at)}, "sticky"},
		{"nobody's", nil, []stored{keep("b", "a", at)}, "phantom"},
		{"never known", []*operation{history("a", create, "", &at, lost)}, nil, "unsettled"},
		{"odd", []*operation{history("a", create, "", &at, try{outcome: odd})}, nil, "odd"},
		{"moved", []*operation{history("a", create, "", &at, ok), history("m", move, "a", &to, later)}, []stored{keep("b", "a", to)}, ""},
		{"a move that is lost", []*operation{history("a", create, "", &at, ok), history("m", move, "a", &to, later)}, []stored{keep("b", "a", at)}, "wrong place"},
		{"a move in doubt, then refused: it was", []*operation{history("a", create, "", &at, ok), history("m", desk, "a", &to, lost, no)}, []stored{keep("b", "a", to)}, ""},
		{"a move in doubt, then refused: it was not", []*operation{history("a", create, "", &at, ok), history("m", desk, "a", &to, lost, no)}, []stored{keep("b", "a", at)}, ""},
		{"a move that was refused, and was", []*operation{history("a", create, "", &at, ok), history("m", desk, "a", &to, no)}, []stored{keep("b", "a", to)}, "wrong place"},
		{"canceled", []*operation{history("a", create, "", &at, ok), history("m", cancel, "a", nil, later)}, []stored{canceled}, ""},
		{"canceled, and still there", []*operation{history("a", create, "", &at, ok), history("m", cancel, "a", nil, later)}, []stored{keep("b", "a", at)}, "wrong place"},
		{"a lease used", []*operation{history("l", lease, "", &at, ok), history("u", use, "l", &at, later)}, []stored{keep("b", "l", at)}, ""},
		{"a lease whose use is lost", []*operation{history("l", lease, "", &at, ok), history("u", use, "l", &at, later)}, nil, "lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(c.ops, c.kept, 1, 0, 1000)
			var got []string
			for _, c := range v.charges {
				got = append(got, c.What)
			}
			if strings.Join(got, ",") != c.want {
				t.Errorf("got %v, want %q", v.charges, c.want)
			}
		})
	}
}

// What goes into a slot's history, and when it may have happened.
func TestJudgeWritesHistories(t *testing.T) {
	at, to := place{Lane: 0, Slot: 0, Len: 1}, place{Lane: 0, Slot: 1, Len: 2}
	second := int64(time.Second)
	v := judge([]*operation{
		history("a", create, "", &at, try{sent: 1, outcome: unknown}, try{sent: 10, told: 20, outcome: done, booking: "b"}),
		history("m", move, "a", &to, try{sent: 30, told: 40, outcome: done}),
		history("n", create, "", &at, try{sent: 50, told: 60, outcome: refused, cause: full}),
		history("two", create, "", &to, try{sent: 50, told: 60, outcome: refused, cause: full}),
		history("l", lease, "", &at, try{sent: 70, told: 80, outcome: done, expireSec: 100}),
		history("u", lease, "", &place{Lane: 5, Len: 1}, try{sent: 5, outcome: unknown}),
		history("r", create, "", &place{Lane: 5, Len: 1}, try{sent: 50, told: 60, outcome: refused, cause: full}),
		{name: "k", record: record{Deed: look, Looks: []place{at}}, tries: []try{{sent: 90, told: 95, outcome: done, free: []bool{true}}}},
	}, []stored{keep("b", "a", to)}, 1, 10*second, 1000)
	want := map[int][]entry{
		0: {
			{take, 1, 20, "a"}, {release, 30, 40, "m"}, {isFull, 50, 60, "n"}, {isFree, 90, 95, "k"},
			{take, 70, 80, "l"}, {release, 89 * second, 102 * second, "l"},
		},
		1:                {{take, 30, 40, "m"}},
		2:                {{take, 30, 40, "m"}},
		5 * slotsPerLane: {}, // a lease that nobody knows of excuses the refusal
	}
	if !reflect.DeepEqual(v.histories, want) {
		t.Errorf("got  %v\nwant %v", v.histories, want)
	}
}

// A lost primary may have shown what it could not acknowledge, so the judge ignores what was seen between the first try without an answer and the
// answer.
func TestJudgeForgivesWhatALostPrimaryShowed(t *testing.T) {
	at, to := place{Lane: 0, Slot: 0, Len: 1}, place{Lane: 0, Slot: 1, Len: 1}
	saw := func(name string, when int64, where place, free bool) *operation {
		return &operation{name: name, record: record{Deed: look, Looks: []place{where}}, tries: []try{{sent: when, told: when + 1, outcome: done, free: []bool{free}}}}
	}
	lost := try{sent: 10, outcome: unknown}
	for _, c := range []struct {
		name string
		ops  []*operation
		kept []stored
		want bool // it is wrong all the same
	}{
		{"booked, lost, booked again", []*operation{
			history("a", create, "", &at, lost, try{sent: 40, told: 50, outcome: done, booking: "b"}), saw("full", 20, at, false), saw("free", 30, at, true),
		}, []stored{keep("b", "a", at)}, false},
		{"booked, lost, refused", []*operation{
			history("a", create, "", &at, lost, try{sent: 40, told: 50, outcome: refused, cause: full}), saw("full", 20, at, false),
			history("o", create, "", &at, try{sent: 30, told: 35, outcome: done, booking: "o"}),
		}, []stored{keep("o", "o", at)}, false},
		{"moved, lost, refused", []*operation{
			history("a", create, "", &at, try{sent: 1, told: 2, outcome: done, booking: "b"}), history("m", move, "a", &to, lost, try{sent: 40, told: 50, outcome: refused, cause: full}),
			saw("free", 20, at, true), saw("full", 20, to, false), history("o", create, "", &to, try{sent: 30, told: 35, outcome: done, booking: "o"}),
		}, []stored{keep("b", "a", at), keep("o", "o", to)}, false},
		{"seen before it was asked", []*operation{history("a", create, "", &at, lost, try{sent: 40, told: 50, outcome: done, booking: "b"}), saw("full", 5, at, false)}, []stored{keep("b", "a", at)}, true},
		{"seen after the answer", []*operation{history("a", create, "", &at, lost, try{sent: 40, told: 50, outcome: done, booking: "b"}), saw("free", 60, at, true)}, []stored{keep("b", "a", at)}, true},
		{"another slot", []*operation{history("a", create, "", &at, lost, try{sent: 40, told: 50, outcome: done, booking: "b"}), saw("full", 20, to, false)}, []stored{keep("b", "a", at)}, true},
	} {
		v := judge(c.ops, c.kept, 1, 0, 1000)
		v.forgive()
		if v.linearize(time.Minute); len(v.charges) > 0 != c.want {
			t.Errorf("%s: %v", c.name, v.charges)
		}
	}
}

// A gap is between two acknowledged changes of one server, or to the end.
func TestGaps(t *testing.T) {
	told := func(name string, d deed, via int, at ...int64) *operation {
		op := history(name, d, "", nil)
		op.Via = via
		for _, at := range at {
			op.tries = append(op.tries, try{told: at, outcome: done})
		}
		return op
	}
	got := gaps([]*operation{
		told("a", create, 1, 10), told("b", move, 1, 70, 30), told("c", look, 1, 50), told("d", cancel, 0, 45), told("e", create, 2, 15),
	}, 3, 60)
	if want := []time.Duration{30, 45, 60}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSlotModel(t *testing.T) {
	for _, c := range []struct {
		name    string
		history []entry
		want    bool
	}{
		{"two in turn", []entry{{take, 1, 2, ""}, {release, 3, 4, ""}, {take, 5, 6, ""}}, true},
		{"sold twice", []entry{{take, 1, 2, ""}, {take, 3, 4, ""}}, false},
		{"sold twice at once", []entry{{take, 1, 9, ""}, {take, 1, 9, ""}}, false},
		{"sold while it was given back", []entry{{take, 1, 2, ""}, {take, 3, 9, ""}, {release, 4, 8, ""}}, true},
		{"sold before it was given back", []entry{{take, 1, 2, ""}, {take, 3, 4, ""}, {release, 5, 6, ""}}, false},
		{"refused when full", []entry{{take, 1, 2, ""}, {isFull, 3, 4, ""}}, true},
		{"refused with room", []entry{{isFull, 3, 4, ""}}, false},
		{"refused while somebody books", []entry{{take, 1, 9, ""}, {isFull, 3, 4, ""}}, true},
		{"free when full", []entry{{take, 1, 2, ""}, {isFree, 3, 4, ""}}, false},
		{"given back twice", []entry{{take, 1, 2, ""}, {release, 3, 4, ""}, {release, 5, 6, ""}}, false},
	} {
		if got := porcupine.CheckOperations(slotModel(1), operations(c.history)); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
	v := &verdict{histories: map[int][]entry{0: {{take, 1, 2, ""}, {take, 3, 4, ""}}}}
	if v.linearize(time.Minute); len(v.charges) != 1 {
		t.Errorf("a double sale: %v", v.charges)
	}
}

func TestScheduleComesFromTheSeed(t *testing.T) {
	first := schedule(7, 1000, quick, points)
	if !reflect.DeepEqual(first, schedule(7, 1000, quick, points)) {
		t.Error("the same seed gives another schedule")
	}
	if reflect.DeepEqual(first, schedule(8, 1000, quick, points)) {
		t.Error("another seed gives the same schedule")
	}
	counts, named := map[blow]int{}, map[string]bool{}
	for i, e := range first {
		counts[e.blow]++
		if e.point != "" {
			named[e.point] = true
		}
		if e.after < 0 || e.after > 1000 || i > 0 && e.after < first[i-1].after {
			t.Errorf("event %d falls after %d operations", i, e.after)
		}
	}
	if !reflect.DeepEqual(counts, quick) || len(named) != len(points) {
		t.Errorf("blows %v, points %v", counts, named)
	}
	dealt := map[blow]int{}
	for _, counts := range share(quick, 2, 3) {
		for b, n := range counts {
			dealt[b] += n
		}
	}
	for b, n := range quick {
		if dealt[b] != 2*n {
			t.Errorf("%s: %d dealt, want %d", b, dealt[b], 2*n)
		}
	}
}

// frame is a message of PostgreSQL's protocol.
func frame(kind byte, payload string) []byte {
	m := []byte{kind}
	if kind == 0 {
		m = nil
	}
	return append(binary.BigEndian.AppendUint32(m, uint32(len(payload)+4)), payload...)
}

func TestCommitIsRecognized(t *testing.T) {
	for _, c := range []struct {
		kind    byte
		payload string
		want    bool
	}{
		{'Q', "commit\x00", true},
		{'Q', " COMMIT ;\x00", true},
		{'Q', "END TRANSACTION\x00", true},
		{'Q', "commit prepared 'x'\x00", false},
		{'Q', "rollback\x00", false},
		{'Q', "select 'commit'\x00", false},
		{'Q', "\x00", false},
		{'P', "s1\x00commit\x00\x00\x00", true},
		{'P', "commit\x00select 1\x00\x00\x00", false},
		{'B', "commit\x00", false},
		{'X', "", false},
	} {
		kind, message, err := readMessage(bufio.NewReader(bytes.NewReader(frame(c.kind, c.payload))), false)
		if err != nil || kind != c.kind {
			t.Fatalf("%q: kind %q, %v", c.payload, kind, err)
		}
		if got := isCommit(kind, message); got != c.want {
			t.Errorf("%c %q: got %t", c.kind, c.payload, got)
		}
	}
}

// Each mishap, with a server that answers every query: does the COMMIT reach it,
// and does the client get the answer?
func TestProxy(t *testing.T) {
	for _, c := range []struct {
		mishap
		arrives, answered bool
	}{
		{"", true, true}, {answerLost, true, false}, {neverSent, false, false}, {answerLate, true, true}, {sentLate, true, false}, {answerMissing, true, false},
	} {
		t.Run(string(c.mishap), func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
			must(t, err)
			defer l.Close()
			arrived := make(chan string, 8)
			go func() {
				defer close(arrived)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				r := bufio.NewReader(conn)
				for startup := true; ; startup = false {
					_, m, err := readMessage(r, startup)
					if err != nil {
						return
					}
					arrived <- string(m)
					if _, err := conn.Write(append(frame('C', "done\x00"), frame('Z', "I")...)); err != nil {
						return
					}
				}
			}()
			p, err := startProxy(socket)
			must(t, err)
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.listener.Addr().String())
			must(t, err)
			from := bufio.NewReader(conn)
			ask := func(m []byte) error {
				if _, err := conn.Write(m); err != nil {
					return err
				}
				for {
					kind, _, err := readMessage(from, false)
					if err != nil || kind == 'Z' {
						return err
					}
				}
			}
			must(t, ask(frame(0, "startup")))
			<-arrived
			if c.mishap != "" {
				p.plan(c.mishap, time.Millisecond)
			}
			commit := frame('Q', "commit\x00")
			if c.mishap == answerMissing {
				_, err = conn.Write(commit)
				must(t, err)
			} else if err := ask(commit); (err == nil) != c.answered {
				t.Errorf("the answer: %v", err)
			}
			if m, ok := <-arrived; ok != c.arrives || ok && m != string(commit) {
				t.Errorf("what arrived: %q, %t", m, ok)
			}
			if n := p.counts()[c.mishap]; c.mishap != "" && n != 1 {
				t.Errorf("counted %d", n)
			}
			must(t, p.close())
			if _, err := io.ReadAll(from); err != nil && !errors.Is(err, io.EOF) && c.answered {
				t.Log(err)
			}
			conn.Close()
		})
	}
}

func TestScheduleID(t *testing.T) {
	id := uuid.MustParse("01a2015b-466c-7165-bd12-a19d7ae308f6")
	got, err := scheduleID(id.String())
	must(t, err)
	sec, _ := id.Time().UnixTime()
	if want := fmt.Sprintf("%08x", sec) + "bd12a19d7ae308f6"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := scheduleID(uuid.Nil.String()); err == nil {
		t.Error("an id without a time has none")
	}
}

// Repeated requests come from the journal alone.
func TestAgain(t *testing.T) {
	at := place{Lane: 1, Slot: 3, Len: 1}
	taken := history("l", lease, "", &at, try{outcome: done, booking: "lease-1"})
	for _, c := range []struct {
		op   *operation
		want request
	}{
		{history("a", create, "", &at), createRequest(4, "a", "a", at, "")},
		{history("u", use, "l", &at), createRequest(4, "u", "l", at, "lease-1")},
		{&operation{name: "m", record: record{Deed: move, ID: "b", To: &at}}, moveRequest(4, "b", at)},
		{&operation{name: "c", record: record{Deed: cancel, ID: "b"}}, cancelRequest("b")},
	} {
		got, err := again(4, c.op, map[string]*operation{"l": taken})
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", c.op.Deed, got, err, c.want)
		}
	}
	if _, err := again(4, history("k", look, "", nil), nil); err == nil {
		t.Error("a look is not asked again")
	}
}

// The last lines of a selftest say what went wrong, so that nobody has to search a
// long log.
func TestSurprises(t *testing.T) {
	innocent, accused := newReport(), newReport()
	accused.wrong = []accusation{{what: "lost", text: "booking 7"}}
	healthy, broken := variant{promise: "none"}, variant{promise: "P9 a move is atomic", name: "move-in-two-transactions"}
	outside := variant{promise: "P3", outside: "synchronous_commit=off"}
	for _, c := range []struct {
		v    variant
		rep  *report
		want string
	}{
		{healthy, innocent, ""},
		{broken, accused, ""},
		{healthy, accused, "NOT GOOD: the healthy server was accused: lost: booking 7"},
		{broken, innocent, "NOT GOOD: move-in-two-transactions (P9 a move is atomic) was not caught in 20 rounds."},
		{outside, innocent, "NOT GOOD: synchronous_commit=off (P3) was not caught in 20 rounds."},
	} {
		if got := c.v.surprise(c.rep); got != c.want {
			t.Errorf("%s: %q, want %q", c.v.broken(), got, c.want)
		}
	}
}

// Broken servers have names, and two lists must agree on them.
func TestVariantsHaveNames(t *testing.T) {
	text, err := os.ReadFile("../holdfast/broken_on.go")
	must(t, err)
	_, list, _ := strings.Cut(string(text), "var variants = []string{")
	list, _, _ = strings.Cut(list, "}")
	var named []string
	for _, v := range variants {
		named = append(named, v.name)
		if !strings.Contains(list, fmt.Sprintf("%q", v.name)) {
			t.Errorf("the server knows no variant %q", v.name)
		}
	}
	for _, name := range strings.Split(list, ",") {
		if name = strings.Trim(strings.TrimSpace(name), `"`); !slices.Contains(named, name) {
			t.Errorf("nobody tries the variant %q", name)
		}
	}
}
