package booking

import (
	"context"

	"github.com/google/uuid"

	"holdfast/idempotency"
	"holdfast/inventory"
)

// Store is where bookings live. Package storage has it for both databases.
type Store interface {
	// InTx fetches and locks what touches names, in the one order in which
	// everything is locked, runs f on it, writes what f did and commits.
	//
	// f sees and changes nothing but tx and its own results, and may run more
	// than once. If it returns an error nothing is written and InTx returns
	// that error. Otherwise InTx returns nil once everything is durable,
	// ErrStale if the merchant's catalogue is not at the announced
	// version, or an error wrapping ErrUnavailable if the database failed and
	// the outcome could not be settled in time.
	InTx(ctx context.Context, touches Footprint, f func(Tx) error) error

	// Merchant returns a merchant with its catalogue, or ErrNotFound. It may
	// come from memory: InTx tells when it was too old.
	Merchant(ctx context.Context, id string) (*inventory.Merchant, error)

	// Refreshed is Merchant, read anew.
	Refreshed(ctx context.Context, id string) (*inventory.Merchant, error)

	// Booking returns a booking as it is now, or ErrNotFound.
	Booking(ctx context.Context, id uuid.UUID) (Booking, error)
	// GuestBookings returns the bookings of the guests that a Google user id
	// belongs to, at all merchants, in one of the states and ending after
	// nowSec, by start; ErrNotFound if nobody has that id.
	GuestBookings(ctx context.Context, googleUserID string, states []State, nowSec int64) ([]Booking, error)
	// Slots returns those of the keys that have a row, as they are now, and the rows
	// of the shares, without a lock and without what leases take that lapsed at nowSec
	// or before; ErrStale if the merchant's catalogue is at another version.
	Slots(ctx context.Context, merchantID string, catalogueVersion int64, keys []inventory.SlotKey, shares []inventory.Span, nowSec int64) (map[inventory.SlotKey]inventory.Slot, error)

	// SlotsBetween returns those slots of the range that have a row, as they are
	// now, without a lock and without what the range says does not count;
	// ErrStale if the merchant's catalogue, or the booking left out, is at
	// another version. It costs one query for each table.
	SlotsBetween(ctx context.Context, r SlotRange) (map[inventory.SlotKey]inventory.Slot, error)
	// Schedule returns a booking with its guest and a page of its history, all of
	// one moment, and whether there is more of the history, or ErrNotFound.
	Schedule(ctx context.Context, key ScheduleKey, history HistoryPage) (found Schedule, more bool, err error)
	// Schedules returns a page of a merchant's visits a part of which lies in the range, whatever their state, by
	// start and id, with their guests and without history, and whether there are
	// more; ErrStale if the merchant's catalogue is at another version.
	Schedules(ctx context.Context, r ScheduleRange) (found []Schedule, more bool, err error)
	// SearchGuests returns a page of the guests that a search finds, by id, and
	// whether there are more.
	SearchGuests(ctx context.Context, q GuestSearch) (found []Guest, more bool, err error)
	// IndexGuests makes guests, at most so many, searchable by an index who are not
	// so as they are now, and returns how many it has.
	IndexGuests(ctx context.Context, limit int) (int, error)

	// Blocks returns a page of the times that a clinic's desk has closed, by start and
	// id, and whether there are more.
	Blocks(ctx context.Context, q BlocksQuery) (found []Booking, more bool, err error)
	// Changes returns the visits that a page of changes is of, as they are now and
	// without history, by their last change on the page; the last change that was
	// looked at; and whether there are more.
	Changes(ctx context.Context, q ChangesQuery) (found []Schedule, last ChangeAt, more bool, err error)

	// LapsedLeases returns leases that expired at nowSec or before and hold any
	// of the slots; with no slots, any lapsed leases, a thousand at most.
	LapsedLeases(ctx context.Context, slots []inventory.SlotKey, nowSec int64) ([]uuid.UUID, error)

	// Unconfirmed returns bookings that wait for the merchant's word, made at
	// sinceSec or before, or starting at nowSec or before; a thousand at most.
	Unconfirmed(ctx context.Context, sinceSec, nowSec int64) ([]uuid.UUID, error)

	// ReplaceClinic stores a clinic's catalogue in place of what it had, with ids spelled
	// as they have been stored, and recounts the bookings that end after nowSec and that
	// r says have to be, in one transaction. It returns what r refuses with, and then
	// nothing is written.
	ReplaceClinic(ctx context.Context, m inventory.Merchant, nowSec int64, r Replacement) error
	// Clinic returns a clinic's catalogue as it is stored (nil: there is none), m as
	// ReplaceClinic would store it, and the bookings that hold room and end after nowSec,
	// all of one moment.
	Clinic(ctx context.Context, m inventory.Merchant, nowSec int64) (before, next *inventory.Merchant, bookings []Booking, err error)

	// PutMarketing stores whether a Google user wants marketing.
	PutMarketing(ctx context.Context, googleUserID string, wanted bool, nowSec int64) error

	// Unerased returns bookings that ended at untilSec or before and of whose
	// guests something is known, the oldest first.
	Unerased(ctx context.Context, untilSec int64, limit int) ([]uuid.UUID, error)
	// UnerasedOf returns such bookings of these guests, whenever they are.
	UnerasedOf(ctx context.Context, guests []uuid.UUID) ([]Booking, error)
	// IdleGuests returns guests of whom something is known, made at untilSec or
	// before, all of whose bookings have been erased, by id and after that one.
	IdleGuests(ctx context.Context, untilSec int64, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// GuestsNamed returns the guests who have one of the keys ("user:…", …) or the
	// clinic's name of a visitor, at a merchant or ("") at all, and the charts that are
	// joined to theirs.
	GuestsNamed(ctx context.Context, merchantID string, keys []string, visitorID string) ([]Guest, error)
	// GuestsWithNumber returns the guests whom these keys of a number lead to, with the
	// charts that are joined to theirs, and all whose number is written with one of
	// these rows of digits, at these merchants.
	GuestsWithNumber(ctx context.Context, merchantIDs, keys, numbers []string) (led, others []Guest, err error)
	// Homes returns where one merchant is, or ("") where each is.
	Homes(ctx context.Context, merchantID string) ([]Home, error)
	// ForgetGuests blanks those of the guests all of whose bookings have been
	// erased, with their keys and their wish for marketing, and returns how many.
	ForgetGuests(ctx context.Context, ids []uuid.UUID) (int, error)
	// ForgetMarketing removes what a Google user who is nobody's guest has said of
	// marketing, if anything.
	ForgetMarketing(ctx context.Context, googleUserID string) (forgotten bool, err error)
	// ForgetIdleMarketing does so for those who said it at untilSec or before, of so
	// many Google users after that one, by id. It returns the last of them, "" if
	// there was none, and how many it has removed.
	ForgetIdleMarketing(ctx context.Context, untilSec int64, after string, limit int) (last string, forgotten int, err error)

	// NormalizePhones looks at so many keys of numbers that an earlier release has
	// made, gives each number the key of its one form, if it has one, for the same
	// chart, and returns how many it has finished. Where another chart has that
	// key, both are told as a clash, and the key is told again until they have met.
	NormalizePhones(ctx context.Context, form func(home, written string) string, limit int) (seen int, clashes []Clash, err error)
	// MeetCharts makes two charts that share a number one, as join says, or gives the
	// number to the older one, if join says that they are two people's. met is false
	// if nothing was done: they have changed, or the younger one has visits.
	MeetCharts(ctx context.Context, keys [2]GuestKey, older, younger uuid.UUID, join func(older, younger Guest) (Guest, bool)) (met, joined bool, err error)
	// VisitsOf returns bookings of a guest, whatever their state.
	VisitsOf(ctx context.Context, guest uuid.UUID, limit int) ([]uuid.UUID, error)
	// Stray returns a chart that is joined to another and has visits, if there is one.
	Stray(ctx context.Context) (from uuid.UUID, to Guest, found bool, err error)

	// PruneSlots deletes the slots that started before untilSec and that nobody has
	// booked or blocked, of so many resources after that one, by id. It returns the
	// last of them, uuid.Nil if there was none, and how many slots it has deleted.
	PruneSlots(ctx context.Context, untilSec int64, after uuid.UUID, limit int) (last uuid.UUID, pruned int, err error)

	// Settled returns nil once everything that could be read before the call is
	// durable, on the standby too if commits wait for one. Else it returns an error
	// wrapping ErrUnavailable.
	Settled(ctx context.Context) error

	// PutKey stores a merchant's API key by its hash; ErrNotFound if there is no
	// such merchant.
	PutKey(ctx context.Context, hash []byte, merchantID, name string, nowSec int64) error
	// ClinicKeys returns all keys that ever were, by merchant and age.
	ClinicKeys(ctx context.Context) ([]StoredKey, error)
	// ReplaceKey stores a key with the merchant and name of another, which ends at
	// expiresSec; ErrNotFound if that is not there or ends already.
	ReplaceKey(ctx context.Context, old, hash []byte, nowSec, expiresSec int64) error
	// RevokeKey ends a key and the tokens that were given for it.
	RevokeKey(ctx context.Context, hash []byte, nowSec int64) error
	// PutToken stores an access token by its hash for the merchant of a key;
	// ErrNotFound if there is no such key, or it has ended. Of the key's tokens the
	// newest stay, so many at most.
	PutToken(ctx context.Context, keyHash, hash []byte, nowSec, expiresSec int64, most int) error
	// TokenMerchant returns whose token this is and the id of its key ("" if it is
	// older than ids), or ErrNotFound.
	TokenMerchant(ctx context.Context, hash []byte, nowSec int64) (merchantID, keyID string, err error)
}

// StoredKey is a key with the digest that it is stored by.
type StoredKey struct {
	Key
	Digest []byte
}

// Footprint names what an operation will touch, so that the store can lock all of
// it in order and fetch it at once, alone or together with other operations.
type Footprint struct {
	// MerchantID and CatalogueVersion are those of the catalogue that the
	// operation was planned with. An empty id: none was needed.
	MerchantID       string
	CatalogueVersion int64
	// Steady keeps the catalogue from changing until the operation ends. It is
	// needed to write a visit of a doctor whose time is not held: else an import
	// that makes the doctor exclusive could miss it.
	Steady bool

	Claim     *idempotency.Claim // a known token ends the fetching here
	Bookings  []uuid.UUID        // the bookings to change, with their holds and guests
	Schedule  ScheduleKey        // and one more by the clinic's name
	GuestKeys []GuestKey         // the guest who asks
	NewGuest  uuid.UUID          // who the guest is if nobody has those keys
	Visitor   VisitorKey         // and the guest with that name
	Slots     []inventory.SlotKey
	Shares    []inventory.Span // their keys are among Slots
	Blocks    BlockKey         // the blocks that are there already, once the slots are locked
	FromSec   int64            // visits of these guests that overlap [FromSec, ToSec)
	ToSec     int64
}

// ScheduleKey is the clinic's name of a booking: only together with the clinic
// does it name anything.
type ScheduleKey struct {
	MerchantID string
	ScheduleID string
}

// VisitorKey is the clinic's name of a guest: only together with the clinic does
// it name anybody.
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

	// Booking returns an announced booking, or the one that an announced,
	// known token made; found is false if there is none with that id.
	Booking(id uuid.UUID) (b Booking, found bool)
	// Schedule returns the booking of the announced schedule.
	Schedule() (b Booking, found bool)
	// Holds are those of an announced booking.
	Holds(id uuid.UUID) []inventory.Hold
	// Guests returns whom the announced keys belong to already.
	Guests() map[GuestKey]Guest
	// Visitor returns the announced visitor.
	Visitor() (g Guest, found bool)
	// Blocks returns the announced blocks, the oldest first.
	Blocks() []Booking
	// Visits returns the live visits that the announced guests have in the
	// announced time.
	Visits() []Visit

	// Name makes the announced token the name of this booking, which is there
	// already, and not of the one that was announced with it.
	Name(id uuid.UUID)
	// PutGuest writes a new or changed guest, and makes those announced keys
	// that belonged to nobody, except others, the guest's.
	PutGuest(g Guest, others ...GuestKey)
	// PutBooking writes a new booking (version 1) or the next version of an
	// announced one, its event and its outbox row. With an event [Erased] what
	// else is kept of the guest goes with it: the fingerprint of the request that
	// made it, and in earlier events whether the guest needs sedation.
	PutBooking(b Booking, e Event)
}
