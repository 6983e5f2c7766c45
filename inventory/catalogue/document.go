package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"holdfast/inventory"
)

// shape is what a value in a document is.
type shape uint8

const (
	null shape = iota
	boolean
	number
	text
	list
	object
)

func (s shape) String() string {
	return [...]string{"null", "true or false", "a number", "text", "a list", "an object"}[s]
}

// value is a part of a document, JSON or YAML. Scalars keep the text they were
// written in: an id of 24 digits is a number to YAML and an id to us.
type value struct {
	shape  shape
	text   string
	items  []*value
	fields []field
}

type field struct {
	key   string
	value *value
}

// get returns the field's value, or nil.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	for i := range v.fields {
		if v.fields[i].key == key {
			return v.fields[i].value
		}
	}
	return nil
}

// mostNested bounds how deep a document goes; reading it is recursive.
const mostNested = 64

// A document that cannot be read on.
var (
	errNested  = errors.New("nested too deeply")
	errTrailer = errors.New("something follows the document")
	errEnough  = errors.New("read enough") // not a fault: stops a reading early
)

// stream reads a JSON document piece by piece, so that only one row of it is
// ever in memory.
type stream struct {
	dec *json.Decoder
	key func(string) string // how keys are spelled, nil: as they are
}

func newStream(r io.Reader, key func(string) string) *stream {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	return &stream{dec, key}
}

