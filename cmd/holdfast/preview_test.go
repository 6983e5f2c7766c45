package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/storage/storagetest"
)

// everything returns the whole database, except what an import may always change.
func (p program) everything(t *testing.T) map[string]string {
	t.Helper()
	dump, err := storagetest.DumpAll(p.database)
	if err != nil {
		t.Fatal(err)
	}
	return dump
}

// A dry run shows what the import then does, and writes nothing. Both list the affected visits.
func TestImportDryRun(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		john := book(t, db, guest("John", ahead(9)))
		jane := guest("Jane", ahead(9))
		jane.StaffID = seoulKim
		kims := book(t, db, jane)
		before := p.everything(t)

		changed := file(t, "changed.yaml", strings.NewReplacer(
			"capacity: 2", "capacity: 1",
			"name: 서울 피부과", "name: 서울 의원",
			"    staff:\n      - {id: 65c000000000000000000001, name: 김의사, role: DOCTOR, exclusive: true}\n", "",
			"services:\n      - {id: skin-care", "services:\n      - {id: peeling, group_id: 65b000000000000000000001, duration_sec: 1800}\n      - {id: skin-care",
		).Replace(catalogue2))
		day := day(ahead(9))
		visits := "  visit " + john.ScheduleID + " " + day + " 09:00–10:00: over capacity\n" +
			"  visit " + kims.ScheduleID + " " + day + " 09:00–10:00: doctor gone, over capacity\n"
		want := changed + ": clinic seoul: differences 4, visits affected 2\n" +
			"  changed clinic seoul: name: 서울 피부과 → 서울 의원\n" +
			"  changed zone 65a000000000000000000001 of group 65b000000000000000000001: capacity: 2 → 1\n" +
			"  added service peeling\n" +
			"  removed staff 65c000000000000000000001\n" + visits +
			changed + ": clinic new-york: differences 0, visits affected 0\n" +
			"nothing was written\n"
		if diff := cmp.Diff(want, p.ok(t, "import", "--dry-run", changed)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(before, p.everything(t)); diff != "" {
			t.Errorf("a dry run wrote (-before +after):\n%s", diff)
		}
		want = changed + ": clinic seoul: zones 1, groups 1, staff 0, services 2, offers 0\n" + visits +
			changed + ": clinic new-york: zones 1, groups 1, staff 0, services 1, offers 0\n"
		if diff := cmp.Diff(want, p.ok(t, "import", changed)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if again := p.ok(t, "import", changed); again != strings.ReplaceAll(want, "over capacity\n", "over capacity (as before)\n") {
			t.Errorf("the second time:\n%s", again)
		}
		p.ok(t, "verify")

		// It shows refusals together with everything else.
		r := p.run(t, "import", "--dry-run", file(t, "c", strings.Replace(catalogue2, "interval_minutes: 30", "interval_minutes: 20", 1)))
		if r.status != 1 || !strings.Contains(r.out, "interval: 1800 s → 1200 s") || !strings.Contains(r.err, john.ScheduleID) || !strings.Contains(r.err, "interval") {
			t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
	})
}

// A dry run of feeds counts what would be added, changed and withdrawn.
func TestImportDryRunOfFeeds(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		slots := strings.ReplaceAll(slotsFeed, "1772445600", "2066115600")
		m, s, a := file(t, "m", merchantsFeed), file(t, "s", servicesFeed), file(t, "a", slots)
		empty := p.everything(t)
		want := m + ": merchants added 1, kept 0, without services from now on 0\n" +
			s + ": services added 1, kept 0, removed 0\n" + a + ": slots added 2, changed 0, kept 0, withdrawn 0\nnothing was written\n"
		if diff := cmp.Diff(want, p.ok(t, "import", "--dry-run", m, s, a)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(empty, p.everything(t)); diff != "" {
			t.Errorf("a dry run wrote (-before +after):\n%s", diff)
		}
		p.ok(t, "import", m, s, a)
		before := p.everything(t)
		newer := strings.NewReplacer("1772000000", "1772400000", `"spots_open": 3`, `"spots_open": 4`,
			`"party_size": 2}}`, `"party_size": 2}}, {"merchant_id": "bistro", "service_id": "dinner", "start_sec": 2066119200, "duration_sec": 5400, "spots_total": 1, "spots_open": 1}`,
		).Replace(slots)
		newerFile := file(t, "newer", newer)
		want = newerFile + ": slots added 1, changed 1, kept 1, withdrawn 0\nnothing was written\n"
		if diff := cmp.Diff(want, p.ok(t, "import", "--dry-run", newerFile)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		fewer := file(t, "fewer", strings.Replace(slots[:strings.Index(slots, ",\n\t\t{\"merchant_id\": \"bistro\", \"service_id\": \"dinner\", \"start_sec\": 2066115600, \"duration_sec\": 3600")]+"]}]}", "1772000000", "1772400000", 1))
		want = fewer + ": slots added 0, changed 0, kept 1, withdrawn 1\nnothing was written\n"
		if diff := cmp.Diff(want, p.ok(t, "import", "--dry-run", fewer)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		none := file(t, "none", strings.NewReplacer("1772000000", "1772400000", `"merchant_id": "bistro", "name": "Mapo Bistro"`, `"merchant_id": "other", "name": "Other"`).Replace(merchantsFeed))
		want = none + ": merchants added 1, kept 0, without services from now on 1\nnothing was written\n"
		if diff := cmp.Diff(want, p.ok(t, "import", "--dry-run", "--allow-withdraw", none)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		r := p.run(t, "import", "--dry-run", none) // tells all the same
		if refused := none + ": this complete feed would withdraw 1 of 1 merchants with services, more than half"; r.status != 1 || r.out != want || !strings.Contains(r.err, refused) {
			t.Errorf("exit status %d, printed\n%s%s", r.status, r.out, r.err)
		}
		if diff := cmp.Diff(before, p.everything(t)); diff != "" {
			t.Errorf("a dry run wrote (-before +after):\n%s", diff)
		}
	})
}
