package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Grade is how bad something is.
type Grade string

// The grades of a [Finding].
const (
	Good     Grade = "ok"
	Doubtful Grade = "doubtful" // it works, but perhaps not for long, or not safely
	Bad      Grade = "bad"      // a server refuses to start, or cannot take bookings
)

// Finding is what [Examine], or a check of settings, says about one thing.
type Finding struct {
	What   string `json:"what"`
	Grade  Grade  `json:"grade"`
	Says   string `json:"says"`             // what was found; nothing secret
	Remedy string `json:"remedy,omitempty"` // what to do about it
}

// Examine looks at a database as a server does when it starts, and at what can go wrong
// later: replication, connections, clocks, disks. It changes and migrates nothing. Whatever
// it cannot look at is a finding, too.
func Examine(ctx context.Context, target string, o Options) []Finding {
	e := &examination{}
	if isPostgres(target) {
		e.where(target)
	} else if path, _, err := sqliteFile(target); err != nil {
		e.bad("database", err.Error(), "name a file, or a postgres:// URL")
		return e.found
	} else if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		e.good("database", path+" does not exist yet: the first start makes it")
		e.disk(filepath.Dir(path), 0)
		return e.found
	}
	o.Warn = func(message string) { e.doubtful("between us and PostgreSQL", message, "") }
	db, err := connect(ctx, target, o.complete())
	if err != nil {
		e.unusable(err)
		return e.found
	}
	defer func() {
		if err := db.Close(); err != nil {
			e.doubtful("database", "closing it: "+err.Error(), "")
		}
	}()
	if err := db.dialect.check(ctx, db); err != nil {
		e.unusable(err)
	} else {
		e.good("settings of the database", "none that could lose a booking or leak a name")
	}
	e.schema(ctx, db)
	if version, err := db.schemaVersion(ctx); err == nil && version > 16 { // which copies are known from
		if err := checkCopies(ctx, db); err != nil {
			e.bad("database", err.Error(), "")
		}
	}
	if isPostgres(target) {
		e.postgres(ctx, db)
	} else {
		e.sqlite(target)
	}
	return e.found
}

type examination struct{ found []Finding }

func (e *examination) good(what, says string) {
	e.found = append(e.found, Finding{what, Good, says, ""})
}

func (e *examination) doubtful(what, says, remedy string) {
	e.found = append(e.found, Finding{what, Doubtful, says, remedy})
}

func (e *examination) bad(what, says, remedy string) {
	e.found = append(e.found, Finding{what, Bad, says, remedy})
}

// unusable adds a finding for each reason why the database cannot be used.
func (e *examination) unusable(err error) {
	var many interface{ Unwrap() []error }
	var unsafe *Unsafe
	switch {
	case errors.As(err, &unsafe):
		if errors.As(err, &many) {
			for _, one := range many.Unwrap() {
				e.unusable(one)
			}
			return
		}
		e.bad(unsafe.Name, unsafe.Value+", "+unsafe.Why, unsafe.Remedy)
	case readOnly(err):
		e.bad("database", errReadOnly.Error(), "name the primary, or all hosts of the cluster, in --database")
	default:
		e.bad("database", err.Error(), "")
	}
}

// where says which database it is, and whether the connection to it is unencrypted.
func (e *examination) where(target string) {
	u, err := url.Parse(target)
	if err != nil {
		return // connecting says so
	}
	user, _, _ := strings.Cut(u.User.String(), ":")
	e.good("database", "PostgreSQL, "+u.Path+" at "+u.Host+" as "+user)
	switch u.Query().Get("sslmode") {
	case "require", "verify-ca", "verify-full":
		return
	}
	for _, host := range strings.Split(u.Host, ",") {
		name := strings.Trim(host, "[]")
		if h, _, err := net.SplitHostPort(host); err == nil {
			name = h
		}
		if ip := net.ParseIP(name); name != "" && name != "localhost" && (ip == nil || !ip.IsLoopback()) {
			e.doubtful("way to the database", "may be without TLS: names and telephone numbers can be read on it", "add sslmode=verify-full to --database, unless the network is yours alone")
			return
		}
	}
}

