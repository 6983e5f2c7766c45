package api

import (
	_ "embed"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/api/docs"
	"holdfast/api/edge"
)

// openAPIText describes every route of all channels, for machines and those who program them. It is
// written by hand; openapi_test.go compares it with the router, the messages and the transcripts.
//
//go:embed openapi.yaml
var openAPIText []byte

// openAPI answers with the description. All of it is public, so it needs no credentials.
func openAPI(c echo.Context) error {
	return edge.Write(c, http.StatusOK, "application/yaml", openAPIText)
}

// reference answers with the page that shows the description in a browser, or with the part of the page
// that the query names.
func reference(c echo.Context) error {
	f, ok := docs.Find(c.QueryParam("part"))
	if !ok {
		return &edge.Refusal{Status: http.StatusNotFound, Message: "the page has no such part"}
	}
	h := c.Response().Header()
	for name, value := range f.Header {
		h.Set(name, value)
	}
	h.Set("ETag", f.ETag)
	if strings.Contains(c.Request().Header.Get("If-None-Match"), f.ETag) { // a list and weak ETags match, too
		return c.NoContent(http.StatusNotModified)
	}
	return edge.Write(c, http.StatusOK, f.Type, f.Body)
}
