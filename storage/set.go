package storage

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// A statement of a batch works on the rows of many operations at once. It gets them as a
// table expression. On PostgreSQL that is arrays, one argument for each column, so that the
// text does not depend on the number of rows and is prepared once. On SQLite it is VALUES,
// one argument for each value, which is cheaper there than reading JSON.

// set is rows of one struct type, for a statement.
type set struct {
	columns []column
	rows    reflect.Value // a slice of structs
}

// column is a field of a row and its column in the database.
type column struct {
	name  string
	index []int // of the field
	kind  kind
}

// kind is a PostgreSQL type.
type kind string

const (
	kindUUID  kind = "uuid"
	kindText  kind = "text"
	kindInt   kind = "bigint"
	kindBool  kind = "boolean"
	kindBytes kind = "bytea"
)

// setOf makes a set of rows.
func setOf[T any](rows []T) set {
	return set{columns: columnsOf(reflect.TypeFor[T]()), rows: reflect.ValueOf(rows)}
}

// idSet is a set with the one column id.
func idSet(ids []uuid.UUID) set {
	rows := make([]struct{ ID uuid.UUID }, len(ids))
	for i, id := range ids {
		rows[i].ID = id
	}
	return setOf(rows)
}

// names lists the columns' names in SQL.
func (s set) names() string { return s.list("%s", ", ") }

// namesOf lists the names of a row's columns in SQL.
func namesOf[T any]() string { return setOf[T](nil).names() }

// list writes each column's name in the pattern.
func (s set) list(pattern, separator string) string {
	terms := make([]string, len(s.columns))
	for i, c := range s.columns {
		terms[i] = strings.ReplaceAll(pattern, "%s", c.name)
	}
	return strings.Join(terms, separator)
}

var columnsByType sync.Map // reflect.Type → []column

// columnsOf are the columns of a row's type, named as GORM names them.
func columnsOf(t reflect.Type) []column {
	if known, ok := columnsByType.Load(t); ok {
		return known.([]column)
	}
	var columns []column
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous {
			columns = append(columns, column{name: schema.NamingStrategy{}.ColumnName("", f.Name), index: f.Index, kind: kindOf(f.Type)})
		}
	}
	columnsByType.Store(t, columns)
	return columns
}

func kindOf(t reflect.Type) kind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[uuid.UUID]():
		return kindUUID
	case t == reflect.TypeFor[[]byte]():
		return kindBytes
	case t.Kind() == reflect.String:
		return kindText
	case t.Kind() == reflect.Bool:
		return kindBool
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return kindInt
	}
	panic("storage: no column can hold " + t.String())
}

// value returns the field of a row; ok is false for NULL.
func (c column) value(row reflect.Value) (v reflect.Value, ok bool) {
	v = row.FieldByIndex(c.index)
	if v.Kind() != reflect.Pointer {
		return v, true
	}
	return v.Elem(), !v.IsNil()
}

// arrays returns the set as PostgreSQL takes it: one array for each column.
func arrays(s set, first int) (expression string, args []any) {
	params := make([]string, len(s.columns))
	args = make([]any, len(s.columns))
	for i, c := range s.columns {
		params[i] = "$" + strconv.Itoa(first+i) + "::" + string(c.kind) + "[]"
		args[i] = c.array(s.rows)
	}
	return "(SELECT * FROM unnest(" + strings.Join(params, ", ") + ") AS u (" + s.names() + "))", args
}

// array returns a column of all rows, in a type that pgx encodes directly.
func (c column) array(rows reflect.Value) any {
	n := rows.Len()
	switch c.kind {
	case kindUUID:
		return collect(c, rows, make([]pgtype.UUID, n), func(v reflect.Value) pgtype.UUID {
			return pgtype.UUID{Bytes: v.Interface().(uuid.UUID), Valid: true}
		})
	case kindBytes:
		return collect(c, rows, make([][]byte, n), reflect.Value.Bytes)
	case kindText:
		return collect(c, rows, make([]pgtype.Text, n), func(v reflect.Value) pgtype.Text {
			return pgtype.Text{String: v.String(), Valid: true}
		})
	case kindBool:
		return collect(c, rows, make([]pgtype.Bool, n), func(v reflect.Value) pgtype.Bool {
			return pgtype.Bool{Bool: v.Bool(), Valid: true}
		})
	default:
		return collect(c, rows, make([]pgtype.Int8, n), func(v reflect.Value) pgtype.Int8 {
			return pgtype.Int8{Int64: v.Int(), Valid: true}
		})
	}
}

func collect[T any](c column, rows reflect.Value, into pgtype.FlatArray[T], of func(reflect.Value) T) pgtype.FlatArray[T] {
	for i := range into {
		if v, ok := c.value(rows.Index(i)); ok {
			into[i] = of(v)
		}
	}
	return into
}

