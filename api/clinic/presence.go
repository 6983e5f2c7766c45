package clinic

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/api/edge"
	"holdfast/inventory"
	"holdfast/letters"
)

// maybe is a member of a JSON object: absent, null or a value. In a command these mean keep, clear
// and set.
type maybe[T any] struct {
	Given bool // it is present
	Value *T   // nil: absent or null
}

// empty reports whether there is no text: absent, null or "", which protobuf's JSON does not
// distinguish.
func (m maybe[T]) empty() bool {
	return m.Value == nil || reflect.ValueOf(*m.Value).Kind() == reflect.String && reflect.ValueOf(*m.Value).Len() == 0
}

// IsZero makes encoding/json leave out what was not said.
func (m maybe[T]) IsZero() bool { return m.Value == nil }

// MarshalJSON writes the value.
func (m maybe[T]) MarshalJSON() ([]byte, error) { return edge.CompactJSON(m.Value) }

// read sets the member from a JSON value.
func (m *maybe[T]) read(v any, path, under string) error {
	m.Given = true
	if v == nil {
		return nil
	}
	m.Value = new(T)
	return readValue(v, reflect.ValueOf(m.Value).Elem(), path, under)
}

// value is the member's value, if it has one.
func (m *maybe[T]) value() (v reflect.Value, ok bool) {
	if m.Value == nil {
		return reflect.Value{}, false
	}
	return reflect.ValueOf(m.Value).Elem(), true
}

// member is any *maybe[T].
type member interface {
	read(v any, path, under string) error
	value() (reflect.Value, bool)
}

// field is a member of a wire struct.
type field struct {
	member
	name  string // as it is spelled in JSON
	path  string // as a refusal names it
	under string // what the names of its own members begin with
	most  int    // how many characters its text may have
}

// fields returns the members of the wire struct at path, in the order of the schema. The tag
// `oneof:"member"` marks a member of a protobuf oneof, whose name longer paths leave out:
// occupiedResources[0].zoneId. The tag `text:"long"` marks a text that may be longer than a name.
func fields(v reflect.Value, path string) []field {
	t := v.Type()
	var list []field
	for i := range t.NumField() {
		if t.Field(i).Anonymous { // its members belong to the struct itself
			list = append(list, fields(v.Field(i), path)...)
			continue
		}
		tag := t.Field(i).Tag
		name, _, _ := strings.Cut(tag.Get("json"), ",")
		f := field{member: v.Field(i).Addr().Interface().(member), name: name, path: edge.Join(path, name)}
		if f.under = f.path; tag.Get("oneof") != "" {
			f.under = path
		}
		if f.most = mostName; tag.Get("text") == "long" {
			f.most = mostText
		}
		list = append(list, f)
	}
	return list
}

// decode reads a command into a wire struct. The error is row A2: "body" if it is not a JSON object,
// else the first member, in the order of the schema, with a wrong JSON type; or row A2a. decode
// ignores other unknown members, because clients of protobuf's JSON send newer ones.
func decode[T any](body []byte) (T, error) {
	var into T
	object, err := edge.Object(body)
	if err != nil {
		return into, invalidCommand("body", notAvailable)
	}
	v := reflect.ValueOf(&into).Elem()
	if err := readValue(object, v, "", ""); err != nil {
		return into, err
	}
	return into, misspelt(object, v, "", "")
}

