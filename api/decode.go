package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"holdfast/letters"
)

// badBody refuses a body as a whole.
func badBody(message string) error {
	return &refusal{status: http.StatusBadRequest, message: message}
}

// badField refuses one field of Google's, by its path in protobuf's names.
func badField(path, must string) error {
	return &refusal{status: http.StatusBadRequest, field: path, message: path + " " + must}
}

// parse reads a body that is one JSON object and nothing after it. Numbers stay
// as they are written. An object with a member twice is refused: two readers of
// it may see two different things.
func parse(body []byte) (map[string]any, error) {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return nil, badBody("the body is empty")
	case !utf8.Valid(body):
		return nil, badBody("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil { // the error may repeat what it did not understand
		return nil, badBody("the body is not well-formed JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, badBody("there is something after the end of the JSON text")
	}
	object, ok := v.(map[string]any)
	switch {
	case !ok:
		return nil, badBody("the body is not a JSON object")
	case colons(body) != members(v):
		return nil, badBody("an object has a member twice")
	}
	return object, nil
}

// colons counts the members that are written in a JSON text.
func colons(text []byte) int {
	n, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ':' && !quoted:
			n++
		}
	}
	return n
}

// members counts the members that came of it: of two of one name, one is left.
func members(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, v := range v {
			n += members(v)
		}
	case []any:
		for _, v := range v {
			n += members(v)
		}
	}
	return n
}

// decodeGoogle reads a message of Google's, generously where protobuf's JSON is:
// either spelling of names, numbers as strings, unknown members. What protojson
// reads strictly is right as it is. Of anything else it would not say which field
// is wrong, and with unknown members allowed would read an unknown word of an
// enumeration as the zero value; so then the body is held against the message's
// descriptor first.
func decodeGoogle(body []byte, m proto.Message) error {
	if plain(body) && protojson.Unmarshal(body, m) == nil && numbersKnown(m.ProtoReflect()) {
		return nil
	}
	proto.Reset(m)
	object, err := parse(body)
	if err != nil {
		return err
	}
	if err := checkMessage(m.ProtoReflect().Descriptor(), object, ""); err != nil {
		return err
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, m); err != nil {
		return badBody("the body is not protobuf's JSON: a field under both its names, or half a surrogate pair")
	}
	return nil
}

// plain reports whether a text is JSON without what protojson is lax about: it
// takes "0e" for a number, and a member twice if it is null once.
func plain(body []byte) bool { return json.Valid(body) && !bytes.Contains(body, []byte("null")) }

// numbersKnown reports whether every enumeration in a message has a number that
// the enumeration knows.
func numbersKnown(m protoreflect.Message) bool {
	known := true
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		one := func(v protoreflect.Value) {
			switch fd.Kind() {
			case protoreflect.EnumKind:
				known = known && fd.Enum().Values().ByNumber(v.Enum()) != nil
			case protoreflect.MessageKind:
				known = known && numbersKnown(v.Message())
			}
		}
		switch {
		case fd.IsMap(): // none of ours has a map of enumerations
		case fd.IsList():
			for i := range v.List().Len() {
				one(v.List().Get(i))
			}
		default:
			one(v)
		}
		return known
	})
	return known
}

func checkMessage(d protoreflect.MessageDescriptor, v any, path string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return badField(path, "must be an object")
	}
	fields := d.Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		v := object[fd.TextName()]
		if v == nil {
			v = object[fd.JSONName()]
		}
		if v == nil { // absent, or null, which is the same
			continue
		}
		if err := checkField(fd, v, join(path, fd.TextName())); err != nil {
			return err
		}
	}
	return nil
}

