package sandbox

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"time": func(sec int64) string {
		if sec == 0 {
			return "–"
		}
		return time.Unix(sec, 0).UTC().Format("Mon 2 Jan 2006 15:04")
	},
	"minutes": func(sec int64) int64 { return sec / 60 },
	"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"newest": func(all []Call) []Call {
		reversed := make([]Call, 0, len(all))
		for i := range all {
			reversed = append(reversed, all[len(all)-1-i])
		}
		return reversed
	},
}).Parse(pageText))

// page shows both sides.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	if err := page.Execute(&out, s.view(r.Context())); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, _ = w.Write(out.Bytes()) // a browser that is gone does not see it
}
