package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// Violation is a broken invariant, with the row that breaks it.
type Violation struct {
	Invariant string `json:"invariant"`
	Row       string `json:"row"`
}

// invariants are what must be true of the data at every moment, each as a query for the rows
// that break it. (docs/architecture.md lists them.)
var invariants = []struct {
	name  string
	query string // one text column
	args  []any
}{
	{"a slot's taken is the sum of the holds that cover it", miscounted("taken", "held", "h.spots", "NOT h.block", "AND r.kind <> 'published'"), nil},
	{"a published slot's taken is the sum of its holds", `
		SELECT s.resource_id || ' at ' || s.start_sec || ': taken ' || s.taken || ', held ' || COALESCE(SUM(h.spots), 0)
		FROM slots s JOIN resources r ON r.id = s.resource_id AND r.kind = 'published'
		LEFT JOIN holds h ON h.resource_id = s.resource_id AND h.start_sec = s.start_sec
		GROUP BY s.resource_id, s.start_sec, s.taken HAVING s.taken <> COALESCE(SUM(h.spots), 0)`, nil},
	{"a slot's blocked is the number of blocks that cover it", miscounted("blocked", "blocks", "1", "h.block", ""), nil},
	{"a slot's taken is between 0 and its capacity", `
		SELECT resource_id || ' at ' || start_sec || ': taken ' || taken || ' of ' || capacity
		FROM slots WHERE NOT taken BETWEEN 0 AND capacity`, nil},
	{"a slot lies on the grid of its resource", `
		SELECT s.resource_id || ' at ' || s.start_sec || ': not a multiple of ' || r.slot_seconds || ' from ' || r.anchor_sec
		FROM slots s JOIN resources r ON r.id = s.resource_id AND r.kind <> 'published'
		WHERE (s.start_sec - r.anchor_sec) % r.slot_seconds <> 0`, nil},
	{"a hold has all its slots", `
		SELECT h.booking_id || ' holds ' || h.resource_id || ' from ' || h.start_sec || ' to ' || h.end_sec
		FROM holds h LEFT JOIN resources r ON r.id = h.resource_id
		WHERE r.id IS NULL OR (h.end_sec - h.start_sec) / r.slot_seconds <> (SELECT COUNT(*) FROM slots s
			WHERE s.resource_id = h.resource_id AND s.start_sec >= h.start_sec AND s.start_sec < h.end_sec
			AND (r.kind <> 'published' OR s.start_sec = h.start_sec))`, nil},
	{"only live bookings hold room", `
		SELECT DISTINCT h.booking_id || ' is ' || b.state FROM holds h JOIN bookings b ON b.id = h.booking_id
		WHERE b.state NOT IN ?`, []any{booking.Live}},
	{"a token names a booking", `
		SELECT t.caller || ' token of ' || t.booking_id FROM idempotency_tokens t
		LEFT JOIN bookings b ON b.id = t.booking_id WHERE b.id IS NULL`, nil},
	{"a booking has one token at most", `
		SELECT t.booking_id || ' has ' || COUNT(*) || ' tokens' FROM idempotency_tokens t
		WHERE NOT EXISTS (SELECT 1 FROM bookings b WHERE b.id = t.booking_id AND b.state IN ?)
		GROUP BY t.booking_id HAVING COUNT(*) > 1`, []any{[]booking.State{booking.Blocked, booking.Unblocked}}},
	{"the token of an erased booking says nothing of the request", `
		SELECT t.caller || ' token of ' || t.booking_id FROM idempotency_tokens t
		JOIN bookings b ON b.id = t.booking_id WHERE b.erased_sec <> 0 AND length(t.fingerprint) > 0`, nil},
	{"a booking's events are its versions without a gap", `
		SELECT b.id || ' version ' || b.version || ' has ' || COUNT(e.version) || ' events'
		FROM bookings b LEFT JOIN booking_events e ON e.booking_id = b.id GROUP BY b.id, b.version
		HAVING COUNT(e.version) <> b.version OR MIN(e.version) <> 1 OR MAX(e.version) <> b.version`, nil},
	{"a change has its outbox row", `
		SELECT e.booking_id || ' version ' || e.version FROM booking_events e
		LEFT JOIN outbox o ON o.booking_id = e.booking_id AND o.version = e.version WHERE o.booking_id IS NULL`, nil},
	{"an outbox row has its change", `
		SELECT o.booking_id || ' version ' || o.version FROM outbox o
		LEFT JOIN booking_events e ON e.booking_id = o.booking_id AND e.version = o.version WHERE e.booking_id IS NULL`, nil},
	{"a booking's times are the envelope of what it occupies", `
		SELECT b.id || ' ' || b.start_sec || '-' || b.end_sec FROM bookings b
		LEFT JOIN occupied_resources o ON o.booking_id = b.id GROUP BY b.id, b.start_sec, b.end_sec
		HAVING COUNT(o.seq) = 0 OR MIN(o.start_sec) <> b.start_sec OR MAX(o.end_sec) <> b.end_sec`, nil},
	{"a booking has its guest, a block none", `
		SELECT b.id || ' of guest ' || b.guest_id FROM bookings b LEFT JOIN guests g ON g.id = b.guest_id
		WHERE (g.id IS NULL) <> (b.state IN ?)`, []any{[]booking.State{booking.Blocked, booking.Unblocked}}},
	{"a guest's key names a guest", `
		SELECT 'a key of ' || k.guest_id FROM guest_keys k LEFT JOIN guests g ON g.id = k.guest_id WHERE g.id IS NULL`, nil},
	{"what guests are searched by is of a guest of whom it is known", `
		SELECT DISTINCT 'terms of ' || t.guest_id FROM guest_terms t LEFT JOIN guests g ON g.id = t.guest_id AND g.merchant_id = t.merchant_id
		WHERE g.id IS NULL OR g.searched IN ?`, []any{[]string{"", nothingSearchable}}},
	{"a chart that is joined to another has no key, and that one is joined to none", `
		SELECT g.id || ' joined to ' || g.joined_to FROM guests g LEFT JOIN guests c ON c.id = g.joined_to
		WHERE g.joined_to IS NOT NULL AND (c.id IS NULL OR c.joined_to IS NOT NULL OR EXISTS (SELECT 1 FROM guest_keys k WHERE k.guest_id = g.id))`, nil},
}

