package google

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"holdfast/api/edge"
	"holdfast/letters"
)

// decode reads a message from Google as generously as protobuf's JSON: either spelling of names,
// numbers as strings, unknown members. What protojson reads in strict mode is right. About anything
// else protojson does not say which field is wrong, and if it allows unknown members, it reads an
// unknown word of an enumeration as the zero value. So decode then compares the body with the message's
// descriptor first.
func decode(body []byte, m proto.Message) error {
	if plain(body) && protojson.Unmarshal(body, m) == nil && numbersKnown(m.ProtoReflect()) {
		return nil
	}
	proto.Reset(m)
	object, err := edge.Object(body)
	if err != nil {
		return err
	}
	if err := checkMessage(m.ProtoReflect().Descriptor(), object, ""); err != nil {
		return err
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, m); err != nil {
		return edge.BadBody("the body is not protobuf's JSON: a field under both its names, or half a surrogate pair")
	}
	return nil
}

// plain reports whether a text is JSON without what protojson is lax about: it accepts "0e" as a number,
// and a member twice if one of them is null.
func plain(body []byte) bool { return json.Valid(body) && !bytes.Contains(body, []byte("null")) }

// numbersKnown reports whether all numbers of enumerations in a message are known.
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
		case fd.IsMap(): // none of our messages has a map of enumerations
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
		if err := checkField(fd, v, edge.Join(path, fd.TextName())); err != nil {
			return err
		}
	}
	return nil
}

func checkField(fd protoreflect.FieldDescriptor, v any, path string) error {
	switch {
	case fd.IsMap(): // the caller chooses its keys, so they must not get into a path
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
		_, ok = edge.Integer(v, 32)
		must = "must be a whole number of 32 bits"
	case protoreflect.Int64Kind:
		_, ok = edge.Integer(v, 64)
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

// known reports whether v is a word of the enumeration, or a word's number.
func known(e protoreflect.EnumDescriptor, v any) bool {
	if word, ok := v.(string); ok {
		return e.Values().ByName(protoreflect.Name(word)) != nil
	}
	n, ok := edge.Integer(v, 32)
	return ok && e.Values().ByNumber(protoreflect.EnumNumber(n)) != nil //nolint:gosec // it has 32 bits
}

// passing are fields that we do not store, so their texts may be anything: the means of payment, and
// messages from the card's issuer.
var passing = map[protoreflect.Name]bool{
	"payment_processing_parameters": true, "fraud_signals": true, "pa_response": true, "md_merchant_data": true,
}

// manyLines are the texts that may have line breaks and tabs.
var manyLines = map[protoreflect.Name]bool{"additional_request": true, "street_address": true}

// checkTexts refuses texts that cannot be stored: those that are too long, and those with control
// characters, which belong in no name or id, and of which Postgres cannot store NUL. In names it also
// refuses invisible characters and those that reverse the text after them.
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
			err = checkTexts(m.Get(fd).Message(), edge.Join(path, fd.TextName()))
		case protoreflect.StringKind:
			err = checkText(fd.Name(), m.Get(fd).String(), edge.Join(path, fd.TextName()))
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
