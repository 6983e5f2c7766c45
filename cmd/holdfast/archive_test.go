package main

import (
	"compress/gzip"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/booking"
	"holdfast/storage/storagetest"
)

// archives are the files in a directory, oldest first.
func archives(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	return names
}

// unzipped is the text of an archive.
func unzipped(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	text, err := io.ReadAll(z)
	must(t, err)
	return string(text)
}

// A visit is booked, has been, is erased and is archived: then it is in a file that only
// its owner can read, without a trace of the guest, and nowhere in the database, which
// keeps its promises. What is to come stays.
func TestArchiveCommand(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		const canary = "kanarienvogel"
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		visit := guest(canary, at(9, 0)) // in March 2026: past, by the real time
		visit.AdditionalRequest = canary
		john := book(t, db, visit)
		must(t, service(db).Change(t.Context(), booking.Change{
			By: booking.By{Actor: booking.ByDesk}, MerchantID: "seoul", ScheduleID: john.ScheduleID, ZoneID: seoulBed, Memo: booking.Set(canary),
			Items: []booking.Item{{GroupID: seoulGroup, ZoneID: seoulBed, StartSec: at(10, 0), EndSec: at(11, 0)}},
		}))
		book(t, db, guest("Jane", ahead(9)))
		dir := filepath.Join(t.TempDir(), "archive")
		run := func(want string, args ...string) {
			t.Helper()
			r := p.run(t, append([]string{"archive", "--dir", dir, "--after", "1000h"}, args...)...)
			if r.status != 0 || r.out != want {
				t.Errorf("%v: exit status %d, printed %q, want %q\n%s", args, r.status, r.out, want, r.err)
			}
			if strings.Contains(strings.ToLower(r.out+r.err), canary) {
				t.Errorf("the guest is in what was printed:\n%s%s", r.out, r.err)
			}
		}
		run("archived: bookings 0, files 0, bytes 0\nstayed: not erased 1\n", "--undelivered")
		p.ok(t, "retain", "--after", "0")
		run("archived: bookings 0, files 0, bytes 0\nstayed: undelivered 1\n")
		run("would be archived: bookings 1\n", "--undelivered", "--dry-run")
		if left := archives(t, dir); left != nil {
			t.Fatalf("nothing was archived, and there is %v", left)
		}
		r := p.run(t, "archive", "--dir", dir, "--after", "1000h", "--undelivered")
		if r.status != 0 || !strings.HasPrefix(r.out, "archived: bookings 1, files 1, bytes ") || strings.Count(r.out, "\n") != 1 {
			t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		run("archived: bookings 0, files 0, bytes 0\n", "--undelivered")

		files := archives(t, dir)
		if len(files) != 1 || !strings.HasSuffix(files[0], "-000001.jsonl.gz") {
			t.Fatalf("files %v", files)
		}
		for name, want := range map[string]os.FileMode{dir: 0o700, files[0]: 0o600} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		text := unzipped(t, files[0])
		for _, trace := range []string{canary, "1234-5678", john.GuestID.String(), visit.Token} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(trace)) {
				t.Errorf("the file has %q:\n%s", trace, text)
			}
		}
		for table, rows := range p.everything(t) {
			if strings.Contains(rows, john.ID.String()) || strings.Contains(rows, john.GuestID.String()) {
				t.Errorf("%s still has the visit, or its chart:\n%s", table, rows)
			}
		}
		if out := p.ok(t, "bookings"); !strings.Contains(out, "Jane") || strings.Count(out, "\n") != 2 {
			t.Errorf("got\n%s", out)
		}
		if r := p.run(t, "booking", "history", john.ID.String()); r.status != 1 || !strings.Contains(r.err, "there is no booking") {
			t.Errorf("the history of what was archived: exit status %d\n%s%s", r.status, r.out, r.err)
		}
		p.ok(t, "verify")

		nowhere := program{database: filepath.Join(t.TempDir(), "none.db")}
		if out := nowhere.ok(t, "archive", "show", files[0]); !strings.Contains(out, john.ID.String()+"  seoul     2026-03-02 01:00") || strings.Count(out, "\n") != 2 {
			t.Errorf("it shows\n%s", out)
		}
		for _, name := range []string{john.ID.String(), john.ScheduleID} {
			out := nowhere.ok(t, "archive", "show", "--booking", name, files[0])
			for _, what := range []string{"guest (Google)  CREATED", "desk            CHANGED", "operator        ERASED"} {
				if !strings.Contains(out, what) {
					t.Errorf("the history does not have %q:\n%s", what, out)
				}
			}
		}
		if out := nowhere.ok(t, "archive", "show", "--json", files[0]); strings.Count(out, `"event"`) != 3 || !strings.Contains(out, `"token"`) {
			t.Errorf("as JSON\n%s", out)
		}
		if r := nowhere.run(t, "archive", "show", "--booking", "x", files[0]); r.status != 1 || !strings.Contains(r.err, `no booking "x"`) {
			t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		if _, err := os.Stat(nowhere.database); err == nil {
			t.Error("to show an archive, it made a database")
		}
	})
}

