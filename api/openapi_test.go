package api_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

func TestX(t *testing.T) { _ = openapi3.T{}; _ = openapi3filter.Options{} }
