package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// spares are databases with the current schema that a test has left as good as new.
// To empty one takes a tenth of the time of making one.
var spares struct {
	sync.Mutex
	urls  []string
	shape string // of a new one
}

// shapeOf is a digest of everything about a database but its rows: a test that changed
// any of it has its database to itself.
const shapeOf = `SELECT md5(concat_ws('|',
	(SELECT string_agg(concat_ws(' ', c.relname, c.relkind, c.relpersistence, c.reloptions, a.attname, a.atttypid, a.attnotnull, pg_get_expr(d.adbin, d.adrelid)), ',' ORDER BY c.relname, a.attnum)
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'public'::regnamespace),
	(SELECT string_agg(conname || conrelid::text || convalidated, ',' ORDER BY conrelid, conname) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
	(SELECT COUNT(*) FROM pg_trigger WHERE NOT tgisinternal), (SELECT COUNT(*) FROM pg_trigger WHERE tgenabled <> 'O'),
	(SELECT COUNT(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
	(SELECT COUNT(*) FROM pg_namespace), (SELECT COUNT(*) FROM pg_extension),
	(SELECT COUNT(*) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
	(SELECT datconnlimit FROM pg_database WHERE datname = current_database())))`

// emptied deletes all rows but those of what migrations write.
const emptied = `DO $$ DECLARE t text; full_ones text; has boolean; BEGIN
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('goose_db_version', 'schema_compatibility') LOOP
		EXECUTE 'SELECT EXISTS (SELECT FROM ' || t || ')' INTO has;
		IF has THEN full_ones := concat_ws(', ', full_ones, t); END IF;
	END LOOP;
	IF full_ones IS NOT NULL THEN EXECUTE 'TRUNCATE ' || full_ones || ' CASCADE'; END IF;
END $$`

// Postgres returns the URL of an empty database with the current schema, for as long as
// the test runs.
func Postgres(t testing.TB) string {
	t.Helper()
	template := PostgresTemplate(t, "holdfast", create)
	spares.Lock()
	defer spares.Unlock()
	var target string
	if n := len(spares.urls); n > 0 {
		target, spares.urls = spares.urls[n-1], spares.urls[:n-1]
	} else {
		admin, name := PostgresURL(t), uniqueName()
		if err := createDatabase(admin, name, template); err != nil {
			t.Fatal(err)
		}
		target = databaseURL(admin, name)
		if spares.shape == "" {
			if err := queryOne(target, &spares.shape, shapeOf); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		if err := spare(target); err != nil {
			t.Error(err)
		}
	})
	return target
}

// spare keeps a database for the next test, or drops it.
func spare(target string) (err error) {
	kept := false
	defer func() {
		if !kept {
			err = errors.Join(err, drop(target))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, target)
	if err != nil {
		return nil //nolint:nilerr // the test has made it so that nobody can
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var shape string
	if err := conn.QueryRow(ctx, shapeOf).Scan(&shape); err != nil || shape != spares.shape {
		return nil //nolint:nilerr // it is dropped
	}
	for others := 1; others > 0; { // sessions that the test has closed take a moment to end
		if err := conn.QueryRow(ctx, "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Scan(&others); err != nil {
			return nil //nolint:nilerr // ditto
		}
	}
	if _, err := conn.Exec(ctx, emptied); err != nil {
		return fmt.Errorf("empty a database: %w", err)
	}
	spares.Lock()
	defer spares.Unlock()
	spares.urls, kept = append(spares.urls, target), true
	return nil
}

// drop drops the database of a URL.
func drop(target string) error {
	config, err := pgx.ParseConfig(target)
	if err != nil {
		return fmt.Errorf("drop a database: %w", err)
	}
	return dropDatabase(server.url, config.Database)
}
