package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"
)

// Bounds of what is read, which no file of ours comes near.
const (
	longestLine = 16 << 20 // bytes
	mostPending = 10_000   // bookings that wait for their events
)

// A LineError says what is wrong in which line of a file.
type LineError struct {
	Line int64
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Read reads an archive and gives each its lines one by one, without header and end. It
// holds one line at a time. It returns a *LineError if the file is not complete or not
// what an archive is, once each has had what is before that; and what each returns.
func Read(r io.Reader, each func(Line) error) error {
	plain, err := gzip.NewReader(r)
	if err != nil {
		return &LineError{1, fmt.Errorf("this is no archive of holdfast: %w", err)}
	}
	lines := bufio.NewReaderSize(plain, 64*1024)
	var got End
	open, sum := false, uint32(0) // between a header and an end
	for number := int64(1); ; number++ {
		wrong := func(err error) error { return &LineError{number, err} }
		text, err := readLine(lines)
		switch {
		case errors.Is(err, io.EOF) && !open && number > 1:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return wrong(fmt.Errorf("the file ends too early: %w", io.ErrUnexpectedEOF))
		case err != nil:
			return wrong(err)
		}
		if !open {
			sum = 0
		}
		var l Line
		if !intact(text, &sum) {
			return wrong(errors.New("it is damaged: it does not have the sum of the lines so far"))
		}
		if err := json.Unmarshal(text, &l); err != nil {
			return wrong(err)
		}
		if h := l.Header; h != nil && h.Format > Format {
			return wrong(fmt.Errorf("the file has format %d, and this holdfast reads %d: use a newer one", h.Format, Format))
		}
		if open != (l.Header == nil) {
			return wrong(errors.New("an archive begins with a header and ends with an end"))
		}
		got.Lines++
		switch {
		case l.Header != nil:
			open, got = true, End{Lines: 1}
		case l.End != nil:
			if *l.End != got {
				return wrong(fmt.Errorf("the file has %d bookings in %d lines instead of %d in %d", got.Bookings, got.Lines, l.End.Bookings, l.End.Lines))
			}
			open = false
		case l.Booking != nil:
			got.Bookings++
			fallthrough
		case l.Token != nil, l.Event != nil:
			if err := each(l); err != nil {
				return err
			}
		default:
			return wrong(errors.New("it says nothing that this holdfast knows"))
		}
	}
}

// readLine reads a line, without its end. It returns io.ErrUnexpectedEOF for one that is
// not whole.
func readLine(r *bufio.Reader) (text []byte, err error) {
	for {
		some, err := r.ReadSlice('\n')
		text = append(text, some...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(text, []byte("\n")), nil
		case len(text) > longestLine:
			return nil, fmt.Errorf("it is longer than %d bytes", longestLine)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(text) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// Each reads archives and gives each the lines of the bookings that are wanted, and with
// the last line of one the booking, which is whole then. Of a booking that is in several
// files it gives the newest version, and that once. A file that is damaged does not end
// it: what was whole before the damage is given, then come the other files, and then the
// error that names the file and the line.
//
// It has in memory one line, bookings whose history is being read, and, if there are
// several files, which it reads twice then, the ids of all their bookings.
func Each(ctx context.Context, names []string, want func(*Booking) bool, each func(l Line, whole *Booking) error) error {
	newest := map[uuid.UUID]int64{} // the version to give; 0: it was given
	if len(names) > 1 {
		for _, name := range names {
			err := readFile(ctx, name, func(l Line) error {
				if b := l.Booking; b != nil {
					newest[b.ID] = max(newest[b.ID], b.Version)
				}
				return nil
			})
			if err := ctx.Err(); err != nil {
				return err
			}
			_ = err // said below
		}
	}
	var damaged []error
	for _, name := range names {
		pending := map[uuid.UUID]*Booking{}
		err := readFile(ctx, name, func(l Line) error {
			var of uuid.UUID
			switch {
			case l.Booking != nil:
				of = l.Booking.ID
				if (len(names) == 1 || newest[of] == l.Booking.Version) && want(l.Booking) {
					pending[of] = l.Booking
				}
			case l.Token != nil:
				of = l.Token.BookingID
			default:
				of = l.Event.BookingID
			}
			b := pending[of]
			if b == nil {
				return nil
			}
			if len(pending) > mostPending {
				return fmt.Errorf("%d bookings wait for the rest of their history", len(pending))
			}
			if l.Event == nil || l.Event.Version < b.Version {
				return each(l, nil)
			}
			delete(pending, of)
			newest[of] = 0
			return each(l, b)
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		if err == nil && len(pending) > 0 {
			err = fmt.Errorf("%d bookings lack the rest of their history", len(pending))
		}
		if err != nil {
			damaged = append(damaged, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(damaged...)
}

func readFile(ctx context.Context, name string, each func(Line) error) (err error) {
	f, err := os.Open(name)
	if err != nil {
		var where *os.PathError
		if errors.As(err, &where) {
			err = where.Err // Each names the file
		}
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return Read(f, func(l Line) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return each(l)
	})
}
