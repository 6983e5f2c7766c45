package conform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"holdfast/api/mapsbooking"
)

// encode writes a request like Google: snake_case, 64-bit integers as strings, without zero values.
func encode(m proto.Message) []byte {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		panic(err) // only invalid UTF-8 can fail, and readers of JSON leave none
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// edited returns a JSON text whose objects f has changed; f gets each object with its path.
func edited(text []byte, f func(path string, object map[string]any)) []byte {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err) // encode wrote it
	}
	edit(v, "", f)
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}

func edit(v any, path string, f func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			edit(member, strings.TrimPrefix(path+"."+name, "."), f)
		}
		f(path, v)
	case []any:
		for _, member := range v {
			edit(member, path, f)
		}
	}
}

// member follows names into a JSON value, in either spelling: booking_id or bookingId. It returns nil if there is
// nothing.
func member(v any, names ...string) any {
	for _, name := range names {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		next, ok := object[name]
		if !ok {
			next = object[camel(name)]
		}
		v = next
	}
	return v
}

// word returns a member that is text, such as an enumeration's word as written.
func word(v any, names ...string) string {
	s, _ := member(v, names...).(string)
	return s
}

// camel spells a name like protobuf's JSON by default.
func camel(snake string) string {
	parts := strings.Split(snake, "_")
	for i, p := range parts[1:] {
		if p != "" {
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}

// findings is what a strict reading of an answer found.
type findings struct {
	camel   []string // fields spelled in camel case
	words   []string // words that their enumerations do not have
	unknown []string // fields that the messages do not have
	causes  []string // booking_failures whose cause is missing or unknown
}

const cancelledTwoLs = "CANCELLED"

// strict reads JSON against a message's descriptor.
func strict(d protoreflect.MessageDescriptor, v any, path string, f *findings) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		fd := d.Fields().ByTextName(name)
		if fd == nil {
			if fd = d.Fields().ByJSONName(name); fd == nil {
				f.unknown = append(f.unknown, at)
				continue
			}
			f.camel = append(f.camel, at)
		}
		values := []any{object[name]}
		if list, ok := object[name].([]any); ok {
			values = list
		}
		for _, value := range values {
			switch {
			case fd.Message() != nil && !fd.IsMap():
				strict(fd.Message(), value, at, f)
			case fd.Enum() != nil && !inEnum(fd.Enum(), value):
				f.words = append(f.words, fmt.Sprintf("%s %v", at, value))
			}
		}
	}
	if d.FullName() == (*mapsbooking.BookingFailure)(nil).ProtoReflect().Descriptor().FullName() {
		if cause := word(v, "cause"); cause == "" || cause == "CAUSE_UNSPECIFIED" {
			f.causes = append(f.causes, strings.TrimPrefix(path+".cause", ".")+" is missing or unspecified")
		}
	}
}

// inEnum reports whether a value is a word of the enumeration. Google sends and shows words; the numbers of some
// are not published.
func inEnum(e protoreflect.EnumDescriptor, v any) bool {
	if v == nil {
		return true
	}
	s, ok := v.(string)
	return ok && e.Values().ByName(protoreflect.Name(s)) != nil
}

// short cuts a text to what people want to read in a report.
func short(text []byte) string {
	const most = 600
	s := strings.TrimSpace(strings.ToValidUTF8(string(text), "?"))
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + fmt.Sprintf("… (%d bytes)", len(text))
}
