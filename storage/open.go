// Package storage remembers. It keeps bookings in PostgreSQL or in an embedded SQLite file,
// through GORM, and implements [booking.Store] for both.
//
// The heart is [DB.InTx]. Operations that wait at the same time share one transaction: InTx
// fetches and locks what they announced, in one order, lets them run on that in memory,
// writes what they did and commits. So a rule never waits for the database while it decides,
// nobody decides on a row that is not locked, and many operations share a COMMIT.
//
// The two databases differ in the dialect that [Open] chooses, and in what only one of them
// has: hosts, poolers and standbys (postgres.go, settings.go, logging.go), or files (file.go,
// backup.go).
package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite" // registers the driver "sqlite", without cgo

	"holdfast/booking"
)

// DB is an open database with the current schema and safe settings.
type DB struct {
	write       *gorm.DB
	read        *gorm.DB // a pool of its own on SQLite, the same on PostgreSQL
	dialect     dialect
	limit       time.Duration // of one InTx
	connections int           // in the pool that writes
	queue       *queue
	batch       int            // operations in one transaction, at most
	asideAtOnce chan struct{}  // bounds the transactions that run beside the committers
	asides      sync.WaitGroup // operations that do so, or wait to
	longReads   chan struct{}  // bounds the reads that may be long, to fewer than there are connections

	impatient atomic.Int64 // COMMITs that have ended their wait for the standby

	catalogue sync.Map // merchant id → *inventory.Merchant, as last read
	retried   func(reason error)
	observed  func(Batch)
	fault     func(point string) error
}

// dialect is what the two databases spell or do differently.
type dialect struct {
	system     string // its name in traces
	lock       string // after a SELECT: nobody else changes these rows
	share      string // after a SELECT: nobody changes these rows
	skip       string // after a SELECT: like lock, without the rows that others have locked
	indexes    string // a statement that makes later ones use indexes, or nothing
	lower      string // an expression for %s with A to Z in lower case
	writable   string // a query for whether bookings can be taken
	standbys   string // a query for who replicates, or nothing
	local      string // the first statement of every transaction, or nothing
	slow       string // a statement at the start of a long transaction, or nothing
	lateral    bool   // a subquery may refer to what precedes it
	arguments  int    // of one statement, at most; 0: any number
	batch      string // a statement at the start of a batch, with how long to wait for a lock (ms), or nothing
	committers int    // transactions of operations at once
	outlast    string // see [DB.outlast]; nothing if every COMMIT is durable before anybody sees it
	rows       func(s set, first int) (expression string, args []any)
	traced     func(text string, args []any) // sees every statement on sets, in tests
	check      func(ctx context.Context, db *DB) error
	wipe       func(ctx context.Context, db *DB, rewrite bool) error
	migration  migration

	columns string                                                            // a query for all columns of all tables, and their types
	foreign string                                                            // a query for which table refers to which
	reading func(tables []string) []string                                    // the first statements of a copy's transactions, after BEGIN
	begin   string                                                            // the BEGIN of one that writes
	copyIn  func(ctx context.Context, conn *sql.Conn, rows *copyReader) error // writes rows to their table
	copied  []string                                                          // statements after all rows of a copy
	fence   func(tables []string) []string                                    // statements that keep everybody from writing, see fence.go
	unfence func(tables []string) []string
}

// lockOf and shareOf are lock and share of one table of several.
func (d dialect) lockOf(table string) string  { return of(d.lock, table) }
func (d dialect) shareOf(table string) string { return of(d.share, table) }

// lockAtOnce is lock, or an error if somebody else has it.
func (d dialect) lockAtOnce() string {
	if d.lock == "" {
		return ""
	}
	return d.lock + " NOWAIT"
}

func of(clause, table string) string {
	if clause == "" {
		return ""
	}
	return clause + " OF " + table
}

// Options are what a caller may choose. The zero value suits a server.
type Options struct {
	// Limit is how long one transaction may take with all its retries; 0 is three seconds.
	Limit time.Duration
	// Connections bounds the pool; 0 is 32. An SQLite file has one connection
	// that writes, whatever this says.
	Connections int
	// Queue is how many operations may wait or run at once, and half of it is the limit
	// for one merchant. Beyond that [DB.InTx] returns [booking.ErrUnavailable]. 0 is 1,024.
	Queue int
	// Batch is how many operations may share one transaction; 0 is 64.
	Batch int
	// Committers is how many transactions of operations run at once; 0 is what
	// suits the database. An SQLite file has one, whatever this says.
	Committers int
	// Wait is how long to wait until PostgreSQL is there and takes bookings; 0 is not at
	// all.
	Wait time.Duration
	// Warn, if not nil, is called with a sentence about what the operator should know
	// although the database can be used.
	Warn func(message string)
	// Retried, if not nil, is called with the reason whenever a transaction runs again.
	Retried func(reason error)
	// Observed, if not nil, is called with every transaction of operations.
	Observed func(Batch)
	// Fault, if not nil, is called at named points of a transaction. Tests break
	// transactions by returning an error.
	Fault func(point string) error
	// Gather, if not nil, is called with the number of waiting operations whenever one
	// arrives, and reports whether to let them wait for more. Tests make batches with it.
	Gather func(waiting int) bool

	copying bool // also open a database that has been copied, or an incomplete copy
}

