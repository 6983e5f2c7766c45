// Package archive takes bookings that are over out of the database and keeps them in
// compressed files, which it also reads.
//
// Nothing in such a file leads to a guest: only bookings that have been erased come in,
// without the chart that they were of and without the text of their tokens, which callers
// choose as they like.
package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
)

// Format is the version of the files that this package writes, and the newest that it
// reads. A new member needs no new version; one that means something else does.
const Format = 1

// Line is one line of a file, which is gzip of JSON: a header, then bookings, each before
// its tokens and its events by version, then an end. Exactly one member is there, and
// behind it in the file "sum", the CRC-32 of all lines so far: gzip tells only at the end
// of a file that something before was damaged.
type Line struct {
	Header  *Header  `json:"archive,omitempty"`
	Booking *Booking `json:"booking,omitempty"`
	Token   *Token   `json:"token,omitempty"`
	Event   *Event   `json:"event,omitempty"`
	End     *End     `json:"end,omitempty"`
}

// Header is the first line.
type Header struct {
	Format  int   `json:"format"`
	MadeSec int64 `json:"made_sec"`
}

// Booking is a booking as it was when it was archived. Its version is the number of its
// events.
type Booking struct {
	booking.Booking
	GuestID *uuid.UUID `json:"guest_id,omitempty"` // never: in place of the embedded one
	Holds   []Hold     `json:"holds,omitempty"`
}

// Hold is room that the booking held.
type Hold struct {
	ResourceID uuid.UUID `json:"resource_id"`
	StartSec   int64     `json:"start_sec"`
	EndSec     int64     `json:"end_sec"`
	Spots      int       `json:"spots"`
	Block      bool      `json:"block,omitempty"`
	SinceSec   int64     `json:"since_sec"`
}

// Token says that somebody made the booking with an idempotency token, and when.
type Token struct {
	BookingID  uuid.UUID `json:"booking_id"`
	Caller     string    `json:"caller"`
	CreatedSec int64     `json:"created_sec"`
}

// Event is one change of the booking, and how far its report to others had come.
type Event struct {
	BookingID uuid.UUID       `json:"booking_id"`
	Version   int64           `json:"version"`
	AtSec     int64           `json:"at_sec"`
	Actor     booking.Actor   `json:"actor"`
	KeyID     string          `json:"key_id,omitempty"`
	Action    booking.Action  `json:"action"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
	Outbox    storage.Owed    `json:"outbox"`
}

// End is the last line: what the file has.
type End struct {
	Bookings int64 `json:"bookings"`
	Lines    int64 `json:"lines"` // with this one
}

func bookingLine(b booking.Booking, holds []inventory.Hold) *Booking {
	line := &Booking{Booking: b}
	for _, h := range holds {
		line.Holds = append(line.Holds, Hold{
			ResourceID: h.Resource.ID, StartSec: h.StartSec, EndSec: h.EndSec, Spots: h.Spots, Block: h.Block, SinceSec: h.SinceSec,
		})
	}
	return line
}

func eventLine(of uuid.UUID, version int64, e booking.Event, o storage.Owed) *Event {
	e = e.Unnamed()
	return &Event{
		BookingID: of, Version: version, AtSec: e.AtSec, Actor: e.Actor, KeyID: e.KeyID, Action: e.Action,
		Before: e.Before, After: e.After, Outbox: o,
	}
}

// ending is the end of a line.
func ending(sum uint32) string { return fmt.Sprintf(`,"sum":"%08x"}`, sum) }

// sealed is an object as a line, whose sum it adds to the one of the lines before.
func sealed(object []byte, sum *uint32) []byte {
	open := bytes.TrimSuffix(object, []byte("}"))
	*sum = crc32.Update(*sum, crc32.IEEETable, open)
	return append(open, ending(*sum)...)
}

// intact reports whether a line has the sum that it and the lines before come to.
func intact(line []byte, sum *uint32) bool {
	open := len(line) - len(ending(0))
	if open < 0 {
		return false
	}
	*sum = crc32.Update(*sum, crc32.IEEETable, line[:open])
	return string(line[open:]) == ending(*sum)
}