// values returns the set as SQLite takes it: one argument for each value. Its parameters have
// no numbers, because SQLite looks up a numbered one among all of them.
func values(s set, _ int) (expression string, args []any) {
	terms := make([]string, len(s.columns))
	for i, c := range s.columns {
		terms[i] = "column" + strconv.Itoa(i+1) + " AS " + c.name
	}
	from := "(SELECT " + strings.Join(terms, ", ") + " FROM (VALUES "
	n := s.rows.Len()
	if n == 0 {
		return from + "(NULL" + strings.Repeat(", NULL", len(terms)-1) + ")) WHERE false)", nil
	}
	args = make([]any, 0, n*len(terms))
	for i := range n {
		for _, c := range s.columns {
			args = append(args, c.argument(s.rows.Index(i)))
		}
	}
	row := "(?" + strings.Repeat(", ?", len(terms)-1) + ")"
	return from + row + strings.Repeat(", "+row, n-1) + "))", args
}

// argument returns a value as SQLite stores it.
func (c column) argument(row reflect.Value) any {
	v, ok := c.value(row)
	if !ok {
		return nil
	}
	switch c.kind {
	case kindUUID:
		return v.Interface().(uuid.UUID).String()
	case kindBytes:
		return v.Bytes()
	case kindText:
		return v.String()
	case kindBool:
		return v.Bool()
	default:
		return v.Int()
	}
}

// render puts the sets into a statement, which names them {0}, {1}, …, each once and in this
// order.
func (d dialect) render(text string, sets []set) (string, []any) {
	var args []any
	for i, s := range sets {
		expression, more := d.rows(s, len(args)+1)
		text = strings.Replace(text, "{"+strconv.Itoa(i)+"}", expression, 1)
		args = append(args, more...)
	}
	if d.traced != nil {
		d.traced(text, args)
	}
	return text, args
}

// parts splits the sets so that no statement has more arguments than the database takes. Only
// the last set, of slots, can be that large.
func (d dialect) parts(sets []set) [][]set {
	if d.arguments == 0 || len(sets) == 0 {
		return [][]set{sets}
	}
	others, last := sets[:len(sets)-1], sets[len(sets)-1]
	room := d.arguments
	for _, s := range others {
		room -= s.rows.Len() * len(s.columns)
	}
	var parts [][]set
	for most := room / len(last.columns); last.rows.Len() > most; last.rows = last.rows.Slice(most, last.rows.Len()) {
		parts = append(parts, append(slices.Clip(others), set{last.columns, last.rows.Slice(0, most)}))
	}
	return append(parts, append(slices.Clip(others), last))
}

// query runs a statement on sets and returns the result as rows of type T, matched by the
// names of the columns. It ignores a column that T does not have: a newer server may have
// added it.
func query[T any](d dialect, tx *gorm.DB, text string, sets ...set) (rows []T, err error) {
	for _, part := range d.parts(sets) {
		if rows, err = queryPart(d, tx, rows, text, part); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// queryPart appends the result of one statement to rows.
func queryPart[T any](d dialect, tx *gorm.DB, rows []T, text string, sets []set) ([]T, error) {
	text, args := d.render(text, sets)
	found, err := tx.Statement.ConnPool.QueryContext(tx.Statement.Context, text, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	fields := make([]column, len(names))
	for i, name := range names {
		for _, c := range columnsOf(reflect.TypeFor[T]()) {
			if c.name == name {
				fields[i] = c
			}
		}
	}
	into := make([]any, len(names))
	for found.Next() {
		var row T
		v := reflect.ValueOf(&row).Elem()
		for i, c := range fields {
			if c.name == "" {
				into[i] = new(any)
				continue
			}
			into[i] = v.FieldByIndex(c.index).Addr().Interface()
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// exec runs a statement on sets, which must change exactly n rows.
func exec(d dialect, tx *gorm.DB, n int, text string, sets ...set) error {
	touched := int64(0)
	for _, part := range d.parts(sets) {
		text, args := d.render(text, part)
		done, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, text, args...)
		if err != nil {
			return err
		}
		more, err := done.RowsAffected()
		if err != nil {
			return err
		}
		touched += more
	}
	if touched != int64(n) {
		return fmt.Errorf("%d rows instead of %d", touched, n)
	}
	return nil
}

// change runs a statement on rows, which must change each of them once. It does nothing if
// there are none.
func change[T any](d dialect, tx *gorm.DB, text string, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	return exec(d, tx, len(rows), text, setOf(rows))
}

// insert writes all rows with one statement. It does nothing if there are none.
func insert[T any](d dialect, tx *gorm.DB, table string, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	names := namesOf[T]()
	return change(d, tx, "INSERT INTO "+table+" ("+names+") SELECT "+names+" FROM {0} k", rows)
}

// remove deletes the rows with these keys with one statement. It does nothing if there are
// no keys.
func remove(d dialect, tx *gorm.DB, table string, keys set) error {
	if keys.rows.Len() == 0 {
		return nil
	}
	return exec(d, tx, keys.rows.Len(), "DELETE FROM "+table+" WHERE ("+keys.names()+") IN (SELECT "+keys.list("k.%s", ", ")+" FROM {0} k)", keys)
}
