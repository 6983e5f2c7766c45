package catalogue

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"
)

// mostUnpacked is how large a file may be once unpacked. Google wants feeds in shards of less than 200 MB with gzip.
const mostUnpacked = 16 << 30

var errUnpacked = fmt.Errorf("more than %d GiB without gzip; a feed may come in several files", mostUnpacked>>30)

// text is the content of a file, which must be UTF-8. Anything else would become U+FFFD in names and in ids. Reading it ends
// with its context.
type text struct {
	ctx  context.Context // io.Reader's methods do not take one
	r    *bufio.Reader
	ok   int   // how many bytes at the front of r have been checked
	line int   // of the first byte after those
	left int64 // how many bytes may still come
}

// encodingError is text that is not UTF-8.
type encodingError struct {
	line  int
	looks string
}

func (e *encodingError) Error() string {
	return fmt.Sprintf("not UTF-8: it looks like %s; convert the file to UTF-8", e.looks)
}

func newText(ctx context.Context, r *bufio.Reader) *text {
	return &text{ctx: ctx, r: r, line: 1, left: mostUnpacked}
}

func (t *text) Read(p []byte) (int, error) {
	if t.ok == 0 {
		if err := t.look(); err != nil {
			return 0, err
		}
	}
	n, err := t.r.Read(p[:min(len(p), t.ok)])
	t.ok -= n
	return n, err
}

// look checks what comes next, as far as it is buffered already.
func (t *text) look() error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	// At least a whole character, except at the end of the file.
	if start, err := t.r.Peek(utf8.UTFMax); len(start) == 0 {
		return err
	}
	next, err := t.r.Peek(t.r.Buffered())
	if err != nil {
		return err
	}
	if t.left -= int64(len(next)); t.left < 0 {
		return errUnpacked
	}
	t.ok = readable(next)
	if t.ok == 0 {
		return &encodingError{t.line, looksLike(next)}
	}
	t.left += int64(len(next) - t.ok) // these bytes are checked again
	t.line += bytes.Count(next[:t.ok], []byte{'\n'})
	return nil
}

// readable returns how many bytes of b are whole characters of a text. A text has no zeros, and no escapes to other character
// sets (ISO 2022).
func readable(b []byte) int {
	n := len(b)
	if !utf8.Valid(b) {
		for n = 0; ; {
			r, size := utf8.DecodeRune(b[n:])
			if r == utf8.RuneError && size <= 1 {
				break
			}
			n += size
		}
	}
	if i := bytes.IndexAny(b[:n], "\x00\x0e\x0f\x1b"); i >= 0 {
		n = i
	}
	return n
}

// looksLike guesses the encoding of b, which is not UTF-8 from its first byte on.
func looksLike(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(b, []byte("\x00\x00\xfe\xff")), bytes.HasPrefix(b, []byte("\x00\x00\x00")):
		return "UTF-32"
	case bytes.HasPrefix(b, []byte("\xff\xfe")), bytes.HasPrefix(b, []byte("\xfe\xff")):
		return "UTF-16"
	case b[0] == 0:
		if bytes.HasPrefix(b[1:], []byte("\x00\x00")) {
			return "UTF-32"
		}
		return "UTF-16"
	case b[0] == 0x0e, b[0] == 0x0f, b[0] == 0x1b:
		return "ISO-2022"
	case b[0] == 0xed && len(b) > 1 && b[1] >= 0xa0 && b[1] <= 0xbf:
		return "CESU-8 (surrogates of UTF-16 that were written as UTF-8)"
	}
	// Korean text consists of runs of pairs that begin with a high byte; Western text has single high bytes among letters.
	pairs, single := 0, 0
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] < 0x80:
		case i+1 < len(b) && b[i+1] >= 0x81:
			pairs++
			i++
		default:
			single++
		}
	}
	if pairs > single {
		return "EUC-KR or CP949 (Korean), or another encoding of two bytes"
	}
	return "Latin-1 or Windows-1252"
}

// encoding returns a wrong encoding as a Problem with its line.
func encoding(err error) (Problems, bool) {
	var wrong *encodingError
	if !errors.As(err, &wrong) {
		return nil, false
	}
	return Problems{{fmt.Sprintf("line %d", wrong.line), wrong.Error()}}, true
}
