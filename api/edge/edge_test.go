package edge

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"holdfast/booking"
)

// bakery is a channel like any other: its callers send a word, its only endpoint sells bread, and it says "no" in
// words of its own. Unless authenticate is given, the word is flour.
func bakery(authenticate func(*http.Request) (Caller, error)) Channel {
	if authenticate == nil {
		authenticate = func(r *http.Request) (Caller, error) {
			if r.Header.Get("Authorization") != "flour" {
				return Caller{}, ErrUnauthorized
			}
			return Caller{Name: "baker"}, nil
		}
	}
	return Channel{
		Roots: []string{"bakery"}, Kind: tenants, Authenticate: authenticate, LooksUp: true, Challenge: "Word", MaxBody: 100,
		Refuse: func(err error) Reply {
			if errors.Is(err, errSoldOut) {
				return Reply{Status: http.StatusConflict, Body: "sold out", Field: "loaf[7]", Cause: "SOLD_OUT"}
			}
			return Reply{Status: RefusalOf(err).Status, Body: "sorry"}
		},
		Routes: []Route{Post("/bakery/bread", func(c echo.Context) error {
			body, err := ReadBody(c)
			switch {
			case err != nil:
				return err
			case string(body) == "the last":
				return errSoldOut
			case string(body) == "fail":
				return booking.ErrUnavailable
			}
			return WriteJSON(c, http.StatusOK, []byte(`"bread for `+CallOf(c.Request().Context()).Caller+`"`))
		})},
	}
}

var errSoldOut = errors.New("sold out")

// from sends a request for bread from an address.
func from(h http.Handler, remote, word string) *httptest.ResponseRecorder {
	return ask(h, http.MethodPost, "/bakery/bread", "", word, remote)
}

func ask(h http.Handler, method, path, body, word, remote string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = remote
	r.Header.Set("Authorization", word)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A channel decides everything about its own paths and nothing about others: who may come in, how long a body may
// be, and how a "no" sounds.
func TestChannel(t *testing.T) {
	var answers []Answer
	public := []Route{Get("/open", func(c echo.Context) error { return Write(c, http.StatusOK, "", nil) })}
	h := New(Config{Observe: func(_ context.Context, a Answer) { answers = append(answers, a) }}, public, bakery(nil))
	for _, c := range []struct {
		name, method, path, body, word string
		status                         int
		want                           string
		field, cause                   string
	}{
		{"bread", "POST", "/bakery/bread", "", "flour", 200, `"bread for baker"`, "", ""},
		{"with a slash", "POST", "/bakery/bread/", "", "flour", 200, `"bread for baker"`, "", ""},
		{"nobody", "POST", "/bakery/bread", "", "", 401, `"sorry"`, "", ""},
		{"nobody, where there is nothing", "POST", "/bakery/cake", "", "", 401, `"sorry"`, "", ""},
		{"where there is nothing", "POST", "/bakery/cake", "", "flour", 404, `"sorry"`, "", ""},
		{"another verb", "GET", "/bakery/bread", "", "flour", 405, `"sorry"`, "", ""},
		{"too long", "POST", "/bakery/bread", strings.Repeat("x", 101), "flour", 413, `"sorry"`, "", ""},
		{"its own no", "POST", "/bakery/bread", "the last", "flour", 409, `"sold out"`, "loaf[n]", "SOLD_OUT"},
		{"not now", "POST", "/bakery/bread", "fail", "flour", 503, `"sorry"`, "", ""},
		{"of no channel", "GET", "/open", "", "", 200, "", "", ""},
		{"of nobody", "GET", "/nothing", "", "", 404, `{"error":{"code":404,"message":"there is no such path"}}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(h, c.method, c.path, c.body, c.word, "192.0.2.1:1")
			if got.Code != c.status || got.Body.String() != c.want {
				t.Errorf("got %d %s, want %d %s", got.Code, got.Body, c.status, c.want)
			}
			if challenge := got.Header().Get("WWW-Authenticate"); (challenge == "Word") != (c.status == 401) {
				t.Errorf("challenged with %q", challenge)
			}
			if a := answers[len(answers)-1]; a.Status != c.status || a.Field != c.field || a.Cause != c.cause {
				t.Errorf("observed %+v", a)
			}
		})
	}
}
