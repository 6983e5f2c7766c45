package catalogue

import (
	"context"
	"fmt"
	"io"
	"regexp/syntax"
	"slices"
	"time"

	"holdfast/inventory"
)

// How large a catalogue may be. Unlike a feed it is read as a whole, because every part of a clinic may refer to any
// other. See mostValues and mostTokens.
const (
	mostCatalogue = 16 << 20 // in JSON
	mostYAML      = 4 << 20
)

const (
	minutesPerDay = 24 * 60
	mostCapacity  = 10_000
	// mostNoticeSec bounds how long before a visit something can be due. It keeps sums of times far from overflowing.
	mostNoticeSec = 10 * 366 * 24 * 60 * 60
)

// How many of these a clinic may have. Each is compared with the others.
const (
	mostZones  = 1_000 // of a clinic, and of a group
	mostGroups = 1_000
	mostBreaks = 100 // of a day
)

// mostPattern bounds the compiled size of a regular expression, in instructions: a few letters can give millions.
const mostPattern = 10_000

// Clinics reads a catalogue: clinics, and for merchants that feeds make (kind [inventory.MerchantFeed]) the guest
// rules and offers that feeds do not have. It returns Problems if anything is wrong with it.
func (f *File) Clinics(ctx context.Context) ([]inventory.Merchant, error) {
	if f.Kind != Clinics {
		return nil, fmt.Errorf("%s: a %s, not a catalogue of clinics", f.Path, f.Kind)
	}
	doc, err := f.document(ctx)
	if err != nil {
		return nil, err
	}
	found := &findings{}
	clinics := readClinics(root(doc, "", found))
	if err := found.err(); err != nil {
		return nil, err
	}
	return clinics, nil
}

// document reads the whole file.
func (f *File) document(ctx context.Context) (any, error) {
	c, err := f.read(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	most := mostCatalogue
	if f.yaml {
		most = mostYAML
	}
	limited := &io.LimitedReader{R: c, N: int64(most) + 1}
	if f.yaml {
		data, err := io.ReadAll(limited)
		switch {
		case err != nil:
			return nil, f.unreadable(err)
		case limited.N == 0:
			return nil, f.tooLarge(most)
		}
		return parseYAML(ctx, data)
	}
	s := newStream(limited)
	doc, err := s.value()
	if err == nil {
		err = s.end()
	}
	switch {
	case limited.N == 0:
		return nil, f.tooLarge(most)
	case err != nil:
		return nil, f.broken(ctx, err, s.offset())
	}
	return doc, nil
}

func (f *File) tooLarge(most int) error {
	return fmt.Errorf("%s: a catalogue of more than %d MiB; clinics may come in several files", f.Path, most>>20)
}

func readClinics(p *place) []inventory.Merchant {
	if !p.need().fields() {
		return nil
	}
	p.only("merchants", "feed_merchants")
	if p.at("feed_merchants").value == nil {
		p.at("merchants").need()
	}
	ids := unique{}
	var merchants []inventory.Merchant
	for _, m := range p.at("merchants").items() {
		if p.found.full() {
			break
		}
		merchants = append(merchants, readClinic(m, ids))
	}
	for _, m := range p.at("feed_merchants").items() {
		merchants = append(merchants, readFeedMerchant(m, ids))
	}
	return merchants
}

// readFeedMerchant reads what feeds do not say about a merchant that they make.
func readFeedMerchant(p *place, ids unique) inventory.Merchant {
	m := inventory.Merchant{Kind: inventory.MerchantFeed}
	if !p.need().fields() {
		return m
	}
	p.only("id", "country", "guests", "offers", "rows")
	m.ID = p.at("id").need().id()
	m.Country = readCountry(p.at("country"))
	ids.add(p.at("id"), m.ID)
	m.Sharing = inventory.Sharing(p.at("rows").text())
	if p.at("rows").value != nil && m.Sharing != inventory.SharingShared && m.Sharing != inventory.SharingIndependent {
		p.at("rows").wrong("must be shared or independent")
	}
	m.Guests = readGuestRules(p.at("guests"))
	m.Offers = readOffers(p.at("offers"), nil)
	return m
}

const mostUses = 1_000_000_000

// readOffers reads offers of services that the merchant has; if has is nil, they are not known.
func readOffers(p *place, has func(serviceID string) bool) []inventory.Offer {
	ids := unique{}
	var offers []inventory.Offer
	for _, o := range p.items() {
		offers = append(offers, readOffer(o, ids, has))
	}
	return offers
}

func readOffer(p *place, ids unique, has func(serviceID string) bool) (o inventory.Offer) {
	if !p.need().fields() {
		return o
	}
	p.only("id", "service_ids", "first_date", "last_date", "uses")
	o.ID = p.at("id").need().id()
	ids.add(p.at("id"), o.ID)
	for _, s := range p.at("service_ids").items() {
		id := s.need().id()
		if id != "" && has != nil && !has(id) {
			s.wrong("no such service")
		}
		o.ServiceIDs = append(o.ServiceIDs, id)
	}
	o.First, o.Last = p.at("first_date").date(), p.at("last_date").date()
	if !o.First.IsZero() && !o.Last.IsZero() && o.Last.Before(o.First) {
		p.at("last_date").wrong("must not be before first_date")
	}
	if n, ok := p.at("uses").number(0, mostUses); ok {
		o.Uses = new(int(n))
	}
	return o
}

func readClinic(p *place, ids unique) inventory.Merchant {
	m := inventory.Merchant{Kind: inventory.MerchantClinic}
	if !p.need().fields() {
		return m
	}
	p.only("id", "name", "country", "time_zone", "zones", "groups", "staff", "services", "offers", "guests")
	m.ID = p.at("id").need().id()
	ids.add(p.at("id"), m.ID)
	m.Name = p.at("name").need().title()
	m.Country = readCountry(p.at("country"))
	m.TimeZone, m.Location = readTimeZone(p.at("time_zone"))

	// Zones come first, whatever the order in the file, because groups refer to them, and services to groups.
	zones, groups, staff, services := unique{}, unique{}, unique{}, unique{}
	for _, z := range p.at("zones").few(mostZones) {
		m.Zones = append(m.Zones, readZone(z, zones))
	}
	for _, g := range p.at("groups").few(mostGroups) {
		m.Groups = append(m.Groups, readGroup(g, groups, &m))
	}
	for _, s := range p.at("staff").items() {
		m.Staff = append(m.Staff, readStaff(s, staff))
	}
	for _, s := range p.at("services").few(inventory.MostServices) {
		m.Services = append(m.Services, readClinicService(s, services, &m))
	}
	m.Offers = readOffers(p.at("offers"), func(id string) bool { return services[id] != "" })
	m.Guests = readGuestRules(p.at("guests"))
	return m
}

// mostUpcoming bounds limits. Nobody could reach a higher one.
const mostUpcoming = 10_000

func readGuestRules(p *place) (r inventory.GuestRules) {
	if !p.fields() {
		return r
	}
	p.only("max_upcoming", "max_own_leases", "max_leases", "banned", "name_pattern", "phone_pattern", "prepayment_required")
	limit := func(key string) int {
		n, _ := p.at(key).number(0, mostUpcoming)
		return int(n)
	}
	r.MaxUpcoming, r.MaxOwnLeases, r.MaxLeases = limit("max_upcoming"), limit("max_own_leases"), limit("max_leases")
	for _, b := range p.at("banned").items() {
		r.Banned = append(r.Banned, b.need().text())
	}
	r.NamePattern, r.PhonePattern = readPattern(p.at("name_pattern")), readPattern(p.at("phone_pattern"))
	r.PrepaymentRequired = p.at("prepayment_required").flag(false)
	return r
}

func readPattern(p *place) string {
	s := p.text()
	re, err := syntax.Parse(s, syntax.Perl)
	switch {
	case err != nil:
		p.wrong("is not a regular expression: %v", err)
	case compiledSize(re) > mostPattern:
		p.wrong("stands for more than %d steps", mostPattern)
	}
	return s
}

// compiledSize estimates how many instructions a regular expression compiles to; the result is above mostPattern if
// that is too many.
func compiledSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		size = min(size+compiledSize(sub), mostPattern+1)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, mostPattern+1)
}

