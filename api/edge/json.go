package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Object reads a body that is one JSON object and nothing else. Numbers stay as written, as
// [json.Number]. It refuses an object that has a member twice, because two readers could understand
// that differently. Its errors are [*Refusal].
func Object(body []byte) (map[string]any, error) {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return nil, BadBody("the body is empty")
	case !utf8.Valid(body):
		return nil, BadBody("the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil { // the error may repeat the text
		return nil, BadBody("the body is not well-formed JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, BadBody("there is something after the end of the JSON text")
	}
	object, ok := v.(map[string]any)
	switch {
	case !ok:
		return nil, BadBody("the body is not a JSON object")
	case colons(body) != members(v):
		return nil, BadBody("an object has a member twice")
	}
	return object, nil
}

// BadBody refuses a body as a whole, with a 400.
func BadBody(message string) error { return &Refusal{http.StatusBadRequest, message} }

// colons counts the members written in a JSON text.
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

// members counts the members after decoding, which keeps one of two with the same name.
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

// Integer reads a whole number as protobuf's JSON writes it: a number, or a string with one, with or
// without fraction and exponent; bits is 32 or 64. It leaves unusual spellings to protobuf itself.
func Integer(v any, bits int) (int64, bool) {
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

// CompactJSON writes JSON in its shortest form, without escaping <.
func CompactJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Join returns the path of a member: its name after the path of its object, if that has one.
func Join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
