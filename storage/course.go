package storage

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Course is what the store did for one request, and when. It says nothing of guests: it
// has times, counts, a merchant's id and words of ours. A nil Course notes nothing.
type Course struct {
	mu         sync.Mutex
	operations []Operation
	others     []Other
}

// Operation is one call of [DB.InTx], or another transaction that writes.
type Operation struct {
	MerchantID   string // "" if it named none
	Since        time.Time
	Turn         time.Time // when a committer took it; zero if none did; Since if it needs none
	Until        time.Time
	Transactions []*Transaction // that were tried for it, in order
	Err          error          // what it ended with; only its type may be shown to anybody
}

// Other is what the store did besides operations: read, with the wait for a connection,
// or settle, see [DB.Settled].
type Other struct {
	Name         string
	Since, Until time.Time
}

// Transaction is one try of a batch at the database. All operations of the batch have
// the same one.
type Transaction struct {
	System     string // of the database, by OpenTelemetry's names
	Operations int    // that shared it
	Try        int    // from 1; tries of the same batch count on
	Steps      []Step // begin, fetch, decide, write and commit, as far as it came; settle, see [DB.Settled]; run, of an operation of its own
	Until      time.Time
	Outcome    string // one of those below
	Code       string // PostgreSQL's SQLSTATE; "" if there is none

	once sync.Once
	told any
}

// The outcomes of transactions.
const (
	Committed    = "committed"
	Unchanged    = "unchanged"    // there was nothing to write
	Conflict     = "conflict"     // the database has undone it
	Timeout      = "timeout"      // it waited too long, or there was no disk or memory
	Disconnected = "disconnected" // before COMMIT
	Unknown      = "unknown"      // COMMIT got no answer
	Fenced       = "fenced"       // the database is being copied
	Failed       = "failed"
)

// Step is a part of a transaction. It ends where the next one begins.
type Step struct {
	Name  string
	Since time.Time
}

// Told returns what tell returned in the first call. Several requests share a
// transaction, and whoever shows it does so once.
func (t *Transaction) Told(tell func() any) any {
	t.once.Do(func() { t.told = tell() })
	return t.told
}

type courseKey struct{}

// Watch returns a context for one request, and the course that notes what the store
// does for it.
func Watch(ctx context.Context) (context.Context, *Course) {
	c := &Course{}
	return context.WithValue(ctx, courseKey{}, c), c
}

func courseOf(ctx context.Context) *Course {
	c, _ := ctx.Value(courseKey{}).(*Course)
	return c
}

// courseLength bounds the operations, and the others, that we keep of one request. A
// request that is planned again and again is not worth more memory.
const courseLength = 16

// Noted returns what the store has done for the request so far.
func (c *Course) Noted() ([]Operation, []Other) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.operations, c.others
}

// answered notes an operation, which has ended with err or a panic of its own.
func (c *Course) answered(op *operation, err error) {
	if c == nil {
		return
	}
	if op.panicked != nil {
		err = op.panicked
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.operations) == courseLength {
		return
	}
	id := op.touches.MerchantID
	if id == "" {
		id = op.touches.Schedule.MerchantID
	}
	c.operations = append(c.operations, Operation{
		MerchantID: id, Since: op.since, Turn: op.turn, Until: now(), Transactions: op.transactions, Err: err,
	})
}

// note notes something else, from now until done is called.
func (c *Course) note(name string) (done func()) {
	if c == nil {
		return nothing
	}
	since := now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.others) < courseLength {
			c.others = append(c.others, Other{name, since, now()})
		}
	}
}

func nothing() {}

// notes note the transactions in which a batch is tried. A nil one notes nothing.
type notes struct {
	system     string
	operations int
	all        []*Transaction
}

type notesKey struct{}

// noting returns what notes the tries of a batch, nil if nobody watches any of its
// operations, and the context to run it with.
func (db *DB) noting(ctx context.Context, ops []*operation) (context.Context, *notes) {
	for _, op := range ops {
		if op.course != nil {
			t := &notes{system: db.dialect.system, operations: len(ops)}
			return context.WithValue(ctx, notesKey{}, t), t
		}
	}
	return ctx, nil
}

func notesOf(ctx context.Context) *notes {
	t, _ := ctx.Value(notesKey{}).(*notes)
	return t
}

// begin notes that a transaction begins.
func (t *notes) begin() {
	if t != nil {
		t.all = append(t.all, &Transaction{System: t.system, Operations: t.operations, Try: len(t.all) + 1})
		t.step("begin")
	}
}

// step notes that a part of the transaction begins.
func (t *notes) step(name string) {
	if t != nil {
		last := t.all[len(t.all)-1]
		last.Steps = append(last.Steps, Step{name, now()})
	}
}

// end notes that the transaction is over, and why.
func (t *notes) end(err error) {
	if t == nil {
		return
	}
	last := t.all[len(t.all)-1]
	last.Until, last.Outcome, last.Code = now(), outcome(err), ""
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		last.Code = pg.Code
	}
}

// settled notes how the wait has ended that followed a transaction without changes.
func (t *notes) settled(err error) {
	if t == nil {
		return
	}
	last := t.all[len(t.all)-1]
	last.Until = now()
	if err != nil {
		last.Outcome = outcome(err)
	}
}

// share gives the operations of the batch what was noted.
func (t *notes) share(ops []*operation) {
	if t == nil {
		return
	}
	for _, op := range ops {
		if op.course != nil {
			op.transactions = append(op.transactions, t.all...)
		}
	}
}

// outcome is what became of a transaction, in one word.
func outcome(err error) string {
	var refused *refusal
	var doubt *unknown
	switch {
	case err == nil:
		return Committed
	case errors.As(err, &refused) && errors.Is(refused.err, errHeldUp):
		return Timeout
	case refused != nil:
		return Unchanged
	case errors.As(err, &doubt):
		return Unknown
	case errors.Is(err, errPanicked):
		return Failed
	}
	switch classify(err) {
	case rolledBack:
		return Conflict
	case timedOut:
		return Timeout
	case cutOff:
		return Disconnected
	case closed:
		return Fenced
	case broken:
	}
	return Failed
}
