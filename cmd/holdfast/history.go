package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/letters"
	"holdfast/storage"
)

type historyCommand struct {
	ID   string `arg:"" help:"The booking_id or the scheduleId."`
	JSON bool   `help:"Print one JSON array."`
}

func (cmd *historyCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	return showHistory(ctx, db, cmd, c.out)
}

// change is one event of a booking, as the command shows it.
type change struct {
	Version int             `json:"version"`
	At      time.Time       `json:"at"` // by the merchant's clock
	Actor   booking.Actor   `json:"actor"`
	KeyID   string          `json:"key_id,omitempty"`
	KeyName string          `json:"key_name,omitempty"`
	Action  booking.Action  `json:"action"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
}

func showHistory(ctx context.Context, db *storage.DB, cmd *historyCommand, out io.Writer) error {
	b, err := db.BookingNamed(ctx, cmd.ID)
	if errors.Is(err, booking.ErrNotFound) {
		return fmt.Errorf("there is no booking %q: it is named by its booking_id or its scheduleId", cmd.ID)
	}
	if err != nil {
		return err
	}
	m, err := db.Merchant(ctx, b.MerchantID)
	if err != nil {
		return err
	}
	events, err := db.Events(ctx, b.ID)
	if err != nil {
		return err
	}
	keys, err := newService(db).Keys(ctx, b.MerchantID)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, k := range keys {
		names[k.ID] = k.Name
	}
	changes := make([]change, len(events))
	for i, e := range events {
		changes[i] = change{
			Version: i + 1, At: time.Unix(e.AtSec, 0).In(m.Location), Actor: e.Actor, KeyID: e.KeyID, KeyName: names[e.KeyID],
			Action: e.Action, Before: e.Before, After: e.After,
		}
	}
	if cmd.JSON {
		return letters.WriteJSON(out, changes)
	}
	var list table
	list.row("TIME", "WHO", "WHAT", "MEMBER", "BEFORE", "AFTER")
	for _, c := range changes {
		if err := list.change(c, m.Location); err != nil {
			return err
		}
	}
	return list.print(out)
}

// change adds a line for each changed member.
func (t *table) change(c change, loc *time.Location) error {
	var before, after map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(c.Before, &before), json.Unmarshal(c.After, &after)); err != nil {
		return fmt.Errorf("version %d: %w", c.Version, err)
	}
	all := maps.Clone(after)
	maps.Copy(all, before)
	for i, name := range slices.Sorted(maps.Keys(all)) {
		at, who, what := inventory.OnClock(c.At, "2006-01-02 15:04:05"), c.who(), string(c.Action)
		if i > 0 {
			at, who, what = " ", " ", " "
		}
		t.row(at, who, what, name, shown(name, before[name], loc), shown(name, after[name], loc))
	}
	return nil
}

func (c change) who() string {
	switch {
	case c.Actor == booking.ByGuest:
		return "guest (Google)"
	case c.KeyID != "":
		return strings.TrimSpace(string(c.Actor) + " (key " + c.KeyID + " " + c.KeyName + ")")
	}
	return string(c.Actor)
}

// shown returns a member's value for people: times by the merchant's clock, and where and when the visit
// occupies something.
func shown(name string, value json.RawMessage, loc *time.Location) string {
	var sec int64
	var text string
	var stretches []booking.OccupiedResource
	switch {
	case value == nil:
		return ""
	case strings.HasSuffix(name, "_sec") && json.Unmarshal(value, &sec) == nil:
		return inventory.OnClock(time.Unix(sec, 0).In(loc), "2006-01-02 15:04")
	case json.Unmarshal(value, &text) == nil:
		return text
	case name != "occupied_resources" || json.Unmarshal(value, &stretches) != nil:
		return string(value)
	}
	lines := make([]string, len(stretches))
	for i, r := range stretches {
		lines[i] = inventory.Period(r.StartSec, r.EndSec, loc)
		if r.ZoneID != "" {
			lines[i] += " zone " + r.ZoneID
		}
		if r.Doctor != nil {
			lines[i] += " " + r.Doctor.Name
			if r.DoctorID != nil {
				lines[i] += " (held)"
			}
		}
	}
	return strings.Join(lines, ", ")
}
