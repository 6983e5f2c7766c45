// Package docs is the reference page at /docs: it shows /openapi.yaml in a browser.
//
// The page and its parts are all that the browser loads besides the description, and the policy
// that goes with them forbids everything else: other hosts, inline scripts, eval, frames and
// forms. What others wrote is in vendor/; vendor.txt lists it, vendor.sh fetches it anew.
package docs

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"
)

//go:embed page.html
var page string

//go:embed start.js
var start []byte

// renderer is packed, because that is how it is served and a third of its length.
//
//go:embed vendor/redoc.standalone.js.gz
var renderer []byte

// policy is the page's Content-Security-Policy. The renderer writes its styles through the
// browser's object model, into style elements that are empty; the first hash is that of nothing.
// The second is that of the one style sheet that the bundle brings as text (for scroll bars).
const policy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// File is what a browser gets.
type File struct {
	Type   string            // its Content-Type
	ETag   string            // quoted
	Header map[string]string // the other headers
	Body   []byte
}

var files = load()

// Find returns the page, for the part "", or one of the parts that the page names. A part's name
// has its hash, so it may be kept for ever; the page is asked for again each time. The renderer
// is always gzip: unpacking it for a caller who cannot would cost us three times the memory, for
// somebody who has no credentials.
func Find(part string) (File, bool) {
	f, ok := files[part]
	return f, ok
}

func load() map[string]File {
	all := map[string]File{}
	names := make([]string, 0, 4)
	for _, part := range []struct {
		name string
		body []byte
		gzip bool
	}{{"renderer", renderer, true}, {"start", start, false}} {
		sum := hash(part.body)
		name := part.name + "-" + sum + ".js"
		f := File{
			Type: "text/javascript; charset=utf-8", ETag: `"` + sum + `"`, Body: part.body,
			Header: map[string]string{"Cache-Control": "public, max-age=31536000, immutable"},
		}
		if part.gzip {
			f.Header["Content-Encoding"] = "gzip"
		}
		all[name] = f
		names = append(names, "{{"+part.name+"}}", name)
	}
	text := []byte(strings.NewReplacer(names...).Replace(page))
	all[""] = File{
		Type: "text/html; charset=utf-8", ETag: `"` + hash(text) + `"`, Body: text,
		Header: map[string]string{"Cache-Control": "no-cache", "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"},
	}
	return all
}

// hash is enough of a text's SHA-256 to tell versions apart.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
