package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"holdfast/inventory"
	"holdfast/letters"
)

// A value of a document, JSON or YAML, has the type that encoding/json gives it: nil, a bool, a json.Number, a string,
// a []any or a map[string]any. A number keeps its text, because an id of 24 digits is a number to YAML.

// shapeOf names what a value is, for a message.
func shapeOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// mostNested bounds the depth of a document, because reading it is recursive.
const mostNested = 64

// Reasons to stop reading a document.
var (
	errNested  = errors.New("nested too deeply")
	errTrailer = errors.New("something follows the document")
	errEnough  = errors.New("read enough") // not a fault: ends a read early
)

// twiceError is a key that an object has twice.
type twiceError string

func (e twiceError) Error() string {
	return fmt.Sprintf("key %q comes twice in an object", short(string(e)))
}

// tooLargeError is a value larger than the limit.
type tooLargeError string

func (e tooLargeError) Error() string { return string(e) }

const (
	// mostValue is how large one value of a document, such as a feed's row or a text, may be, with the blanks before
	// it. It bounds what the decoder buffers; a value of nested objects takes 60 times as much when it is built.
	mostValue  = 1 << 20
	errValue   = tooLargeError("a value of more than 1 MiB")
	mostValues = 100_000 // of a catalogue, which is read as a whole
	errValues  = tooLargeError("a catalogue of more than 100000 values; clinics may come in several files")
)

// window lets a decoder read at most one value ahead.
type window struct {
	r    io.Reader
	left int64
}

func (w *window) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errValue
	}
	n, err := w.r.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	return n, err
}

// stream reads a JSON document piece by piece, so that only one row of it is in memory at a time.
type stream struct {
	window *window
	dec    *json.Decoder
	given  int64 // how many bytes the window has given the decoder in all
	values int   // how many values the method value has built
	// ahead is how many more bytes were right before decode failed.
	ahead int64
}

func newStream(r io.Reader) *stream {
	s := &stream{window: &window{r: r}}
	s.dec = json.NewDecoder(s.window)
	s.dec.UseNumber()
	return s
}

// moveOn moves the window past what the decoder has used.
func (s *stream) moveOn() {
	used := s.dec.InputOffset() + mostValue
	s.window.left += used - s.given
	s.given = used
}

// offset returns how many bytes have been read without a fault.
func (s *stream) offset() int64 { return s.dec.InputOffset() + s.ahead }

// token returns the decoder's next token; the end of the file is an error here.
func (s *stream) token() (json.Token, error) {
	s.moveOn()
	t, err := s.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

// end makes sure that nothing follows the document.
func (s *stream) end() error {
	s.moveOn()
	switch _, err := s.dec.Token(); err {
	case io.EOF:
		return nil
	case nil:
		return errTrailer
	default:
		return err
	}
}

// next is what was found instead of an object or a list.
type next int

const (
	other   next = iota // something else
	nothing             // null
	wanted
)

// fields calls each with every key of an object; each reads the value.
func (s *stream) fields(each func(key string) error) (next, error) {
	return s.within('{', func() error {
		key, err := s.token()
		if err != nil {
			return err
		}
		return each(key.(string)) // the decoder returns nothing else here
	})
}

// items calls each for every item of a list; each reads the item.
func (s *stream) items(each func() error) (next, error) {
	return s.within('[', each)
}

func (s *stream) within(opening json.Delim, each func() error) (next, error) {
	switch t, err := s.token(); {
	case err != nil:
		return other, err
	case t == nil:
		return nothing, nil
	case t != opening:
		return other, s.skipRest(t, 0)
	}
	return wanted, s.rest(each)
}

// rest calls each until the current list or object ends.
func (s *stream) rest(each func() error) error {
	for s.moveOn(); s.dec.More(); s.moveOn() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err := s.token()
	return err
}

// skip skips a value of any size.
func (s *stream) skip() error { return s.skipAt(0) }

func (s *stream) skipAt(depth int) error {
	// From this depth on a value cannot contain all rows of a feed, and the decoder reads a whole value faster than
	// single tokens.
	if depth == 3 {
		var raw json.RawMessage
		return s.decode(&raw)
	}
	t, err := s.token()
	if err != nil {
		return err
	}
	return s.skipRest(t, depth)
}

// skipRest skips to the end of the value that began with t.
func (s *stream) skipRest(t json.Token, depth int) error {
	switch t {
	case json.Delim('['):
		return s.rest(func() error { return s.skipAt(depth + 1) })
	case json.Delim('{'):
		return s.rest(func() error {
			if _, err := s.token(); err != nil {
				return err
			}
			return s.skipAt(depth + 1)
		})
	}
	return nil
}

// value reads a whole value, more carefully and more slowly than the decoder: it knows the place of a fault, and
// notices duplicate keys.
func (s *stream) value() (any, error) { return s.valueAt(0) }

func (s *stream) valueAt(depth int) (any, error) {
	if depth == mostNested {
		return nil, errNested
	}
	if s.values++; s.values > mostValues {
		return nil, errValues
	}
	t, err := s.token()
	switch {
	case err != nil:
		return nil, err
	case t == json.Delim('['):
		list := []any{}
		err := s.rest(func() error {
			item, err := s.valueAt(depth + 1)
			list = append(list, item)
			return err
		})
		return list, err
	case t == json.Delim('{'):
		object := map[string]any{}
		err := s.rest(func() error {
			key, err := s.token()
			if err != nil {
				return err
			}
			k := key.(string)
			if _, twice := object[k]; twice {
				return twiceError(k)
			}
			object[k], err = s.valueAt(depth + 1)
			return err
		})
		return object, err
	}
	return t, nil
}

// row reads a value fast, with its keys in [snake] case. (Token by token takes three times as long, and a feed has
// millions of rows.)
func (s *stream) row() (any, error) {
	var v any
	if err := s.decode(&v); err != nil {
		return nil, err
	}
	return snaked(v), nil
}

// decode reads a value into v at once.
func (s *stream) decode(v any) error {
	s.moveOn()
	err := s.dec.Decode(v)
	var large tooLargeError
	if err == nil || errors.As(err, &large) {
		return err
	}
	// The decoder says what is wrong, but not where in the value.
	slow := newStream(io.MultiReader(s.dec.Buffered(), s.window.r))
	if _, again := slow.value(); again != nil {
		err = again
	}
	s.ahead = slow.offset()
	return err
}

// snaked puts the keys of a value and of everything in it in [snake] case.
func snaked(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = snaked(v[i])
		}
	case map[string]any:
		for k, f := range v {
			f = snaked(f)
			if s := snake(k); s != k {
				delete(v, k)
				v[s] = f
			}
		}
	}
	return v
}

