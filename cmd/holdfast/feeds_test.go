package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// feedOf is a complete feed of this time.
func feedOf(generationSec int64, list string) string {
	return fmt.Sprintf(`{"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": %d}, %s}`, generationSec, list)
}

// tables is an availability feed with n future tables, an hour apart.
func tables(generationSec int64, n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"merchant_id": "bistro", "service_id": "dinner", "start_sec": %d, "duration_sec": 5400, "spots_total": 2, "spots_open": 2, "resources": {"party_size": 2}}`, ahead(9)+3600*int64(i))
	}
	return feedOf(generationSec, `"service_availability": [{"availability": [`+strings.Join(rows, ", ")+`]}]`)
}

// refused runs an import that must fail with this message and write nothing.
func (p program) refused(t *testing.T, want string, args ...string) {
	t.Helper()
	before := p.everything(t)
	r := p.run(t, append([]string{"import"}, args...)...)
	if r.status != 1 || !strings.Contains(r.err, want) {
		t.Errorf("exit status %d, want %q in\n%s", r.status, want, r.err)
	}
	if diff := cmp.Diff(before, p.everything(t)); diff != "" {
		t.Errorf("it wrote (-before +after):\n%s", diff)
	}
}

// A feed that is most likely a mistake withdraws nothing, unless the operator confirms it.
func TestImportThatWithdrawsMuch(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		const gen = 1772000000
		p.ok(t, "import", file(t, "m", merchantsFeed), file(t, "s", servicesFeed), file(t, "a", tables(gen, 10)))
		row := strings.TrimSuffix(strings.SplitN(tables(gen, 1), `"availability": [`, 2)[1], `]}]}`)
		for name, list := range map[string]string{
			"rows in the wrong place": `[` + row + `]`, "an object": `[{}]`, "nothing in a list": `[null]`, "nothing": `null`,
			"misspelt": `[{"availabilty": [` + row + `]}]`,
		} {
			t.Run(name, func(t *testing.T) {
				p.refused(t, "required", file(t, "x", feedOf(gen+1, `"service_availability": `+list)))
				p.refused(t, "required", "--allow-withdraw", file(t, "x", feedOf(gen+1, `"service_availability": `+list)))
			})
		}
		const empty = "this complete feed is empty"
		for _, list := range []string{`[]`, `[{"availability": []}]`} {
			p.refused(t, empty+", and would withdraw all of 10 slots on sale", file(t, "x", feedOf(gen+1, `"service_availability": `+list)))
		}
		p.refused(t, empty, file(t, "x", feedOf(gen+1, `"merchant": []`)))
		p.refused(t, empty, file(t, "x", feedOf(gen+1, `"service": []`)))
		p.refused(t, "this complete feed would withdraw 6 of 10 slots on sale, more than half; --allow-withdraw", file(t, "x", tables(gen+1, 4)))
		p.refused(t, "this complete feed would withdraw 1 of 1 merchants with services, more than half", file(t, "x", feedOf(gen+1, `"merchant": [{"merchant_id": "x", "name": "X"}]`)))
		p.refused(t, "this complete feed would withdraw 1 of 1 services, more than half", file(t, "x", feedOf(gen+1, `"service": [{"merchant_id": "bistro", "service_id": "lunch"}]`)))

		if out := p.ok(t, "import", file(t, "x", tables(gen+2, 5))); !strings.Contains(out, "slots 5, withdrawn 5\n") {
			t.Errorf("half of it: printed\n%s", out)
		}
		if out := p.ok(t, "import", "--allow-withdraw", file(t, "x", tables(gen+3, 1))); !strings.Contains(out, "slots 1, withdrawn 4\n") {
			t.Errorf("more than half: printed\n%s", out)
		}
		if out := p.ok(t, "import", "--allow-withdraw", file(t, "x", feedOf(gen+4, `"service_availability": []`))); !strings.Contains(out, "slots 0, withdrawn 1\n") {
			t.Errorf("all of it: printed\n%s", out)
		}
		if out := p.ok(t, "import", "--allow-withdraw", file(t, "x", feedOf(gen+4, `"service": [{"merchant_id": "bistro", "service_id": "lunch"}]`))); !strings.Contains(out, "services 1, removed 1\n") {
			t.Errorf("a service: printed\n%s", out)
		}
		if out := p.ok(t, "import", "--allow-withdraw", file(t, "x", feedOf(gen+4, `"merchant": [{"merchant_id": "x", "name": "X"}]`))); !strings.Contains(out, "merchants 1, without services from now on 1\n") {
			t.Errorf("a merchant: printed\n%s", out)
		}
		if m, err := p.open(t).Merchant(t.Context(), "bistro"); err != nil || len(m.Services) > 0 {
			t.Errorf("the merchant that is gone has %+v, %v", m, err)
		}
		p.ok(t, "verify")
	})
}

// A complete feed with the last one's time is accepted only if its content is the same. One from the future is refused, and a database that
// has accepted one earlier can recover.
func TestImportGoesByTheTimeOfFeeds(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		now := time.Now().Unix()
		inAMonth := ahead(9)
		a := tables(now-100, 10)
		p.ok(t, "import", file(t, "m", merchantsFeed), file(t, "s", servicesFeed), file(t, "a", a))
		p.refused(t, "metadata.generation_timestamp: a newer feed has been loaded already: another one that was generated at", file(t, "b", tables(now-100, 9)))
		p.refused(t, "another one that was generated at", file(t, "s", strings.Replace(servicesFeed, `"Dinner"`, `"Supper"`, 1)))
		p.refused(t, "another one that was generated at", file(t, "m", strings.Replace(merchantsFeed, `"Mapo Bistro"`, `"Bistro"`, 1)))
		p.refused(t, "another feed of the same time is in this import", file(t, "b", tables(now-50, 9)), file(t, "c", tables(now-50, 8)))
		if out := p.ok(t, "import", file(t, "m", merchantsFeed), file(t, "s", servicesFeed), file(t, "a", strings.ReplaceAll(a, ", ", ",\n"))); !strings.Contains(out, "slots 10, withdrawn 0\n") {
			t.Errorf("the same again: printed\n%s", out)
		}
		p.refused(t, "metadata.generation_timestamp: a newer feed has been loaded already: it was generated at", file(t, "b", tables(now-101, 10)))

		const ahead = "metadata.generation_timestamp: generation_timestamp lies in the future: "
		for _, sec := range []int64{now + 3600, now + 400, now * 10} {
			p.refused(t, ahead, file(t, "b", tables(sec, 10)))
			p.refused(t, ahead, file(t, "b", strings.Replace(tables(sec, 10), "AS_COMPLETE", "AS_INCREMENTAL", 1)))
			p.refused(t, ahead, file(t, "b", feedOf(sec, `"merchant": [{"merchant_id": "bistro", "name": "Bistro"}]`)))
			p.refused(t, ahead, file(t, "b", feedOf(sec, `"service": [{"merchant_id": "bistro", "service_id": "dinner"}]`)))
		}
		p.ok(t, "import", file(t, "b", tables(now+200, 10))) // a clock may be a little ahead

		// An earlier release accepted a time with one digit too many.
		p.tamper(t, "UPDATE feeds SET generation_sec = 17720000000", "UPDATE slots SET generation_sec = 17720000000 WHERE generation_sec > 0")
		newer := file(t, "c", tables(now+201, 6))
		p.refused(t, "holdfast feed-reset availability", newer)
		john := dinner("John", 2)
		john.StartSec = inAMonth
		book(t, p.open(t), john)
		if out := p.ok(t, "feed-reset", "availability"); out != "forgot the availability feed that was generated at 17720000000 (2531-07-11T14:13:20Z)\n" {
			t.Errorf("printed %q", out)
		}
		if out := p.ok(t, "import", newer); !strings.Contains(out, "slots 6, withdrawn 4\n") {
			t.Errorf("after the reset: printed\n%s", out)
		}
		for kind, feed := range map[string]string{"merchants": merchantsFeed, "services": servicesFeed} {
			p.refused(t, "holdfast feed-reset "+kind, file(t, "x", feed))
			p.ok(t, "feed-reset", kind)
			p.ok(t, "import", file(t, "x", feed))
		}
		p.ok(t, "feed-reset", "services")
		if r := p.run(t, "feed-reset", "services"); r.status != 1 || !strings.Contains(r.err, "no complete services feed has been loaded") {
			t.Errorf("again: exit status %d, %s", r.status, r.err)
		}
		if r := p.run(t, "feed-reset", "bookings"); r.status != 2 {
			t.Errorf("another kind: exit status %d, %s", r.status, r.err)
		}
		p.ok(t, "verify")
	})
}

// An interrupted import leaves rows with its time. Another feed with that time would not withdraw them, so it is refused; the same feed can
// run again.
func TestImportAfterAnInterruptedOne(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		const gen = 1772000000
		p.ok(t, "import", file(t, "m", merchantsFeed), file(t, "s", servicesFeed), file(t, "a", tables(gen, 10)))
		b := tables(gen+1, 12)
		p.ok(t, "import", file(t, "b", b))
		p.tamper(t, fmt.Sprintf("UPDATE slots SET generation_sec = %d, offered = 2 WHERE start_sec > %d", gen, ahead(9)+6*3600)) // the last rows have not been written
		p.refused(t, "another one that was generated at", file(t, "c", tables(gen+1, 8)))
		p.ok(t, "import", file(t, "b", b))
		if out := p.ok(t, "import", file(t, "d", tables(gen+2, 8))); !strings.Contains(out, "slots 8, withdrawn 4\n") {
			t.Errorf("printed\n%s", out)
		}
	})
}

// The import reports text in another encoding, and what looks like a member of a feed, with the file.
func TestImportTellsWhatMisleads(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		korean := file(t, "korean.json", strings.Replace(merchantsFeed, "Mapo Bistro", "\xb8\xb6\xc6\xf7", 1))
		p.refused(t, korean+": line 1: not UTF-8: it looks like EUC-KR or CP949", korean)
		clinic := file(t, "clinic.yaml", "merchants:\n- id: a\n  name: Caf\xe9\n")
		p.refused(t, clinic+": line 3: not UTF-8: it looks like Latin-1", clinic)

		p.ok(t, "import", file(t, "m", merchantsFeed))
		s := file(t, "s", strings.Replace(servicesFeed, `"service_id"`, `"rules": {"min_advance_booking_seconds": 60}, "service_id"`, 1))
		r := p.run(t, "import", s)
		if want := s + ": service[0].rules.min_advance_booking_seconds: warning: unknown and ignored; did you mean min_advance_booking?\n"; r.status != 0 || r.err != want || r.out != s+": services 1\n" {
			t.Errorf("exit status %d, printed\n%s%swant\n%s", r.status, r.out, r.err, want)
		}
	})
}