// miscounted is a query for slots that count something else than the holds that cover
// them come to: count is the slot's column, each what a hold counts, and which and kinds
// say which holds and slots there are. It walks each resource once, in the order of time,
// and adds what begins and ends: to look for the holds of each slot would take as long as
// there are holds of three days, for each. Slots that count nothing, which are most of
// what is published, are looked for from the holds alone.
func miscounted(count, held, each, which, kinds string) string {
	return strings.NewReplacer("{count}", count, "{held}", held, "{each}", each, "{which}", which, "{kinds}", kinds).Replace(`
		WITH steps AS (
			SELECT s.resource_id, s.start_sec AS sec, s.{count} AS counted, 0 AS step FROM slots s JOIN resources r ON r.id = s.resource_id {kinds} WHERE s.{count} <> 0
			UNION ALL SELECT h.resource_id, h.start_sec, NULL, {each} FROM holds h JOIN resources r ON r.id = h.resource_id {kinds} WHERE {which}
			UNION ALL SELECT h.resource_id, h.end_sec, NULL, -({each}) FROM holds h JOIN resources r ON r.id = h.resource_id {kinds} WHERE {which}
		), sums AS (
			SELECT resource_id, sec, MAX(counted) AS counted, SUM(SUM(step)) OVER (PARTITION BY resource_id ORDER BY sec) AS held
			FROM steps GROUP BY resource_id, sec
		)
		SELECT resource_id || ' at ' || sec || ': {count} ' || counted || ', {held} ' || held FROM sums WHERE counted <> held
		UNION ALL SELECT h.resource_id || ' at ' || h.start_sec || ': {count} 0, {held} ' || ({each}) FROM holds h JOIN resources r ON r.id = h.resource_id {kinds}
		WHERE {which} AND (SELECT COUNT(*) FROM slots s WHERE s.resource_id = h.resource_id
			AND s.start_sec >= h.start_sec AND s.start_sec < h.end_sec AND s.{count} = 0) > 0`)
}

// Verify checks every invariant on a snapshot of a live database and returns all rows that
// break one. It calls progress, if not nil, with each invariant's name before checking it.
func (db *DB) Verify(ctx context.Context, progress func(invariant string)) ([]Violation, error) {
	if progress == nil {
		progress = func(string) {}
	}
	broken := []Violation{}
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		if err := db.unhurried(tx); err != nil {
			return err
		}
		for _, inv := range invariants {
			progress(inv.name)
			var rows []string
			if err := tx.Raw(inv.query, inv.args...).Scan(&rows).Error; err != nil {
				return fmt.Errorf("check that %s: %w", inv.name, err)
			}
			for _, r := range rows {
				broken = append(broken, Violation{Invariant: inv.name, Row: r})
			}
		}
		const one = "a telephone number leads to one chart, however it is written"
		progress(one)
		err := eachSplit(tx, func(row string) { broken = append(broken, Violation{Invariant: one, Row: row}) })
		if err != nil {
			return err
		}
		for _, inv := range []struct {
			name string
			find func(*gorm.DB) ([]string, error)
		}{
			{"what rows share is not sold twice at any moment", overfull},
			{"a zone is not filled beyond its capacity at any moment", overfullZones},
		} {
			progress(inv.name)
			rows, err := inv.find(tx)
			if err != nil {
				return err
			}
			for _, r := range rows {
				broken = append(broken, Violation{Invariant: inv.name, Row: r})
			}
		}
		const name = "a live booking holds what it occupies"
		progress(name)
		return eachBooking(db.dialect, tx, func(b booking.Booking, holds []inventory.Hold, resources map[uuid.UUID]inventory.Resource) {
			if row := misheld(b, holds, resources); row != "" {
				broken = append(broken, Violation{Invariant: name, Row: row})
			}
		})
	})
	return broken, unavailable(err)
}

