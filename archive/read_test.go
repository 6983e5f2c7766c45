package archive

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/storage"
)

// written is an archive of so many bookings with two events each.
func written(t *testing.T, dir string, bookings int) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w, err := create(dir, time.Unix(1_800_000_000, 0))
	must(err)
	var ids []uuid.UUID
	for range bookings {
		id := uuid.Must(uuid.NewV7())
		ids = append(ids, id)
		must(w.Booking(booking.Booking{ID: id, MerchantID: "clinic", Version: 2, ErasedSec: 1}, nil))
	}
	for _, id := range ids {
		must(w.Token(id, "google", 1))
	}
	for _, id := range ids {
		for v := range int64(2) {
			must(w.Event(id, v+1, booking.Event{Action: booking.Created, Before: []byte("{}"), After: []byte("{}")}, storage.Owed{Topic: "booking"}))
		}
	}
	_, err = w.finish()
	must(err)
	return w.name
}

// each is Each of all bookings: how many were whole.
func each(t *testing.T, names ...string) (whole int, err error) {
	t.Helper()
	err = Each(t.Context(), names, func(*Booking) bool { return true }, func(_ Line, b *Booking) error {
		if b != nil {
			whole++
		}
		return nil
	})
	return whole, err
}

// Wherever a file is cut off, and whichever bit of it is turned: the error names the file
// and the line, and what is whole is told.
func TestReadDamaged(t *testing.T) {
	const bookings = 4
	dir := t.TempDir()
	name := written(t, dir, bookings)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := each(t, name); n != bookings || err != nil {
		t.Fatalf("of the whole file: %d, %v", n, err)
	}
	damaged := filepath.Join(dir, "damaged")
	most, meaningless := 0, 0
	check := func(what string, text []byte) {
		t.Helper()
		if err := os.WriteFile(damaged, text, 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := each(t, damaged, name)
		if n != bookings {
			t.Errorf("%s: %d bookings, though the other file is whole", what, n)
		}
		if err == nil && strings.HasPrefix(what, "bit") { // one that means nothing, such as behind the last block
			meaningless++
			return
		}
		var where *LineError
		if !errors.As(err, &where) || where.Line < 1 || !strings.HasPrefix(err.Error(), fmt.Sprintf("%s: line %d: ", damaged, where.Line)) {
			t.Errorf("%s: %v", what, err)
		}
		n, _ = each(t, damaged)
		most = max(most, n)
	}
	for n := 0; n < len(text); n += 3 {
		check(fmt.Sprintf("cut off at %d of %d", n, len(text)), text[:n])
	}
	if most == 0 {
		t.Error("nothing was whole wherever it was cut off")
	}
	for n := 10; n < len(text); n += 3 { // behind gzip's header, of which not every bit counts
		turned := bytes.Clone(text)
		turned[n] ^= 0x10
		check(fmt.Sprintf("bit turned at %d", n), turned)
	}
	if meaningless > 2 {
		t.Errorf("%d bits were turned, and nobody noticed", meaningless)
	}
}

// zipped writes lines as an archive.
func zipped(t *testing.T, lines ...string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	var sum uint32
	for _, l := range lines {
		if strings.HasPrefix(l, `{"archive"`) {
			sum = 0
		}
		if _, err := z.Write(append(sealed([]byte(l), &sum), '\n')); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestReadRefuses(t *testing.T) {
	const header, end, booked = `{"archive":{"format":1,"made_sec":1}}`, `{"end":{"bookings":0,"lines":2}}`, `{"booking":{"version":1}}`
	for name, tt := range map[string]struct {
		want  string
		lines []string
	}{
		"no header":         {"line 1: an archive begins with a header", []string{booked, end}},
		"a header twice":    {"line 2: it is damaged", []string{header, header, end}},
		"behind the end":    {"line 3: it is damaged", []string{header, end, booked}},
		"no end":            {"line 2: the file ends too early", []string{header}},
		"nothing":           {"line 2: the file ends too early", []string{header}},
		"lines are missing": {"line 2: the file has 0 bookings in 2 lines instead of 7 in 9", []string{header, `{"end":{"bookings":7,"lines":9}}`}},
		"newer":             {"line 1: the file has format 2, and this holdfast reads 1", []string{`{"archive":{"format":2}}`, end}},
		"what nobody knows": {"line 2: it says nothing that this holdfast knows", []string{header, `{"other":1}`, end}},
		"no JSON":           {"line 2: ", []string{header, `{"booking":`, end}},
		"no line ends":      {"line 2: it is longer than ", []string{header, strings.Repeat("x", longestLine+70_000)}},
	} {
		err := Read(zipped(t, tt.lines...), func(Line) error { return nil })
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, l := range []string{"", "{", booked, `{"booking":{},"sum":"00000000"}`} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := io.WriteString(z, l+"\n")
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		if err := Read(&b, func(Line) error { return nil }); err == nil || !strings.HasPrefix(err.Error(), "line 1: it is damaged") {
			t.Errorf("%s: %v", l, err)
		}
	}
	if err := Read(strings.NewReader("PK"), func(Line) error { return nil }); err == nil || !strings.HasPrefix(err.Error(), "line 1: this is no archive of holdfast") {
		t.Errorf("no gzip: %v", err)
	}
	if err := Read(zipped(t, header, end, header, end), func(Line) error { return nil }); err != nil { // cat
		t.Errorf("two files in one: %v", err)
	}
}

// Runs at the same time write over nobody's file.
func TestCreateAtOnce(t *testing.T) {
	const runs, files = 8, 20
	dir := t.TempDir()
	var all sync.WaitGroup
	for range runs {
		all.Go(func() {
			for range files {
				w, err := create(dir, time.Unix(1_800_000_000, 0))
				if err == nil {
					_, err = w.finish()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if len(names) != runs*files || err != nil {
		t.Errorf("%d files, want %d: %v", len(names), runs*files, err)
	}
	if n, err := each(t, names...); n != 0 || err != nil {
		t.Errorf("%d bookings, %v", n, err)
	}
}
