package storage

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// A table shows each row as it is now, and write finds in it what happened to the rows that fetch inserted.
func TestTable(t *testing.T) {
	var rows table[string, int]
	rows.fetched("untouched", 1)
	rows.fetched("changed", 1)
	rows.set("changed", 2)
	rows.set("new", 3)
	for _, k := range []string{"refused", "taken", "another's", "needed", "needed and taken"} {
		rows.inserted(k, 4)
	}
	rows.set("taken", 4)
	rows.set("another's", 5)
	rows.need("needed")
	rows.set("needed and taken", 6)
	rows.need("needed and taken")
	rows.need("untouched") // stays anyway

	kept := draft[string, int]{table: &rows}
	kept.set("changed", 7)
	dropped := draft[string, int]{table: &rows}
	dropped.set("changed", 8)
	dropped.set("new", 8)
	if r, _ := dropped.get("changed"); r != 8 || !dropped.has("changed") || dropped.has("untouched") {
		t.Errorf("the operation that changed it sees %d", r)
	}
	if r, _ := rows.get("changed"); r != 2 {
		t.Errorf("others see %d before it is kept", r)
	}
	kept.keep()

	want := map[string]int{"untouched": 1, "changed": 7, "new": 3, "taken": 4, "another's": 5, "needed": 4, "needed and taken": 6}
	seen := 0
	for k, r := range rows.all() {
		seen++
		if got, found := rows.get(k); !found || r != want[k] || got != want[k] {
			t.Errorf("%s is %d and %d, want %d", k, r, got, want[k])
		}
	}
	if seen != len(want) {
		t.Errorf("%d rows, want %d", seen, len(want))
	}
	if _, found := rows.get("refused"); found {
		t.Error("an inserted row is seen before anybody needs it")
	}
	if got := rows.unused(); !slices.Equal(got, []string{"refused"}) {
		t.Errorf("unused: %q", got)
	}
	if got := slices.Sorted(slices.Values(rows.amended(func(a, b int) bool { return a == b }))); !slices.Equal(got, []int{5, 6}) {
		t.Errorf("amended: %d", got)
	}
	if _, stored := rows.now["untouched"]; stored || rows.was["changed"] != 1 {
		t.Errorf("now %q, was %d", strings.Join(slices.Sorted(maps.Keys(rows.now)), ", "), rows.was["changed"])
	}
}