// eachSplit walks all keys of numbers and calls tell with those that lead to another chart than
// another spelling of the same number. Keys from a server of an earlier release count only once
// they have been normalized.
func eachSplit(tx *gorm.DB, tell func(row string)) error {
	type row struct {
		MerchantID, Key, NumbersReadIn string
		GuestID                        uuid.UUID
	}
	type number struct{ merchantID, e164 string }
	var merchantID, key string
	charts := map[number]uuid.UUID{}
	for {
		var rows []row
		err := tx.Raw(`SELECT o.merchant_id, o.key, o.guest_id, COALESCE(m.numbers_read_in, '') AS numbers_read_in
			FROM guest_keys o LEFT JOIN merchants m ON m.id = o.merchant_id
			WHERE o.normalized AND substr(o.key, 1, 6) = 'phone:' AND (o.merchant_id, o.key) > (?, ?)
			ORDER BY o.merchant_id, o.key LIMIT ?`, merchantID, key, rowsAtOnce).Scan(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if r.MerchantID != merchantID {
				clear(charts)
			}
			merchantID, key = r.MerchantID, r.Key
			country, zone, _ := strings.Cut(r.NumbersReadIn, " ")
			m := inventory.Merchant{Country: country, TimeZone: zone}
			e164 := booking.E164(m.Home(), strings.TrimPrefix(key, "phone:"))
			if e164 == "" {
				continue
			}
			n := number{merchantID, e164}
			if chart, twice := charts[n]; twice && chart != r.GuestID {
				tell(fmt.Sprintf("a number of %s leads to %s and %s", merchantID, chart, r.GuestID))
			}
			charts[n] = r.GuestID
		}
	}
}

// misheld says how a booking's holds differ from what its occupied resources need; "" if they
// do not.
func misheld(b booking.Booking, holds []inventory.Hold, resources map[uuid.UUID]inventory.Resource) string {
	var want []inventory.Hold
	for _, r := range b.Resources {
		ask := func(id uuid.UUID, spots int) bool {
			resource, ok := resources[id]
			if ok {
				h := resource.Hold(r.StartSec, r.EndSec, spots, 0)
				h.Block = b.State == booking.Blocked
				want = append(want, h)
			}
			return ok
		}
		if !ask(r.ResourceID, r.Spots) || r.DoctorID != nil && !ask(*r.DoctorID, 1) {
			return fmt.Sprintf("%s occupies a resource that is not there", b.ID)
		}
	}
	for _, h := range holds {
		if h.Resource.ID == uuid.Nil {
			return fmt.Sprintf("%s holds a resource that is not there", b.ID)
		}
	}
	for _, h := range holds {
		if h.Resource.Kind == inventory.KindQuota && !h.IsUseOf(b.OfferID) && (b.State != booking.Held || !h.IsLeaseUse()) {
			return fmt.Sprintf("%s has a use of %q", b.ID, h.Resource.Ref)
		}
	}
	if inventory.SameHolds(inventory.Places(holds), want) {
		return ""
	}
	return fmt.Sprintf("%s (%d holds)", b.ID, len(holds))
}

// eachBooking walks all live bookings with their holds and the resources that they name, some
// at a time.
func eachBooking(d dialect, tx *gorm.DB, each func(booking.Booking, []inventory.Hold, map[uuid.UUID]inventory.Resource)) error {
	last := uuid.Nil
	for {
		some, err := readBookings(tx, tx.Where("id > ? AND state IN ?", last, booking.Live).Order("id").Limit(rowsAtOnce))
		if err != nil || len(some) == 0 {
			return err
		}
		last = some[len(some)-1].ID
		ids := make([]uuid.UUID, len(some))
		for i, b := range some {
			ids[i] = b.ID
		}
		holds, err := holdsOf(d, tx, ids)
		if err != nil {
			return err
		}
		named := map[uuid.UUID]bool{}
		for _, b := range some {
			for _, r := range b.Resources {
				named[r.ResourceID] = true
				if r.DoctorID != nil {
					named[*r.DoctorID] = true
				}
			}
		}
		resources, err := resourcesByID(d, tx, idsIn(named))
		if err != nil {
			return err
		}
		for _, b := range some {
			each(b, holds[b.ID], resources)
		}
	}
}

func idsIn(set map[uuid.UUID]bool) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	return ids
}
