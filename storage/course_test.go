package storage

import (
	"context"
	"testing"
	"time"
)

// Without anybody who watches, the notes cost a request no memory.
func TestNotesAreFree(t *testing.T) {
	db := &DB{}
	ops := []*operation{{}, {}}
	n := testing.AllocsPerRun(100, func() {
		ctx := context.Background()
		courseOf(ctx).note("read")()
		ctx, notes := db.noting(ctx, ops)
		notesOf(ctx).begin()
		notes.step("fetch")
		notes.end(nil)
		notes.settled(nil)
		notes.share(ops)
		courseOf(ctx).answered(ops[0], nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// One request keeps so much and no more, however often its operations are planned again.
func TestCourseIsBounded(t *testing.T) {
	_, c := Watch(t.Context())
	for range 10 * courseLength {
		c.answered(&operation{since: time.Now()}, nil)
		c.note("read")()
	}
	if operations, others := c.Noted(); len(operations) != courseLength || len(others) != courseLength {
		t.Errorf("%d operations, %d others", len(operations), len(others))
	}
}

// Of the requests that share a transaction, one tells what it was.
func TestTransactionIsToldOnce(t *testing.T) {
	var tx Transaction
	for i := range 3 {
		if told := tx.Told(func() any { return i }); told != 0 {
			t.Errorf("call %d got %v", i, told)
		}
	}
}
