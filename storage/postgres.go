package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"holdfast/booking"
)

// connectWithin is how long one try to connect to one host may take, unless the URL says
// otherwise: short enough that an operation can still try the next host.
const connectWithin = 2 * time.Second

// timeouts bound what one session can cost the others: none may hold them up by waiting long
// for a lock, or by leaving its transaction open.
func timeouts(limit time.Duration) []setting {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return []setting{
		{"lock_timeout", ms(limit * 2 / 3)}, {"statement_timeout", ms(limit)}, {"idle_in_transaction_session_timeout", ms(3 * limit)},
	}
}

type setting struct{ name, value string }

// setLocal returns a statement that applies the settings to the transaction.
func setLocal(settings []setting) string {
	calls := make([]string, len(settings))
	for i, s := range settings {
		calls[i] = fmt.Sprintf("set_config('%s', '%s', true)", s.name, strings.ReplaceAll(s.value, "'", "''"))
	}
	return "SELECT " + strings.Join(calls, ", ")
}

// postgresConfig returns what the URL says, and our own settings where it says nothing.
// chosen is the URL's way of sending statements, "" if it names none.
func postgresConfig(target string, limit time.Duration) (config *pgx.ConnConfig, chosen string, err error) {
	config, err = pgx.ParseConfig(target)
	u, err2 := url.Parse(target)
	if err != nil || err2 != nil {
		return nil, "", errors.New("the postgres:// URL cannot be read") // the errors would repeat it
	}
	if config.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		return nil, "", unsafeSetting("default_query_exec_mode", "simple_protocol", "and names and telephone numbers would be part of statements, and of PostgreSQL's log", "take it out of --database, or say exec")
	}
	for _, s := range append(timeouts(limit), setting{"application_name", "holdfast"}) {
		if _, set := config.RuntimeParams[s.name]; !set {
			config.RuntimeParams[s.name] = s.value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWithin
	}
	// One of several hosts takes bookings, and after a failover it is another one.
	if strings.Contains(u.Host+u.Query().Get("host"), ",") && config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return config, u.Query().Get("default_query_exec_mode"), nil
}

// session is what the first connection reveals about what is between us and PostgreSQL.
type session struct {
	pooled  bool      // there is a pooler, with sessions of its own
	dropped []setting // settings that it has not passed on and nothing else has set
}

// look connects once. It prepares no statement: a pooler may give somebody else the session
// that has it.
func look(ctx context.Context, config *pgx.ConnConfig) (s session, err error) {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return s, fmt.Errorf("reach the database: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var backend uint32
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return s, fmt.Errorf("reach the database: %w", err)
	}
	s.pooled = backend != conn.PgConn().PID()
	for _, want := range timeouts(0) {
		var value string
		if err := conn.QueryRow(ctx, "SELECT setting FROM pg_settings WHERE name = $1", want.name).Scan(&value); err != nil {
			return s, fmt.Errorf("read %s: %w", want.name, err)
		}
		if asked := config.RuntimeParams[want.name]; value == "0" && asked != "0" {
			s.dropped = append(s.dropped, setting{want.name, asked})
		}
	}
	return s, nil
}

// poolerModes are the ways of sending statements that work although each transaction may get
// another session, whatever the pooler does with prepared statements.
var poolerModes = []string{"exec", "cache_describe"}

