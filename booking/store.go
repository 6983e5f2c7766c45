package booking

import (
	"context"

	"github.com/google/uuid"

	"holdfast/idempotency"
	"holdfast/inventory"
)

// Store is where bookings live. Package storage implements it for both databases.
type Store interface {
	// InTx fetches and locks what touches names, in the one order in which everything is
	// locked, runs f on it, writes what f did and commits.
	//
	// f must see and change only tx and its own results, because it may run more than once. If
	// f returns an error, InTx writes nothing and returns that error. Otherwise InTx returns nil
	// once everything is durable, ErrStale if the merchant's catalogue is not at the announced
	// version, or an error wrapping ErrUnavailable if the database failed and the outcome could
	// not be settled in time.
	InTx(ctx context.Context, touches Footprint, f func(Tx) error) error

	// Merchant returns a merchant with its catalogue, or ErrNotFound. The catalogue may come
	// from memory: InTx returns ErrStale if it was too old.
	Merchant(ctx context.Context, id string) (*inventory.Merchant, error)

	// Refreshed is Merchant, read anew.
	Refreshed(ctx context.Context, id string) (*inventory.Merchant, error)

	// Booking returns a booking as it is now, or ErrNotFound.
	Booking(ctx context.Context, id uuid.UUID) (Booking, error)
	// GuestBookings returns the bookings of the guests that a Google user id
	// belongs to, at all merchants, in one of the states and ending after
	// nowSec, by start; ErrNotFound if nobody has that id.
	GuestBookings(ctx context.Context, googleUserID string, states []State, nowSec int64) ([]Booking, error)
	// Slots returns, without a lock, the current slots of those keys that have a row, and the
	// rows of the shares. What leases take that have lapsed by nowSec does not count. ErrStale
	// if the merchant's catalogue is at another version.
	Slots(ctx context.Context, merchantID string, catalogueVersion int64, keys []inventory.SlotKey, shares []inventory.Span, nowSec int64) (map[inventory.SlotKey]inventory.Slot, error)

	// SlotsBetween returns, without a lock, the current slots of the range that have a row,
	// without what the range says does not count. ErrStale if the merchant's catalogue, or the
	// booking left out, is at another version. It costs one query for each table.
	SlotsBetween(ctx context.Context, r SlotRange) (map[inventory.SlotKey]inventory.Slot, error)
	// Schedule returns a booking with its guest and a page of its history, all of the same
	// moment, and whether there is more history; or ErrNotFound.
	Schedule(ctx context.Context, key ScheduleKey, history HistoryPage) (found Schedule, more bool, err error)
	// Schedules returns a page of a merchant's visits in any state that overlap the range, by
	// start and id, with their guests and without history, and whether there are more. ErrStale
	// if the merchant's catalogue is at another version.
	Schedules(ctx context.Context, r ScheduleRange) (found []Schedule, more bool, err error)
	// SearchGuests returns a page of the guests that a search finds, by id, and
	// whether there are more.
	SearchGuests(ctx context.Context, q GuestSearch) (found []Guest, more bool, err error)
	// IndexGuests indexes for the search at most limit guests who are new or have changed, and
	// returns how many it has indexed.
	IndexGuests(ctx context.Context, limit int) (int, error)

	// Blocks returns a page of the times that a clinic's desk has closed, by start and
	// id, and whether there are more.
	Blocks(ctx context.Context, q BlocksQuery) (found []Booking, more bool, err error)
	// Changes returns the visits on a page of changes, as they are now and without history, by
	// their last change on the page; the last change that it looked at; and whether there are
	// more.
	Changes(ctx context.Context, q ChangesQuery) (found []Schedule, last ChangeAt, more bool, err error)

	// LapsedLeases returns leases that have expired by nowSec and hold any of the slots; without
	// slots, any lapsed leases, a thousand at most.
	LapsedLeases(ctx context.Context, slots []inventory.SlotKey, nowSec int64) ([]uuid.UUID, error)

	// Unconfirmed returns at most a thousand bookings that wait for the merchant's confirmation
	// and were made at sinceSec or before, or start at nowSec or before.
	Unconfirmed(ctx context.Context, sinceSec, nowSec int64) ([]uuid.UUID, error)

	// ReplaceClinic replaces a clinic's catalogue, with ids in their stored spelling, and in the
	// same transaction recounts those bookings that end after nowSec and that r says must be
	// recounted. If r refuses, it writes nothing and returns the refusal.
	ReplaceClinic(ctx context.Context, m inventory.Merchant, nowSec int64, r Replacement) error
	// Clinic returns a clinic's stored catalogue (nil: there is none), m as ReplaceClinic would
	// store it, and the bookings that hold room and end after nowSec, all of the same moment.
	Clinic(ctx context.Context, m inventory.Merchant, nowSec int64) (before, next *inventory.Merchant, bookings []Booking, err error)

	// PutMarketing stores whether a Google user wants marketing.
	PutMarketing(ctx context.Context, googleUserID string, wanted bool, nowSec int64) error

	// Unerased returns bookings that ended at untilSec or before and still have their guests'
	// data, oldest first.
	Unerased(ctx context.Context, untilSec int64, limit int) ([]uuid.UUID, error)
	// UnerasedOf returns such bookings of these guests, whenever they are.
	UnerasedOf(ctx context.Context, guests []uuid.UUID) ([]Booking, error)
	// IdleGuests returns guests after one, by id, who were made at untilSec or before, still
	// have data, and whose bookings have all been erased.
	IdleGuests(ctx context.Context, untilSec int64, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// GuestsNamed returns the guests who have one of the keys ("user:…", …) or the clinic's name
	// of a visitor, at a merchant or ("") at all, and the charts joined to theirs.
	GuestsNamed(ctx context.Context, merchantID string, keys []string, visitorID string) ([]Guest, error)
	// GuestsWithNumber returns, at these merchants, the guests to whom the keys of a number lead,
	// with the charts joined to theirs, and all guests whose number has one of these sequences of
	// digits.
	GuestsWithNumber(ctx context.Context, merchantIDs, keys, numbers []string) (led, others []Guest, err error)
	// Homes returns the country of one merchant, or ("") of each.
	Homes(ctx context.Context, merchantID string) ([]Home, error)
	// ForgetGuests blanks those of the guests whose bookings have all been erased, deletes their
	// keys and marketing preferences, and returns how many there were.
	ForgetGuests(ctx context.Context, ids []uuid.UUID) (int, error)
	// ForgetMarketing deletes the marketing preference of a Google user who is nobody's guest.
	ForgetMarketing(ctx context.Context, googleUserID string) (forgotten bool, err error)
	// ForgetIdleMarketing looks at the next limit Google users after one, by id, and does the
	// same for those who stated their preference at untilSec or before. It returns the last user
	// it looked at, "" if there was none, and how many preferences it has deleted.
	ForgetIdleMarketing(ctx context.Context, untilSec int64, after string, limit int) (last string, forgotten int, err error)

	// NormalizePhones looks at up to limit keys of numbers that an earlier release made, gives
	// the chart of each the key of the number's one form, if there is one, and returns how many
	// it has finished. If another chart has that key already, it returns both charts as a clash,
	// and does so again until MeetCharts has resolved it.
	NormalizePhones(ctx context.Context, form func(home, written string) string, limit int) (seen int, clashes []Clash, err error)
	// MeetCharts joins two charts that share a number, as join says, or gives the number to the
	// older one if join says that they are two people. met is false if it did nothing, because
	// they have changed or the younger one has visits.
	MeetCharts(ctx context.Context, keys [2]GuestKey, older, younger uuid.UUID, join func(older, younger Guest) (Guest, bool)) (met, joined bool, err error)
	// VisitsOf returns bookings of a guest, whatever their state.
	VisitsOf(ctx context.Context, guest uuid.UUID, limit int) ([]uuid.UUID, error)
	// Stray returns a chart that has visits although it is joined to another, if there is one.
	Stray(ctx context.Context) (from uuid.UUID, to Guest, found bool, err error)

	// PruneSlots looks at the next limit resources after one, by id, and deletes their slots that
	// started before untilSec and that nobody has booked or blocked. It returns the last resource
	// that it looked at, uuid.Nil if there was none, and how many slots it has deleted.
	PruneSlots(ctx context.Context, untilSec int64, after uuid.UUID, limit int) (last uuid.UUID, pruned int, err error)

	// Settled returns nil once everything that could be read before the call is durable, on the
	// standby too if commits wait for one. Otherwise it returns an error wrapping ErrUnavailable.
	Settled(ctx context.Context) error

	// PutKey stores a merchant's API key by its hash; ErrNotFound if there is no
	// such merchant.
	PutKey(ctx context.Context, hash []byte, merchantID, name string, nowSec int64) error
	// ClinicKeys returns all keys that ever were, by merchant and age.
	ClinicKeys(ctx context.Context) ([]StoredKey, error)
	// ReplaceKey stores a key with the merchant and name of the old one, which ends at
	// expiresSec. ErrNotFound if the old one does not exist or has an end already.
	ReplaceKey(ctx context.Context, old, hash []byte, nowSec, expiresSec int64) error
	// RevokeKey ends a key and the tokens that were given for it.
	RevokeKey(ctx context.Context, hash []byte, nowSec int64) error
	// PutToken stores an access token by its hash for a key's merchant. ErrNotFound if there is
	// no such key, or it has ended. Only the newest most tokens of the key stay.
	PutToken(ctx context.Context, keyHash, hash []byte, nowSec, expiresSec int64, most int) error
	// TokenMerchant returns the token's merchant and the id of its key ("" if the token is older
	// than ids of keys), or ErrNotFound.
	TokenMerchant(ctx context.Context, hash []byte, nowSec int64) (merchantID, keyID string, err error)
}

// StoredKey is a key with the digest under which it is stored.
type StoredKey struct {
	Key
	Digest []byte
}

// Footprint names what an operation will touch, so that the store can lock all of it in order and
// fetch it at once, alone or together with other operations.
type Footprint struct {
	// MerchantID and CatalogueVersion name the catalogue that the operation was planned with. An
	// empty id: it needed none.
	MerchantID       string
	CatalogueVersion int64
	// Steady keeps the catalogue from changing until the operation ends. Writing a visit that does
	// not hold its doctor's time needs it: otherwise an import that makes the doctor exclusive
	// could miss the visit.
	Steady bool

	Claim     *idempotency.Claim // if the token is known, nothing below is fetched
	Bookings  []uuid.UUID        // the bookings to change, with their holds and guests
	Schedule  ScheduleKey        // one more, by the clinic's name
	GuestKeys []GuestKey         // the guest who asks
	NewGuest  uuid.UUID          // the guest's id if nobody has those keys
	Visitor   VisitorKey         // one more guest, by the clinic's name
	Slots     []inventory.SlotKey
	Shares    []inventory.Span // their keys are among Slots
	Blocks    BlockKey         // the existing blocks, once the slots are locked
	FromSec   int64            // visits of these guests that overlap [FromSec, ToSec)
	ToSec     int64
}

// ScheduleKey is the clinic's name of a booking. It names one only together with the clinic.
type ScheduleKey struct {
	MerchantID string
	ScheduleID string
}

// VisitorKey is the clinic's name of a guest. It names one only together with the clinic.
type VisitorKey struct {
	MerchantID string
	VisitorID  string
}

// BlockKey names the live blocks of a merchant that have exactly these times.
type BlockKey struct {
	MerchantID       string
	StartSec, EndSec int64
}

// Tx is one operation's view of what it announced.
type Tx interface {
	inventory.Tx
	idempotency.Tx

	// Booking returns an announced booking, or the one that an announced and known token made;
	// found is false if there is none with that id.
	Booking(id uuid.UUID) (b Booking, found bool)
	// Schedule returns the booking of the announced schedule.
	Schedule() (b Booking, found bool)
	// Holds returns the holds of an announced booking.
	Holds(id uuid.UUID) []inventory.Hold
	// Guests returns the guests who already have the announced keys.
	Guests() map[GuestKey]Guest
	// Visitor returns the announced visitor.
	Visitor() (g Guest, found bool)
	// Blocks returns the announced blocks, the oldest first.
	Blocks() []Booking
	// Visits returns the live visits that the announced guests have in the
	// announced time.
	Visits() []Visit

	// Name makes the announced token name this existing booking, and not the one that was
	// announced with it.
	Name(id uuid.UUID)
	// PutGuest writes a new or changed guest, and gives the guest those announced keys that
	// belonged to nobody, except others.
	PutGuest(g Guest, others ...GuestKey)
	// PutBooking writes a new booking (version 1) or the next version of an announced one, its
	// event and its outbox row. An event [Erased] also erases what else is stored about the
	// guest: the fingerprint of the request that made the booking, and in earlier events whether
	// the guest needs sedation.
	PutBooking(b Booking, e Event)
}
