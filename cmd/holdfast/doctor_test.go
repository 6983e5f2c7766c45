package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// doctor runs the command and returns its findings by what they are about.
func (p program) doctor(t *testing.T, status int, args ...string) map[string]storage.Finding {
	t.Helper()
	r := p.run(t, append([]string{"doctor", "--json"}, args...)...)
	var all []storage.Finding
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatalf("%v\n%s%s", err, r.out, r.err)
	}
	if r.status != status {
		t.Errorf("exit status %d, want %d: %s", r.status, status, r.out)
	}
	found := map[string]storage.Finding{}
	for _, f := range all {
		if before, twice := found[f.What]; !twice || before.Grade == storage.Good { // the worst one
			found[f.What] = f
		}
	}
	return found
}

// Everything doubtful is in one list, each with what to do. The command works beside a server, and changes nothing.
func TestDoctor(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		db := p.open(t)
		must(t, db.Close())
		before, err := storagetest.DumpAll(p.database)
		must(t, err)
		soon := file(t, "google", "google:a-password-of-16-letters "+time.Now().AddDate(0, 0, 10).Format(time.DateOnly)+"\n")
		found := p.doctor(t, 0, "--google-credentials-file", soon, "--internal-address", "127.0.0.1:9090")
		for what, want := range map[string]struct {
			grade storage.Grade
			says  string
		}{
			"database":                 {storage.Good, ""},
			"settings of the database": {storage.Good, ""},
			"schema":                   {storage.Good, ""},
			"secrets":                  {storage.Doubtful, "expires soon"},
			"metrics":                  {storage.Good, ""},
		} {
			if f := found[what]; f.Grade != want.grade || !strings.Contains(f.Says, want.says) {
				t.Errorf("%s: %+v", what, f)
			}
		}
		found = p.doctor(t, 1, "--address", "0.0.0.0:80", "--internal-address", "0.0.0.0:9090", "--lease-duration=-1s", "--google-credentials", "google:short",
			"--otlp-endpoint", "http://collector:4318", "--otlp-headers", "x-key=s3cret")
		for what, grade := range map[string]storage.Grade{"HTTPS": storage.Doubtful, "traces": storage.Doubtful, "metrics": storage.Doubtful, "settings": storage.Bad, "secrets": storage.Doubtful} {
			if f := found[what]; f.Grade != grade || f.Says == "" {
				t.Errorf("%s: %+v", what, f)
			}
		}
		after, err := storagetest.DumpAll(p.database)
		must(t, err)
		for table := range before {
			if before[table] != after[table] {
				t.Errorf("%s has changed", table)
			}
		}
		text := p.run(t, "doctor").out
		if !strings.Contains(text, "ok, ") || !strings.Contains(text, "→ ") {
			t.Errorf("no list for people:\n%s", text)
		}
	})
}

// Each setting of PostgreSQL that serve would refuse is a finding of its own, and so is a missing standby that COMMITs wait for.
func TestDoctorOfAnUnsafeServer(t *testing.T) {
	c := storagetest.Alone(t)
	target, err := c.NewDatabase("doctor")
	must(t, err)
	p := program{database: target}
	must(t, p.open(t).Close())
	for name, value := range map[string]string{"full_page_writes": "off", "log_parameter_max_length_on_error": "-1", "synchronous_standby_names": "nobody"} {
		must(t, c.Set(name, value))
	}
	found := p.doctor(t, 1)
	for what, says := range map[string]string{
		"full_page_writes": "off", "log_parameter_max_length_on_error": "names and telephone numbers", "replication": "no such standby",
	} {
		if f := found[what]; f.Grade != storage.Bad || !strings.Contains(f.Says, says) || f.Remedy == "" {
			t.Errorf("%s: %+v", what, f)
		}
	}
}

// A password never shows.
func TestDoctorKeepsPasswords(t *testing.T) {
	p := program{database: "postgres://holdfast:s3cret-word@127.0.0.1:1/holdfast?sslmode=disable&password=s3cret-word"}
	r := p.run(t, "doctor", "--database-wait", "0", "--google-credentials", "google:s3cret-word")
	if r.status != 1 || strings.Contains(r.out+r.err, "s3cret") {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	for _, target := range []string{p.database, "postgres://u:" + url.QueryEscape("s3cret-word%") + "@h/d", "postgres://u:s3cret-word%zz@h/d"} {
		if got := shownDatabase(target); strings.Contains(got, "s3cret") {
			t.Errorf("%s", got)
		}
	}
}