// Open opens the database that target names, a postgres:// URL or the path of an SQLite file,
// brings its schema up to date and checks that its settings cannot lose a commit. It refuses
// unsafe settings, and a schema newer than this program, with an error that says what to do.
func Open(ctx context.Context, target string, o Options) (*DB, error) {
	o = o.complete()
	patience := time.NewTimer(o.Wait)
	defer patience.Stop()
	for waited := false; ; waited = true {
		db, err := open(ctx, target, o)
		if err == nil || o.Wait == 0 || !isPostgres(target) || !mayPass(err) {
			return db, err
		}
		if !waited {
			o.Warn(fmt.Sprintf("there is no database that takes bookings yet; waiting for one, up to %s", o.Wait))
		}
		select {
		case <-patience.C:
			return nil, fmt.Errorf("waited %s: %w", o.Wait, err)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// complete fills in the options that the caller left open.
func (o Options) complete() Options {
	if o.Limit == 0 {
		o.Limit = 3 * time.Second
	}
	if o.Connections == 0 {
		o.Connections = 32
	}
	if o.Retried == nil {
		o.Retried = func(error) {}
	}
	if o.Observed == nil {
		o.Observed = func(Batch) {}
	}
	if o.Queue == 0 {
		o.Queue = 1024
	}
	if o.Batch == 0 {
		o.Batch = 64
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return o
}

// mayPass reports whether a database that cannot be opened now may be ready soon: nobody
// listens, it is starting, or it is a standby that may become the primary.
func mayPass(err error) bool {
	return readOnly(err) || classify(err) == cutOff || classify(err) == timedOut
}

func open(ctx context.Context, target string, o Options) (*DB, error) {
	db, err := connect(ctx, target, o)
	if err != nil {
		return nil, err
	}
	steps := []func(context.Context, *DB) error{db.dialect.check, migrate}
	if !o.copying {
		steps = append(steps, checkCopies)
	}
	for _, step := range steps {
		if err := step(ctx, db); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// connect connects to the database, and neither checks nor migrates it.
func connect(ctx context.Context, target string, o Options) (*DB, error) {
	reads := o.Connections / 2
	if !isPostgres(target) {
		reads = sqliteReads
	}
	db := &DB{limit: o.Limit, longReads: make(chan struct{}, max(1, reads)), batch: o.Batch, retried: o.Retried, observed: o.Observed, fault: o.Fault}
	dial := db.openSQLite
	if isPostgres(target) {
		dial = db.openPostgres
	}
	if err := dial(ctx, target, o); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if o.Committers == 0 || db.dialect.committers == 1 {
		o.Committers = db.dialect.committers
	}
	db.asideAtOnce = make(chan struct{}, max(1, o.Connections/4))
	db.queue = newQueue(o.Queue, o.Committers, o.Gather)
	return db, nil
}

// sqliteSettings make an acknowledged booking survive a power cut, and deleted data disappear
// from the file. A WAL with synchronous=NORMAL would lose the last bookings.
var sqliteSettings = []struct{ name, value string }{
	{"secure_delete", "ON"}, // overwrites deleted data with zeros, or an erased guest's name would stay in the file
	{"busy_timeout", "5000"}, {"journal_mode", "WAL"}, {"synchronous", "FULL"}, {"foreign_keys", "ON"},
	{"wal_autocheckpoint", "8000"}, // pages, 32 MB: one batch in a hundred waits for it, not one in three
}

// sqliteReads is how many possibly long reads of an SQLite file run at a time: the desk's
// queries, of which the API lets four run, and Google's lookups. sqliteSpare are connections
// for short reads that must not wait behind those: access tokens and health.
var (
	sqliteReads = 4 + max(4, runtime.NumCPU())
	sqliteSpare = 2
)

// sqliteDSN adds our settings to those that the caller chose; checkSQLite reads back what is
// in effect.
func sqliteDSN(path string, values url.Values) string {
	for _, s := range sqliteSettings {
		chosen := values.Has("_"+s.name) || slices.ContainsFunc(values["_pragma"], func(p string) bool {
			return strings.HasPrefix(strings.ToLower(p), s.name)
		})
		if !chosen {
			values.Add("_pragma", s.name+"("+s.value+")")
		}
	}
	if !values.Has("_txlock") {
		values.Set("_txlock", "immediate")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + values.Encode()
}

func (db *DB) openSQLite(_ context.Context, target string, o Options) error {
	path, options, err := sqliteFile(target)
	if err != nil {
		return err
	}
	if err := makePrivate(path, options); err != nil {
		return err
	}
	dsn := sqliteDSN(path, options)
	dial := func(connections int, dsn string) (*gorm.DB, error) {
		pool, err := sql.Open("sqlite", dsn)
		if err != nil {
			return nil, err
		}
		pool.SetMaxOpenConns(connections)
		pool.SetMaxIdleConns(connections)
		for try := 1; ; try++ {
			db, err := openGORM(sqlite.New(sqlite.Config{DriverName: "sqlite", Conn: pool}))
			switch {
			case err == nil:
				return db, nil
			case try == sqliteMigration.tries || classify(err) != rolledBack:
				return nil, errors.Join(err, pool.Close())
			}
			// Another server is creating the file, and SQLite does not wait for the lock when
			// it switches to WAL.
			<-time.After(50 * time.Millisecond)
		}
	}
	db.dialect = dialect{system: "sqlite", lower: "lower(%s)", writable: "SELECT TRUE", committers: 1, rows: values, arguments: 32766, check: checkSQLite, wipe: wipeSQLite, migration: sqliteMigration,
		columns: columnsSQLite, foreign: foreignSQLite, reading: readingSQLite, begin: "BEGIN IMMEDIATE", copyIn: copySQLite, fence: fenceSQLite, unfence: unfenceSQLite}
	// One connection writes: SQLite has one writer anyway, and waiting in Go's queue is
	// fair, while waiting for the file's lock starves some. It may keep 32 MB of the file
	// in memory, unless the caller's own choice, which comes later in the name, differs.
	if db.write, err = dial(1, strings.Replace(dsn, "?", "?_pragma=cache_size(-32768)&", 1)); err != nil {
		return err
	}
	db.read, err = dial(sqliteReads+sqliteSpare, dsn)
	return err
}

func openGORM(d gorm.Dialector) (*gorm.DB, error) {
	return gorm.Open(d, &gorm.Config{
		// Every write runs in a transaction of ours.
		SkipDefaultTransaction: true,
		// GORM would prepare its statements again in every transaction.
		PrepareStmt:    false,
		TranslateError: true,
		// Errors are logged once, at the top. Nobody logs statements: their arguments are
		// names, phone numbers and tokens.
		Logger: logger.Discard,
	})
}

// Close waits until the accepted operations are answered, and closes the pools.
func (db *DB) Close() error {
	db.queue.close(db.commit)
	db.asides.Wait()
	pools, err := db.Pools()
	errs := []error{err}
	for _, pool := range pools {
		errs = append(errs, pool.Close())
	}
	return errors.Join(errs...)
}

// Pools are the pools of connections, by purpose.
func (db *DB) Pools() (map[string]*sql.DB, error) {
	write, err := db.write.DB()
	if err != nil {
		return nil, err
	}
	read, err := db.read.DB()
	if err != nil {
		return nil, err
	}
	if read == write {
		return map[string]*sql.DB{"all": write}, nil
	}
	return map[string]*sql.DB{"write": write, "read": read}, nil
}

// unhurried lifts the limits on single statements from a long transaction.
func (db *DB) unhurried(tx *gorm.DB) error {
	if db.dialect.slow == "" {
		return nil
	}
	return tx.Exec(db.dialect.slow).Error
}

// byIndexes makes a transaction use indexes, whatever the database believes about the tables'
// sizes.
func (db *DB) byIndexes(tx *gorm.DB) error {
	if db.dialect.indexes == "" {
		return nil
	}
	return tx.Exec(db.dialect.indexes).Error
}

// reading waits until one more long read may begin; done ends it. Long reads never occupy all
// connections, so health checks and access tokens do not wait behind them.
func (db *DB) reading(ctx context.Context) (done func(), err error) {
	select {
	case db.longReads <- struct{}{}:
		return func() { <-db.longReads }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for other reads: %w", booking.ErrUnavailable, ctx.Err())
	}
}

// snapshot runs f in a read-only transaction that sees a single moment.
func (db *DB) snapshot(ctx context.Context, f func(tx *gorm.DB) error) error {
	defer courseOf(ctx).note("read")()
	done, err := db.reading(ctx)
	if err != nil {
		return err
	}
	defer done()
	return db.read.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := db.begun(tx); err != nil {
			return err
		}
		return f(tx)
	}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}
