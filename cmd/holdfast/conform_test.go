package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/conform"
)

// conformFeeds are feeds of a restaurant and a studio for the next days in real time, which the server uses.
func conformFeeds(t *testing.T) (merchants, services, slots string) {
	t.Helper()
	now := time.Now()
	meta := fmt.Sprintf(`"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": %d}`, now.Unix()-1)
	first := now.Truncate(24*time.Hour).AddDate(0, 0, 3)
	var rows []string
	for day := range 6 {
		for hour := range 10 {
			start := first.AddDate(0, 0, day).Add(time.Duration(8+hour) * time.Hour).Unix()
			for _, row := range []string{
				`"bistro", "service_id": "dinner", "start_sec": "%d", "duration_sec": "5400", "spots_total": "2", "spots_open": "1", "resources": {"party_size": 2}`,
				`"studio", "service_id": "lesson", "start_sec": %d, "duration_sec": 1800, "spots_total": 1, "spots_open": 1, "availability_tag": "a1", "resources": {"staff_id": "anna", "staff_name": "Anna"}`,
				`"studio", "service_id": "class", "start_sec": %d, "duration_sec": 3600, "spots_total": 6, "spots_open": 4, "confirmation_mode": "CONFIRMATION_MODE_SYNCHRONOUS"`,
			} {
				rows = append(rows, `{"merchant_id": `+fmt.Sprintf(row, start)+`}`)
			}
		}
	}
	merchants = file(t, "merchants.json", `{`+meta+`, "merchant": [{"merchant_id": "bistro", "name": "Mapo Bistro"}, {"merchant_id": "studio", "name": "Studio"}]}`)
	services = file(t, "services.json", `{`+meta+`, "service": [
		{"merchant_id": "bistro", "service_id": "dinner", "localized_service_name": {"value": "Dinner"}, "rules": {"min_advance_online_canceling": 7200}},
		{"merchant_id": "studio", "service_id": "lesson", "localized_service_name": {"value": "Lesson"}},
		{"merchant_id": "studio", "service_id": "class", "localized_service_name": {"value": "Class"}}]}`)
	slots = file(t, "availability.json", `{`+meta+`, "service_availability": [{"availability": [`+strings.Join(rows, ",\n")+`]}]}`)
	return merchants, services, slots
}

// Our own server passes the whole rehearsal, and nothing of it is left.
func TestConform(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		merchants, services, slots := conformFeeds(t)
		p.ok(t, "import", merchants, services, slots)
		s := p.serve(t, "--google-credentials", googleCredentials)
		defer s.stop(t)
		args := []string{"conform", s.url, "--credentials", googleCredentials, "--feed", slots}

		r := p.run(t, args...)
		for _, want := range []string{"Of 15 groups 15 passed, 0 partly tested, 0 not tested, 0 failed.", "cancelled, 0 left"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("not printed: %s\n%s%s", want, r.out, r.err)
			}
		}
		if r.status != 0 || !strings.Contains(r.err, "latency      passed") || strings.Contains(r.out+r.err, "s3cret") {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}

		quick := p.run(t, append(args, "--json", "--groups", "race,cancel", "--guests-prefix", "acme")...)
		var report conform.Report
		if err := json.Unmarshal([]byte(quick.out), &report); err != nil {
			t.Fatalf("%v\n%s", err, quick.out)
		}
		if len(report.Groups) != 2 || report.Count(conform.Passed) != 2 || !strings.HasPrefix(report.Run, "acme-") || quick.status != 0 {
			t.Errorf("exit status %d, %+v", quick.status, report)
		}
		var listed []struct{ State string }
		must(t, json.Unmarshal([]byte(p.ok(t, "bookings", "--json")), &listed))
		if i := slices.IndexFunc(listed, func(b struct{ State string }) bool { return b.State != "CANCELED" }); i >= 0 {
			t.Errorf("booking %d of %d stands: %+v", i, len(listed), listed[i])
		}
		p.ok(t, "verify")
	})
}

func TestConformExitStatus(t *testing.T) {
	_, _, slots := conformFeeds(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "broken", http.StatusInternalServerError)
	}))
	t.Cleanup(broken.Close)
	for _, test := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"two groups fail", []string{broken.URL, "--credentials", "a:b", "--feed", slots, "--groups", "health,auth"}, 2, "2 failed"},
		{"nobody answers", []string{"http://127.0.0.1:1", "--credentials", "a:b", "--feed", slots}, 101, "does not answer"},
		{"there is no feed", []string{broken.URL, "--credentials", "a:b", "--feed", "nowhere.json"}, 101, "--feed: "},
		{"there is no such group", []string{broken.URL, "--credentials", "a:b", "--feed", slots, "--groups", "helth"}, 101, "no group \"helth\""},
		{"an argument is missing", []string{broken.URL}, 2, "missing flags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, err bytes.Buffer
			if status := run(t.Context(), append([]string{"conform"}, test.args...), &out, &err); status != test.status || !strings.Contains(out.String()+err.String(), test.says) {
				t.Errorf("exit status %d, want %d with %s\n%s%s", status, test.status, test.says, &out, &err)
			}
		})
	}
}

// The help and the document name every group, and the document every rule of its
// sample.
func TestConformIsDocumented(t *testing.T) {
	var help, none bytes.Buffer
	run(t.Context(), []string{"conform", "--help"}, &help, &none)
	plain := regexp.MustCompile(`\s+`).ReplaceAllString(help.String(), " ")
	if want := strings.Join(conform.GroupIDs(), ", "); !strings.Contains(plain, want) {
		t.Errorf("--help does not have %s:\n%s", want, &help)
	}
	text, err := os.ReadFile("../../docs/conform.md")
	must(t, err)
	for _, id := range conform.GroupIDs() {
		if !strings.Contains(string(text), "| `"+id+"` |") {
			t.Errorf("docs/conform.md does not have the group %s", id)
		}
	}
	for _, variable := range regexp.MustCompile(`HOLDFAST_[A-Z_]+`).FindAllString(string(text), -1) {
		if !strings.Contains(help.String(), variable) {
			t.Errorf("docs/conform.md has %s, and --help has not", variable)
		}
	}
}
