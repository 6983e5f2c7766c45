package api

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"
)

// openAPIText describes every route of this package for machines and their
// writers. It is written by hand; openapi_test.go holds it against the router,
// the messages and the transcripts.
//
//go:embed openapi.yaml
var openAPIText []byte

// openAPI answers with the description. It has nothing that is not public, so
// it needs no credentials.
func openAPI(c echo.Context) error {
	return write(c, http.StatusOK, "application/yaml", openAPIText)
}
