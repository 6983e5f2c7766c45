package edge

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// ReadBody reads a body of at most the channel's MaxBody. From then on we work on the request, and it
// keeps its place. ReadBody looks at the announced length first, so it refuses a long body before
// reading it. Its errors are [*Refusal], or wrap [booking.ErrUnavailable] if the caller has too much
// in hand.
func ReadBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	k := CallOf(r.Context())
	most := cmp.Or(k.channel.MaxBody, MaxBody)
	tooLong := &Refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", most)}
	if r.ContentLength > most {
		return nil, tooLong
	}
	for _, coding := range r.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return nil, &Refusal{http.StatusUnsupportedMediaType, "the body must not be compressed"}
		}
	}
	// MaxBytesReader closes the connection, for which it needs the server's own ResponseWriter.
	body, err := k.place.read(http.MaxBytesReader(c.Response().Writer, r.Body, most), r.ContentLength)
	var limit *http.MaxBytesError
	switch {
	case errors.Is(err, errTooMuch):
		return nil, err
	case errors.As(err, &limit):
		return nil, tooLong
	case err != nil:
		return nil, BadBody("the body could not be read to its end")
	}
	return body, k.place.work(Expansion * int64(len(body)))
}

// WriteJSON writes a JSON text as the answer.
func WriteJSON(c echo.Context, status int, text []byte) error {
	return Write(c, status, echo.MIMEApplicationJSON, text)
}

// Write writes the answer; contentType may be "" if there is no text. The answer is charged to its
// caller until the caller has taken it.
func Write(c echo.Context, status int, contentType string, text []byte) error {
	r, k := c.Response(), CallOf(c.Request().Context())
	if err := k.place.answer(int64(cap(text))); err != nil {
		return err
	}
	if contentType != "" {
		r.Header().Set(echo.HeaderContentType, contentType)
	}
	r.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(text))) // without it a long one goes in chunks
	r.WriteHeader(status)
	// Without a flush, HTTP/2 could still have to send the answer after its place is given back.
	return k.place.write(r, text, c.Request().ProtoMajor == 2)
}
