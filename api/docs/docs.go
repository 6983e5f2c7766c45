// Package docs is the reference page at /docs: it shows /openapi.yaml in a browser.
//
// Besides the description, the browser loads only the page and its parts, and the page's policy
// forbids everything else: other hosts, inline scripts, eval, frames and forms. Third-party code is
// in vendor/; vendor.txt lists it, and vendor.sh fetches it anew.
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

// renderer is gzipped, because that is how we serve it, at a third of its length.
//
//go:embed vendor/redoc.standalone.js.gz
var renderer []byte

// policy is the page's Content-Security-Policy. The renderer writes its styles through the DOM into
// empty style elements; the first hash is that of the empty text. The second is that of the one
// style sheet that the bundle has as text (for scroll bars).
const policy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; " +
	"style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// File is a file with its headers.
type File struct {
	Type   string            // its Content-Type
	ETag   string            // quoted
	Header map[string]string // the other headers
	Body   []byte
}

var files = load()

// Find returns the page, for the part "", or one of the parts that the page names. A part's name
// contains its hash, so browsers may cache it for ever; they revalidate the page each time. The
// renderer is always gzipped: unpacking it for a caller who cannot would cost three times the
// memory, and that caller has no credentials.
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

// hash returns enough of a text's SHA-256 to tell versions apart.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