func readCountry(p *place) string {
	code := p.text()
	if code != "" && !inventory.IsCountry(code) {
		p.wrong("must be a code of ISO 3166-1 such as KR, not %q", code)
	}
	return code
}

func readTimeZone(p *place) (string, *time.Location) {
	name := "Asia/Seoul"
	if p.value != nil {
		name = p.text()
	}
	loc, err := time.LoadLocation(name)
	// "" and "Local" load as whatever the machine is set to.
	if err != nil || name == "" || name == "Local" {
		p.wrong("no such time zone: %q", name)
		return name, time.UTC
	}
	return name, loc
}

func readZone(p *place, ids unique) inventory.Zone {
	if !p.need().fields() {
		return inventory.Zone{}
	}
	p.only("id", "name", "capacity")
	z := inventory.Zone{ID: readHexID(p, ids), Name: p.at("name").need().title()}
	if n, ok := p.at("capacity").number(0, mostCapacity); ok {
		z.Capacity = new(int(n))
	}
	return z
}

// readHexID reads the "id" of p. Two ids that differ only in case are the same twelve bytes.
func readHexID(p *place, ids unique) string {
	id := p.at("id").need().hexID()
	ids.add(p.at("id"), inventory.PlainID(id))
	return id
}

func readGroup(p *place, ids unique, m *inventory.Merchant) inventory.Group {
	var g inventory.Group
	if !p.need().fields() {
		return g
	}
	p.only("id", "title", "interval_minutes", "grid", "start_date", "same_day_close_buffer_minutes", "zones", "timetable", "closed_days")
	g.ID = readHexID(p, ids)
	g.Title = p.at("title").need().title()
	if n, ok := p.at("interval_minutes").need().number(1, minutesPerDay); ok {
		if minutesPerDay%n != 0 {
			p.at("interval_minutes").wrong("must divide a day of %d minutes, and %d does not", minutesPerDay, n)
		}
		g.IntervalSec = n * 60
	}
	g.StartDate = p.at("start_date").date()
	buffer, _ := p.at("same_day_close_buffer_minutes").number(0, minutesPerDay)
	g.SameDayCloseBufferSec = buffer * 60

	zones := unique{}
	for _, z := range p.at("zones").few(mostZones) {
		g.Zones = append(g.Zones, readGroupZone(z, zones, m))
	}
	g.Timetable = readTimetable(p.at("timetable"))
	g.ClosedDays = readDates(p.at("closed_days"))
	g.Grid = readGrid(p.at("grid"))
	if g.IntervalSec > 0 {
		g.Align(m.Location)
	}
	return g
}

