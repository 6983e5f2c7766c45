package storage

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/idempotency"
	"holdfast/inventory"
)

// Rows are private, each with its mapping beside it: no other package knows what the tables
// look like.

type bookingRow struct {
	ID                   uuid.UUID
	ScheduleID           string
	MerchantID           string
	ServiceID            string
	GuestID              uuid.UUID
	State                booking.State
	Version              int64
	StartSec             int64
	EndSec               int64
	ExpiresSec           int64
	PartySize            int
	StaffID              string
	RoomID               string
	AvailabilityTag      string
	ConfirmationMode     booking.ConfirmationMode
	Contact              string
	AdditionalRequest    string
	OfferID              string
	Payment              *string
	ZoneID               string
	Assignee             *string
	ConsultationRequired *bool
	SedationRequired     *bool
	Counselor            *string
	Funnel               *string
	Memo                 *string
	RequestedProcedures  *string
	ConnectedChannel     *string
	CreatedBy            booking.Actor
	CreatedSec           int64
	ErasedSec            int64
}

func (bookingRow) TableName() string { return "bookings" }

func rowOfBooking(b booking.Booking) (bookingRow, error) {
	var e encoder
	row := bookingRow{
		ID: b.ID, ScheduleID: b.ScheduleID, MerchantID: b.MerchantID, ServiceID: b.ServiceID, GuestID: b.GuestID,
		State: b.State, Version: b.Version, StartSec: b.StartSec, EndSec: b.EndSec, ExpiresSec: b.ExpiresSec,
		PartySize: b.PartySize, StaffID: b.StaffID, RoomID: b.RoomID, AvailabilityTag: b.AvailabilityTag,
		ConfirmationMode: b.ConfirmationMode, Contact: *text(&e, &b.Contact), AdditionalRequest: b.AdditionalRequest,
		OfferID: b.OfferID, Payment: text(&e, b.Payment), ZoneID: b.ZoneID, Assignee: text(&e, b.Assignee),
		ConsultationRequired: b.ConsultationRequired, SedationRequired: b.SedationRequired,
		Counselor: text(&e, b.Counselor), Funnel: document(b.Funnel), Memo: b.Memo,
		RequestedProcedures: document(b.RequestedProcedures), ConnectedChannel: b.ConnectedChannel,
		CreatedBy: b.CreatedBy, CreatedSec: b.CreatedSec, ErasedSec: b.ErasedSec,
	}
	return row, e.err
}

func (r bookingRow) booking(items []occupiedRow) (booking.Booking, error) {
	var e encoder
	b := booking.Booking{
		ID: r.ID, ScheduleID: r.ScheduleID, MerchantID: r.MerchantID, ServiceID: r.ServiceID, GuestID: r.GuestID,
		State: r.State, Version: r.Version, StartSec: r.StartSec, EndSec: r.EndSec, ExpiresSec: r.ExpiresSec,
		PartySize: r.PartySize, StaffID: r.StaffID, RoomID: r.RoomID, AvailabilityTag: r.AvailabilityTag,
		ConfirmationMode: r.ConfirmationMode, AdditionalRequest: r.AdditionalRequest,
		OfferID: r.OfferID, Payment: value[booking.Payment](&e, r.Payment), ZoneID: r.ZoneID, Assignee: value[booking.Person](&e, r.Assignee),
		ConsultationRequired: r.ConsultationRequired, SedationRequired: r.SedationRequired,
		Counselor: value[booking.Person](&e, r.Counselor), Funnel: raw(r.Funnel), Memo: r.Memo,
		RequestedProcedures: raw(r.RequestedProcedures), ConnectedChannel: r.ConnectedChannel,
		CreatedBy: r.CreatedBy, CreatedSec: r.CreatedSec, ErasedSec: r.ErasedSec,
	}
	if c := value[booking.Contact](&e, &r.Contact); c != nil {
		b.Contact = *c
	}
	for _, it := range items {
		b.Resources = append(b.Resources, it.resource())
	}
	return b, e.err
}

type occupiedRow struct {
	BookingID        uuid.UUID
	Seq              int
	ResourceID       uuid.UUID
	GroupID          string
	ZoneID           string
	DoctorID         *string
	DoctorName       *string
	DoctorResourceID *uuid.UUID
	StartSec         int64
	EndSec           int64
	Spots            int
}

