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

// ReadBody reads a body that is not longer than the channel's MaxBody. From then on
// the request is worked on, and keeps its place. The announced length is looked at
// first, so that a long body is refused before it is read. Its errors are [*Refusal],
// or wrap [booking.ErrUnavailable] if the caller has too much in hand.
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
	// MaxBytesReader closes the connection, which it can only with the server's
	// own ResponseWriter.
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

// WriteJSON answers with a JSON text.
func WriteJSON(c echo.Context, status int, text []byte) error {
	return Write(c, status, echo.MIMEApplicationJSON, text)
}

// Write answers; contentType may be "" for an answer without text. The answer is charged
// to its caller until it is taken.
func Write(c echo.Context, status int, contentType string, text []byte) error {
	r, k := c.Response(), CallOf(c.Request().Context())
	if err := k.place.answer(int64(cap(text))); err != nil {
		return err
	}
	if contentType != "" {
		r.Header().Set(echo.HeaderContentType, contentType)
	}
	r.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(text))) // else a long one goes in chunks
	r.WriteHeader(status)
	// What HTTP/2 has not sent it would wait with after the place is given back.
	return k.place.write(r, text, c.Request().ProtoMajor == 2)
}
