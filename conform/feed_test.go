package conform_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "holdfast/api/mapsbooking"
	"holdfast/conform"
)

// feedFile writes a feed with these rows, gzipped if it is to be.
func feedFile(t *testing.T, zip bool, meta string, rows ...string) string {
	t.Helper()
	text := []byte(fmt.Sprintf(`{"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "generation_timestamp": %d, %s},
		"service_availability": [{"availability": [%s]}]}`, begin.Unix(), meta, strings.Join(rows, ",")))
	if zip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		text = b.Bytes()
	}
	path := filepath.Join(t.TempDir(), "feed")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const oneShard = `"total_shards": 1`

// at is a row of a table for two, that many hours from now.
func at(hours int, more string) string {
	return fmt.Sprintf(`{"merchant_id": "bistro", "service_id": "table", "start_sec": %d, "duration_sec": "3600", "spots_total": 2%s}`,
		begin.Add(time.Duration(hours)*time.Hour).Unix(), more)
}

func TestFeedSaysWhyNot(t *testing.T) {
	soon := fmt.Sprint(begin.Add(10 * time.Minute).Unix())
	later := fmt.Sprint(begin.Add(90 * time.Minute).Unix())
	for row, want := range map[string]string{
		at(-3, `, "spots_open": 2`): "are past",
		at(0, `, "spots_open": 2`):  "are past",
		at(5, ``):                   "are sold out",
		at(5, `, "spots_open": "1", "deposit": {"deposit": {"price_micros": 1}}`):                                                 "ask for a payment or a card",
		at(5, `, "spots_open": 1, "requireCreditCard": "REQUIRE_CREDIT_CARD_ALWAYS"`):                                             "ask for a payment or a card",
		at(5, `, "spots_open": 1, "ticket_type_id": ["a"]`):                                                                       "are sold as tickets or on another site",
		at(5, `, "spots_open": 1, "scheduling_rule_overrides": {"first_bookable_sec": `+soon+`}`):                                 "cannot be booked at this time",
		at(5, `, "spots_open": 1, "scheduling_rule_overrides": {"last_bookable_sec": `+soon+`}`):                                  "cannot be booked at this time",
		at(5, `, "spots_open": 1, "scheduling_rule_overrides": {"last_online_cancellable_sec": `+soon+`}`):                        "could not be cancelled any more",
		at(5, `, "spots_open": 1, "ticket_type_id": [], "scheduling_rule_overrides": {"last_online_cancellable_sec": `+later+`}`): "",
	} {
		f, err := conform.ReadFeed(t.Context(), []string{feedFile(t, false, oneShard, row)}, begin)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && f.Chosen != 1 || want != "" && f.Unusable[want] != 1 {
			t.Errorf("%s: %+v, want %q", row, f, want)
		}
	}
	f, err := conform.ReadFeed(t.Context(), []string{feedFile(t, false, oneShard, strings.Replace(at(1, `, "spots_open": 1`), "00,", "01,", 1))}, begin.Add(time.Minute))
	if err != nil || f.Unusable["begin within the hour"] != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestFeedRows(t *testing.T) {
	every := fmt.Sprintf(`, "recurrence": {"repeat_every_sec": 7200, "repeat_until_sec": %d}, "schedule_exception": [{"time_range": {"begin_sec": %d, "end_sec": %d}}]}`,
		begin.Add(14*time.Hour).Unix(), begin.Add(12*time.Hour).Unix(), begin.Add(13*time.Hour).Unix())
	recurring := strings.Replace(strings.TrimSuffix(at(10, ""), "}"), `, "spots_total": 2`, "", 1) + every
	tagged := at(30, `, "spots_open": 2, "availabilityTag": "t-1", "confirmation_mode": "CONFIRMATION_MODE_ASYNCHRONOUS", "resources": {"staff_id": "s", "room_id": "r", "party_size": "4"}`)
	shards := []string{
		feedFile(t, true, `"total_shards": 2, "nonce": "7"`, recurring),
		feedFile(t, false, `"total_shards": 2, "shard_number": 1, "nonce": "7"`, tagged, at(31, `, "spots_open": 3`)),
	}
	f, err := conform.ReadFeed(t.Context(), shards, begin)
	if err != nil {
		t.Fatal(err)
	}
	if f.Slots != 5 || f.Unusable["are sold out"] != 1 || f.Chosen != 4 {
		t.Errorf("got %+v", f)
	}
	want := conform.Slot{
		MerchantID: "bistro", ServiceID: "table", StartSec: begin.Add(30 * time.Hour).Unix(), DurationSec: 3600, StaffID: "s", RoomID: "r", PartySize: 4,
		Tag: "t-1", Mode: pb.ConfirmationMode_CONFIRMATION_MODE_ASYNCHRONOUS, SpotsOpen: 2,
	}
	if !slices.Contains(f.Usable, want) {
		t.Errorf("got %+v, want %+v among them", f.Usable, want)
	}
	if len(f.Problems) != 1 || !strings.Contains(f.Problems[0], "3 is above 2") { // of the last row
		t.Errorf("problems: %q", f.Problems)
	}

	if f, err := conform.ReadFeed(t.Context(), shards[:1], begin); err != nil || len(f.Problems) != 1 || !strings.Contains(f.Problems[0], "shard 2 of 2 is missing") || f.Chosen != 2 {
		t.Errorf("got %+v, %v", f, err)
	}
}

// Of a large feed a few merchants and some hundreds of slots are used, and of
// both kinds.
func TestLargeFeed(t *testing.T) {
	var rows []string
	for i := range 20_000 {
		open := 1
		if i%1000 < 20 {
			open = 8
		}
		rows = append(rows, fmt.Sprintf(`{"merchant_id": "m%d", "service_id": "s", "start_sec": %d, "duration_sec": 60, "spots_total": 9, "spots_open": %d}`,
			i%20, begin.Unix()+10_000+int64(i), open))
	}
	f, err := conform.ReadFeed(t.Context(), []string{feedFile(t, true, oneShard, rows...)}, begin)
	if err != nil {
		t.Fatal(err)
	}
	merchants, several := map[string]bool{}, 0
	for _, s := range f.Usable {
		merchants[s.MerchantID] = true
		if s.SpotsOpen > 1 {
			several++
		}
	}
	if len(merchants) != 8 || f.Chosen > 8*600 || f.Chosen < 1000 || several == 0 || f.Slots != 20_000 {
		t.Errorf("%d merchants, %d slots, %d of them with several spots", len(merchants), f.Chosen, several)
	}
}

func TestFeedThatIsNone(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"is a merchant feed": `{"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": 1}, "merchant": []}`,
		"not a file that":    `{"rows": []}`,
		"ends in the middle": `{"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": 1}, "service_availability": [{`,
	} {
		path := filepath.Join(dir, "feed.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := conform.ReadFeed(t.Context(), []string{path}, begin); err == nil || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "unexpected EOF") {
			t.Errorf("got %+v, %v, want … %s …", f, err, name)
		}
	}
}
