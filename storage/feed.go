package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// FeedKind is a kind of feed, as the table feeds has it.
type FeedKind string

// The kinds of feed.
const (
	FeedMerchants    FeedKind = "merchants"
	FeedServices     FeedKind = "services"
	FeedAvailability FeedKind = "availability"
)

// Feed identifies a feed among those of its kind.
type Feed struct {
	Complete      bool
	GenerationSec int64  // Unix seconds
	Digest        string // of its content; the same for a repeat
}

// Why a feed is refused.
var (
	// ErrStaleFeed: a newer feed of the same kind has been loaded already, or a different
	// one with the same time.
	ErrStaleFeed = errors.New("a newer feed has been loaded already")
	// ErrFutureFeed: the feed claims to be from the future.
	ErrFutureFeed = errors.New("generation_timestamp lies in the future")
)

// mostAheadSec is how far the clock of whoever makes feeds may be ahead of ours. A feed from
// the future would shut out the feeds after it, and claim to know bookings that we have yet
// to make.
const mostAheadSec = 5 * 60

// CheckFeed returns ErrStaleFeed or ErrFutureFeed if the feed would not be taken.
func (db *DB) CheckFeed(ctx context.Context, kind FeedKind, f Feed, nowSec int64) error {
	err := checkFeed(db.read.WithContext(ctx), kind, f, nowSec)
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.err
	}
	return unavailable(err)
}

// feedRow is the last complete feed of a kind whose import has begun.
type feedRow struct {
	Kind          FeedKind `gorm:"primaryKey"`
	GenerationSec int64
	LoadedSec     int64
	Digest        string
}

func (feedRow) TableName() string { return "feeds" }

func checkFeed(tx *gorm.DB, kind FeedKind, f Feed, nowSec int64) error {
	if f.GenerationSec > nowSec+mostAheadSec {
		return &refusal{fmt.Errorf("metadata.generation_timestamp: %w: %d is %s, and now it is %s", ErrFutureFeed, f.GenerationSec, utc(f.GenerationSec), utc(nowSec))}
	}
	var last feedRow
	if err := tx.Where("kind = ?", kind).Limit(1).Find(&last).Error; err != nil {
		return fmt.Errorf("read feeds: %w", err)
	}
	why := ""
	switch {
	case last.GenerationSec > f.GenerationSec:
		why = "it was"
	case last.GenerationSec == f.GenerationSec && f.Complete && last.Digest != f.Digest:
		why = "another one that was"
	default:
		return nil
	}
	err := fmt.Errorf("metadata.generation_timestamp: %w: %s generated at %d, this one at %d", ErrStaleFeed, why, last.GenerationSec, f.GenerationSec)
	if last.GenerationSec > nowSec+mostAheadSec {
		err = fmt.Errorf("%w; that time has not come: holdfast feed-reset %s forgets it", err, kind)
	}
	return &refusal{err}
}

func utc(sec int64) string { return time.Unix(sec, 0).UTC().Format(time.RFC3339) }

// noteFeed records that a complete feed is being loaded. It does so before the first row, so
// that rows of another feed with the same time cannot mix with these. An interrupted import
// is run again, or a newer feed overtakes it.
func noteFeed(tx *gorm.DB, kind FeedKind, f Feed, nowSec int64) error {
	return tx.Exec(`INSERT INTO feeds (kind, generation_sec, loaded_sec, digest) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind) DO UPDATE SET generation_sec = excluded.generation_sec, loaded_sec = excluded.loaded_sec, digest = excluded.digest`,
		kind, f.GenerationSec, nowSec, f.Digest).Error
}

// beginFeed checks the feed once more and, if it is complete, records it.
func beginFeed(tx *gorm.DB, kind FeedKind, f Feed, nowSec int64) error {
	if err := checkFeed(tx, kind, f, nowSec); err != nil || !f.Complete {
		return err
	}
	return noteFeed(tx, kind, f, nowSec)
}

// BeginAvailability begins to load an availability feed, or refuses it with ErrStaleFeed or
// ErrFutureFeed.
func (db *DB) BeginAvailability(ctx context.Context, f Feed, nowSec int64) error {
	return db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		return errors.Join(db.unhurried(tx), beginFeed(tx, FeedAvailability, f, nowSec))
	})
}

// overtaken returns ErrStaleFeed if an availability feed newer than generationSec is being
// loaded at the same time: its rows must not be overwritten.
func overtaken(tx *gorm.DB, generationSec int64) error {
	var newer int64
	if err := tx.Raw("SELECT COUNT(*) FROM feeds WHERE kind = ? AND generation_sec > ?", FeedAvailability, generationSec).Scan(&newer).Error; err != nil {
		return fmt.Errorf("read feeds: %w", err)
	}
	if newer > 0 {
		return &refusal{fmt.Errorf("%w, while this one was being loaded", ErrStaleFeed)}
	}
	return nil
}

