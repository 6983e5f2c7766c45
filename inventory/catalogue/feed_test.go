package catalogue_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/inventory"
	"holdfast/inventory/catalogue"
)

func TestFeedsPutsShardsTogether(t *testing.T) {
	content := map[string]string{
		"slots.json":  `{` + metadata + `, "service_availability": []}`,
		"shard3.json": `{` + shard(2, 3) + `, "service": []}`,
		"ours.yaml":   "merchants: []",
		"shard1.json": `{` + shard(0, 3) + `, "service": []}`,
		"other.json":  `{` + metadata + `, "merchant": []}`,
		"shard2.json": `{` + shard(1, 3) + `, "service": []}`,
		"older.json":  `{` + strings.ReplaceAll(metadata, "1769990000", "1700000000") + `, "merchant": []}`,
	}
	var files []*catalogue.File
	var size int64
	for _, name := range []string{"slots.json", "shard3.json", "ours.yaml", "shard1.json", "other.json", "shard2.json", "older.json"} {
		files = append(files, mustFrom(t, name, content[name]))
		if strings.HasPrefix(name, "shard") {
			size += int64(len(content[name]))
		}
	}
	feeds, err := catalogue.Feeds(files)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, feed := range feeds {
		line := string(feed.Kind) + ":"
		for _, f := range feed.Files {
			line += " " + f.Path
		}
		got = append(got, line)
	}
	want := []string{
		"merchant feed: older.json",
		"merchant feed: other.json",
		"service feed: shard1.json shard2.json shard3.json",
		"availability feed: slots.json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := feeds[2].Size(); got != size {
		t.Errorf("got a size of %d bytes, want %d", got, size)
	}
	if got := feeds[2].Meta; !got.Complete || got.Nonce != "12427072415225169848" {
		t.Errorf("got %+v", got)
	}
}

func TestFeedsComplainsOfShards(t *testing.T) {
	file := func(name, metadata string) *catalogue.File {
		return mustFrom(t, name, `{`+metadata+`, "merchant": []}`)
	}
	tests := []struct {
		name  string
		files []*catalogue.File
		want  []string
	}{
		{"missing", []*catalogue.File{file("c", shard(2, 3)), file("a", shard(0, 3))}, []string{
			"a: shard 2 of 3 is missing: name all shards in one import (its shard_number is 1)"}},
		{"twice", []*catalogue.File{file("a", shard(0, 2)), file("b", shard(1, 2)), file("also-a", shard(0, 2))}, []string{
			"also-a: shard 1 of 2 is also a"}},
		{"of another count", []*catalogue.File{file("a", shard(0, 2)), file("b", shard(1, 3))}, []string{
			"b: total_shards and processing_instruction must be the same as in a"}},
		{"of another nonce", []*catalogue.File{
			file("a", shard(0, 2)),
			file("b", strings.ReplaceAll(shard(1, 2), "12427072415225169848", "1"))}, []string{
			"a: shard 2 of 2 is missing: name all shards in one import (its shard_number is 1)",
			"b: shard 1 of 2 is missing: name all shards in one import (its shard_number is 0)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := catalogue.Feeds(tt.files)
			wantProblems(t, err, tt.want...)
		})
	}
}

// merchantsOf are the merchants of a feed.
func merchantsOf(t *testing.T, feed catalogue.Feed) (merchants []inventory.Merchant, err error) {
	t.Helper()
	r, err := feed.Merchants(t.Context(), func(m inventory.Merchant) error {
		merchants = append(merchants, m)
		return nil
	})
	if err != nil { // what came before a duplicate does not count
		return nil, err
	}
	if r.Rows != len(merchants) {
		t.Errorf("counted %d merchants, got %d", r.Rows, len(merchants))
	}
	return merchants, nil
}

// servicesOf are the services of a feed.
func servicesOf(t *testing.T, feed catalogue.Feed) (services []catalogue.MerchantService, skipped int, err error) {
	t.Helper()
	r, err := feed.Services(t.Context(), known{}, func(s catalogue.MerchantService) error {
		services = append(services, s)
		return nil
	})
	if err == nil && r.Rows != len(services) {
		t.Errorf("counted %d services, got %d", r.Rows, len(services))
	}
	return services, r.Skipped, err
}