// token is the decoder's, except that the end of the file is never expected.
func (s *stream) token() (json.Token, error) {
	t, err := s.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

// end makes sure that nothing follows the document.
func (s *stream) end() error {
	switch _, err := s.dec.Token(); err {
	case io.EOF:
		return nil
	case nil:
		return errTrailer
	default:
		return err
	}
}

// fields calls each with every key of an object; each reads the value. It
// reports whether the next value was an object (or null, which has none).
func (s *stream) fields(each func(key string) error) (bool, error) {
	return s.within('{', func() error {
		key, err := s.name()
		if err != nil {
			return err
		}
		return each(key)
	})
}

// items calls each for every item of a list; each reads the item. It reports
// whether the next value was a list (or null, which has none).
func (s *stream) items(each func() error) (bool, error) {
	return s.within('[', each)
}

func (s *stream) within(opening json.Delim, each func() error) (bool, error) {
	t, err := s.token()
	if err != nil || t == nil {
		return t == nil, err
	}
	if t != opening {
		return false, s.skipRest(t)
	}
	for s.dec.More() {
		if err := each(); err != nil {
			return true, err
		}
	}
	_, err = s.token()
	return true, err
}

// name reads an object's next key.
func (s *stream) name() (string, error) {
	t, err := s.token()
	if err != nil {
		return "", err
	}
	key := t.(string) // the decoder has nothing else here
	if s.key != nil {
		key = s.key(key)
	}
	return key, nil
}

// skip reads over a value of any size.
func (s *stream) skip() error {
	t, err := s.token()
	if err != nil {
		return err
	}
	return s.skipRest(t)
}

// skipRest reads to the end of the value that began with t.
func (s *stream) skipRest(t json.Token) error {
	for depth := 0; ; {
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		var err error
		if t, err = s.token(); err != nil {
			return err
		}
	}
}

// value reads a whole value.
func (s *stream) value() (*value, error) { return s.valueAt(0) }

func (s *stream) valueAt(depth int) (*value, error) {
	if depth == mostNested {
		return nil, errNested
	}
	t, err := s.token()
	if err != nil {
		return nil, err
	}
	v := &value{}
	switch t := t.(type) {
	case bool:
		v.shape, v.text = boolean, strconv.FormatBool(t)
	case json.Number:
		v.shape, v.text = number, t.String()
	case string:
		v.shape, v.text = text, t
	case json.Delim:
		v.shape = list
		if t == '{' {
			v.shape = object
		}
		for s.dec.More() {
			var f field
			if v.shape == object {
				if f.key, err = s.name(); err != nil {
					return nil, err
				}
			}
			if f.value, err = s.valueAt(depth + 1); err != nil {
				return nil, err
			}
			if v.shape == object {
				v.fields = append(v.fields, f)
			} else {
				v.items = append(v.items, f.value)
			}
		}
		if _, err := s.token(); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// snake spells a key as Google's samples do. Google takes its JSON in both
// spellings, startSec and start_sec.
func snake(key string) string {
	if strings.IndexFunc(key, isUpper) < 0 {
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

// place is a value and the way to it. Reading it checks it: what is wrong goes
// to the findings with its path, and the reading goes on, so that one pass
// finds everything.
type place struct {
	up    *place
	name  string
	index int    // in the list of that name, or -1
	value *value // nil: absent
	found *findings
}

// root is where a document begins. The prefix goes before every path.
func root(v *value, prefix string, found *findings) *place {
	return &place{name: prefix, index: -1, value: v, found: found}
}

// at is the field of an object, there or not.
func (p *place) at(key string) *place {
	return &place{up: p, name: key, index: -1, value: p.value.get(key), found: p.found}
}

// item is the place of a list's item that is read elsewhere.
func (p *place) item(name string, index int, v *value) *place {
	return &place{up: p, name: name, index: index, value: v, found: p.found}
}

func (p *place) path() string {
	s := p.name
	if p.index >= 0 {
		s += "[" + strconv.Itoa(p.index) + "]"
	}
	if p.up == nil {
		return s
	}
	// A root's name is a prefix, not a key.
	if before := p.up.path(); p.up.up != nil {
		return before + "." + s
	} else {
		return before + s
	}
}

func (p *place) wrong(format string, args ...any) {
	p.found.add(p.path(), fmt.Sprintf(format, args...))
}

// absent reports whether there is nothing here; null is nothing.
func (p *place) absent() bool { return p.value == nil || p.value.shape == null }

// need complains if there is nothing here, or only empty text.
func (p *place) need() *place {
	if p.absent() || p.value.shape == text && p.value.text == "" {
		p.wrong("required")
	}
	return p
}

// only complains about other fields than these, and of any that come twice.
func (p *place) only(keys ...string) {
	if p.value == nil {
		return
	}
	seen := map[string]bool{}
	for _, k := range keys {
		seen[k] = false
	}
	for _, f := range p.value.fields {
		switch twice, known := seen[f.key]; {
		case !known:
			p.at(f.key).wrong("unknown key; known are %s", strings.Join(keys, ", "))
		case twice:
			p.at(f.key).wrong("given twice")
		default:
			seen[f.key] = true
		}
	}
}

// fields reports whether there is an object here, and complains if there is
// something else.
func (p *place) fields() bool {
	if p.absent() {
		return false
	}
	if p.value.shape != object {
		p.wrong("must be an object, not %s", p.value.shape)
		return false
	}
	return true
}

// items are the places of a list; nothing is an empty list.
func (p *place) items() []*place {
	if p.absent() {
		return nil
	}
	if p.value.shape != list {
		p.wrong("must be a list, not %s", p.value.shape)
		return nil
	}
	places := make([]*place, len(p.value.items))
	for i, v := range p.value.items {
		places[i] = p.up.item(p.name, i, v)
	}
	return places
}

// text is text, or a number as it was written; "" if there is nothing.
func (p *place) text() string {
	if p.absent() {
		return ""
	}
	if p.value.shape != text && p.value.shape != number {
		p.wrong("must be text, not %s", p.value.shape)
		return ""
	}
	// PostgreSQL cannot keep one.
	if strings.ContainsRune(p.value.text, 0) {
		p.wrong("must not contain a zero character")
	}
	return p.value.text
}

// mostID is the longest id in bytes: two of them fit in a database's index.
const mostID = 255

// id is an id of somebody else's making.
func (p *place) id() string {
	s := p.text()
	switch {
	case len(s) > mostID:
		p.wrong("longer than %d bytes", mostID)
	case strings.IndexFunc(s, func(r rune) bool { return 0 < r && r < ' ' || r == 0x7f }) >= 0:
		p.wrong("must not contain control characters")
	}
	return s
}

// hexID is an id of the clinic's making: 24 hex digits.
func (p *place) hexID() string {
	s := p.text()
	if s != "" && (len(s) != 24 || strings.Trim(s, "0123456789abcdefABCDEF") != "") {
		p.wrong("must be 24 hex digits, not %q", s)
	}
	return s
}

// flag is true or false; without it, otherwise.
func (p *place) flag(otherwise bool) bool {
	if p.absent() {
		return otherwise
	}
	if p.value.shape != boolean {
		p.wrong("must be true or false, not %s", p.written())
		return otherwise
	}
	return p.value.text == "true"
}

// number is a whole number from lowest to highest, written as a number or as
// text. It is not ok if there is none.
func (p *place) number(lowest, highest int64) (n int64, ok bool) {
	if p.absent() || p.value.shape == text && p.value.text == "" {
		return 0, false
	}
	n, ok = p.whole()
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

func (p *place) whole() (int64, bool) {
	if p.value.shape != number && p.value.shape != text {
		return 0, false
	}
	if n, err := strconv.ParseInt(p.value.text, 10, 64); err == nil {
		return n, true
	}
	// JSON writes a whole number as 1e3 or 2.0 too.
	f, err := strconv.ParseFloat(p.value.text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// written is the value for a message.
func (p *place) written() string {
	switch p.value.shape {
	case text:
		return strconv.Quote(p.value.text)
	case boolean, number:
		return p.value.text
	}
	return p.value.shape.String()
}

// moment is a time in Unix seconds. Another unit is an easy mistake, and easy
// to see.
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

// clock is a time of day, "00:00" to "24:00", in minutes after midnight.
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

// date is a day; the zero Date if there is none.
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

// unique finds ids that come twice.
type unique map[string]string // the id, and where it came first

// add notes the id at p. Empty ones are somebody else's complaint.
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
