package api_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// Whatever an endpoint gets, from almost correct JSON to none at all, the answer is JSON and never says that the fault is
// ours, a 400 names what is wrong, and every invariant holds afterwards. The seeds are the requests of all transcripts, so
// a new endpoint brings its own.
func FuzzEndpoints(f *testing.F) {
	paths, err := filepath.Glob("testdata/transcripts/*/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	s := rehearsal(f)
	posts := map[string]bool{}
	for _, path := range paths {
		tr, err := readTranscript(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, step := range tr.steps {
			if step.method == http.MethodPost && !strings.HasSuffix(step.target, "/") && len(step.body) < 10_000 && !strings.Contains(step.body, "{{key") {
				posts[step.target] = true
				f.Add(step.target, s.expand(step.body))
			}
		}
	}
	target := storagetest.SQLite(f)
	w := newWorld(f, storagetest.Database{DB: storagetest.Open(f, target, storage.Options{}), Target: target}, options{})
	w.must(load(f.Context(), w.db.DB, worldDir))
	f.Cleanup(func() { w.t = f; w.check() })
	f.Fuzz(func(t *testing.T, path, body string) {
		if !posts[path] {
			return
		}
		w.t = t // f itself may not be used in here
		who := clinic1
		if strings.HasPrefix(path, "/v3/") {
			who = googleUser
		}
		got, err := w.send(http.MethodPost, path, body, "Authorization", who)
		if err != nil {
			t.Fatal(err)
		}
		if got.status >= 500 || !json.Valid([]byte(got.body)) {
			t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		if got.status == http.StatusBadRequest && !strings.Contains(got.body, `"message":"`) {
			t.Errorf("%s: a 400 that says nothing: %s", path, got.body)
		}
	})
}