func TestMerchants(t *testing.T) {
	merchant := func(id, name string) inventory.Merchant {
		return inventory.Merchant{ID: id, Name: name, Kind: inventory.MerchantFeed, TimeZone: "UTC", Location: time.UTC}
	}
	want := []inventory.Merchant{merchant("dining-1", "Dining Eats"), merchant("dining-2", "Burger Heaven")}
	got, err := merchantsOf(t, oneFeed(t, mustOpen(t, "testdata/reservations.merchants_feed.json")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, byName); diff != "" {
		t.Errorf("Google's sample (-want +got):\n%s", diff)
	}

	feed := feedOf(t,
		`{`+shard(1, 2)+`, "merchant": [{"merchant_id": "b", "name": "B"}]}`,
		`{"merchant": [{"merchantId": 1, "name": "One"}], `+shard(0, 2)+`, "merchant": [{"merchant_id": "a", "name": "A"}]}`)
	if got, err = merchantsOf(t, feed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]inventory.Merchant{merchant("1", "One"), merchant("a", "A"), merchant("b", "B")}, got, byName); diff != "" {
		t.Errorf("shards (-want +got):\n%s", diff)
	}
}

func TestMerchantsProblems(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		want  []string
	}{
		{"all of them", []string{`{` + metadata + `, "merchant": [{"merchant_id": "a", "name": "A"}, {"name": ""}, 7, null],
			"merchant": [{"merchant_id": "a", "name": ["B"]}]}`}, []string{
			"merchant[1].merchant_id: required",
			"merchant[1].name: required",
			"merchant[2]: must be an object, not a number",
			"merchant[3]: required",
			"merchant[4].name: must be text, not a list",
			`merchant[4].merchant_id: "a" is also merchant[0].merchant_id`}},
		{"over two shards", []string{
			`{` + shard(0, 2) + `, "merchant": [{"merchant_id": "a", "name": "A"}]}`,
			`{` + shard(1, 2) + `, "merchant": [{"merchant_id": "a", "name": "A"}]}`}, []string{
			`b.json: merchant[0].merchant_id: "a" is also a.json: merchant[0].merchant_id`}},
		{"a list that is none", []string{`{` + metadata + `, "merchant": {"a": [1]}}`}, []string{"merchant: must be a list"}},
		{"another feed's rows", []string{`{` + metadata + `, "merchant": [], "service": [{}]}`}, []string{
			"service: does not belong in a merchant feed"}},
		{"a broken row, and one before", []string{`{` + metadata + `, "merchant": [{"name": "A"},` + "\n" + `{"merchant_id": x}]}`}, []string{
			"merchant[0].merchant_id: required",
			"line 2, column 17: invalid character 'x' looking for beginning of value"}},
		{"something after it", []string{`{` + shard(0, 2) + `, "merchant": []}`, `{` + shard(1, 2) + `, "merchant": []}]`}, []string{
			"b.json: line 2, column 88: invalid character ']' looking for beginning of value"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := merchantsOf(t, feedOf(t, tt.files...))
			wantProblems(t, err, tt.want...)
		})
	}
}

func TestServices(t *testing.T) {
	service := func(merchantID, id, name string, booking, canceling int64) catalogue.MerchantService {
		return catalogue.MerchantService{MerchantID: merchantID, Service: inventory.Service{
			ID: id, Name: name, MinAdvanceBookingSec: booking, MinAdvanceOnlineCancelingSec: canceling}}
	}
	tests := []struct {
		name    string
		feed    catalogue.Feed
		want    []catalogue.MerchantService
		skipped int
	}{
		{"Google's sample", oneFeed(t, mustOpen(t, "testdata/reservations.services_feed.json")), []catalogue.MerchantService{
			service("dining-1", "1000", "Reservation", 0, 0),
			service("dining-2", "1000", "Reservation", 0, 0)}, 0},
		{"Google's samples with payments and scheduling_rules", oneFeed(t, mustOpen(t, "testdata/payments.services_feed.json")), []catalogue.MerchantService{
			charging(service("merchant-1", "service-1-a", "Men's haircut", 0, 0), inventory.Charges{Price: &inventory.Price{Micros: 15000000, Currency: "USD"}}),
			charging(service("merchant-1", "service-2-b", "Spa Treatment", 0, 14400), inventory.Charges{
				Price:     &inventory.Price{Micros: 200000000, Currency: "USD"},
				NoShowFee: &inventory.Fee{Fee: &inventory.Price{Micros: 25000000, Currency: "USD"}, Type: "FIXED_RATE_DEFAULT"},
			})}, 0},
		{"rules, a clinic, no name", feedOf(t, `{`+metadata+`, "service": [
			{"merchant_id": "b", "service_id": "2", "rules": {"min_advance_booking": "3600", "min_advance_online_canceling": 86400}},
			{"merchant_id": "clinic-1", "service_id": ["not looked at"]},
			{"merchant_id": "b", "service_id": "1", "localized_service_name": null, "name": "One", "rules": {}},
			{"merchant_id": "a", "service_id": "2", "localized_service_name": {"value": "Two"}, "name": "Zwei", "rules": null}]}`), []catalogue.MerchantService{
			service("a", "2", "Two", 0, 0),
			service("b", "1", "One", 0, 0),
			service("b", "2", "", 3600, 86400)}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, skipped, err := servicesOf(t, tt.feed)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if skipped != tt.skipped {
				t.Errorf("got %d skipped, want %d", skipped, tt.skipped)
			}
		})
	}
}

