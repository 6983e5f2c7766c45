package storagetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"holdfast/booking"
	"holdfast/storage"
)

// Prepared returns an open database of a kind that prepare has filled, such as with a
// catalogue. Calls of one name, in a package, have the same prepare.
//
// On SQLite each test gets a copy of the file that prepare left.
//
// On PostgreSQL the next test of the name gets the same one with the rows that prepare
// left, unless the test has changed the schema: creating a database takes longer than
// most tests. It gets it still open, if it asks for nothing but a limit: opening it, and
// planning every statement for the first time, takes as long again.
func Prepared(t testing.TB, kind Kind, name string, o storage.Options, prepare func(Database)) Database {
	t.Helper()
	if kind.Name != "Postgres" {
		target := preparedFile(t, kind, name, o, prepare)
		return Database{DB: Open(t, target, o), Target: target}
	}
	plain := fmt.Sprintf("%+v", o) == fmt.Sprintf("%+v", storage.Options{Limit: o.Limit})
	key := name
	if plain {
		key = fmt.Sprint(name, " ", o.Limit)
	}
	spares.Lock()
	var s *spare
	if all := spares.of[key]; len(all) > 0 {
		s, spares.of[key] = all[len(all)-1], all[:len(all)-1]
	}
	spares.Unlock()
	if s == nil {
		s = makeSpare(t, o, plain, prepare)
	}
	t.Cleanup(func() {
		if !s.reset() {
			if err := s.end(); err != nil {
				t.Error(err)
			}
			return
		}
		spares.Lock()
		defer spares.Unlock()
		spares.of[key] = append(spares.of[key], s)
	})
	if plain {
		return Database{DB: s.db, Target: s.target}
	}
	return Database{DB: Open(t, s.target, o), Target: s.target}
}

// preparedFile returns the path of an SQLite file that prepare has filled, for one test.
func preparedFile(t testing.TB, kind Kind, name string, o storage.Options, prepare func(Database)) string {
	t.Helper()
	target := kind.New(t)
	preparedFiles.Lock()
	defer preparedFiles.Unlock()
	if file := preparedFiles.of[name]; file != nil {
		if err := os.WriteFile(target, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return target
	}
	db, err := storage.Open(context.Background(), target, completed(o))
	if err != nil {
		t.Fatal(err)
	}
	prepare(Database{DB: db, Target: target})
	if err := db.Close(); err != nil { // the WAL is in the file now
		t.Fatal(err)
	}
	file, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	preparedFiles.of[name] = file
	return target
}

// preparedFiles are what prepare left in SQLite files, by name.
var preparedFiles = struct {
	sync.Mutex
	of map[string][]byte
}{of: map[string][]byte{}}

// spares are the databases that wait for the next test of their name.
var spares = struct {
	sync.Mutex
	of map[string][]*spare
}{of: map[string][]*spare{}}

type spare struct {
	target    string
	db        *storage.DB // nil if each test opens it with options of its own
	name      string
	shape     string // of everything but the rows
	merchants string // their ids
}

func makeSpare(t testing.TB, o storage.Options, keepOpen bool, prepare func(Database)) *spare {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin, name := PostgresURL(t), uniqueName()
	if err := createDatabase(admin, name, PostgresTemplate(t, "holdfast", create)); err != nil {
		t.Fatal(err)
	}
	s := &spare{name: name, target: databaseURL(admin, name)}
	db, err := storage.Open(ctx, s.target, completed(storage.Options{Limit: o.Limit}))
	if err != nil {
		t.Fatal(err)
	}
	prepare(Database{DB: db, Target: s.target})
	if keepOpen {
		s.db = db
	} else if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.admin(func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, keepRows); err != nil {
			return err
		}
		return db.QueryRowContext(ctx, shapeOf).Scan(&s.shape, &s.merchants)
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// admin looks at the database past the code under test.
func (s *spare) admin(f func(*sql.DB) error) error {
	db, done, err := Raw(s.target)
	if err != nil {
		return err
	}
	return errors.Join(f(db), done())
}

// reset makes the database as it was. It reports false if it cannot: the test has changed
// the schema, or has broken the database or closed it, on purpose.
func (s *spare) reset() bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var shape, merchants string
	err := s.admin(func(db *sql.DB) error {
		if err := db.QueryRowContext(ctx, shapeOf).Scan(&shape, &merchants); err != nil || shape != s.shape {
			return err
		}
		_, err := db.ExecContext(ctx, restoreRows)
		return err
	})
	if err != nil || shape != s.shape {
		return false
	}
	if s.db == nil {
		return true
	}
	if s.db.Ping(ctx) != nil {
		return false
	}
	// The server keeps catalogues in memory, by their version; the next test may import
	// another one with the same.
	for _, id := range strings.Fields(merchants + " " + s.merchants) {
		if _, err := s.db.Refreshed(ctx, id); err != nil && !errors.Is(err, booking.ErrNotFound) {
			return false
		}
	}
	return true
}

// end closes and drops the database.
func (s *spare) end() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, dropDatabase(server.url, s.name))
}

// endSpares ends all spares.
func endSpares() error {
	spares.Lock()
	defer spares.Unlock()
	var errs []error
	for _, all := range spares.of {
		for _, s := range all {
			errs = append(errs, s.end())
		}
	}
	spares.of = map[string][]*spare{}
	return errors.Join(errs...)
}

// shapeOf is a digest of everything about a database but its rows, and the merchants.
const shapeOf = `SELECT md5(concat_ws('|',
	(SELECT string_agg(concat_ws(' ', c.relname, c.relkind, c.relpersistence, c.reloptions, a.attname, a.atttypid, a.attnotnull, a.atthasdef), ',' ORDER BY c.relname, a.attnum)
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'public'::regnamespace),
	(SELECT string_agg(concat_ws(' ', conname, conrelid, convalidated), ',' ORDER BY conrelid, conname) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
	(SELECT string_agg(concat_ws(' ', tgname, tgrelid, tgenabled), ',' ORDER BY tgrelid, tgname) FROM pg_trigger),
	(SELECT COUNT(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
	(SELECT COUNT(*) FROM pg_namespace), (SELECT COUNT(*) FROM pg_extension),
	(SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))))),
	COALESCE((SELECT string_agg(id, ' ') FROM public.merchants), '')`

// keepRows puts the current rows aside.
const keepRows = `CREATE SCHEMA pristine; DO $$ DECLARE t text; has boolean; BEGIN
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
		EXECUTE 'SELECT EXISTS (SELECT FROM public.' || t || ')' INTO has;
		IF has THEN EXECUTE 'CREATE TABLE pristine.' || t || ' AS TABLE public.' || t; END IF;
	END LOOP;
END $$`

// restoreRows makes all tables as they were. It deletes instead of truncating, because a
// truncated table gets new files, and every connection plans anew.
const restoreRows = `DO $$ DECLARE t text; BEGIN
	SET LOCAL session_replication_role = replica;
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
		EXECUTE 'DELETE FROM public.' || t;
	END LOOP;
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'pristine' LOOP
		EXECUTE 'INSERT INTO public.' || t || ' SELECT * FROM pristine.' || t;
	END LOOP;
END $$`
