package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/storage"
)

// Prepared returns an open database of a kind that prepare has filled, for instance with a
// catalogue. Within a package, all calls with one name must have the same prepare.
//
// On PostgreSQL the next call with the name gets the same database, with the rows that prepare
// left, unless a test has changed the schema. It is even still open, unless a test has changed a
// merchant. Making and opening a database, and planning every statement for the first time,
// takes far longer than most tests.
func Prepared(t testing.TB, kind Kind, name string, o storage.Options, prepare func(Database)) Database {
	t.Helper()
	key := fmt.Sprint(name, " ", o.Limit)
	only := storage.Options{Limit: o.Limit}
	if kind.Name != "Postgres" || fmt.Sprintf("%+v", o) != fmt.Sprintf("%+v", only) {
		target := kind.New(t)
		db := Database{DB: Open(t, target, o), Target: target}
		prepare(db)
		return db
	}
	spares.Lock()
	var s *spare
	if all := spares.of[key]; len(all) > 0 {
		s, spares.of[key] = all[len(all)-1], all[:len(all)-1]
	}
	spares.Unlock()
	if s == nil {
		s = makeSpare(t, o, prepare)
	}
	t.Cleanup(func() {
		fit, err := s.reset()
		if err != nil {
			t.Error(err)
		}
		if !fit {
			if err := s.end(); err != nil {
				t.Error(err)
			}
			return
		}
		spares.Lock()
		defer spares.Unlock()
		spares.of[key] = append(spares.of[key], s)
	})
	return s.db
}

// spares are the databases that wait for the next test of their name.
var spares = struct {
	sync.Mutex
	of map[string][]*spare
}{of: map[string][]*spare{}}

type spare struct {
	db        Database
	options   storage.Options
	shape     string // of everything but the rows
	merchants string // with their versions, by which a server keeps catalogues in memory
}

func makeSpare(t testing.TB, o storage.Options, prepare func(Database)) *spare {
	t.Helper()
	admin, name := PostgresURL(t), uniqueName()
	if err := createDatabase(admin, name, PostgresTemplate(t, "holdfast", create)); err != nil {
		t.Fatal(err)
	}
	s := &spare{db: Database{Target: databaseURL(admin, name)}, options: completed(o)}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	prepare(s.db)
	err := s.do(func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, keepRows); err != nil {
			return err
		}
		return conn.QueryRow(ctx, shapeOf).Scan(&s.shape, &s.merchants)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do runs f on a connection of its own.
func (s *spare) do(f func(context.Context, *pgx.Conn) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.db.Target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	return f(ctx, conn)
}

// reset restores the database to its prepared state, and reports whether that worked.
func (s *spare) reset() (fit bool, err error) {
	var merchants string
	err = s.do(func(ctx context.Context, conn *pgx.Conn) error {
		var shape string
		if err := conn.QueryRow(ctx, shapeOf).Scan(&shape, &merchants); err != nil || shape != s.shape {
			return err
		}
		fit = true
		if _, err := conn.Exec(ctx, restoreRows); err != nil {
			return err
		}
		return s.db.Ping(ctx) // the test may have closed it
	})
	if err != nil { // the test has broken it, on purpose
		return false, nil //nolint:nilerr // see above
	}
	if fit && merchants != s.merchants {
		return true, errors.Join(s.db.Close(), s.open())
	}
	return fit, nil
}

func (s *spare) open() (err error) {
	s.db.DB, err = storage.Open(context.Background(), s.db.Target, s.options)
	return err
}

// end closes and drops the database.
func (s *spare) end() error {
	u := s.db.Target
	config, err := pgx.ParseConfig(u)
	if err != nil {
		return errors.New("the URL of a test's database cannot be read")
	}
	return errors.Join(s.db.Close(), dropDatabase(server.url, config.Database))
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

// shapeOf queries a digest of everything about a database except its rows, and the merchants with
// their versions.
const shapeOf = `SELECT md5(concat_ws('|',
	(SELECT string_agg(concat_ws(' ', c.relname, c.relkind, c.relpersistence, c.reloptions, a.attname, a.atttypid, a.attnotnull, a.atthasdef), ',' ORDER BY c.relname, a.attnum)
		FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'public'::regnamespace),
	(SELECT string_agg(concat_ws(' ', conname, conrelid, convalidated), ',' ORDER BY conrelid, conname) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
	(SELECT string_agg(concat_ws(' ', tgname, tgrelid, tgenabled), ',' ORDER BY tgrelid, tgname) FROM pg_trigger),
	(SELECT COUNT(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
	(SELECT COUNT(*) FROM pg_namespace), (SELECT COUNT(*) FROM pg_extension),
	(SELECT string_agg(setconfig::text, ',') FROM pg_db_role_setting WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))))),
	COALESCE((SELECT string_agg(id || ' ' || version, ',' ORDER BY id) FROM public.merchants), '')`

// keepRows puts the current rows aside.
const keepRows = `CREATE SCHEMA pristine; DO $$ DECLARE t text; has boolean; BEGIN
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
		EXECUTE 'SELECT EXISTS (SELECT FROM public.' || t || ')' INTO has;
		IF has THEN EXECUTE 'CREATE TABLE pristine.' || t || ' AS TABLE public.' || t; END IF;
	END LOOP;
END $$`

// restoreRows restores all tables, except those that neither have nor had rows.
const restoreRows = `DO $$ DECLARE t text; full_ones text; has boolean; BEGIN
	SET LOCAL session_replication_role = replica;
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' LOOP
		EXECUTE 'SELECT EXISTS (SELECT FROM public.' || t || ')' INTO has;
		IF has THEN full_ones := concat_ws(', ', full_ones, 'public.' || t); END IF;
	END LOOP;
	EXECUTE 'TRUNCATE ' || full_ones || ' CASCADE';
	FOR t IN SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'pristine' LOOP
		EXECUTE 'INSERT INTO public.' || t || ' SELECT * FROM pristine.' || t;
	END LOOP;
END $$`
