// Package catalogue reads what can be booked: our own catalogue of clinics (YAML or JSON) and Google's merchants, services
// and availability feeds (JSON), plain or gzip. A file's content says what it is; its name means nothing.
//
// Reading is checking. People write catalogues by hand, and programs get a million rows of a feed wrong at once. So reading
// does not stop at the first mistake: it returns [Problems], each with its path, and then nothing of the file counts. An
// availability feed can be larger than memory, so it is walked twice, row by row: [Feed.CheckAvailability] says whether all
// of it is right, [Feed.Availability] hands it over.
//
//	file, err := catalogue.Open(ctx, path)             // what is it?
//	clinics, err := file.Clinics(ctx)                  // ours
//	feeds, err := catalogue.Feeds(files)               // Google's: shards put together
//	report, err := feeds[0].Merchants(ctx, write)
//	report, err := feeds[1].Services(ctx, known, write)
//	report, err := feeds[2].CheckAvailability(ctx, known, nil)
//	skipped, err = feeds[2].Availability(ctx, known, write)
//
// A file may come from an attacker, or from a program gone wrong. So its text, its depth and the size of each of its values
// are bounded before anything is built from them, a catalogue is bounded as a whole, and what we must remember of a feed goes
// to disk ([sorter]). Reading ends with its context.
//
// We are strict with our own catalogue, where an unknown key is a typo, and generous with feeds, where it is one of Google's
// many fields that do not concern us. Both may write numbers as text.
//
// The package knows no database and no clock. It loads time zones by name, so a program for systems without time zones must
// import time/tzdata.
package catalogue

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
	"regexp"
)

// Kind is what a file holds.
type Kind string

// The kinds of file, by the top-level key that identifies each.
const (
	Clinics          Kind = "clinics"           // merchants, feed_merchants, feed_merchants
	MerchantFeed     Kind = "merchant feed"     // merchant
	ServiceFeed      Kind = "service feed"      // service
	AvailabilityFeed Kind = "availability feed" // service_availability
)

// kinds are the keys that identify a JSON file.
var kinds = map[string]Kind{
	"merchants":            Clinics,
	"feed_merchants":       Clinics,
	"merchant":             MerchantFeed,
	"service":              ServiceFeed,
	"service_availability": AvailabilityFeed,
}

// yamlKey matches the line that identifies a YAML file.
var yamlKey = regexp.MustCompile(`^\s*["']?(feed_)?merchants["']?\s*:(\s|$)`)

// File is a file that import accepts. Every reading opens it anew.
type File struct {
	Path string
	Kind Kind
	Meta Metadata // of a feed
	Size int64    // bytes as stored, gzip or not; what a feed's Progress counts up to

	open func() (io.ReadCloser, error)
	yaml bool
}

// Open finds out what the file at path is and reads a feed's metadata. It returns Problems if the metadata is wrong, and
// another error if the file cannot be read or import does not accept it.
func Open(ctx context.Context, path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file, and it has to be read more than once", path)
	}
	return From(ctx, path, info.Size(), func() (io.ReadCloser, error) { return os.Open(path) })
}