func charging(s catalogue.MerchantService, c inventory.Charges) catalogue.MerchantService {
	s.Charges = c
	return s
}

func TestServicesProblems(t *testing.T) {
	_, _, err := servicesOf(t, feedOf(t, `{`+metadata+`, "service": [
		{"merchant_id": "a", "service_id": "1"},
		{"merchant_id": "a", "service_id": "1"},
		{"merchant_id": "b", "service_id": "1"},
		{"merchant_id": "nobody", "service_id": "1"},
		{"service_id": ""},
		{"merchant_id": "a", "service_id": "2", "localized_service_name": "Two", "rules": {"min_advance_booking": -1, "min_advance_online_canceling": "a day"}}
	]}`))
	wantProblems(t, err,
		"service[3].merchant_id: no such merchant",
		"service[4].merchant_id: required",
		"service[4].service_id: required",
		"service[5].localized_service_name: must be an object, not text",
		"service[5].rules.min_advance_booking: must be 0 to 316224000, not -1",
		`service[5].rules.min_advance_online_canceling: must be a whole number, not "a day"`,
		`service[1].service_id: "1" is also service[0].service_id`,
	)
}

func TestFeedOfAnotherKind(t *testing.T) {
	feed := feedOf(t, `{`+metadata+`, "service": []}`)
	if _, err := merchantsOf(t, feed); err == nil {
		t.Error("got merchants out of a service feed")
	}
	if _, err := feed.CheckAvailability(t.Context(), known{}, nil); err == nil {
		t.Error("got slots out of a service feed")
	}
	if _, _, err := servicesOf(t, catalogue.Feed{Kind: catalogue.ServiceFeed}); err == nil {
		t.Error("got services out of no file")
	}
}

func TestProblemsOfAFeedAreBounded(t *testing.T) {
	_, err := merchantsOf(t, feedOf(t, `{`+metadata+`, "merchant": [`+strings.Repeat("{},", 5000)+`{}]}`))
	var problems catalogue.Problems
	ok := errors.As(err, &problems)
	if !ok || len(problems) != 1001 || problems[1000].String() != "stopped after 1000 problems" {
		t.Errorf("got %d problems", len(problems))
	}
}

// Progress counts the bytes as they are stored, so that it ends at the size.
func TestProgress(t *testing.T) {
	var files []*catalogue.File
	for i := range 2 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		content := zip(t, `{`+shard(i, 2)+`, "merchant": [`+strings.Repeat(`{"merchant_id": "", "x": 1},`, 100)+`{}]}`)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, mustOpen(t, path))
	}
	feed := oneFeed(t, files...)
	var last int64
	feed.Progress = func(bytes int64) {
		if bytes < last {
			t.Errorf("went back from %d to %d", last, bytes)
		}
		last = bytes
	}
	if _, err := merchantsOf(t, feed); err == nil {
		t.Error("got no problems")
	}
	if last != feed.Size() || last == 0 {
		t.Errorf("got %d bytes at the end, want %d", last, feed.Size())
	}
}

// A damaged file is noticed on the way, however late.
func TestDamagedGzip(t *testing.T) {
	var rows strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&rows, `{"merchant_id": "%d", "name": "A"},`, i)
	}
	content := zip(t, `{`+metadata+`, "merchant": [`+rows.String()+`{"merchant_id": "z", "name": "Z"}]}`)
	read := func(content []byte) error {
		f, err := from("x", content)
		if err != nil {
			t.Fatal(err)
		}
		_, err = merchantsOf(t, oneFeed(t, f))
		return err
	}
	if err := read(content); err != nil {
		t.Errorf("whole: %v", err)
	}
	if err := read(content[:len(content)*3/4]); err == nil || !strings.Contains(err.Error(), "the file ends in the middle") {
		t.Errorf("half of it: got %v", err)
	}
	content[len(content)-8]++ // the checksum
	if err := read(content); err == nil || err.Error() != "x: gzip: invalid checksum" {
		t.Errorf("a wrong checksum: got %v", err)
	}
}