func (occupiedRow) TableName() string { return "occupied_resources" }

func rowsOfOccupied(b booking.Booking) []occupiedRow {
	rows := make([]occupiedRow, len(b.Resources))
	for i, r := range b.Resources {
		rows[i] = occupiedRow{
			BookingID: b.ID, Seq: i, ResourceID: r.ResourceID, GroupID: r.GroupID, ZoneID: r.ZoneID,
			DoctorResourceID: r.DoctorID, StartSec: r.StartSec, EndSec: r.EndSec, Spots: r.Spots,
		}
		if r.Doctor != nil {
			rows[i].DoctorID, rows[i].DoctorName = &r.Doctor.ID, &r.Doctor.Name
		}
	}
	return rows
}

func (r occupiedRow) resource() booking.OccupiedResource {
	o := booking.OccupiedResource{
		ResourceID: r.ResourceID, GroupID: r.GroupID, ZoneID: r.ZoneID, DoctorID: r.DoctorResourceID,
		StartSec: r.StartSec, EndSec: r.EndSec, Spots: r.Spots,
	}
	if r.DoctorID != nil && r.DoctorName != nil {
		o.Doctor = &booking.Person{ID: *r.DoctorID, Name: *r.DoctorName}
	}
	return o
}

type slotRow struct {
	ResourceID    uuid.UUID
	StartSec      int64
	Offered       int
	Capacity      int
	Taken         int
	Blocked       int
	GenerationSec int64
	SpotsTotal    *int
	Known         int
	Excess        int

	FirstBookableSec   *int64
	LastBookableSec    *int64
	LastCancellableSec *int64
	ConfirmationMode   *string
	Charges            *string
}

func (slotRow) TableName() string { return "slots" }

func (r slotRow) slot() (inventory.Slot, error) {
	var e encoder
	s := inventory.Slot{SlotKey: r.key(), Capacity: r.Capacity, Taken: r.Taken, Blocked: r.Blocked, Spots: orZero(r.SpotsTotal), Terms: inventory.Terms{
		FirstBookableSec: orZero(r.FirstBookableSec), LastBookableSec: orZero(r.LastBookableSec),
		LastCancellableSec: orZero(r.LastCancellableSec), ConfirmationMode: orZero(r.ConfirmationMode),
		Charges: value[inventory.Charges](&e, r.Charges),
	}}
	return s, e.err
}

func (r *slotRow) setTerms(t inventory.Terms) error {
	var e encoder
	r.FirstBookableSec, r.LastBookableSec = orNil(t.FirstBookableSec), orNil(t.LastBookableSec)
	r.LastCancellableSec, r.ConfirmationMode = orNil(t.LastCancellableSec), orNil(t.ConfirmationMode)
	r.Charges = text(&e, t.Charges)
	return e.err
}

func orZero[T any](v *T) (z T) {
	if v == nil {
		return z
	}
	return *v
}

func orNil[T comparable](v T) *T {
	var z T
	if v == z {
		return nil
	}
	return &v
}

func (r slotRow) key() inventory.SlotKey {
	return inventory.SlotKey{Resource: r.ResourceID, StartSec: r.StartSec}
}

type resourceRow struct {
	ID              uuid.UUID
	MerchantID      string
	Kind            inventory.Kind
	Ref             string
	SlotSeconds     int64
	AnchorSec       int64
	DefaultCapacity int
}

func (resourceRow) TableName() string { return "resources" }

func rowOfResource(r inventory.Resource) resourceRow { return resourceRow(r) }

func (r resourceRow) resource() inventory.Resource { return inventory.Resource(r) }

type holdRow struct {
	BookingID  uuid.UUID
	ResourceID uuid.UUID
	StartSec   int64
	EndSec     int64
	Spots      int
	Block      bool
	SinceSec   int64
}

func (holdRow) TableName() string { return "holds" }

type holdKey struct {
	BookingID  uuid.UUID
	ResourceID uuid.UUID
	StartSec   int64
}

