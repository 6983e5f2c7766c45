package catalogue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"holdfast/inventory"
	"holdfast/inventory/catalogue"
)

// Text that is not UTF-8 is refused, wherever it is, with its line and its likely encoding.
func TestTextIsUTF8(t *testing.T) {
	// 강남피부과, and 똠방각하, of which only CP949 has the first letter.
	const eucKR, cp949 = "\xb0\xad\xb3\xb2\xc7\xc7\xba\xce\xb0\xfa", "\x8c\x63\xb9\xe6\xb0\xa2\xc7\xcf"
	merchants := func(name string) string {
		return "{" + metadata + ",\n \"merchant\": [{\"merchant_id\": \"a\",\n  \"name\": \"" + name + "\"}]}"
	}
	clinics := func(name string) string {
		return "merchants:\n  - id: a\n    name: \"" + name + "\"\n"
	}
	wide := func(s string, order []int, mark bool) string {
		var b []byte
		units := utf16.Encode([]rune(s))
		if mark {
			units = append([]uint16{0xfeff}, units...)
		}
		for _, u := range units {
			pair := [2]byte{byte(u >> 8), byte(u)}
			b = append(b, pair[order[0]], pair[order[1]])
		}
		return string(b)
	}
	big, little := []int{0, 1}, []int{1, 0}
	for _, tt := range []struct{ name, content, want string }{
		{"EUC-KR", merchants(eucKR), "line 3: not UTF-8: it looks like EUC-KR or CP949"},
		{"CP949", merchants(cp949), "line 3: not UTF-8: it looks like EUC-KR or CP949"},
		{"EUC-KR in YAML", clinics(eucKR), "line 3: not UTF-8: it looks like EUC-KR or CP949"},
		{"EUC-KR in an id", strings.Replace(merchants("A"), `"a"`, `"`+eucKR+`"`, 1), "line 2: not UTF-8: it looks like EUC-KR or CP949"},
		{"Latin-1", merchants("Caf\xe9 M\xfcller"), "line 3: not UTF-8: it looks like Latin-1"},
		{"Windows-1252", merchants("it\x92s"), "line 3: not UTF-8: it looks like Latin-1 or Windows-1252"},
		{"the last letter", merchants("A") + "\n\n\xe9", "line 5: not UTF-8: it looks like Latin-1"},
		{"half a letter at the end", merchants("A") + "\n\xe2\x82", "line 4: not UTF-8"},
		{"CESU-8", merchants("\xed\xa0\xbd\xed\xb8\x80"), "line 3: not UTF-8: it looks like CESU-8"},
		{"ISO-2022-KR", merchants("\x1b$)C\x0e0-3;\x0f"), "line 3: not UTF-8: it looks like ISO-2022"},
		{"UTF-16, big end first", wide(merchants("강남"), big, false), "line 1: not UTF-8: it looks like UTF-16"},
		{"UTF-16, little end first", wide(merchants("강남"), little, false), "line 1: not UTF-8: it looks like UTF-16"},
		{"UTF-16 with a mark, big end first", wide(merchants("강남"), big, true), "line 1: not UTF-8: it looks like UTF-16"},
		{"UTF-16 with a mark, little end first", wide(merchants("강남"), little, true), "line 1: not UTF-8: it looks like UTF-16"},
		{"UTF-16 in YAML", wide(clinics("강남"), little, true), "line 1: not UTF-8: it looks like UTF-16"},
		{"UTF-32", "\xff\xfe\x00\x00{\x00\x00\x00", "line 1: not UTF-8: it looks like UTF-32"},
		{"far down", merchants(strings.Repeat("강", 300)) + strings.Repeat(" \n", 100_000) + "\xff", "line 100003: not UTF-8"},
		{"a surrogate by itself", merchants(`\ud83d`), "merchant[0].name: contains U+FFFD"},
		{"what was lost before", merchants("\uFFFD"), "merchant[0].name: contains U+FFFD"},
		{"what was lost in an id", strings.Replace(merchants("A"), `"a"`, `"\ud83d"`, 1), "merchant[0].merchant_id: contains U+FFFD"},
	} {
		for _, zipped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gzip %t", tt.name, zipped), func(t *testing.T) {
				content := []byte(tt.content)
				if zipped {
					content = zip(t, tt.content)
				}
				if err := readAll(t.Context(), content); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			})
		}
	}
	for _, s := range []string{"강남피부과", "😀 é"} {
		if err := readAll(t.Context(), []byte(merchants(s))); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// readAll reads a file of any kind, as an import does.
func readAll(ctx context.Context, content []byte) error {
	f, err := from("x", content)
	if err != nil {
		return err
	}
	if f.Kind == catalogue.Clinics {
		_, err := f.Clinics(ctx)
		return err
	}
	feeds, err := catalogue.Feeds([]*catalogue.File{f})
	if err != nil {
		return err
	}
	switch f.Kind {
	case catalogue.MerchantFeed:
		_, err = feeds[0].Merchants(ctx, func(inventory.Merchant) error { return nil })
	case catalogue.ServiceFeed:
		_, err = feeds[0].Services(ctx, known{}, func(catalogue.MerchantService) error { return nil })
	default:
		_, err = feeds[0].CheckAvailability(ctx, known{}, nil)
	}
	return err
}

// What is too large is refused before anything is built from it.
func TestBounds(t *testing.T) {
	laughs := func(innermost string) string {
		s := "x:\n  - &a0 " + innermost + "\n"
		for i := range 20 {
			s += fmt.Sprintf("  - &a%d [%s*a%d]\n", i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
		}
		return s
	}
	var keys strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	long := strings.Repeat("a", 1<<20)
	for _, tt := range []struct{ name, content, want string }{
		{"nested brackets", "merchants: " + strings.Repeat("[", 65), "nested too deeply"},
		{"nested braces", "merchants: " + strings.Repeat("{a: ", 65), "nested too deeply"},
		{"nested dashes", "merchants:\n" + strings.Repeat("- ", 65) + "a", "nested too deeply"},
		{"nested keys", "merchants:\n" + nested(65), "nested too deeply"},
		{"nested question marks", "merchants:\n" + strings.Repeat("? ", 65) + "a", "nested too deeply"},
		{"brackets that comments and texts seem to close", "merchants: " + strings.Repeat("[ \"]\", # ]\n ", 65), "nested too deeply"},
		{"tags of tags", "merchants: " + strings.Repeat("!a ", 65) + "a", "nested too deeply"},
		{"anchors of anchors", "merchants: " + strings.Repeat("&a ", 65) + "a", "nested too deeply"},
		{"an alias of aliases", laughs("[a]") + "merchants: [*a20]", "more than 100000 values"},
		{"an alias of aliases, merged", laughs("{a: b}") + "merchants: [{<<: *a20}]", "more than 100000 values"},
		{"keys", "merchants: []\n" + keys.String(), "an object of more than 1000 keys"},
		{"keys in braces", "merchants: {" + strings.ReplaceAll(keys.String(), "\n", ", ") + "}", "an object of more than 1000 keys"},
		{"tokens", "merchants: [" + strings.Repeat("[],", 40_000) + "]", "more than 100000 tokens"},
		{"signs", "merchants: [" + strings.Repeat("[],", 101_000) + "]", "more than 300000 signs and lines"},
		{"a catalogue in YAML", "merchants: []\n" + strings.Repeat("# a long comment\n", 250_000), "a catalogue of more than 4 MiB"},
		{"values", `{"merchants": [` + strings.Repeat("[],", 200_000) + `[]]}`, "more than 100000 values"},
		{"a catalogue in JSON", `{"merchants": [` + strings.Repeat(`"`+long[:1000<<10]+`", `, 17) + `""]}`, "a catalogue of more than 16 MiB"},
		{"a text", `{"merchants": "` + long + `"}`, "a value of more than 1 MiB"},
		{"blanks", `{"merchants": ` + strings.Repeat(" \n", 1<<20) + `[]}`, "a value of more than 1 MiB"},
		{"a key", `{"merchants": {"` + long + `": 1}}`, "a value of more than 1 MiB"},
		{"metadata", `{"merchant": [], "metadata": "` + long + `"}`, "a value of more than 1 MiB"},
		{"a number", `{"x": 1` + strings.Repeat("0", 1<<20) + `, "merchant": [], ` + metadata + `}`, "a value of more than 1 MiB"},
		{"what is not read", `{` + metadata + `, "merchant": [], "x": {"y": ["` + long + `"]}}`, "a value of more than 1 MiB"},
		{"a row", `{` + metadata + `, "merchant": [{"x": [` + strings.Repeat("{},", 400_000) + `{}]}]}`, "a value of more than 1 MiB"},
		{"a long key and a long value", `{"merchants": [{"\u001b` + long[:1<<19] + `": "", "zones": "` + long[:1<<19] + `"}]}`, "merchants[0].\"\\x1b" + long[:63] + "…\": unknown key"},
		{"a name", `{` + metadata + `, "merchant": [{"merchant_id": "a", "name": "` + long[:1025] + `"}]}`, "merchant[0].name: longer than 1024 bytes"},
		{"a pattern", "merchants: [{id: a, name: A, guests: {name_pattern: '(abcdefghijklmnopqrst){1000}'}}]", "merchants[0].guests.name_pattern: stands for more than 10000 steps"},
		{"zones", "{\"merchants\": [{\"id\": \"a\", \"name\": \"A\", \"zones\": [" + strings.Repeat("{},", 1000) + "{}]}]}", "merchants[0].zones: more than 1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := readAll(t.Context(), []byte(tt.content)); err == nil || !strings.Contains(err.Error(), tt.want) {
				text := fmt.Sprint(err)
				t.Errorf("got %.300s, want %q", text, tt.want)
			}
		})
	}

	// And what is not too much is read.
	const clinic = "merchants:\n- id: a\n  name: A\n  zones:\n"
	var zones strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&zones, "  - {id: %024x, name: \"[{[{ &a *a %d\"}\n", i, i)
	}
	if err := readAll(t.Context(), []byte(clinic+zones.String())); err != nil {
		t.Errorf("1,000 zones: %v", err)
	}
	aliases := "merchants:\n- id: a\n  name: A\n  staff:\n  - {id: 65c000000000000000000000, name: Kim, timetable: &week {monday: {start: \"09:00\", end: \"18:00\"}}}\n"
	for i := range 1000 {
		aliases += fmt.Sprintf("  - {id: %024x, name: Lee, timetable: *week}\n", i+1)
	}
	if err := readAll(t.Context(), []byte(aliases)); err != nil {
		t.Errorf("an alias a thousand times: %v", err)
	}
	if err := readAll(t.Context(), []byte(`{`+metadata+strings.Repeat(`, "x": "`+long[:1<<19]+`"`, 10)+`, "merchant": [{"merchant_id": "a", "name": "A", "terms": "`+long[:1<<19]+`"}]}`)); err != nil {
		t.Errorf("half a megabyte of terms: %v", err)
	}
}

