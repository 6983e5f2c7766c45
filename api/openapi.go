package api

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/api/edge"
)

// openAPIText describes every route of all channels for machines and their
// writers. It is written by hand; openapi_test.go holds it against the router,
// the messages and the transcripts.
//
//go:embed openapi.yaml
var openAPIText []byte

// openAPI answers with the description. It has nothing that is not public, so
// it needs no credentials.
func openAPI(c echo.Context) error {
	return edge.Write(c, http.StatusOK, "application/yaml", openAPIText)
}
