package storage

import "iter"

// table is the rows of one kind that a batch works on.
//
// Fetch fills it, and what operations do to it stays beside what the database has. So a
// refused operation needs no undoing, and write finds what to store by comparing the two.
type table[K comparable, R any] struct {
	was  map[K]R // as the database has them
	now  map[K]R // as operations left those that they changed or came to need
	made map[K]R // as fetch inserted those that were missing, before anybody knew whether they are needed
}

// get is a row as it is now.
func (t *table[K, R]) get(k K) (R, bool) {
	if r, changed := t.now[k]; changed {
		return r, true
	}
	r, found := t.was[k]
	return r, found
}

// all are the rows as they are now.
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

// fetched notes a row that the database has.
func (t *table[K, R]) fetched(k K, r R) { t.was = with(t.was, k, r) }

// inserted notes a row that fetch has inserted.
func (t *table[K, R]) inserted(k K, r R) { t.made = with(t.made, k, r) }

// set changes a row, or makes one.
func (t *table[K, R]) set(k K, r R) { t.now = with(t.now, k, r) }

// need has a row that fetch inserted stay, though nobody has changed it.
func (t *table[K, R]) need(k K) {
	r, inserted := t.made[k]
	if _, needed := t.now[k]; inserted && !needed {
		t.set(k, r)
	}
}

// unused are the keys of rows that fetch inserted and nobody came to need.
func (t *table[K, R]) unused() (keys []K) {
	for k := range t.made {
		if _, needed := t.now[k]; !needed {
			keys = append(keys, k)
		}
	}
	return keys
}

// amended are the rows that fetch inserted and that have to become something else.
func (t *table[K, R]) amended(same func(a, b R) bool) (rows []R) {
	for k, inserted := range t.made {
		if r, needed := t.now[k]; needed && !same(r, inserted) {
			rows = append(rows, r)
		}
	}
	return rows
}

// draft is what one operation does to a table. Others see it once it is kept.
type draft[K comparable, R any] struct {
	table *table[K, R]
	rows  map[K]R // that the operation changed or made
}

// get is a row as the operation sees it.
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

// with puts a row into a map, which is made when its first row comes: most batches
// have no use for most of theirs.
func with[K comparable, R any](m map[K]R, k K, r R) map[K]R {
	if m == nil {
		m = map[K]R{}
	}
	m[k] = r
	return m
}