func (e *examination) schema(ctx context.Context, db *DB) {
	provider, err := db.provider()
	if err != nil {
		e.bad("schema", err.Error(), "")
		return
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	have, err := db.schemaVersion(ctx)
	switch {
	case err != nil:
		e.bad("schema", err.Error(), "")
	case have == 0:
		e.good("schema", "none yet: the first start makes it")
	case have < newest:
		e.good("schema", fmt.Sprintf("%d; the next start migrates it to %d", have, newest))
	case db.knows(ctx, have, newest) != nil:
		e.bad("schema", fmt.Sprintf("%d, and this program knows %d", have, newest), "run a newer holdfast")
	case have > newest:
		e.good("schema", fmt.Sprintf("%d, of a newer release on which this one works", have))
	default:
		e.good("schema", fmt.Sprint(have))
	}
}

// schemaVersion is 0 for a database without one.
func (db *DB) schemaVersion(ctx context.Context) (version int64, err error) {
	if !db.write.WithContext(ctx).Migrator().HasTable("goose_db_version") {
		return 0, nil
	}
	err = db.write.WithContext(ctx).Raw("SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&version).Error
	return version, err
}

// Thresholds from which on something is worth a finding.
const (
	clockOff    = time.Second
	longOpen    = time.Hour
	oldRows     = 1_000_000_000 // transactions since a table was frozen; at two billion PostgreSQL stops
	heldBack    = 1 << 30       // bytes of WAL
	farBehind   = 30 * time.Second
	littleSpace = 1 << 30 // bytes
)

func (e *examination) postgres(ctx context.Context, db *DB) {
	var s struct {
		Synchronous string
		Standbys    int64 // that stream
		Waited      int64 // that COMMITs wait for; states that the role may not see (NULL) count too
		Hidden      int64 // standbys whose state the role may not see
		Behind      *float64
		Free        int64 // connections that may be made
		Autovacuum  bool
		OpenFor     float64 // seconds, of the longest transaction
		FrozenAge   int64
		SlotBytes   int64
		Slot        string
		Bytes       int64
		Now         float64
	}
	before := now()
	err := db.write.WithContext(ctx).Raw(`SELECT
		current_setting('synchronous_standby_names') AS synchronous,
		(SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming' OR state IS NULL) AS standbys,
		(SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') OR sync_state IS NULL) AS waited,
		(SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state IS NULL) AS hidden,
		(SELECT MAX(EXTRACT(EPOCH FROM replay_lag))::float FROM pg_stat_replication) AS behind,
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
			- (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS free,
		current_setting('autovacuum') = 'on' AS autovacuum,
		COALESCE((SELECT MAX(EXTRACT(EPOCH FROM clock_timestamp() - xact_start)) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), 0)::float AS open_for,
		(SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()) AS frozen_age,
		COALESCE((SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) FROM pg_replication_slots WHERE NOT active ORDER BY restart_lsn LIMIT 1), 0)::bigint AS slot_bytes,
		COALESCE((SELECT slot_name::text FROM pg_replication_slots WHERE NOT active ORDER BY restart_lsn LIMIT 1), '') AS slot,
		pg_database_size(current_database()) AS bytes,
		EXTRACT(EPOCH FROM clock_timestamp())::float AS now`).Scan(&s).Error
	after := now()
	if err != nil {
		if readOnly(err) { // said before
			return
		}
		e.doubtful("PostgreSQL", "cannot be asked: "+err.Error(), "")
		return
	}
	e.replication(s.Synchronous, s.Standbys, s.Waited, s.Behind)
	if s.Hidden > 0 {
		e.doubtful("rights", "the role may not see how far standbys are, and so neither this nor /readyz and the metrics can tell", "GRANT pg_monitor TO the role")
	}
	if s.Free < int64(db.connections) {
		e.doubtful("connections", fmt.Sprintf("PostgreSQL has %d left, and a server of holdfast may want %d", max(0, s.Free), db.connections),
			"raise max_connections, or put PgBouncer between (docs/operations.md)")
	} else {
		e.good("connections", fmt.Sprintf("%d left, a server may want %d", s.Free, db.connections))
	}
	theirs := time.UnixMicro(int64(s.Now * 1e6))
	if off := max(before.Sub(theirs), theirs.Sub(after)); off > clockOff {
		e.doubtful("clock", fmt.Sprintf("this machine's and PostgreSQL's differ by %s: leases would end at another time for each server", off.Round(time.Millisecond)), "run NTP on both")
	} else {
		e.good("clock", "agrees with PostgreSQL's")
	}
	if !s.Autovacuum {
		e.doubtful("autovacuum", "off: tables grow, and what was erased stays", "set autovacuum = on")
	}
	if open := time.Duration(s.OpenFor * float64(time.Second)); open > longOpen {
		e.doubtful("transactions", fmt.Sprintf("one has been open for %s: nothing newer can be vacuumed", open.Round(time.Minute)), "end it: SELECT pid, state, query FROM pg_stat_activity ORDER BY xact_start")
	}
	if s.FrozenAge > oldRows {
		e.doubtful("transaction ids", fmt.Sprintf("%d since the last freeze, and PostgreSQL stops at two billion", s.FrozenAge), "VACUUM FREEZE, and see why autovacuum does not get there")
	}
	if s.SlotBytes > heldBack {
		e.doubtful("replication slot "+s.Slot, fmt.Sprintf("nobody reads it, and it keeps %d MB of WAL: the disk fills", s.SlotBytes>>20), "bring its standby back, or SELECT pg_drop_replication_slot('"+s.Slot+"')")
	}
	e.good("size", fmt.Sprintf("%d MB", s.Bytes>>20))
}

// replication says what will happen when the primary dies.
func (e *examination) replication(synchronous string, standbys, waited int64, behind *float64) {
	const what = "replication"
	switch {
	case synchronous != "" && waited == 0:
		e.bad(what, "synchronous_standby_names is "+synchronous+", and no such standby is connected: every COMMIT waits for one", "bring the standby back")
		return
	case synchronous != "" && standbys == 1:
		e.doubtful(what, "COMMITs wait for the only standby: when it goes, bookings stop", "have a second standby, or let Patroni's synchronous_mode turn waiting off and on")
	case synchronous != "":
		e.good(what, fmt.Sprintf("COMMITs wait for %s; %d standbys stream", synchronous, standbys))
	case standbys > 0:
		e.doubtful(what, fmt.Sprintf("%d standbys, and no COMMIT waits for them: what was acknowledged last is lost with the primary", standbys), "set synchronous_standby_names, or Patroni's synchronous_mode (docs/operations.md)")
	default:
		e.good(what, "no standby: if the disk is lost, the last backup is what there is")
	}
	if behind != nil && *behind > farBehind.Seconds() {
		e.doubtful(what, fmt.Sprintf("a standby is %.0f s behind", *behind), "see what its disk or network lacks")
	}
}

func (e *examination) sqlite(target string) {
	path, _, err := sqliteFile(target)
	if err != nil {
		e.bad("database", err.Error(), "")
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		e.bad("database", err.Error(), "")
		return
	}
	e.good("database", fmt.Sprintf("SQLite, %s, %d MB", path, info.Size()>>20))
	switch exposed, err := Exposed(target); {
	case err != nil:
		e.doubtful("permissions", err.Error(), "")
	case exposed != nil:
		e.doubtful("permissions", "others on this machine can read "+strings.Join(exposed, ", "), "chmod 600")
	default:
		e.good("permissions", "only the owner can read it")
	}
	e.disk(filepath.Dir(path), uint64(max(0, info.Size())))
}

// disk looks at the file system of dir, which has a file of that many bytes.
func (e *examination) disk(dir string, file uint64) {
	free, network, err := space(dir)
	switch {
	case err != nil:
		e.doubtful("disk", err.Error(), "")
		return
	case network:
		e.doubtful("disk", dir+" is on a network file system, whose locks SQLite cannot rely on", "put the file on a local disk, or use PostgreSQL")
	}
	if free < max(littleSpace, file/2) {
		e.doubtful("disk", fmt.Sprintf("%d MB are free where the database lies", free>>20), "make room before bookings are refused; holdfast prune gives back what is over")
	} else {
		e.good("disk", fmt.Sprintf("%d MB are free", free>>20))
	}
}

// Replication is how far the standbys are behind.
type Replication struct {
	Waiting  bool // COMMITs wait for a standby, and none is there
	Standbys int64
	Behind   time.Duration // of the one that is furthest; 0 if the role may not see it
}

// Replication asks PostgreSQL for its standbys; an SQLite file has none.
func (db *DB) Replication(ctx context.Context) (r Replication, err error) {
	if db.dialect.standbys == "" {
		return r, nil
	}
	var row struct {
		Waiting  bool
		Standbys int64
		Behind   float64
	}
	if err := db.read.WithContext(ctx).Raw(db.dialect.standbys).Scan(&row).Error; err != nil {
		return r, fmt.Errorf("ask for standbys: %w", err)
	}
	return Replication{row.Waiting, row.Standbys, time.Duration(row.Behind * float64(time.Second))}, nil
}

// standbysQuery also works for a role that may not see the states of others' sessions. Those
// are NULL then, and count as if they were what they should be.
const standbysQuery = `SELECT
	current_setting('synchronous_standby_names') <> '' AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') OR sync_state IS NULL) AS waiting,
	(SELECT COUNT(*) FROM pg_stat_replication) AS standbys,
	COALESCE((SELECT MAX(EXTRACT(EPOCH FROM replay_lag)) FROM pg_stat_replication), 0)::float AS behind`
