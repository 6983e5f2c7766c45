package storage

import "iter"

// table is the rows of one kind that a batch works on.
//
// fetch fills it. What operations do stays beside what the database has, so write finds what
// to store by comparing the two.
type table[K comparable, R any] struct {
	was  map[K]R // rows as the database has them
	now  map[K]R // rows that operations changed or came to need, as they left them
	made map[K]R // missing rows, as fetch inserted them before anybody knew whether they are needed
}

// get returns a row as it is now.
func (t *table[K, R]) get(k K) (R, bool) {
	if r, changed := t.now[k]; changed {
		return r, true
	}
	r, found := t.was[k]
	return r, found
}

// all returns the rows as they are now.
func (t *table[K, R]) all() iter.Seq2[K, R] {
	return func(yield func(K, R) bool) {
		for k, r := range t.now {
			if !yield(k, r) {
				return
			}
		}
		for k, r := range t.was {
			if _, changed := t.now[k]; !changed && !yield(k, r) {
				return
			}
		}
	}
}

// fetched adds a row that the database has.
func (t *table[K, R]) fetched(k K, r R) { t.was = with(t.was, k, r) }

// inserted adds a row that fetch has inserted.
func (t *table[K, R]) inserted(k K, r R) { t.made = with(t.made, k, r) }

// set changes a row, or makes one.
func (t *table[K, R]) set(k K, r R) { t.now = with(t.now, k, r) }

// need keeps a row that fetch inserted although nobody has changed it.
func (t *table[K, R]) need(k K) {
	r, inserted := t.made[k]
	if _, needed := t.now[k]; inserted && !needed {
		t.set(k, r)
	}
}

// unused returns the keys of rows that fetch inserted and nobody came to need.
func (t *table[K, R]) unused() (keys []K) {
	for k := range t.made {
		if _, needed := t.now[k]; !needed {
			keys = append(keys, k)
		}
	}
	return keys
}

// amended returns the rows that fetch inserted and that have changed since.
func (t *table[K, R]) amended(same func(a, b R) bool) (rows []R) {
	for k, inserted := range t.made {
		if r, needed := t.now[k]; needed && !same(r, inserted) {
			rows = append(rows, r)
		}
	}
	return rows
}

// draft is what one operation does to a table. Others see it once it is kept. So a refused
// operation needs no undoing.
type draft[K comparable, R any] struct {
	table *table[K, R]
	rows  map[K]R // rows that the operation changed or made
}

// get returns a row as the operation sees it.
func (d *draft[K, R]) get(k K) (R, bool) {
	if r, changed := d.rows[k]; changed {
		return r, true
	}
	return d.table.get(k)
}

// has reports whether the operation changed or made the row.
func (d *draft[K, R]) has(k K) bool {
	_, changed := d.rows[k]
	return changed
}

func (d *draft[K, R]) set(k K, r R) { d.rows = with(d.rows, k, r) }

// keep makes the draft part of its table.
func (d *draft[K, R]) keep() {
	for k, r := range d.rows {
		d.table.set(k, r)
	}
}

// with puts a row into a map, and makes the map for the first row: most batches leave most of
// their maps empty.
func with[K comparable, R any](m map[K]R, k K, r R) map[K]R {
	if m == nil {
		m = map[K]R{}
	}
	m[k] = r
	return m
}