// From is Open for content from elsewhere, such as embedded in the program. Every reading calls open.
func From(ctx context.Context, name string, size int64, open func() (io.ReadCloser, error)) (*File, error) {
	f := &File{Path: name, Size: size, open: open}
	c, err := f.read(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	head, err := c.Peek(c.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.unreadable(err)
	}
	if bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) {
		err = f.recogniseJSON(ctx, c)
	} else {
		err = f.recogniseYAML(c)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// recogniseJSON reads top-level keys until it knows the kind and the metadata, which may come before or after the rows.
func (f *File) recogniseJSON(ctx context.Context, r io.Reader) error {
	var meta any
	s := newStream(r)
	_, err := s.fields(func(key string) (err error) {
		if f.Kind == "" {
			f.Kind = kinds[snake(key)]
		}
		switch {
		case f.Kind == Clinics:
			return errEnough
		case f.Kind != "" && meta != nil:
			return errEnough
		case key != "metadata":
			return s.skip()
		}
		if meta, err = s.row(); err == nil && f.Kind != "" {
			return errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	switch {
	case err != nil && f.Kind == "":
		return f.unrecognised(f.broken(ctx, err, s.offset()))
	case err != nil:
		return f.broken(ctx, err, s.offset())
	case f.Kind == "":
		return f.unrecognised(nil)
	case f.Kind == Clinics:
		return nil
	}
	found := &findings{}
	f.Meta = readMetadata(root(nil, "", found).holding("metadata", meta))
	return found.err()
}

// recogniseYAML looks for the one top-level key of our catalogue. The text need not be right as a whole: Clinics says where
// it is wrong.
func (f *File) recogniseYAML(r *content) error {
	for read := 0; read <= mostYAML; {
		line, err := r.ReadSlice('\n')
		read += len(line)
		if yamlKey.Match(line) {
			f.Kind, f.yaml = Clinics, true
			return nil
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return f.unrecognised(nil)
		default:
			return f.unreadable(err)
		}
	}
	return f.unrecognised(nil)
}

func (f *File) unrecognised(why error) error {
	const takes = "not a file that can be imported: that is a JSON feed of Google's (metadata and merchant, service or service_availability) or a YAML or JSON catalogue of clinics (merchants), plain or gzip"
	if why != nil {
		return fmt.Errorf("%s: %s: %w", f.Path, takes, why)
	}
	return fmt.Errorf("%s: %s", f.Path, takes)
}

// unreadable wraps an error of the disk, of gzip or of the text's encoding.
func (f *File) unreadable(err error) error {
	if problems, ok := encoding(err); ok {
		return problems
	}
	return fmt.Errorf("%s: %w", f.Path, err)
}

// broken wraps an error of reading the file as JSON, after that many bytes.
func (f *File) broken(ctx context.Context, err error, after int64) error {
	var syntax *json.SyntaxError
	var twice twiceError
	var large tooLargeError
	switch {
	case errors.As(err, &syntax), errors.As(err, &twice), errors.As(err, &large), errors.Is(err, errTrailer), errors.Is(err, errNested):
		return Problems{{f.position(ctx, after), err.Error()}}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Problems{{f.position(ctx, after), "the file ends in the middle"}}
	}
	return f.unreadable(err)
}

// position names the line and column after that many bytes.
func (f *File) position(ctx context.Context, after int64) string {
	line, column := 1, 1
	if c, err := f.read(ctx, nil); err == nil {
		defer c.Close()
		for ; after > 0; after-- {
			b, err := c.ReadByte()
			switch {
			case err != nil:
				after = 0
			case b == '\n':
				line, column = line+1, 1
			case b&0xC0 != 0x80: // the first byte of a character
				column++
			}
		}
	}
	return fmt.Sprintf("line %d, column %d", line, column)
}

// content is what is in a file, without gzip and byte order mark.
type content struct {
	*bufio.Reader
	io.Closer
}

// read opens the file. It calls onRead with how many more bytes were read each time.
func (f *File) read(ctx context.Context, onRead func(int)) (*content, error) {
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	const size = 64 << 10
	stored := bufio.NewReaderSize(counter{file, onRead}, size)
	unpacked := stored
	if magic, _ := stored.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(stored)
		if err != nil {
			return nil, errors.Join(f.unreadable(err), file.Close())
		}
		unpacked = bufio.NewReaderSize(z, size)
	}
	c := &content{bufio.NewReaderSize(newText(ctx, unpacked), size), file}
	if mark, _ := c.Peek(3); string(mark) == "\xef\xbb\xbf" {
		if _, err := c.Discard(len(mark)); err != nil {
			return nil, errors.Join(f.unreadable(err), file.Close())
		}
	}
	return c, nil
}

type counter struct {
	io.Reader
	onRead func(int)
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.onRead != nil {
		c.onRead(n)
	}
	return n, err
}
