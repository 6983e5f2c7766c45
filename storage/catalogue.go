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
	Country  string
	TimeZone string
	Guests   string
	Sharing  inventory.Sharing
	Chairs   bool
	Version  int64
}

func (merchantRow) TableName() string { return "merchants" }

// home is the country by which the merchant's numbers are read.
func (r merchantRow) home() string {
	m := inventory.Merchant{Country: r.Country, TimeZone: r.TimeZone}
	return m.Home()
}

type zoneRow struct {
	MerchantID string
	ID         string
	Position   int
	Name       string
	Capacity   *int
	Excess     int
	SinceSec   int64
}

func (zoneRow) TableName() string { return "zones" }

type groupRow struct {
	MerchantID            string
	ID                    string
	Position              int
	Title                 string
	IntervalSec           int64
	AnchorSec             int64
	Grid                  inventory.Grid
	StepSec               int64
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
		AnchorSec: g.AnchorSec, Grid: g.Grid, StepSec: g.StepSec, SameDayCloseBufferSec: g.SameDayCloseBufferSec,
		StartDate: dateText(g.StartDate), Timetable: text(&e, g.Timetable), ClosedDays: *text(&e, &g.ClosedDays),
	}
	return row, e.err
}

func (r groupRow) group() (inventory.Group, error) {
	var e encoder
	g := inventory.Group{
		ID: r.ID, Title: r.Title, IntervalSec: r.IntervalSec, AnchorSec: r.AnchorSec, Grid: r.Grid, StepSec: r.StepSec,
		SameDayCloseBufferSec: r.SameDayCloseBufferSec, Timetable: value[inventory.Timetable](&e, r.Timetable),
	}
	if e.err != nil {
		return g, e.err
	}
	if err := json.Unmarshal([]byte(r.ClosedDays), &g.ClosedDays); err != nil {
		return g, fmt.Errorf("decode closed days: %w", err)
	}
	var err error
	g.StartDate, err = dateValue(r.StartDate)
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
	Timetable  *string
	ClosedDays string
}

func (staffRow) TableName() string { return "staff" }

func rowOfStaff(merchantID string, position int, s inventory.Staff) (staffRow, error) {
	var e encoder
	row := staffRow{
		MerchantID: merchantID, ID: s.ID, Position: position, Name: s.Name, Role: s.Role, Exclusive: s.Exclusive,
		Timetable: text(&e, s.Timetable), ClosedDays: *text(&e, &s.ClosedDays),
	}
	return row, e.err
}

func (r staffRow) staff() (inventory.Staff, error) {
	var e encoder
	s := inventory.Staff{
		ID: r.ID, Name: r.Name, Role: r.Role, Exclusive: r.Exclusive,
		Timetable: value[inventory.Timetable](&e, r.Timetable), ClosedDays: *value[[]inventory.Date](&e, &r.ClosedDays),
	}
	return s, e.err
}

type serviceRow struct {
	MerchantID                   string
	ID                           string
	Position                     int
	Name                         string
	GroupID                      string
	DurationSec                  int64
	MinAdvanceBookingSec         int64
	MinAdvanceOnlineCancelingSec int64
	Charges                      string
}

func (serviceRow) TableName() string { return "services" }

func rowOfService(merchantID string, position int, s inventory.Service) (serviceRow, error) {
	var e encoder
	row := serviceRow{
		MerchantID: merchantID, ID: s.ID, Position: position, Name: s.Name, GroupID: s.GroupID, DurationSec: s.DurationSec,
		MinAdvanceBookingSec: s.MinAdvanceBookingSec, MinAdvanceOnlineCancelingSec: s.MinAdvanceOnlineCancelingSec,
		Charges: *text(&e, &s.Charges),
	}
	return row, e.err
}