// nested is a text of n keys, each nested in the one before.
func nested(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i+1) + "a:\n")
	}
	return b.String()
}

// Reading ends with its context, wherever it is.
func TestReadingEndsWithItsContext(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for name, content := range map[string]string{
		"a feed":              `{` + metadata + `, "merchant": [{"merchant_id": "a", "name": "A"}]}`,
		"slots":               availability(slot(`"spots_total": 1`)),
		"a catalogue":         "merchants: []",
		"a catalogue in JSON": `{"merchants": []}`,
	} {
		if err := readAll(ended, []byte(content)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A feed with more rows than fit into memory is checked like any other: they are sorted on disk.
func TestDuplicatesAmongMillions(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var rows strings.Builder
	for i := range 1000 {
		if i > 0 {
			rows.WriteString(",")
		}
		fmt.Fprintf(&rows, `{"merchant_id": "m", "service_id": "s%d", "start_sec": 1770000000, "duration_sec": 600, "recurrence": {"repeat_every_sec": 120, "repeat_until_sec": 1770086400}}`, i)
	}
	const perRow = 721
	read := func(more string) (catalogue.Report, int, error) {
		ascending := true
		var last inventory.SlotKey
		n := 0
		r, err := feedOf(t, availability(rows.String()+more)).CheckAvailability(t.Context(), known{}, func(k inventory.SlotKey) error {
			ascending = ascending && (n == 0 || last.Compare(k) < 0)
			last = k
			n++
			return nil
		})
		if !ascending {
			t.Error("the slots are not in order")
		}
		return r, n, err
	}
	r, n, err := read("")
	if err != nil || r.Rows != 1000*perRow || n != r.Rows {
		t.Errorf("got %d slots, was given %d, %v", r.Rows, n, err)
	}
	_, _, err = read(`, {"merchant_id": "m", "service_id": "s7", "start_sec": 1770000240, "duration_sec": 600, "spots_total": 1}`)
	wantProblems(t, err, "service_availability[0].availability[1000]: the same slot as service_availability[0].availability[7] (merchant, service, start, duration and resources)")
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	if _, _, err := read(""); err == nil || !strings.Contains(err.Error(), "a feed of this size needs a place to sort its rows") {
		t.Errorf("without a place: %v", err)
	}
}

// The digest depends on a feed's content, and not on how it is written.
func TestDigest(t *testing.T) {
	a := `{"merchant_id": "m", "service_id": "s", "start_sec": 1770000000, "duration_sec": 600, "spots_total": 2, "spots_open": 1}`
	b := strings.Replace(a, "1770000000", "1770000600", 1)
	digest := func(contents ...string) string {
		r, err := feedOf(t, contents...).CheckAvailability(t.Context(), known{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Digest
	}
	one := digest(availability(a + "," + b))
	for name, same := range map[string]string{
		"another order": digest(availability(b + "," + a)),
		"two files":     digest(`{`+shard(0, 2)+`, "service_availability": [{"availability": [`+b+`]}]}`, `{`+shard(1, 2)+`, "service_availability": [{"availability": [`+a+`]}]}`),
		"another hand":  digest(availability(strings.ReplaceAll(a, "start_sec", "startSec") + ",\n\n" + strings.ReplaceAll(b, ": 600,", `: "600",`))),
	} {
		if same != one {
			t.Errorf("%s: another digest", name)
		}
	}
	for name, other := range map[string]string{
		"a row less":   digest(availability(a)),
		"a spot less":  digest(availability(a + "," + strings.Replace(b, `"spots_open": 1`, `"spots_open": 0`, 1))),
		"other terms":  digest(availability(a + "," + strings.Replace(b, `}`, `, "confirmation_mode": "CONFIRMATION_MODE_ASYNCHRONOUS"}`, 1))),
		"another time": digest(availability(a + "," + strings.Replace(b, "1770000600", "1770000601", 1))),
	} {
		if other == one {
			t.Errorf("%s: the same digest", name)
		}
	}
}

// Members that look like others cause one warning, with the first place; other unknown ones are Google's business.
func TestWarnings(t *testing.T) {
	warnings := func(err error, r catalogue.Report) []string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, w := range r.Warnings {
			lines = append(lines, w.String())
		}
		return lines
	}
	services := func(members string) []string {
		r, err := feedOf(t, `{`+metadata+`, "service": [{"merchant_id": "a", "service_id": "1", `+members+`}]}`).Services(t.Context(), known{}, func(catalogue.MerchantService) error { return nil })
		return warnings(err, r)
	}
	rows := func(members string) []string {
		r, err := feedOf(t, availability(slot(`"spots_total": 1, "spots_open": 1, `+members)+","+strings.Replace(slot(`"spots_total": 1, "spots_open": 1, `+members), "1770000000", "1770009000", 1))).CheckAvailability(t.Context(), known{}, nil)
		return warnings(err, r)
	}
	const row, service, twice = "service_availability[0].availability[0].", "service[0].", " (and so at 1 other places)"
	did := func(path, meant string) string { return path + ": unknown and ignored; did you mean " + meant + "?" }
	for _, tt := range []struct {
		name string
		got  []string
		want string // in the only warning; "" if there is none
	}{
		{"ConfirmationMode", rows(`"ConfirmationMode": "CONFIRMATION_MODE_ASYNCHRONOUS"`), did(row+"ConfirmationMode", "confirmation_mode") + twice},
		{"confirmationMode", rows(`"confirmationMode": "CONFIRMATION_MODE_ASYNCHRONOUS"`), ""},
		{"confirmation-mode", rows(`"confirmation-mode": "x"`), did(row+"confirmation-mode", "confirmation_mode") + twice},
		{"recurence", rows(`"recurence": {}`), did(row+"recurence", "recurrence") + twice},
		{"scheduling_rules_override", rows(`"scheduling_rules_overrides": {}`), did(row+"scheduling_rules_overrides", "scheduling_rule_overrides") + twice},
		{"start_time", rows(`"start_time": "2026-01-01"`), did(row+"start_time", "start_sec") + twice},
		{"staffId at another depth", rows(`"resources": {"staffid": "x"}`), did(row+"resources.staffid", "staff_id") + twice},
		{"a word of Google's", rows(`"availability_tag": "x", "ticket_type_id": [], "duration_requirement": "x", "resources": {"staff_name": "x", "room_name": "y"}`), ""},
		{"a word of nobody's", rows(`"colour": "red", "x_ref": 1`), ""},
		{"a unit", services(`"rules": {"min_advance_booking_seconds": 3600}`), did(service+"rules.min_advance_booking_seconds", "min_advance_booking")},
		{"another unit", services(`"rules": {"minAdvanceOnlineCancelingSec": 3600}`), did(service+"rules.min_advance_online_canceling_sec", "min_advance_online_canceling")},
		{"British", services(`"rules": {"min_advance_online_cancelling": 3600}`), did(service+"rules.min_advance_online_cancelling", "min_advance_online_canceling")},
		{"rule", services(`"rule": {}`), did(service+"rule", "rules")},
		{"Google's money", services(`"price": {"currency_code": "KRW", "units": "5"}`), did(service+"price.units", "price_micros")},
		{"Google's small money", services(`"no_show_fee": {"fee": {"currency_code": "KRW", "nanos": 5}}`), did(service+"no_show_fee.fee.nanos", "price_micros")},
		{"a service of Google's", services(`"description": "x", "localized_description": {}, "prepayment_type": "REQUIRED", "rating": {}, "rules": {"cancellation_policy": {}}`), ""},
	} {
		if got := strings.Join(tt.got, "\n"); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
	r, err := feedOf(t, `{`+metadata+`, "service_availabilty": [], "service_availability": [{"availability": [], "availabilities": [], "availabilty": []}]}`).CheckAvailability(t.Context(), known{}, nil)
	want := did("service_availabilty", "service_availability") + "\n" + did("service_availability[0].availabilty", "availability")
	if got := strings.Join(warnings(err, r), "\n"); got != want {
		t.Errorf("lists: got\n%s\nwant\n%s", got, want)
	}
}

// The lists that contain rows are required, and an object in place of such a list is not a row.
func TestRowsInTheWrongPlace(t *testing.T) {
	row := slot(`"spots_total": 1, "spots_open": 1`)
	for _, tt := range []struct {
		list string
		want []string
	}{
		{`[` + row + `]`, []string{"service_availability[0].availability: required: the rows stand in it"}},
		{`[{}]`, []string{"service_availability[0].availability: required: the rows stand in it"}},
		{`[{"availabilty": [` + row + `]}]`, []string{"service_availability[0].availability: required: the rows stand in it"}},
		{`[{"availability": null}]`, []string{"service_availability[0].availability: required"}},
		{`[{"availability": [null]}]`, []string{"service_availability[0].availability[0]: required"}},
		{`[{"availability": [[` + row + `]]}]`, []string{"service_availability[0].availability[0]: must be an object, not a list"}},
		{`[null]`, []string{"service_availability[0]: required"}},
		{`null`, []string{"service_availability: required"}},
		{`{"availability": [` + row + `]}`, []string{"service_availability: must be a list"}},
	} {
		_, err := feedOf(t, `{`+metadata+`, "service_availability": `+tt.list+`}`).CheckAvailability(t.Context(), known{}, nil)
		t.Log(tt.list)
		wantProblems(t, err, tt.want...)
	}
	_, err := merchantsOf(t, feedOf(t, `{`+metadata+`, "merchant": null}`))
	wantProblems(t, err, "merchant: required")
	_, _, err = servicesOf(t, feedOf(t, `{`+metadata+`, "service": null}`))
	wantProblems(t, err, "service: required")
}

func TestLossRefused(t *testing.T) {
	for _, tt := range []struct {
		loss catalogue.Loss
		want bool
	}{
		{catalogue.Loss{}, false},
		{catalogue.Loss{OnSale: 2, Withdrawn: 1}, false},
		{catalogue.Loss{OnSale: 3, Withdrawn: 2}, true},
		{catalogue.Loss{OnSale: 1000, Withdrawn: 500}, false},
		{catalogue.Loss{OnSale: 1000, Withdrawn: 501}, true},
		{catalogue.Loss{OnSale: 1, Withdrawn: 1}, true},
		{catalogue.Loss{Empty: true}, true},
		{catalogue.Loss{OnSale: 5, Empty: true}, true},
	} {
		if got := tt.loss.Refused() != nil; got != tt.want {
			t.Errorf("%+v: refused %t", tt.loss, got)
		}
	}
}