func readGrid(p *place) inventory.Grid {
	if p.value == nil {
		return inventory.GridMidnight
	}
	g := inventory.Grid(p.text())
	if g != inventory.GridMidnight && g != inventory.GridOpening {
		p.wrong("must be %q or %q", inventory.GridMidnight, inventory.GridOpening)
	}
	return g
}

func readDates(p *place) []inventory.Date {
	var dates []inventory.Date
	for _, d := range p.items() {
		dates = append(dates, d.need().date())
	}
	return dates
}

func readGroupZone(p *place, ids unique, m *inventory.Merchant) inventory.GroupZone {
	var z inventory.GroupZone
	if !p.need().fields() {
		return z
	}
	p.only("zone_id", "capacity", "enabled")
	z.ZoneID = p.at("zone_id").need().text()
	if zone := m.Zone(z.ZoneID); zone != nil {
		z.ZoneID = zone.ID
	} else if z.ZoneID != "" {
		p.at("zone_id").wrong("no such zone")
	}
	ids.add(p.at("zone_id"), z.ZoneID)
	capacity, _ := p.at("capacity").need().number(0, mostCapacity)
	z.Capacity = int(capacity)
	z.Enabled = p.at("enabled").flag(true)
	return z
}

// readTimetable reads a week. Without a timetable a clinic is always open, but with an empty one it is not: a day that
// a timetable does not name is closed.
func readTimetable(p *place) *inventory.Timetable {
	if !p.fields() {
		return nil
	}
	days := []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"} // by time.Weekday
	p.only(days...)
	var week inventory.Timetable
	for i, day := range days {
		week[i] = readDay(p.at(day))
	}
	return &week
}

func readDay(p *place) *inventory.Day {
	if !p.fields() {
		return nil
	}
	p.only("start", "end", "breaks")
	var day inventory.Day
	var ok bool
	day.Start, day.End, ok = readHours(p)
	for _, b := range p.at("breaks").few(mostBreaks) {
		if !b.need().fields() {
			continue
		}
		b.only("start", "end")
		start, end, okBreak := readHours(b)
		if !okBreak {
			continue
		}
		if ok && (start < day.Start || end > day.End) {
			b.wrong("not within the opening time")
		}
		if slices.ContainsFunc(day.Breaks, func(o inventory.Break) bool { return start < o.End && o.Start < end }) {
			b.wrong("overlaps another break")
		}
		day.Breaks = append(day.Breaks, inventory.Break{Start: start, End: end})
	}
	return &day
}

// readHours reads "start" and "end" of p.
func readHours(p *place) (start, end int, ok bool) {
	start, okStart := p.at("start").need().clock()
	end, okEnd := p.at("end").need().clock()
	if okStart && okEnd && start >= end {
		p.at("end").wrong("must be after start")
		return 0, 0, false
	}
	return start, end, okStart && okEnd
}

func readStaff(p *place, ids unique) inventory.Staff {
	if !p.need().fields() {
		return inventory.Staff{}
	}
	p.only("id", "name", "role", "exclusive", "timetable", "closed_days")
	return inventory.Staff{
		ID:         readHexID(p, ids),
		Name:       p.at("name").need().title(),
		Role:       p.at("role").title(),
		Exclusive:  p.at("exclusive").flag(false),
		Timetable:  readTimetable(p.at("timetable")),
		ClosedDays: readDates(p.at("closed_days")),
	}
}

func readClinicService(p *place, ids unique, m *inventory.Merchant) inventory.Service {
	var s inventory.Service
	if !p.need().fields() {
		return s
	}
	p.only(append([]string{"id", "name", "group_id", "duration_sec", "min_advance_booking_sec", "min_advance_online_canceling_sec"}, chargesKeys...)...)
	s.ID = p.at("id").need().id()
	ids.add(p.at("id"), s.ID)
	s.Name = p.at("name").title()
	s.GroupID = p.at("group_id").need().text()
	if group := m.Group(s.GroupID); group != nil {
		s.GroupID = group.ID
	} else if s.GroupID != "" {
		p.at("group_id").wrong("no such group")
	}
	s.DurationSec, _ = p.at("duration_sec").need().number(1, 24*60*60)
	s.MinAdvanceBookingSec, _ = p.at("min_advance_booking_sec").number(0, mostNoticeSec)
	s.MinAdvanceOnlineCancelingSec, _ = p.at("min_advance_online_canceling_sec").number(0, mostNoticeSec)
	s.Charges = readCharges(p)
	return s
}