func (db *DB) openPostgres(ctx context.Context, target string, o Options) error {
	config, chosen, err := postgresConfig(target, o.Limit)
	if err != nil {
		return err
	}
	s, err := look(ctx, config)
	if err != nil {
		return err
	}
	switch {
	case s.pooled && chosen == "":
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
	case s.pooled && !slices.Contains(poolerModes, chosen):
		return unsafeSetting("default_query_exec_mode", chosen, "and behind a connection pooler some requests would fail, because a prepared statement belongs to one session",
			"take it out of --database, or say exec")
	}
	local := ""
	if s.dropped != nil {
		names := make([]string, len(s.dropped))
		for i, d := range s.dropped {
			names[i] = d.name
		}
		o.Warn(strings.Join(names, ", ") + ": not passed on to PostgreSQL by what is between; set in each transaction instead. ALTER ROLE … SET saves the statement")
		local = setLocal(s.dropped)
	}
	onError := config.OnPgError
	config.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		return e.Code != readOnlyTransaction && (onError == nil || onError(c, e)) // false: this connection is not used again
	}
	onNotice := config.OnNotice
	config.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		if n.Routine == "SyncRepWaitForLSN" {
			db.impatient.Add(1)
		}
		if onNotice != nil {
			onNotice(c, n)
		}
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(o.Connections)
	pool.SetMaxIdleConns(o.Connections)
	db.connections = o.Connections
	db.write, err = openGORM(postgres.New(postgres.Config{Conn: pool}))
	db.read = db.write
	// NO KEY: a plain FOR UPDATE conflicts with the locks that foreign keys take on the
	// same rows.
	db.dialect = dialect{
		system: "postgresql",
		lock:   " FOR NO KEY UPDATE", share: " FOR SHARE", lower: `lower(%s COLLATE "C")`,
		writable: "SELECT current_setting('transaction_read_only') = 'off'",
		standbys: standbysQuery,
		local:    local, slow: "SET LOCAL statement_timeout = 0",
		lateral: true,
		skip:    " FOR NO KEY UPDATE SKIP LOCKED",
		indexes: "SELECT " + byIndexes,
		batch:   "SELECT set_config('lock_timeout', ?, true), " + byIndexes,
		// Without replication every COMMIT is durable before anybody sees it.
		outlast:    outlasting("SELECT pg_logical_emit_message(true, 'holdfast', '') WHERE current_setting('synchronous_standby_names') <> ''"),
		committers: 2, rows: arrays, check: checkPostgres, wipe: wipePostgres, migration: postgresMigration,
		// A fresh table has no statistics, and PostgreSQL plans badly until it has some.
		columns: columnsPostgres, foreign: foreignPostgres, reading: readingPostgres, begin: "BEGIN", copyIn: copyPostgres, copied: []string{"ANALYZE"},
		fence: fencePostgres, unfence: unfencePostgres,
	}
	return err
}

// byIndexes makes PostgreSQL use indexes in this transaction, whatever it believes about the
// tables' sizes.
const byIndexes = `set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)`

// readOnlyTransaction is the SQLSTATE of a server that takes no writes, for instance
// because it has become a standby.
const readOnlyTransaction = "25006"

// errReadOnly: the server behind the connection takes no writes.
var errReadOnly = errors.New("the server is a standby or read-only, and cannot take bookings; connect to the primary")

// readOnly reports whether an error says that the server takes no writes.
func readOnly(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == readOnlyTransaction || pg.Code == "55000" // of outlast: "recovery is in progress"
	}
	return errors.Is(err, errReadOnly) || errors.Is(err, pgconn.ErrReadOnlyConnection)
}

// forsake closes the idle connections after one has led to a server that takes no writes: the
// others lead there too, while new ones find the primary.
func (db *DB) forsake(err error) {
	if !readOnly(err) {
		return
	}
	if pool, err := db.write.DB(); err == nil {
		pool.SetMaxIdleConns(-1)
		pool.SetMaxIdleConns(db.connections)
	}
}

// Ping returns nil if the database can take bookings: it answers, is not a standby, and is
// not being copied. Otherwise it returns an error that wraps [booking.ErrUnavailable].
func (db *DB) Ping(ctx context.Context) error {
	defer courseOf(ctx).note("read")()
	var writable bool
	err := db.read.WithContext(ctx).Raw(db.dialect.writable).Scan(&writable).Error
	if err == nil && !writable {
		err = errReadOnly
		db.forsake(err)
	}
	var left *copyRow
	if err == nil {
		if left, err = latestCopy(db.read.WithContext(ctx), copySource); left != nil {
			err = errFenced
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", booking.ErrUnavailable, err)
	}
	return nil
}

// begun applies at the beginning of a transaction what sessions do not keep.
func (db *DB) begun(tx *gorm.DB) error {
	if db.dialect.local == "" {
		return nil
	}
	return tx.Exec(db.dialect.local).Error
}