// ResetFeed forgets which feed of a kind was loaded last, and which feed published what is
// on sale. The next complete feed is then accepted, whatever its time, and withdraws what
// it does not have. Neither bookings nor what is on sale change. ResetFeed returns
// [booking.ErrNotFound] if there was no feed.
func (db *DB) ResetFeed(ctx context.Context, kind FeedKind, nowSec int64) (was Feed, err error) {
	if kind == FeedAvailability {
		if err := db.disownPublished(ctx, nowSec); err != nil {
			return was, err
		}
	}
	err = db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		var last feedRow
		if err := errors.Join(db.unhurried(tx), tx.Where("kind = ?", kind).Limit(1).Find(&last).Error); err != nil {
			return fmt.Errorf("read feeds: %w", err)
		}
		if last.Kind == "" {
			return &refusal{booking.ErrNotFound}
		}
		was = Feed{Complete: true, GenerationSec: last.GenerationSec, Digest: last.Digest}
		column := map[FeedKind]string{FeedMerchants: "named_sec", FeedServices: "services_sec"}[kind]
		if column != "" {
			if err := tx.Exec("UPDATE merchants SET "+column+" = 0 WHERE kind = ?", inventory.MerchantFeed).Error; err != nil {
				return fmt.Errorf("reset merchants: %w", err)
			}
		}
		return tx.Where("kind = ?", kind).Delete(&feedRow{}).Error
	})
	return was, err
}

// disownPublished makes future published slots belong to no feed.
func (db *DB) disownPublished(ctx context.Context, nowSec int64) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 0
		err := db.transact(ctx, importLimit, func(tx *gorm.DB) error {
			if err := db.unhurried(tx); err != nil {
				return err
			}
			var some []slotRow
			err := tx.Raw(`SELECT s.* FROM slots s JOIN resources r ON r.id = s.resource_id AND r.kind = 'published'
				WHERE s.generation_sec > 0 AND s.start_sec > ? ORDER BY s.resource_id, s.start_sec LIMIT ?`, nowSec, rowsAtOnce).Scan(&some).Error
			if err != nil {
				return fmt.Errorf("look for published slots: %w", err)
			}
			if n = len(some); n == 0 {
				return nil
			}
			if some, err = db.lockSlots(tx, slotKeys(some)); err != nil {
				return err
			}
			where, args := slotsWhere(slotKeys(some))
			return tx.Exec("UPDATE slots SET generation_sec = 0 WHERE "+where, args...).Error
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// OnSale compares the future published slots on sale with those of a complete feed. It
// reads them in order, some at a time.
type OnSale struct {
	db            *DB
	ctx           context.Context // a comparison is one call in several pieces
	generationSec int64
	nowSec        int64
	page          []onSaleRow
	after         inventory.SlotKey
	ended         bool

	Slots     int // on sale
	Withdrawn int // of those, because they are not in the feed
}

type onSaleRow struct {
	ResourceID    uuid.UUID
	StartSec      int64
	GenerationSec int64
}

func (r onSaleRow) key() inventory.SlotKey {
	return inventory.SlotKey{Resource: r.ResourceID, StartSec: r.StartSec}
}

// OnSale begins a comparison with a feed that was generated at generationSec.
func (db *DB) OnSale(ctx context.Context, generationSec, nowSec int64) *OnSale {
	return &OnSale{db: db, ctx: ctx, generationSec: generationSec, nowSec: nowSec}
}

// Feed takes the next slot of the feed, in the order of slots.
func (o *OnSale) Feed(key inventory.SlotKey) error {
	for {
		r, err := o.next()
		if err != nil || r == nil {
			return err
		}
		order := r.key().Compare(key)
		if order > 0 {
			return nil
		}
		o.pass(order != 0)
	}
}

// Done says that the feed has no more slots.
func (o *OnSale) Done() error {
	for {
		r, err := o.next()
		if err != nil || r == nil {
			return err
		}
		o.pass(true)
	}
}

// pass moves on to the next slot on sale.
func (o *OnSale) pass(missing bool) {
	o.Slots++
	if missing && o.page[0].GenerationSec < o.generationSec {
		o.Withdrawn++
	}
	o.page = o.page[1:]
}

// next is the next slot on sale, or nil.
func (o *OnSale) next() (*onSaleRow, error) {
	const most = 5000
	if len(o.page) == 0 && !o.ended {
		err := o.db.read.WithContext(o.ctx).Raw(`SELECT s.resource_id, s.start_sec, s.generation_sec
			FROM slots s JOIN resources r ON r.id = s.resource_id AND r.kind = 'published'
			WHERE (s.resource_id, s.start_sec) > (?, ?) AND s.offered > 0 AND s.start_sec > ?
			ORDER BY s.resource_id, s.start_sec LIMIT ?`, o.after.Resource, o.after.StartSec, o.nowSec, most).Scan(&o.page).Error
		if err != nil {
			return nil, unavailable(fmt.Errorf("read published slots: %w", err))
		}
		o.ended = len(o.page) < most
		if len(o.page) > 0 {
			o.after = o.page[len(o.page)-1].key()
		}
	}
	if len(o.page) == 0 {
		return nil, nil
	}
	return &o.page[0], nil
}
