package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
	"google.golang.org/protobuf/reflect/protoreflect"

	"holdfast/api"
	"holdfast/api/mapsbooking"
	"holdfast/booking"
)

const openAPIPath = "/openapi.yaml"

// openAPI is the description as anybody gets it, and the router that serves it.
func openAPI(t *testing.T) (*openapi3.T, *echo.Echo) {
	t.Helper()
	e := api.New(api.Config{Bookings: &booking.Service{}}).(*echo.Echo)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, openAPIPath, nil))
	if kind := w.Header().Get("Content-Type"); w.Code != 200 || kind != "application/yaml" {
		t.Fatalf("got %d %s", w.Code, kind)
	}
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = true // the order of examples
	doc, err := loader.LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return doc, e
}

// The document is OpenAPI 3.1, and its examples are as its schemas say.
func TestOpenAPIIsValid(t *testing.T) {
	doc, _ := openAPI(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
}

// The page at /docs names parts that exist, browsers may cache each for ever, and one that has the current copy does not get
// it again. Nothing outside the policy is ever loaded.
func TestDocs(t *testing.T) {
	_, e := openAPI(t)
	get := func(target, known string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, target, nil), httptest.NewRecorder()
		r.Header.Set("If-None-Match", known)
		e.ServeHTTP(w, r)
		return w
	}
	for _, path := range []string{"/docs", "/docs/"} {
		page := get(path, "")
		parts := regexp.MustCompile(`src="(\?part=[^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
		if page.Code != 200 || len(parts) != 2 || page.Header().Get("Cache-Control") != "no-cache" {
			t.Fatalf("%s: %d, %d parts, %v", path, page.Code, len(parts), page.Header())
		}
		if policy := page.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		for _, part := range append(parts, []string{"", ""}) {
			got := get(path+part[1], `"other"`)
			tag := got.Header().Get("ETag")
			if got.Code != 200 || got.Body.Len() == 0 || tag == "" || got.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s%s: %d, %v", path, part[1], got.Code, got.Header())
			}
			if forever := strings.Contains(got.Header().Get("Cache-Control"), "immutable"); forever != (part[1] != "") {
				t.Errorf("%s%s: Cache-Control %q", path, part[1], got.Header().Get("Cache-Control"))
			}
			if again := get(path+part[1], `"other", W/`+tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
				t.Errorf("%s%s: got %d with %d bytes, want 304", path, part[1], again.Code, again.Body.Len())
			}
		}
	}
}

// The document has exactly the router's routes, and says which credentials each requires.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	doc, e := openAPI(t)
	var routed, described []string
	for _, r := range e.Routes() {
		if !strings.HasSuffix(r.Path, "/") { // the twin of one without
			routed = append(routed, r.Method+" "+r.Path)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described = append(described, method+" "+path)
			want, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
			want = map[string]string{"v3": "basic", "schedule": "bearer", "visitor": "bearer"}[want]
			got := ""
			if op.Security != nil && len(*op.Security) == 1 {
				got = strings.Join(slices.Collect(maps.Keys((*op.Security)[0])), " ")
			}
			if got != want {
				t.Errorf("%s %s wants %q, the document says %q", method, path, want, got)
			}
			_, unauthorized := op.Responses.Map()["401"]
			if unauthorized != (want != "") {
				t.Errorf("%s %s: a 401 is described: %v", method, path, unauthorized)
			}
		}
	}
	slices.Sort(routed)
	slices.Sort(described)
	if !slices.Equal(routed, described) {
		t.Errorf("routed\n%q\ndescribed\n%q", routed, described)
	}
}

// The document has all of Google's messages with all fields and types, and all enumerations with all words.
func TestOpenAPIHasTheMessages(t *testing.T) {
	doc, _ := openAPI(t)
	file := mapsbooking.File_mapsbooking_proto
	c := &messages{t: t, seen: map[protoreflect.FullName]bool{}}
	for path, item := range doc.Paths.Map() {
		method, isRPC := strings.CutPrefix(path, "/v3/")
		if !isRPC || item.Post == nil {
			continue
		}
		find := func(suffix string) protoreflect.MessageDescriptor {
			return file.Messages().ByName(protoreflect.Name(method + suffix))
		}
		c.input = true
		c.message(method, item.Post.RequestBody.Value.Content["application/json"].Schema, find("Request"))
		c.input = false
		c.message(method, item.Post.Responses.Value("200").Value.Content["application/json"].Schema, find("Response"))
	}
	var all []protoreflect.FullName
	var collect func(protoreflect.MessageDescriptors, protoreflect.EnumDescriptors)
	collect = func(ms protoreflect.MessageDescriptors, es protoreflect.EnumDescriptors) {
		for i := range ms.Len() {
			if m := ms.Get(i); !m.IsMapEntry() {
				all = append(all, m.FullName())
				collect(m.Messages(), m.Enums())
			}
		}
		for i := range es.Len() {
			all = append(all, es.Get(i).FullName())
		}
	}
	collect(file.Messages(), file.Enums())
	for _, name := range all {
		if !c.seen[name] {
			t.Errorf("the document does not have %s", name)
		}
	}
	if len(all) < 50 {
		t.Errorf("there are only %d messages and enumerations", len(all))
	}
}

// messages compares schemas with descriptors. Requests may have numbers for strings and strings for numbers; answers may
// not.
type messages struct {
	t     *testing.T
	input bool
	seen  map[protoreflect.FullName]bool
}

func (c *messages) message(path string, ref *openapi3.SchemaRef, m protoreflect.MessageDescriptor) {
	if m == nil || ref == nil {
		c.t.Fatalf("%s: message %v, schema %v", path, m, ref)
	}
	c.seen[m.FullName()] = true
	if !ref.Value.Type.Is("object") {
		c.t.Errorf("%s is no object", path)
	}
	for name := range ref.Value.Properties {
		if m.Fields().ByName(protoreflect.Name(name)) == nil {
			c.t.Errorf("%s.%s is not in the message %s", path, name, m.Name())
		}
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		at := path + "." + f.TextName()
		schema := ref.Value.Properties[f.TextName()]
		switch {
		case schema == nil:
			c.t.Errorf("%s is not in the document", at)
		case f.IsMap():
			if additional := schema.Value.AdditionalProperties.Schema; !schema.Value.Type.Is("object") || additional == nil {
				c.t.Errorf("%s is no map", at)
			} else {
				c.value(at, additional, f.MapValue())
			}
		case f.IsList():
			if !schema.Value.Type.Is("array") {
				c.t.Errorf("%s is no array", at)
			} else {
				c.value(at, schema.Value.Items, f)
			}
		default:
			c.value(at, schema, f)
		}
	}
}

func (c *messages) value(path string, ref *openapi3.SchemaRef, f protoreflect.FieldDescriptor) {
	schema := ref.Value
	var want []string
	switch f.Kind() {
	case protoreflect.MessageKind:
		c.message(path, ref, f.Message())
		return
	case protoreflect.EnumKind:
		c.seen[f.Enum().FullName()] = true
		words := schema
		if c.input { // a word, or the number of one
			if len(schema.AnyOf) != 2 || !schema.AnyOf[1].Value.Type.Is("integer") {
				c.t.Errorf("%s: want a word or a number", path)
				return
			}
			words = schema.AnyOf[0].Value
		}
		var got []string
		for _, w := range words.Enum {
			got = append(got, fmt.Sprint(w))
		}
		var has []string
		for i := range f.Enum().Values().Len() {
			has = append(has, string(f.Enum().Values().Get(i).Name()))
		}
		if !slices.Equal(got, has) {
			c.t.Errorf("%s is one of\n%q in the document and of\n%q in %s", path, got, has, f.Enum().Name())
		}
		return
	case protoreflect.StringKind:
		want = []string{"string"}
	case protoreflect.BoolKind:
		want = []string{"boolean"}
	case protoreflect.Int32Kind:
		want = []string{"integer"}
	case protoreflect.Int64Kind:
		want = []string{"string"}
	}
	if c.input && (f.Kind() == protoreflect.Int32Kind || f.Kind() == protoreflect.Int64Kind) {
		want = []string{"integer", "string"}
	}
	if got := slices.Sorted(slices.Values(schema.Type.Slice())); !slices.Equal(got, want) {
		c.t.Errorf("%s is %q, want %q", path, got, want)
	}
}

// The clinic's command matches the published one, like its wire structs (see TestWireStructsAreTheSchema): the same members,
// types, required members and words.
func TestOpenAPIHasTheCommand(t *testing.T) {
	doc, _ := openAPI(t)
	text, err := os.ReadFile("testdata/update-reservation-v2.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var published openapi3.Schema
	if err := json.Unmarshal(text, &published); err != nil {
		t.Fatal(err)
	}
	members := 0
	var compare func(path string, got, want *openapi3.Schema)
	compare = func(path string, got, want *openapi3.Schema) {
		members++
		if len(got.OneOf) == 2 && got.OneOf[1].Value.Type.Is("null") { // an object that null clears
			got = got.OneOf[0].Value
		}
		kind := slices.DeleteFunc(slices.Clone(got.Type.Slice()), func(s string) bool { return s == "null" })
		if !slices.Equal(kind, want.Type.Slice()) {
			t.Errorf("%s is %q, want %q", path, kind, want.Type.Slice())
			return
		}
		// That an enumeration may also be null is in its list of words.
		words := slices.DeleteFunc(slices.Clone(got.Enum), func(w any) bool { return w == nil })
		if len(words)+len(want.Enum) > 0 && !reflect.DeepEqual(words, want.Enum) {
			t.Errorf("%s is one of\n%q, want\n%q", path, words, want.Enum)
		}
		required := slices.Sorted(slices.Values(want.Required))
		if path == "command.occupiedResources[]" { // row B4 requires it, the published schema does not
			required = slices.Sorted(slices.Values(append(required, "reservationGroup")))
		}
		if got := slices.Sorted(slices.Values(got.Required)); !slices.Equal(got, required) {
			t.Errorf("%s requires %q, want %q", path, got, required)
		}
		if (got.Format == "object-id") != (want.Format == "object-id") {
			t.Errorf("%s has the format %q, want %q", path, got.Format, want.Format)
		}
		for name := range got.Properties {
			if want.Properties[name] == nil && (path != "command" || name != "version") { // that is ours
				t.Errorf("%s.%s is not in the published schema", path, name)
			}
		}
		for name, p := range want.Properties {
			if got.Properties[name] == nil {
				t.Errorf("%s.%s is not in the document", path, name)
				continue
			}
			compare(path+"."+name, got.Properties[name].Value, p.Value)
		}
		if want.Items != nil {
			compare(path+"[]", got.Items.Value, want.Items.Value)
		}
		if want.AdditionalProperties.Schema != nil {
			if got.AdditionalProperties.Schema == nil {
				t.Errorf("%s is no map", path)
				return
			}
			compare(path+"{}", got.AdditionalProperties.Schema.Value, want.AdditionalProperties.Schema.Value)
		}
	}
	compare("command", doc.Components.Schemas["UpdateReservation"].Value, &published)
	if members < 100 {
		t.Errorf("the schema has %d members: it has been misread", members)
	}
}

// exchange is one request of a transcript with its answer, placeholders filled.
type exchange struct {
	where        string
	method, path string
	body         string
	status       int
	header       http.Header // as far as the transcript looks at it
	answer       string
}

// operation is the method and the path of an exchange as the description has them.
func (x exchange) operation() string {
	path, _, _ := strings.Cut(x.path, "?")
	return x.method + " " + strings.TrimSuffix(path, "/")
}

// exchanges reads the exchanges of all transcripts without playing them: TestTranscripts checks that the answers are the
// service's.
func exchanges(t *testing.T) []exchange {
	t.Helper()
	paths, err := filepath.Glob("testdata/transcripts/*/*.txt")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d transcripts, %v", len(paths), err)
	}
	var all []exchange
	for _, path := range paths {
		tr, err := readTranscript(path)
		if err != nil {
			t.Fatal(err)
		}
		s := rehearsal(t)
		for _, p := range tr.steps {
			if p.method == "" {
				continue
			}
			x := exchange{
				where: fmt.Sprintf("%s:%d", path, p.line+1), method: p.method, path: s.expand(p.target),
				body: s.expand(p.body), header: http.Header{},
			}
			if x.status, err = strconv.Atoi(p.answer[0]); err != nil {
				t.Fatalf("%s: %v", x.where, err)
			}
			for _, line := range p.answer[1:] {
				if m := headerLine.FindStringSubmatch(line); m != nil {
					x.header.Set(m[1], s.expand(m[2]))
				} else {
					x.answer += s.expand(line)
				}
			}
			all = append(all, x)
		}
	}
	return all
}

// rehearsal is a stage without a world: its placeholders stand for well-formed values. The first booking has its real id.
func rehearsal(t testing.TB) *stage {
	t.Helper()
	s := &stage{world: &world{t: t, keys: map[string]string{}}, placeholders: map[string]string{}}
	for i, clinic := range merchants {
		s.keys[clinic] = fmt.Sprintf("5d0c7a52-3b1e-4c6f-9a8d-%012x", i+1)
	}
	for i := range 100 {
		id, guest := s.newID(), s.newID()
		s.bookings = append(s.bookings, booking.Booking{ID: id, GuestID: guest, CreatedSec: eight.Unix(), ScheduleID: fmt.Sprintf("%08x%x", eight.Unix(), id[8:])})
		s.tokens = append(s.tokens, fmt.Sprintf("9e1f6c0b-7a44-4b52-8c3d-%012x", i+1))
	}
	return s
}

// The document allows every conversation: it describes the status, the answer's body matches its schema without any other
// members, and a request that got a 200 is valid.
func TestOpenAPIAllowsTheTranscripts(t *testing.T) {
	open, _ := openAPI(t)
	closed, _ := openAPI(t)
	closeSchemas(closed)
	accepted, refused, unrouted := 0, 0, 0
	for _, x := range exchanges(t) {
		u, err := url.Parse(x.path)
		if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimSuffix(u.Path, "/")
		item := open.Paths.Value(path)
		if item == nil || item.GetOperation(x.method) == nil {
			unrouted++
			if err := noRoute(closed, path, item != nil, x); err != nil {
				t.Errorf("%s: %v", x.where, err)
			}
			continue
		}
		r := request(t, x, path)
		input := func(doc *openapi3.T) *openapi3filter.RequestValidationInput {
			item := doc.Paths.Value(path)
			return &openapi3filter.RequestValidationInput{
				Request: r, QueryParams: url.Values{},
				Route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: x.method, Operation: item.GetOperation(x.method)},
				Options: &openapi3filter.Options{
					IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true,
					AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
				},
			}
		}
		if x.status == http.StatusOK {
			accepted++
			if err := openapi3filter.ValidateRequest(t.Context(), input(open)); err != nil {
				t.Errorf("%s: the request was answered, but %v", x.where, err)
			}
		} else {
			refused++
		}
		if err := validAnswer(t.Context(), input(closed), x); err != nil {
			t.Errorf("%s: %d %s: %v", x.where, x.status, x.answer, err)
		}
	}
	if accepted < 300 || refused < 200 || unrouted < 10 {
		t.Errorf("looked at %d accepted, %d refused and %d unrouted requests", accepted, refused, unrouted)
	}
}

func validAnswer(ctx context.Context, input *openapi3filter.RequestValidationInput, x exchange) error {
	described := input.Route.Operation.Responses.Status(x.status)
	if described != nil && (len(described.Value.Content) > 0) != (x.answer != "") {
		return fmt.Errorf("a body where none is described, or the other way round")
	}
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: x.status,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(x.answer)), Options: input.Options,
	})
}

// noRoute checks a request for which there is no operation: it must be refused as the components for that say.
func noRoute(doc *openapi3.T, path string, known bool, x exchange) error {
	family := "Google"
	if first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); first == "schedule" || first == "visitor" || first == "open" {
		family = "Clinic"
	}
	want, name := http.StatusNotFound, "NotFound"
	if known {
		want, name = http.StatusMethodNotAllowed, "MethodNotAllowed"
	}
	if x.status == http.StatusUnauthorized {
		want, name = x.status, "Unauthorized"
	}
	described := doc.Components.Responses[family+name]
	switch {
	case described == nil:
		return fmt.Errorf("there is no component %s", family+name)
	case x.status != want:
		return fmt.Errorf("no such operation, but answered %d", x.status)
	case x.method == http.MethodHead:
		return nil
	}
	var body any
	if err := json.Unmarshal([]byte(x.answer), &body); err != nil {
		return err
	}
	return described.Value.Content["application/json"].Schema.Value.VisitJSON(body, openapi3.EnableJSONSchema2020())
}

// request returns the exchange's request without what the document allows only in words: names in protobuf's other spelling,
// and null for absent. At the top of a command, null has a meaning.
func request(t *testing.T, x exchange, path string) *http.Request {
	t.Helper()
	body := x.body
	var v any
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err == nil {
		text, err := json.Marshal(plain(v, strings.HasPrefix(path, "/v3/"), true))
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	}
	r := httptest.NewRequest(x.method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

var capital = regexp.MustCompile(`[A-Z]`)

func plain(v any, google, top bool) any {
	switch v := v.(type) {
	case map[string]any:
		object := map[string]any{}
		for name, member := range v {
			if member == nil && (google || !top) {
				continue
			}
			if google {
				name = capital.ReplaceAllStringFunc(name, func(c string) string { return "_" + strings.ToLower(c) })
			}
			object[name] = plain(member, google, false)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i], google, false)
		}
		return list
	}
	return v
}

// closeSchemas makes the document forbid what it does not name.
func closeSchemas(doc *openapi3.T) {
	seen := map[*openapi3.Schema]bool{}
	var shut func(ref *openapi3.SchemaRef)
	shut = func(ref *openapi3.SchemaRef) {
		if ref == nil || ref.Value == nil || seen[ref.Value] {
			return
		}
		s := ref.Value
		seen[s] = true
		if s.Type.Is("object") && s.AdditionalProperties.Schema == nil {
			s.AdditionalProperties = openapi3.AdditionalProperties{Has: new(bool)}
		}
		shut(s.Items)
		for _, p := range s.Properties {
			shut(p)
		}
		for _, p := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
			shut(p)
		}
	}
	for _, s := range doc.Components.Schemas {
		shut(s)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, r := range op.Responses.Map() {
				for _, c := range r.Value.Content {
					shut(c.Schema)
				}
			}
		}
	}
	for _, r := range doc.Components.Responses {
		for _, c := range r.Value.Content {
			shut(c.Schema)
		}
	}
}

// Every example is in a transcript: as a request to that path, as an answer from it with that status or, in a component, as
// any answer.
func TestOpenAPIExamplesAreTranscripts(t *testing.T) {
	doc, _ := openAPI(t)
	said := map[string]bool{}
	for _, x := range exchanges(t) {
		at := x.operation()
		said[at+" > "+canonical(t, x.body)] = true
		said[fmt.Sprintf("%s < %d %s", at, x.status, canonical(t, x.answer))] = true
		said["< "+canonical(t, x.answer)] = true // to anything
	}
	shown := 0
	look := func(what string, content openapi3.Content) {
		for _, c := range content {
			for name, e := range c.Examples {
				shown++
				text, err := json.Marshal(e.Value.Value)
				if err != nil {
					t.Fatal(err)
				}
				if !said[what+" "+canonical(t, string(text))] {
					t.Errorf("no transcript has the example %q of %s: %s", name, what, text)
				}
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody != nil {
				look(method+" "+path+" >", op.RequestBody.Value.Content)
			}
			for status, r := range op.Responses.Map() {
				if r.Ref == "" {
					look(method+" "+path+" < "+status, r.Value.Content)
				}
			}
		}
	}
	for _, r := range doc.Components.Responses {
		look("<", r.Value.Content)
	}
	if shown < 20 {
		t.Errorf("there are only %d examples", shown)
	}
}

// For each call with a body the reference page shows the first request and, for the 200, the first answer. They belong to one
// exchange of one transcript.
func TestEachCallShowsOneExchange(t *testing.T) {
	doc, _ := openAPI(t)
	said := map[string]bool{}
	for _, x := range exchanges(t) {
		said[fmt.Sprintf("%s > %s < %d %s", x.operation(), canonical(t, x.body), x.status, canonical(t, x.answer))] = true
	}
	calls := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.RequestBody == nil {
				continue
			}
			calls++
			asked := firstExample(t, op.RequestBody.Value.Content)
			got := firstExample(t, op.Responses.Value("200").Value.Content)
			if !said[method+" "+path+" > "+asked+" < 200 "+got] {
				t.Errorf("no transcript has what %s shows:\n> %s< %s", path, asked, got)
			}
		}
	}
	if calls < 31 {
		t.Errorf("looked at %d calls", calls)
	}
}

// firstExample returns the example that comes first in the description, an order that a map loses.
func firstExample(t *testing.T, content openapi3.Content) string {
	t.Helper()
	examples := content["application/json"].Examples
	if len(examples) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(examples), func(a, b string) int {
		return examples[a].Value.Origin.Key.Line - examples[b].Value.Origin.Key.Line
	})
	text, err := json.Marshal(examples[names[0]].Value.Value)
	if err != nil {
		t.Fatal(err)
	}
	return canonical(t, string(text))
}

// canonical is a JSON text with its members in order, or any other text as it
// is.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return text
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
