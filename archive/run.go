package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/booking"
	"holdfast/storage"
)

// How much is done at a time.
const (
	atOnce     = 500     // bookings that are read at a time
	inFile     = 5_000   // bookings after which a file has enough
	rowsInFile = 200_000 // or rows, if bookings have many
	inTx       = 50      // bookings that one transaction deletes
	rowsInTx   = 2_000   // or rows, if bookings have many
)

// Plan says what to archive, and where to.
type Plan struct {
	Dir    string
	Rule   booking.Archival
	DryRun bool // only count
	Now    func() time.Time
}

// Done is what was archived, and why the rest of what has ended stays.
type Done struct {
	Bookings int // that are no longer in the database
	Files    int
	Bytes    int64 // of the files
	Stay     map[booking.Stay]int
}

// Run archives the bookings that the plan lets go, merchant by merchant. It writes some
// thousand to a file, makes that survive the loss of power, and then deletes them in small
// transactions; one that has changed meanwhile stays. It tells progress, if not nil, after
// each step.
//
// When ctx ends, Run finishes deleting what is in a file and returns the error of ctx. A
// run that was killed between the two leaves bookings in a file and in the database; the
// next one writes them again, and [Each] tells of each once.
func Run(ctx context.Context, db *storage.DB, p Plan, progress func(Done)) (Done, error) {
	if progress == nil {
		progress = func(Done) {}
	}
	r := &run{db: db, plan: p, progress: progress, done: Done{Stay: map[booking.Stay]int{}}}
	err := r.all(ctx)
	if r.file != nil {
		err = errors.Join(err, r.file.abandon())
	}
	return r.done, err
}

type run struct {
	db       *storage.DB
	plan     Plan
	progress func(Done)
	done     Done

	file    *file          // nil: none is open
	written []booking.Over // to it
	rows    int64
}

func (r *run) all(ctx context.Context) error {
	if !r.plan.DryRun {
		if err := r.db.BeingCopied(ctx); err != nil {
			return err
		}
		if err := prepare(r.plan.Dir, r.plan.Now()); err != nil {
			return err
		}
	}
	unerased, err := r.db.CountUnerased(ctx, r.plan.Rule.UntilSec)
	if err != nil {
		return fmt.Errorf("count visits that are not erased: %w", err)
	}
	r.stay(booking.StaysUnerased, unerased)
	merchants, err := r.db.MerchantIDs(ctx)
	if err != nil {
		return fmt.Errorf("read merchants: %w", err)
	}
	for _, id := range merchants {
		if err := r.merchant(ctx, id); err != nil {
			return err
		}
	}
	return r.finish(ctx)
}

// stay counts bookings that stay, if there are any.
func (r *run) stay(why booking.Stay, n int) {
	if n > 0 {
		r.done.Stay[why] += n
	}
}

func (r *run) merchant(ctx context.Context, id string) error {
	for last := (booking.Over{}); ; {
		page, err := r.db.Over(ctx, id, r.plan.Rule.UntilSec, last, atOnce)
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1]
		var some []booking.Over
		for _, o := range page {
			if why := r.plan.Rule.Stays(o); why != "" {
				r.stay(why, 1)
				continue
			}
			some = append(some, o)
		}
		if err := r.take(ctx, some); err != nil {
			return err
		}
		r.progress(r.done)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// take writes bookings to the file, and finishes it when it has enough.
func (r *run) take(ctx context.Context, some []booking.Over) (err error) {
	switch {
	case len(some) == 0:
		return nil
	case r.plan.DryRun:
		r.done.Bookings += len(some)
		return nil
	case r.file == nil:
		if r.file, err = create(r.plan.Dir, r.plan.Now()); err != nil {
			return err
		}
	}
	if err := r.db.ReadOver(ctx, some, r.file); err != nil {
		return fmt.Errorf("write %s: %w", r.file.name, err)
	}
	r.written = append(r.written, some...)
	for _, o := range some {
		r.rows += o.Rows()
	}
	if len(r.written) < inFile && r.rows < rowsInFile {
		return nil
	}
	return r.finish(ctx)
}

// finish completes the file and deletes from the database what is in it.
func (r *run) finish(ctx context.Context) error {
	if r.file == nil {
		return nil
	}
	f, written := r.file, r.written
	r.file, r.written, r.rows = nil, nil, 0
	size, err := f.finish()
	if err != nil {
		return fmt.Errorf("write %s: %w", f.name, err)
	}
	r.done.Files++
	r.done.Bytes += size
	ctx = context.WithoutCancel(ctx) // or it would be in both
	for len(written) > 0 {
		some := within(written, inTx, rowsInTx)
		removed, err := r.db.RemoveOver(ctx, r.plan.Rule, some)
		if err != nil {
			return fmt.Errorf("%d bookings are in %s and still in the database, where the next run finds them: %w", len(written), f.name, err)
		}
		r.done.Bookings += removed
		r.stay(booking.StaysChanged, len(some)-removed)
		written = written[len(some):]
		r.progress(r.done)
	}
	return nil
}

// within returns the first bookings of a list: at most that many, with at most that many
// rows between them, but always one.
func within(of []booking.Over, most int, rows int64) []booking.Over {
	n := 0
	for n < min(len(of), most) {
		if rows -= of[n].Rows(); rows < 0 && n > 0 {
			break
		}
		n++
	}
	return of[:n]
}
