// Package booking decides. It has the rules of both channels, Google's Booking Server API and the
// clinic's Open API, over one kind of booking and one inventory. It knows neither HTTP nor SQL.
//
// The service plans an operation from the merchant's catalogue, which shows what the operation
// will touch. Then it runs the operation inside one transaction ([Store.InTx]), on what the store
// has fetched and locked for it. The rules themselves are pure functions of that, of the request
// and of the time; running one twice is safe.
//
// There are two kinds of refusal: a [Failure] is a business "no" with a cause from a closed list,
// an [Invalid] is a request that names something that does not exist. Any other error is our
// fault. All three undo the transaction.
package booking

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Booking is one visit, however it was made. It has two public names: ID is
// Google's booking_id, ScheduleID the clinic's scheduleId.
type Booking struct {
	ID         uuid.UUID `json:"booking_id"`
	ScheduleID string    `json:"schedule_id"` // 24 hex digits
	MerchantID string    `json:"merchant_id"`
	ServiceID  string    `json:"service_id,omitempty"`
	GuestID    uuid.UUID `json:"guest_id"`
	State      State     `json:"state"`
	Version    int64     `json:"version"`   // 1, and one more with every change
	StartSec   int64     `json:"start_sec"` // the envelope of Resources, Unix seconds
	EndSec     int64     `json:"end_sec"`
	ExpiresSec int64     `json:"expires_sec,omitempty"` // of a lease, Unix seconds

	// What the guest asked for, as Google gets it back in slot and user.
	PartySize         int              `json:"party_size,omitempty"`
	StaffID           string           `json:"staff_id,omitempty"` // only if the guest named one
	RoomID            string           `json:"room_id,omitempty"`  // only if the guest named one
	AvailabilityTag   string           `json:"availability_tag,omitempty"`
	ConfirmationMode  ConfirmationMode `json:"confirmation_mode,omitempty"`
	Contact           Contact          `json:"contact"`
	AdditionalRequest string           `json:"additional_request,omitempty"`
	OfferID           string           `json:"offer_id,omitempty"`
	Payment           *Payment         `json:"payment,omitempty"`

	// What the clinic's desk keeps. nil is "not said".
	ZoneID               string             `json:"zone_id,omitempty"` // where the visitor checks in
	Resources            []OccupiedResource `json:"occupied_resources"`
	Assignee             *Person            `json:"reservation_assignee,omitempty"`
	ConsultationRequired *bool              `json:"consultation_required,omitempty"`
	SedationRequired     *bool              `json:"sedation_required,omitempty"`
	Counselor            *Person            `json:"counselor,omitempty"`
	Funnel               json.RawMessage    `json:"funnel,omitempty"` // as the channel checked it; no rule reads it
	Memo                 *string            `json:"reservation_memo,omitempty"`
	RequestedProcedures  json.RawMessage    `json:"requested_procedures,omitempty"` // ditto
	ConnectedChannel     *string            `json:"connected_channel,omitempty"`

	CreatedBy  Actor `json:"created_by"`
	CreatedSec int64 `json:"created_sec"`
	ErasedSec  int64 `json:"erased_sec,omitempty"` // when the guest's data was erased; 0: it was not
}

// OccupiedResource is one stretch of a visit: some spots of a clinic's lane or of a published
// slot, and perhaps a doctor.
type OccupiedResource struct {
	ResourceID uuid.UUID  `json:"resource_id"` // the lane or published resource
	GroupID    string     `json:"group_id,omitempty"`
	ZoneID     string     `json:"zone_id,omitempty"`
	Doctor     *Person    `json:"doctor,omitempty"`             // with the name at the time of writing
	DoctorID   *uuid.UUID `json:"doctor_resource_id,omitempty"` // the doctor's time, if it is exclusive
	StartSec   int64      `json:"start_sec"`
	EndSec     int64      `json:"end_sec"`
	Spots      int        `json:"spots"`
}

// Person is somebody who works at the clinic, by id and by the name that was given along with it.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// spelled is the person with the id spelled as in the catalogue, so that we keep and return an
// object id in one form. If the catalogue does not have the person, the id gets lower case.
func (p *Person) spelled(m *inventory.Merchant) *Person {
	if p == nil {
		return nil
	}
	if s := m.StaffMember(p.ID); s != nil {
		return &Person{ID: s.ID, Name: p.Name}
	}
	return &Person{ID: inventory.PlainID(p.ID), Name: p.Name}
}

// Contact is what guests tell us about themselves with one booking. It stays with that booking;
// [Guest] is who we think they are.
type Contact struct {
	UserID       string   `json:"user_id,omitempty"` // Google's id of the user
	GivenName    string   `json:"given_name,omitempty"`
	FamilyName   string   `json:"family_name,omitempty"`
	Telephone    string   `json:"telephone,omitempty"`
	Email        string   `json:"email,omitempty"`
	LanguageCode string   `json:"language_code,omitempty"`
	Address      *Address `json:"address,omitempty"`
}

