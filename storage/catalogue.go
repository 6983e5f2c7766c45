package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

type merchantRow struct {
	ID       string
	Name     string
	Kind     inventory.MerchantKind
	TimeZone string
	Guests   string
	Version  int64
}

func (merchantRow) TableName() string { return "merchants" }

type zoneRow struct {
	MerchantID string
	ID         string
	Position   int
	Name       string
}

func (zoneRow) TableName() string { return "zones" }

type groupRow struct {
	MerchantID            string
	ID                    string
	Position              int
	Title                 string
	IntervalSec           int64
	AnchorSec             int64
	StartDate             string
	SameDayCloseBufferSec int64
	Timetable             *string
	ClosedDays            string
}

func (groupRow) TableName() string { return "groups" }

func rowOfGroup(merchantID string, position int, g inventory.Group) (groupRow, error) {
	var e encoder
	row := groupRow{
		MerchantID: merchantID, ID: g.ID, Position: position, Title: g.Title, IntervalSec: g.IntervalSec,
		AnchorSec: g.AnchorSec, SameDayCloseBufferSec: g.SameDayCloseBufferSec,
		Timetable: text(&e, g.Timetable), ClosedDays: *text(&e, &g.ClosedDays),
	}
	if !g.StartDate.IsZero() {
		row.StartDate = g.StartDate.String()
	}
	return row, e.err
}

func (r groupRow) group() (inventory.Group, error) {
	var e encoder
	g := inventory.Group{
		ID: r.ID, Title: r.Title, IntervalSec: r.IntervalSec, AnchorSec: r.AnchorSec,
		SameDayCloseBufferSec: r.SameDayCloseBufferSec, Timetable: value[inventory.Timetable](&e, r.Timetable),
	}
	if e.err != nil {
		return g, e.err
	}
	if err := json.Unmarshal([]byte(r.ClosedDays), &g.ClosedDays); err != nil {
		return g, fmt.Errorf("decode closed days: %w", err)
	}
	if r.StartDate == "" {
		return g, nil
	}
	var err error
	g.StartDate, err = inventory.ParseDate(r.StartDate)
	return g, err
}

type groupZoneRow struct {
	MerchantID string
	GroupID    string
	ZoneID     string
	Position   int
	Capacity   int
	Enabled    bool
}

func (groupZoneRow) TableName() string { return "group_zones" }

type staffRow struct {
	MerchantID string
	ID         string
	Position   int
	Name       string
	Role       string
	Exclusive  bool
}

func (staffRow) TableName() string { return "staff" }

type serviceRow struct {
	MerchantID                   string
	ID                           string
	Position                     int
	Name                         string
	GroupID                      string
	DurationSec                  int64
	MinAdvanceBookingSec         int64
	MinAdvanceOnlineCancelingSec int64
}

func (serviceRow) TableName() string { return "services" }

func rowOfService(merchantID string, position int, s inventory.Service) serviceRow {
	return serviceRow{
		MerchantID: merchantID, ID: s.ID, Position: position, Name: s.Name, GroupID: s.GroupID, DurationSec: s.DurationSec,
		MinAdvanceBookingSec: s.MinAdvanceBookingSec, MinAdvanceOnlineCancelingSec: s.MinAdvanceOnlineCancelingSec,
	}
}

func (r serviceRow) service() inventory.Service {
	return inventory.Service{
		ID: r.ID, Name: r.Name, GroupID: r.GroupID, DurationSec: r.DurationSec,
		MinAdvanceBookingSec: r.MinAdvanceBookingSec, MinAdvanceOnlineCancelingSec: r.MinAdvanceOnlineCancelingSec,
	}
}

// Merchant implements [booking.Store]. A catalogue is read often and changed
// seldom: it is kept in memory, and fetchCatalogueVersion throws it away when
// it has moved on.
func (db *DB) Merchant(ctx context.Context, id string) (*inventory.Merchant, error) {
	if m, ok := db.catalogue.Load(id); ok {
		return m.(*inventory.Merchant), nil
	}
	return db.Refreshed(ctx, id)
}

// Refreshed implements [booking.Store].
func (db *DB) Refreshed(ctx context.Context, id string) (*inventory.Merchant, error) {
	var m *inventory.Merchant
	err := db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		m, err = readMerchant(tx, id)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	db.catalogue.Store(id, m)
	return m, nil
}

// unavailable tells apart, for a reader, what may pass from what is broken.
func unavailable(err error) error {
	if err == nil || errors.Is(err, booking.ErrNotFound) || classify(err) == broken {
		return err
	}
	return fmt.Errorf("%w: %w", booking.ErrUnavailable, err)
}

func readMerchant(tx *gorm.DB, id string) (*inventory.Merchant, error) {
	var row merchantRow
	err := tx.Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, booking.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read merchant: %w", err)
	}
	location, err := time.LoadLocation(row.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("merchant %s: %w", id, err)
	}
	m := &inventory.Merchant{
		ID: row.ID, Name: row.Name, Kind: row.Kind, TimeZone: row.TimeZone, Location: location, Version: row.Version,
	}

	if err := json.Unmarshal([]byte(row.Guests), &m.Guests); err != nil {
		return nil, fmt.Errorf("decode guest rules: %w", err)
	}

	var zones []zoneRow
	var groups []groupRow
	var lanes []groupZoneRow
	var staff []staffRow
	var services []serviceRow
	for _, rows := range []any{&zones, &groups, &lanes, &staff, &services} {
		if err := tx.Where("merchant_id = ?", id).Order("position").Find(rows).Error; err != nil {
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
	}
	for _, r := range zones {
		m.Zones = append(m.Zones, inventory.Zone{ID: r.ID, Name: r.Name})
	}
	for _, r := range groups {
		g, err := r.group()
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", r.ID, err)
		}
		for _, l := range lanes {
			if l.GroupID == r.ID {
				g.Zones = append(g.Zones, inventory.GroupZone{ZoneID: l.ZoneID, Capacity: l.Capacity, Enabled: l.Enabled})
			}
		}
		m.Groups = append(m.Groups, g)
	}
	for _, r := range staff {
		m.Staff = append(m.Staff, inventory.Staff{ID: r.ID, Name: r.Name, Role: r.Role, Exclusive: r.Exclusive})
	}
	for _, r := range services {
		m.Services = append(m.Services, r.service())
	}
	return m, nil
}
