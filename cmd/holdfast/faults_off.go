//go:build !faults

package main

import "net/http"

// A server built with the tag faults can kill itself at a named point, see faults_on.go. This one cannot.

var fault func(point string) error

func breaking(h http.Handler) http.Handler { return h }