// Address is a postal address, spelled as Google's PostalAddress.
type Address struct {
	Country       string `json:"country,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
}

// Payment is what was agreed about money at booking time, as data, in Google's words. It never has
// card data, payment tokens or fraud signals: we drop those.
type Payment struct {
	PrepaymentStatus    string             `json:"prepayment_status,omitempty"`
	TransactionID       string             `json:"payment_transaction_id,omitempty"`
	Price               *inventory.Price   `json:"price,omitempty"`
	TaxAmount           *inventory.Price   `json:"tax_amount,omitempty"`
	Fees                *inventory.Price   `json:"fees,omitempty"`
	FeesAndTaxes        *inventory.Price   `json:"fees_and_taxes,omitempty"`
	Deposit             *inventory.Deposit `json:"deposit,omitempty"`
	NoShowFee           *inventory.Fee     `json:"no_show_fee,omitempty"`
	ProcessedBy         string             `json:"payment_processed_by,omitempty"`
	PaymentOptionID     string             `json:"payment_option_id,omitempty"`
	UserPaymentOptionID string             `json:"user_payment_option_id,omitempty"`
}

// ProcessedByPartner is the payment_processed_by of a booking for which we would have to charge
// the guest.
const ProcessedByPartner = "PROCESSED_BY_PARTNER"

// State is where a booking stands.
type State string

// The states of a booking.
const (
	Held       State = "HELD"    // a lease: holds room until it expires
	Expired    State = "EXPIRED" // a lease that was not used
	Pending    State = "PENDING" // waits for the merchant's confirmation, holds room
	Confirmed  State = "CONFIRMED"
	InProgress State = "IN_PROGRESS"
	Completed  State = "COMPLETED"
	Canceled   State = "CANCELED"
	Declined   State = "DECLINED"
	Failed     State = "FAILED"
	NoShow     State = "NO_SHOW"
	Blocked    State = "BLOCKED"   // no visit: a time that the desk has closed
	Unblocked  State = "UNBLOCKED" // and has opened again
)

// Live are the states in which a booking holds room.
var Live = []State{Held, Pending, Confirmed, InProgress, Completed, Blocked}

// Reserved reports whether the clinic's word for the state is RESERVED: the visit is in the future
// and may be changed.
func (s State) Reserved() bool { return s == Pending || s == Confirmed }

// NoVisit are the states of bookings that are no visits: leases, and times that the desk has
// closed.
var NoVisit = []State{Held, Expired, Blocked, Unblocked}

// IsLease reports whether b is, or was, only a lease: no channel shows it as a booking or a visit.
func (b Booking) IsLease() bool { return b.State == Held || b.State == Expired }

// IsBlock reports whether b is, or was, a time that the desk has closed: it has no guest, and no
// channel shows it as a booking or a visit.
func (b Booking) IsBlock() bool { return b.State == Blocked || b.State == Unblocked }

// IsVisit reports whether somebody comes, came or would have come.
func (b Booking) IsVisit() bool { return !slices.Contains(NoVisit, b.State) }

// lapsed reports whether b is a lease whose time is up. It holds room until it is swept away, but
// nobody has to wait for that.
func (b Booking) lapsed(now time.Time) bool { return b.State == Held && b.ExpiresSec <= now.Unix() }

// ahead reports whether a visit in this state takes up the guest's own time.
func (s State) ahead() bool { return s.Reserved() || s == InProgress }

// ConfirmationMode says who confirms a booking: the system at once, or the merchant later. "" is
// at once.
type ConfirmationMode string

// The confirmation modes.
const (
	Synchronous  ConfirmationMode = "SYNCHRONOUS"
	Asynchronous ConfirmationMode = "ASYNCHRONOUS"
)

// By is who asks for something. Every command that more than one kind of caller can give has it;
// Create, Lease and Update do not, because only guests give those.
type By struct {
	Actor Actor
	KeyID string // of the clinic's key, if one was used
}

// Actor is the kind of caller.
type Actor string

// The actors. Guests come through Google, and are bound by notice, buffers and the start date; the
// clinic's desk is not.
const (
	ByGuest    Actor = "guest"
	ByDesk     Actor = "desk"
	ByOperator Actor = "operator" // on the command line
	ByClock    Actor = "clock"    // nobody asked: time was up
)

// Who asks, where the operation itself implies it.
var (
	aGuest   = By{Actor: ByGuest}
	theClock = By{Actor: ByClock}
)

// envelope is the first start and the last end of a visit's stretches.
func envelope(items []OccupiedResource) (startSec, endSec int64) {
	startSec, endSec = items[0].StartSec, items[0].EndSec
	for _, it := range items[1:] {
		startSec, endSec = min(startSec, it.StartSec), max(endSec, it.EndSec)
	}
	return startSec, endSec
}

// objectID makes the clinic's name of a booking or a guest: 4 bytes of time and the 8 random bytes
// of its id, in hex, which is the form of the clinics' object ids.
func objectID(now time.Time, id uuid.UUID) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(now.Unix())) //nolint:gosec // wraps in 2106, as object ids do
	return hex.EncodeToString(append(b, id[8:]...))
}
