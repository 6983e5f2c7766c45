package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	"holdfast/storage"
)

// readiness says whether to send the server requests.
type readiness struct {
	db       *storage.DB
	stopping atomic.Bool
}

// readyWithin is how long an answer may take.
const readyWithin = 2 * time.Second

var errStopping = errors.New("the server is stopping")

// check returns why not, or nil: the server is stopping, the database takes no bookings, or every COMMIT
// would wait for a standby that is missing. The schema is up to date, or the server would not have started.
func (r *readiness) check(ctx context.Context) error {
	if r.stopping.Load() {
		return errStopping
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if err := r.db.Ping(ctx); err != nil {
		return err
	}
	standbys, err := r.db.Replication(ctx)
	if err == nil && standbys.Waiting {
		err = errors.New("COMMITs wait for a standby, and none is connected")
	}
	return err
}

// serve answers /readyz.
func (r *readiness) serve(w http.ResponseWriter, request *http.Request) {
	if err := r.check(request.Context()); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// info is what /info shows: which program this is, and its settings.
type info struct {
	Version   string            `json:"version"`
	Revision  string            `json:"revision,omitempty"`
	Go        string            `json:"go"`
	StartedAt time.Time         `json:"started_at"`
	Settings  map[string]string `json:"settings"`
}

// newInfo takes the settings from the command line's parser.
func newInfo(parsed *kong.Context, started time.Time) info {
	i := info{Version: "unknown", Go: runtime.Version(), StartedAt: started.UTC(), Settings: map[string]string{}}
	if build, ok := debug.ReadBuildInfo(); ok {
		i.Version = build.Main.Version
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				i.Revision = s.Value
			}
		}
	}
	if parsed == nil { // in tests
		return i
	}
	for _, flag := range parsed.Flags() {
		if flag.Name != "help" {
			i.Settings[flag.Name] = shownSetting(flag.Name, fmt.Sprint(flag.Target.Interface()))
		}
	}
	return i
}

// shownSetting returns a setting as others may see it.
func shownSetting(name, value string) string {
	switch name {
	case "google-credentials", "otlp-headers":
		if value != "" {
			return "set"
		}
	case "database":
		return shownDatabase(value)
	}
	return value
}

// shownDatabase returns the name of a database without its password, wherever in a URL that is. It shows
// nothing of a name that it cannot parse.
func shownDatabase(target string) string {
	if !strings.Contains(target, "://") {
		return target
	}
	u, err := url.Parse(target)
	if err != nil {
		return "set"
	}
	q := u.Query()
	for _, secret := range []string{"password", "sslpassword"} {
		if q.Has(secret) {
			q.Set(secret, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// serve answers /info.
func (i info) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(i) // an error means that whoever asked has gone
}