func (r serviceRow) service() (inventory.Service, error) {
	var e encoder
	s := inventory.Service{
		ID: r.ID, Name: r.Name, GroupID: r.GroupID, DurationSec: r.DurationSec,
		MinAdvanceBookingSec: r.MinAdvanceBookingSec, MinAdvanceOnlineCancelingSec: r.MinAdvanceOnlineCancelingSec,
	}
	if c := value[inventory.Charges](&e, &r.Charges); c != nil {
		s.Charges = *c
	}
	return s, e.err
}

type offerRow struct {
	MerchantID string
	ID         string
	Position   int
	ServiceIDs string `gorm:"column:service_ids"`
	FirstDate  string
	LastDate   string
	Uses       *int
}

func (offerRow) TableName() string { return "offers" }

func rowOfOffer(e *encoder, merchantID string, position int, o inventory.Offer) offerRow {
	return offerRow{
		MerchantID: merchantID, ID: o.ID, Position: position, ServiceIDs: *text(e, &o.ServiceIDs),
		FirstDate: dateText(o.First), LastDate: dateText(o.Last), Uses: o.Uses,
	}
}

func (r offerRow) offer() (inventory.Offer, error) {
	o := inventory.Offer{ID: r.ID, Uses: r.Uses}
	first, err1 := dateValue(r.FirstDate)
	last, err2 := dateValue(r.LastDate)
	o.First, o.Last = first, last
	return o, errors.Join(err1, err2, json.Unmarshal([]byte(r.ServiceIDs), &o.ServiceIDs))
}

// dateText and dateValue turn a date into text and back; no date is "".
func dateText(d inventory.Date) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

func dateValue(s string) (inventory.Date, error) {
	if s == "" {
		return inventory.Date{}, nil
	}
	return inventory.ParseDate(s)
}

// Merchant implements [booking.Store]. A catalogue is read often and seldom changes, so it
// stays in memory until fetchCatalogueVersions finds a newer version.
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
	if errors.Is(err, booking.ErrNotFound) {
		db.catalogue.Delete(id)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	db.catalogue.Store(id, m)
	return m, nil
}

// unavailable tells a reader's temporary failures from what is broken.
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
		ID: row.ID, Name: row.Name, Kind: row.Kind, Country: row.Country, TimeZone: row.TimeZone, Location: location, Version: row.Version,
		Sharing: row.Sharing, Chairs: row.Chairs,
	}

	if err := json.Unmarshal([]byte(row.Guests), &m.Guests); err != nil {
		return nil, fmt.Errorf("decode guest rules: %w", err)
	}

	var zones []zoneRow
	var groups []groupRow
	var lanes []groupZoneRow
	var staff []staffRow
	var services []serviceRow
	var offers []offerRow
	for _, rows := range []any{&zones, &groups, &lanes, &staff, &services, &offers} {
		if err := tx.Where("merchant_id = ?", id).Order("position").Find(rows).Error; err != nil {
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
	}
	if m.Former, err = readFormer(tx, id); err != nil {
		return nil, err
	}
	for _, r := range zones {
		m.Zones = append(m.Zones, inventory.Zone{ID: r.ID, Name: r.Name, Capacity: r.Capacity})
	}
	for _, r := range groups {
		g, err := r.group()
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", r.ID, err)
		}
		g.Settle(location)
		for _, l := range lanes {
			if l.GroupID == r.ID {
				g.Zones = append(g.Zones, inventory.GroupZone{ZoneID: l.ZoneID, Capacity: l.Capacity, Enabled: l.Enabled})
			}
		}
		m.Groups = append(m.Groups, g)
	}
	for _, r := range staff {
		s, err := r.staff()
		if err != nil {
			return nil, fmt.Errorf("staff %s: %w", r.ID, err)
		}
		m.Staff = append(m.Staff, s)
	}
	for _, r := range services {
		s, err := r.service()
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", r.ID, err)
		}
		m.Services = append(m.Services, s)
	}
	for _, r := range offers {
		o, err := r.offer()
		if err != nil {
			return nil, fmt.Errorf("offer %s: %w", r.ID, err)
		}
		m.Offers = append(m.Offers, o)
	}
	return m, nil
}