func TestArchiveRefuses(t *testing.T) {
	p := program{database: storagetest.SQLite(t)}
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"--dir":         {"--after", "1000h"},
		"--after":       {"--dir", dir, "--after", "1h"},
		"--keep-tokens": {"--dir", dir, "--keep-tokens=-1h"},
		"no such file":  {"--dir", filepath.Join(dir, "a", "b")},
	} {
		if r := p.run(t, append([]string{"archive"}, args...)...); r.status != 1 || !strings.Contains(r.err, want) {
			t.Errorf("%v: exit status %d\n%s%s", args, r.status, r.out, r.err)
		}
	}
	p.execute(t, "INSERT INTO copies (id, role, other, started_sec) VALUES ('00000000-0000-4000-8000-000000000000', 'source', 'elsewhere', 1)")
	if r := p.run(t, "archive", "--dir", dir); r.status != 1 || !strings.Contains(r.err, "is being copied") {
		t.Errorf("while it is copied: exit status %d\n%s%s", r.status, r.out, r.err)
	}
	p.execute(t, "UPDATE copies SET finished_sec = 2")
	if r := p.run(t, "archive", "--dir", dir); r.status != 1 || !strings.Contains(r.err, "was copied to elsewhere") {
		t.Errorf("once it was copied: exit status %d\n%s%s", r.status, r.out, r.err)
	}
}

// An archive takes along whatever hangs on a booking: a table that is new has to be
// looked at.
func TestArchiveHasEveryTable(t *testing.T) {
	p := program{database: storagetest.SQLite(t)}
	p.open(t)
	raw, err := sql.Open("sqlite", p.database)
	must(t, err)
	defer raw.Close()
	rows, err := raw.QueryContext(t.Context(), `SELECT DISTINCT m.name FROM sqlite_master m LEFT JOIN pragma_foreign_key_list(m.name) f LEFT JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND (f."table" = 'bookings' OR c.name = 'booking_id') ORDER BY m.name`)
	must(t, err)
	defer rows.Close()
	var found []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		found = append(found, name)
	}
	must(t, rows.Err())
	want := []string{"booking_events", "holds", "idempotency_tokens", "occupied_resources", "outbox"}
	if !slices.Equal(found, want) {
		t.Errorf("%v hang on bookings; storage/archive.go knows %v", found, want)
	}
}

// A database of many old bookings is small again once they are archived.
func TestArchiveShrinks(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "capacity: 2", "capacity: 10000", 1)))
		db := p.open(t)
		for i := range 200 {
			book(t, db, guest(fmt.Sprint("guest", i), at(9, 0)))
		}
		p.ok(t, "retain", "--after", "0", "--vacuum")
		rows := func() (n int) {
			for _, text := range p.everything(t) {
				n += strings.Count(text, "\n")
			}
			return n
		}
		size := func() int64 {
			info, err := os.Stat(p.database)
			if err != nil { // PostgreSQL
				return 0
			}
			return info.Size()
		}
		rowsBefore, sizeBefore := rows(), size()
		dir := t.TempDir()
		p.ok(t, "archive", "--undelivered", "--after", "1000h", "--dir", dir, "--vacuum")
		p.ok(t, "prune")
		if n := rows(); n > rowsBefore/10 {
			t.Errorf("%d rows of %d are left", n, rowsBefore)
		}
		if n := size(); n > sizeBefore/2 {
			t.Errorf("%d bytes of %d are left", n, sizeBefore)
		}
		if out := p.ok(t, append([]string{"archive", "show"}, archives(t, dir)...)...); strings.Count(out, "\n") != 201 {
			t.Errorf("the files have %d bookings", strings.Count(out, "\n")-1)
		}
		p.ok(t, "verify")
	})
}