func checkField(fd protoreflect.FieldDescriptor, v any, path string) error {
	switch {
	case fd.IsMap(): // its keys are the caller's and belong in no path
		entries, ok := v.(map[string]any)
		if !ok {
			return badField(path, "must be an object")
		}
		for _, v := range entries {
			if err := checkValue(fd.MapValue(), v, path); err != nil {
				return err
			}
		}
		return nil
	case fd.IsList():
		list, ok := v.([]any)
		if !ok {
			return badField(path, "must be an array")
		}
		for i, v := range list {
			if err := checkValue(fd, v, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	return checkValue(fd, v, path)
}

func checkValue(fd protoreflect.FieldDescriptor, v any, path string) error {
	ok, must := true, ""
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return checkMessage(fd.Message(), v, path)
	case protoreflect.StringKind:
		_, ok = v.(string)
		must = "must be a string"
	case protoreflect.BoolKind:
		_, ok = v.(bool)
		must = "must be true or false"
	case protoreflect.Int32Kind:
		_, ok = integer(v, 32)
		must = "must be a whole number of 32 bits"
	case protoreflect.Int64Kind:
		_, ok = integer(v, 64)
		must = "must be a whole number of 64 bits"
	case protoreflect.EnumKind:
		ok = known(fd.Enum(), v)
		must = "must be one of the words of " + string(fd.Enum().Name())
	}
	if !ok {
		return badField(path, must)
	}
	return nil
}

// known reports whether v is a word of the enumeration, or the number of one.
func known(e protoreflect.EnumDescriptor, v any) bool {
	if word, ok := v.(string); ok {
		return e.Values().ByName(protoreflect.Name(word)) != nil
	}
	n, ok := integer(v, 32)
	return ok && e.Values().ByNumber(protoreflect.EnumNumber(n)) != nil //nolint:gosec // it has 32 bits
}

// integer reads a whole number as protobuf's JSON writes it: a number or a
// string of one, with or without fraction and exponent. Other than the usual
// way of writing it is left to protobuf itself.
func integer(v any, bits int) (int64, bool) {
	var literal string
	switch v := v.(type) {
	case json.Number:
		literal = v.String()
	case string:
		literal = v
	default:
		return 0, false
	}
	if n, err := strconv.ParseInt(literal, 10, bits); err == nil && strconv.FormatInt(n, 10) == literal {
		return n, true
	}
	text, err := json.Marshal(v)
	if err != nil {
		return 0, false
	}
	if bits == 32 {
		var n wrapperspb.Int32Value
		err := protojson.Unmarshal(text, &n)
		return int64(n.Value), err == nil
	}
	var n wrapperspb.Int64Value
	err = protojson.Unmarshal(text, &n)
	return n.Value, err == nil
}

// passing are fields of which nothing is kept, so that their texts may be
// anything: what pays, and what the card's issuer has to say.
var passing = map[protoreflect.Name]bool{
	"payment_processing_parameters": true, "fraud_signals": true, "pa_response": true, "md_merchant_data": true,
}

// manyLines are the texts that may have line breaks and tabs.
var manyLines = map[protoreflect.Name]bool{"additional_request": true, "street_address": true}

// checkTexts refuses what cannot be kept: texts that are too long, and control
// characters, which belong in no name or id and of which Postgres cannot store
// NUL; in a name also those that hide in it or turn what is written after it.
func checkTexts(m protoreflect.Message, path string) error {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) || passing[fd.Name()] || fd.IsList() || fd.IsMap() {
			continue
		}
		var err error
		switch fd.Kind() {
		case protoreflect.MessageKind:
			err = checkTexts(m.Get(fd).Message(), join(path, fd.TextName()))
		case protoreflect.StringKind:
			err = checkText(fd.Name(), m.Get(fd).String(), join(path, fd.TextName()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkText(name protoreflect.Name, s, path string) error {
	bytes := 1024
	switch {
	case name == "given_name", name == "family_name": // UserInformation: up to 40 characters
		if utf8.RuneCountInString(s) > 40 {
			return badField(path, "must have at most 40 characters")
		}
	case name == "additional_request":
		bytes = 8192
	case name == "idempotency_token":
		bytes = 512
	case strings.HasSuffix(string(name), "_id"):
		bytes = 256
	}
	if len(s) > bytes {
		return badField(path, fmt.Sprintf("must have at most %d bytes", bytes))
	}
	switch {
	case strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && !(manyLines[name] && strings.ContainsRune("\t\n\r", r))
	}):
		return badField(path, "must have no control characters")
	case (name == "given_name" || name == "family_name") && !letters.Seen(s):
		return badField(path, "must have no characters that cannot be seen")
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