func rowsOfHolds(owner uuid.UUID, holds []inventory.Hold) []holdRow {
	rows := make([]holdRow, len(holds))
	for i, h := range holds {
		rows[i] = holdRow{BookingID: owner, ResourceID: h.Resource.ID, StartSec: h.StartSec, EndSec: h.EndSec, Spots: h.Spots, Block: h.Block, SinceSec: h.SinceSec}
	}
	return rows
}

func (r holdRow) key() holdKey { return holdKey{r.BookingID, r.ResourceID, r.StartSec} }

func (r holdRow) hold(of inventory.Resource) inventory.Hold {
	return inventory.Hold{Resource: of, StartSec: r.StartSec, EndSec: r.EndSec, Spots: r.Spots, Block: r.Block, SinceSec: r.SinceSec}
}

type guestRow struct {
	ID           uuid.UUID
	VisitorID    string
	MerchantID   string
	GoogleUserID string
	Email        string
	Phone        string
	GivenName    string
	FamilyName   string
	CreatedSec   int64
	JoinedTo     *uuid.UUID
}

func (guestRow) TableName() string { return "guests" }

type guestKeyRow struct {
	MerchantID string
	Key        string
	GuestID    uuid.UUID
}

func (guestKeyRow) TableName() string { return "guest_keys" }

func (r guestKeyRow) compare(o guestKeyRow) int {
	return cmp.Or(cmp.Compare(r.MerchantID, o.MerchantID), cmp.Compare(r.Key, o.Key))
}

func (r guestKeyRow) same(o guestKeyRow) bool { return r == o }

func (r guestKeyRow) key() booking.GuestKey {
	return booking.GuestKey{MerchantID: r.MerchantID, Key: r.Key}
}

type tokenRow struct {
	Caller      string
	Token       string
	Fingerprint []byte
	BookingID   uuid.UUID
	CreatedSec  int64
}

func (tokenRow) TableName() string { return "idempotency_tokens" }

func rowOfClaim(c idempotency.Claim) tokenRow {
	return tokenRow{Caller: c.Caller, Token: c.Token, Fingerprint: c.Fingerprint, BookingID: c.Subject, CreatedSec: c.AtSec}
}

func (r tokenRow) key() tokenKey { return tokenKey{r.Caller, r.Token} }

func (r tokenRow) compare(o tokenRow) int {
	return cmp.Or(cmp.Compare(r.Caller, o.Caller), cmp.Compare(r.Token, o.Token))
}

func (r tokenRow) same(o tokenRow) bool {
	return r.key() == o.key() && bytes.Equal(r.Fingerprint, o.Fingerprint) && r.BookingID == o.BookingID && r.CreatedSec == o.CreatedSec
}

type eventRow struct {
	BookingID  uuid.UUID
	MerchantID string // of the booking
	Version    int64
	AtSec      int64
	Actor      booking.Actor
	KeyID      string
	Action     booking.Action
	Before     string
	After      string
}

func (eventRow) TableName() string { return "booking_events" }

func (r eventRow) event() booking.Event {
	return booking.Event{By: booking.By{Actor: r.Actor, KeyID: r.KeyID}, Action: r.Action, AtSec: r.AtSec, Before: []byte(r.Before), After: []byte(r.After)}
}

type outboxRow struct {
	BookingID    uuid.UUID
	Version      int64
	Topic        string
	DueSec       int64
	Attempts     int
	DeliveredSec *int64
}

func (outboxRow) TableName() string { return "outbox" }

// encoder turns members into JSON text and back. It keeps the first error, so that a mapping
// stays one expression.
type encoder struct{ err error }

func text[T any](e *encoder, v *T) *string {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("encode %T: %w", *v, err)
	}
	s := string(b)
	return &s
}

func value[T any](e *encoder, s *string) *T {
	if s == nil {
		return nil
	}
	v := new(T)
	if err := json.Unmarshal([]byte(*s), v); err != nil && e.err == nil {
		e.err = fmt.Errorf("decode %T: %w", *v, err)
	}
	return v
}

func document(d json.RawMessage) *string {
	if d == nil {
		return nil
	}
	s := string(d)
	return &s
}

func raw(s *string) json.RawMessage {
	if s == nil {
		return nil
	}
	return json.RawMessage(*s)
}