// snake spells a key as in Google's samples. Google accepts two spellings, startSec and start_sec, and no others.
func snake(key string) string {
	if strings.IndexFunc(key, isUpper) <= 0 {
		return key
	}
	var b strings.Builder
	for _, r := range key {
		if isUpper(r) {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

// place is a value and the way to it. Reading it checks it: problems go to the findings with their paths, and reading
// continues, so that one pass finds everything.
type place struct {
	up    *place
	name  string
	index int // in the list of that name, or -1
	value any // nil: absent or null
	found *findings
}

// root is the place of a whole document. The prefix goes before every path.
func root(v any, prefix string, found *findings) *place {
	return &place{name: prefix, index: -1, value: v, found: found}
}

// at returns the place of an object's field, present or not.
func (p *place) at(key string) *place {
	object, _ := p.value.(map[string]any)
	return p.holding(key, object[key])
}

// holding returns the place of a field whose value was read elsewhere.
func (p *place) holding(key string, v any) *place {
	return &place{up: p, name: key, index: -1, value: v, found: p.found}
}

// item returns the place of a list's item that was read elsewhere.
func (p *place) item(name string, index int, v any) *place {
	return &place{up: p, name: name, index: index, value: v, found: p.found}
}

func (p *place) path() string {
	s := p.name
	if p.up != nil { // a root's name is a prefix, not a key
		s = shown(s)
	}
	if p.index >= 0 {
		s += "[" + strconv.Itoa(p.index) + "]"
	}
	switch {
	case p.up == nil:
		return s
	case p.up.up == nil: // a root's name is a prefix, not a key
		return p.up.name + s
	}
	return p.up.path() + "." + s
}

// shown returns a key from the document as one of our lines can show it.
func shown(key string) string {
	key = short(key)
	if strings.IndexFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return strconv.Quote(key)
	}
	return key
}

// short cuts a text that is too long for a message: there may be a thousand problems, with a megabyte in each.
func short(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// kind returns the path without indexes.
func (p *place) kind() string {
	if p.up == nil {
		return p.name
	}
	return p.up.kind() + "." + p.name
}

func (p *place) wrong(format string, args ...any) {
	p.found.add(p.path(), fmt.Sprintf(format, args...))
}

// need complains if the value is missing or an empty text.
func (p *place) need() *place {
	if p.value == nil || p.value == "" {
		p.wrong("required")
	}
	return p
}

// only complains about any fields except these.
func (p *place) only(keys ...string) {
	object, _ := p.value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(keys, key) {
			p.at(key).wrong("unknown key; known are %s", strings.Join(keys, ", "))
		}
	}
}

// fields reports whether the value is an object, and complains if it is something else.
func (p *place) fields() bool {
	if p.value == nil {
		return false
	}
	if _, ok := p.value.(map[string]any); !ok {
		p.wrong("must be an object, not %s", shapeOf(p.value))
		return false
	}
	return true
}

// items returns the places of a list's items; a missing list is empty.
func (p *place) items() []*place {
	if p.value == nil {
		return nil
	}
	list, ok := p.value.([]any)
	if !ok {
		p.wrong("must be a list, not %s", shapeOf(p.value))
		return nil
	}
	places := make([]*place, len(list))
	for i, v := range list {
		places[i] = p.up.item(p.name, i, v)
	}
	return places
}

// few returns the places of a list's items, of which there may be at most most.
func (p *place) few(most int) []*place {
	places := p.items()
	if len(places) > most {
		p.wrong("more than %d", most)
		return places[:most]
	}
	return places
}

// text returns a text, or a number as written; "" if it is missing.
func (p *place) text() string {
	var s string
	switch v := p.value.(type) {
	case nil:
	case string:
		s = v
	case json.Number:
		s = v.String()
	default:
		p.wrong("must be text, not %s", shapeOf(v))
	}
	switch {
	case len(s) > mostText:
		p.wrong("longer than %d bytes", mostText)
		return ""
	case strings.IndexByte(s, 0) >= 0: // PostgreSQL cannot keep one
		p.wrong("must not contain a zero character")
	case strings.ContainsRune(s, utf8.RuneError):
		p.wrong("contains U+FFFD, which stands for what could not be read as UTF-8, or half a surrogate pair: make the file anew from what it was made of")
	}
	return s
}

// mostText is the longest text in bytes.
const mostText = 1024

// mostID is the longest id in bytes: two of them fit into a database's index.
const mostID = 255

// id returns an id that somebody else has chosen.
func (p *place) id() string {
	s := p.text()
	switch {
	case len(s) > mostID:
		p.wrong("longer than %d bytes", mostID)
	case strings.ContainsFunc(s, func(r rune) bool { return r != 0 && unicode.IsControl(r) }):
		p.wrong("must not contain control characters")
	}
	return s
}

// title returns a text by which people call something. It must not have invisible characters, which could hide in a
// list or reverse the text after them. Line breaks come only from YAML's ways of writing a text over several lines.
func (p *place) title() string {
	s := p.text()
	oneLine := strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(s)
	if r, found := letters.Hidden(oneLine); found && r != 0 { // text has complained about NUL
		p.wrong("must not contain what cannot be seen, like %U here", r)
	}
	return s
}

// hexID returns a clinic's id: 24 hex digits.
func (p *place) hexID() string {
	s := p.text()
	if s != "" && !inventory.IsObjectID(s) {
		p.wrong("must be 24 hex digits, not %q", s)
	}
	return s
}

// flag returns true or false; otherwise if it is missing.
func (p *place) flag(otherwise bool) bool {
	switch v := p.value.(type) {
	case nil:
	case bool:
		return v
	default:
		p.wrong("must be true or false, not %s", p.written())
	}
	return otherwise
}

// number returns a whole number from lowest to highest, written as a number or as text. ok is false if there is none.
func (p *place) number(lowest, highest int64) (n int64, ok bool) {
	if p.value == nil || p.value == "" {
		return 0, false
	}
	n, ok = whole(p.value)
	switch {
	case !ok:
		p.wrong("must be a whole number, not %s", p.written())
	case n < lowest && highest == math.MaxInt64:
		p.wrong("must be at least %d, not %d", lowest, n)
	case n < lowest || n > highest:
		p.wrong("must be %d to %d, not %d", lowest, highest, n)
	default:
		return n, true
	}
	return 0, false
}

func whole(v any) (int64, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = v
	default:
		return 0, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	// In JSON a whole number may also be 1e3 or 2.0.
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// written returns the value for a message.
func (p *place) written() string {
	switch v := p.value.(type) {
	case string:
		return strconv.Quote(short(v))
	case json.Number:
		return short(v.String())
	case bool:
		return strconv.FormatBool(v)
	}
	return shapeOf(p.value)
}

// moment returns a time in Unix seconds. Another unit is an easy mistake, and easy to notice.
func (p *place) moment() (sec int64, ok bool) {
	sec, ok = p.number(1, math.MaxInt64)
	if !ok {
		return 0, false
	}
	unit := ""
	switch {
	case sec >= 1e17:
		unit = "nanoseconds"
	case sec >= 1e14:
		unit = "microseconds"
	case sec >= 1e11: // in seconds, the year 5138
		unit = "milliseconds"
	default:
		return sec, true
	}
	p.wrong("must be in seconds, and %d looks like %s", sec, unit)
	return 0, false
}

// clock returns a time of day, "00:00" to "24:00", in minutes after midnight.
func (p *place) clock() (minutes int, ok bool) {
	s := p.text()
	if s == "" {
		return 0, false
	}
	if len(s) == len("09:30") && s[2] == ':' && strings.Trim(s, "0123456789:") == "" {
		h, errH := strconv.Atoi(s[:2])
		m, errM := strconv.Atoi(s[3:])
		if errH == nil && errM == nil && m < 60 && h*60+m <= 24*60 {
			return h*60 + m, true
		}
	}
	p.wrong("%q is not a time from 00:00 to 24:00", s)
	return 0, false
}

// date returns a day; the zero Date if there is none.
func (p *place) date() inventory.Date {
	s := p.text()
	if s == "" {
		return inventory.Date{}
	}
	d, err := inventory.ParseDate(s)
	if err != nil {
		p.wrong("%v", err)
	}
	return d
}

// unique finds duplicate ids.
type unique map[string]string // the id, and where it occurred first

// add records the id at p. Others complain about empty ids.
func (u unique) add(p *place, id string) {
	if id == "" {
		return
	}
	if first, ok := u[id]; ok {
		p.wrong("%q is also %s", id, first)
		return
	}
	u[id] = p.path()
}
