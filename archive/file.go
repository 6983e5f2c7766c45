package archive

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
)

const (
	prefix = "holdfast-"
	suffix = ".jsonl.gz"
	part   = ".part" // behind the name of a file that is not complete
)

// file is an archive that is being written. It gets its name when it is complete and on
// disk. It is a [storage.Archiver].
type file struct {
	name string // that it will have
	f    *os.File
	buf  *bufio.Writer
	zip  *gzip.Writer
	sum  uint32 // of the lines so far
	end  End
}

// prepare makes the directory, if it is not there, and removes from it what runs have
// begun that were killed: files that nobody has touched for an hour. What they had read is
// still in the database.
func prepare(dir string, now time.Time) error {
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		return storage.SyncFile(filepath.Dir(dir))
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	left, err := filepath.Glob(filepath.Join(dir, prefix+"*"+suffix+part))
	for _, name := range left {
		info, err := os.Stat(name)
		if err == nil && now.Sub(info.ModTime()) > time.Hour {
			err = os.Remove(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// create begins the next file in a directory. Others may be writing there, too.
func create(dir string, now time.Time) (*file, error) {
	n, err := lastNumber(dir)
	if err != nil {
		return nil, err
	}
	for n++; ; n++ {
		name := filepath.Join(dir, fmt.Sprintf("%s%s-%06d%s", prefix, now.UTC().Format("20060102"), n, suffix))
		f, err := os.OpenFile(name+part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) { // somebody else's
			continue
		}
		if err != nil {
			return nil, err
		}
		w := &file{name: name, f: f, buf: bufio.NewWriterSize(f, 64*1024)}
		w.zip = gzip.NewWriter(w.buf)
		_, err = os.Lstat(name)
		if err == nil { // somebody else has just finished it
			if err := w.abandon(); err != nil {
				return nil, err
			}
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = w.line(Line{Header: &Header{Format: Format, MadeSec: now.Unix()}})
		}
		if err != nil {
			return nil, errors.Join(err, w.abandon())
		}
		return w, nil
	}
}

// lastNumber is the highest number that a file in the directory has, complete or not.
func lastNumber(dir string) (last int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		name, found := strings.CutSuffix(strings.TrimSuffix(e.Name(), part), suffix)
		if !found || !strings.HasPrefix(name, prefix) {
			continue
		}
		if n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:]); err == nil {
			last = max(last, n)
		}
	}
	return last, nil
}

func (w *file) line(l Line) error {
	w.end.Lines++
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.zip.Write(append(sealed(text, &w.sum), '\n'))
	return err
}

// Booking implements [storage.Archiver].
func (w *file) Booking(b booking.Booking, holds []inventory.Hold) error {
	w.end.Bookings++
	return w.line(Line{Booking: bookingLine(b, holds)})
}

// Token implements [storage.Archiver].
func (w *file) Token(of uuid.UUID, caller string, createdSec int64) error {
	return w.line(Line{Token: &Token{of, caller, createdSec}})
}

// Event implements [storage.Archiver].
func (w *file) Event(of uuid.UUID, version int64, e booking.Event, o storage.Owed) error {
	return w.line(Line{Event: eventLine(of, version, e, o)})
}

// finish completes the file, makes it survive the loss of power and gives it its name. It
// returns how long it is, in bytes.
func (w *file) finish() (size int64, err error) {
	err = errors.Join(w.line(Line{End: &w.end}), w.zip.Close(), w.buf.Flush(), w.f.Sync())
	if err != nil {
		return 0, errors.Join(err, w.abandon())
	}
	info, err := w.f.Stat()
	if err := errors.Join(err, w.f.Close()); err != nil {
		return 0, errors.Join(err, w.abandon())
	}
	if err := os.Rename(w.name+part, w.name); err != nil {
		return 0, errors.Join(err, w.abandon())
	}
	return info.Size(), storage.SyncFile(filepath.Dir(w.name))
}

// abandon removes a file that is not complete.
func (w *file) abandon() error {
	closing := w.f.Close()
	if errors.Is(closing, os.ErrClosed) {
		closing = nil
	}
	return errors.Join(closing, os.Remove(w.name+part))
}