// misspelt is row A2a: the first member, in the order of the schema, that the body spells in another
// case, with _ or with -. decode would ignore it, and what it says. from is the JSON value from
// which v was read.
func misspelt(from any, v reflect.Value, path, under string) error {
	switch v.Kind() {
	case reflect.Slice:
		for n, from := range from.([]any) {
			if err := misspelt(from, v.Index(n), nth(path, n), nth(path, n)); err != nil {
				return err
			}
		}
	case reflect.Map: // the caller chooses its keys, so the refusal names the whole map
		for name, from := range from.(map[string]any) {
			entry := reflect.New(v.Type().Elem()).Elem()
			entry.Set(v.MapIndex(reflect.ValueOf(name)))
			if misspelt(from, entry, path, path) != nil {
				return invalidCommand(path, notAvailable)
			}
		}
	case reflect.Struct:
		object, members := from.(map[string]any), fields(v, under)
		unknown := map[string]bool{}
		for name := range object {
			if !slices.ContainsFunc(members, func(f field) bool { return f.name == name }) {
				unknown[bareName(name)] = true
			}
		}
		for _, f := range members {
			if _, undocumented := f.member.(*maybe[any]); !undocumented && unknown[bareName(f.name)] {
				return invalidCommand(f.path, notAvailable)
			}
			if value, ok := f.value(); ok {
				if err := misspelt(object[f.name], value, f.path, f.under); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bareName is a member's name without case, _ and -, in which spellings differ.
func bareName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// readValue copies a JSON value. Unlike encoding/json it requires the members' exact names, and says
// where it found a wrong type.
func readValue(v any, into reflect.Value, path, under string) error {
	ok := true
	switch into.Kind() {
	case reflect.String:
		var s string
		s, ok = v.(string)
		if into.Type() == reflect.TypeFor[id]() {
			s = inventory.PlainID(s)
		}
		into.SetString(s)
	case reflect.Bool:
		var b bool
		b, ok = v.(bool)
		into.SetBool(b)
	case reflect.Int32:
		var n int64
		if _, ok = v.(json.Number); ok {
			n, ok = edge.Integer(v, 32)
		}
		into.SetInt(n)
	case reflect.Float64:
		var n json.Number
		var f float64
		if n, ok = v.(json.Number); ok {
			var err error
			f, err = n.Float64()
			ok = err == nil
		}
		into.SetFloat(f)
	case reflect.Interface: // of any type
		into.Set(reflect.ValueOf(v))
	case reflect.Slice:
		return readList(v, into, path)
	case reflect.Map:
		return readMap(v, into, path)
	case reflect.Struct:
		object, isObject := v.(map[string]any)
		if !isObject {
			return invalidCommand(path, notAvailable)
		}
		for _, f := range fields(into, under) {
			if v, given := object[f.name]; given {
				if err := f.read(v, f.path, f.under); err != nil {
					return err
				}
			}
		}
	}
	if !ok {
		return invalidCommand(path, notAvailable)
	}
	return nil
}

func readList(v any, into reflect.Value, path string) error {
	list, ok := v.([]any)
	if !ok {
		return invalidCommand(path, notAvailable)
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
	for n, v := range list {
		at := nth(path, n)
		if err := readValue(v, into.Index(n), at, at); err != nil {
			return err
		}
	}
	return nil
}

// readMap names the map in its errors, and not the entry: the caller chooses the entry's key, and
// paths are logged.
func readMap(v any, into reflect.Value, path string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return invalidCommand(path, notAvailable)
	}
	into.Set(reflect.MakeMap(into.Type()))
	for name, v := range object {
		entry := reflect.New(into.Type().Elem()).Elem()
		if err := readEntry(v, entry, path); err != nil {
			return err
		}
		into.SetMapIndex(reflect.ValueOf(name), entry)
	}
	return nil
}

func readEntry(v any, into reflect.Value, path string) error {
	if err := readValue(v, into, path, path); err != nil {
		return invalidCommand(path, notAvailable)
	}
	return nil
}

// How long a text that a clinic sends for storage may be, in characters: names, ids and titles, and
// text for people to read. Every list and history with it reads it again.
const (
	mostName = 255
	mostText = 10_000
)

// unusable is row B16: the first value, in the order of the schema, that is outside its enumeration,
// a text that is too long or has a NUL, which no database stores, or a person's name with
// invisible characters.
func unusable(v reflect.Value, path, under string) error {
	return unusableWithin(v, path, under, mostName)
}

// unusableWithin is unusable for a text of at most most characters.
func unusableWithin(v reflect.Value, path, under string, most int) error {
	bad := false
	switch v.Kind() {
	case reflect.String:
		if e, ok := v.Interface().(enum); ok {
			bad = !slices.Contains(e.words(), v.String())
		} else if _, looked := v.Interface().(id); !looked {
			bad = unkept(v.String(), most)
		}
	case reflect.Slice:
		for n := range v.Len() {
			if err := unusableWithin(v.Index(n), nth(path, n), nth(path, n), most); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			entry := reflect.New(v.Type().Elem()).Elem()
			entry.Set(v.MapIndex(name))
			bad = bad || unkept(name.String(), mostName) || unusableWithin(entry, path, path, most) != nil
		}
	case reflect.Struct:
		if p, ok := v.Interface().(interface{ named() *string }); ok && p.named() != nil && !letters.Seen(*p.named()) {
			return invalidCommand(edge.Join(under, "name"), notAvailable)
		}
		for _, f := range fields(v, under) {
			if v, ok := f.value(); ok {
				if err := unusableWithin(v, f.path, f.under, f.most); err != nil {
					return err
				}
			}
		}
	}
	if bad {
		return invalidCommand(path, notAvailable)
	}
	return nil
}

// unkept reports whether a text cannot be stored.
func unkept(s string, most int) bool {
	return strings.Contains(s, "\x00") || utf8.RuneCountInString(s) > most
}

// enum is a word from a list.
type enum interface{ words() []string }

// nth is the path of an element.
func nth(path string, n int) string { return fmt.Sprintf("%s[%d]", path, n) }
