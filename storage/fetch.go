package storage

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// fetch locks and reads what operations announced, in the order in which everything is
// locked: tokens, bookings, guest keys, guests, resources (shared, and only while slots are
// made) and slots. Then it reads the blocks on those slots, which need no lock. Each step is
// one statement for all operations, and locks in ascending order. An operation whose token
// is known already needs only its booking.
//
// The order prevents deadlocks, and everything that writes follows it (docs/architecture.md,
// lock order). Tokens come first: a copy of a request must find the first one's booking
// before it looks at anything else, or it would find the slot full that the first one took.
// Bookings come before their guests and slots, because only a locked booking says for
// certain which those are. Slots come last: many requests want the same ones, so they are
// locked for the shortest time.
func (db *DB) fetch(tx *gorm.DB, ops []*operation) (*batch, error) {
	b := newBatch(db.dialect, ops)
	return b, b.fetch(tx, db.fetchTokens, db.fetchCatalogueVersions, db.fetchBookings, db.fetchGuestKeys, db.fetchGuests, db.fetchVisits, db.fetchSlots, db.fetchBlocks)
}

// fetch takes these steps, in this order.
func (b *batch) fetch(tx *gorm.DB, steps ...func(*gorm.DB, *batch) error) error {
	for _, step := range steps {
		if err := step(tx, b); err != nil {
			return err
		}
	}
	return nil
}

// fetchBlocks reads the existing blocks. Nobody can make another one at the same time
// meanwhile, because its slots are locked.
func (db *DB) fetchBlocks(tx *gorm.DB, b *batch) error {
	asked := map[booking.BlockKey]bool{}
	for _, v := range b.pending() {
		if v.touches.Blocks.MerchantID != "" {
			asked[v.touches.Blocks] = true
		}
	}
	if len(asked) == 0 {
		return nil
	}
	return db.readInto(tx, b, `SELECT b.* FROM {0} k CROSS JOIN bookings b WHERE b.merchant_id = k.merchant_id
		AND b.start_sec = k.start_sec AND b.end_sec = k.end_sec AND b.state = 'BLOCKED'`, setOf(slices.Collect(maps.Keys(asked))))
}

// lockedBookings are the bookings that operations may change. Those that known tokens lead
// to are read, too, but not locked.
func (b *batch) lockedBookings() (found []booking.Booking) {
	seen := map[uuid.UUID]bool{}
	for _, v := range b.pending() {
		for _, id := range v.ids() {
			if one, there := b.bookings.was[id]; there && !seen[id] {
				seen[id] = true
				found = append(found, one)
			}
		}
	}
	return found
}

// pending are the views that need more than the booking of their token.
func (b *batch) pending() []*view {
	return slices.DeleteFunc(slices.Clone(b.views), func(v *view) bool { return v.stale || b.prior(v.touches) != nil })
}

// claimable is a row that fetch inserts before anybody knows whether it is needed, because
// its unique key makes others wait.
type claimable[K comparable, R any] interface {
	key() K
	compare(R) int // by key
}

// claim inserts rows, the first of each key. If another transaction is inserting a row with
// the same key, the statement waits for it: if that commits, claim reads its row instead,
// and if it rolls back, claim inserts ours.
func claim[K comparable, R claimable[K, R]](d dialect, tx *gorm.DB, t *table[K, R], rows []R, insert, read string) error {
	if len(rows) == 0 {
		return nil
	}
	slices.SortStableFunc(rows, R.compare)
	rows = slices.CompactFunc(rows, func(a, b R) bool { return a.compare(b) == 0 })
	made, err := query[R](d, tx, insert, setOf(rows))
	if err != nil {
		return err
	}
	ours := map[K]bool{}
	for _, r := range made {
		ours[r.key()] = true
	}
	var rest []R
	for _, r := range rows {
		if ours[r.key()] {
			t.inserted(r.key(), r)
		} else {
			rest = append(rest, r)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	there, err := query[R](d, tx, read, setOf(rest))
	if err != nil {
		return err
	}
	if len(there) < len(rest) {
		return errVanished
	}
	for _, r := range there {
		t.fetched(r.key(), r)
	}
	return nil
}

var claimTokens = "INSERT INTO idempotency_tokens (" + namesOf[tokenRow]() + ") SELECT " + namesOf[tokenRow]() +
	" FROM {0} k WHERE true ON CONFLICT DO NOTHING RETURNING caller, token"

// readClaims takes no lock: an existing token never changes, except that its fingerprint goes
// when the guest is erased.
const readClaims = "SELECT t.* FROM {0} k CROSS JOIN idempotency_tokens t WHERE t.caller = k.caller AND t.token = k.token"

func (db *DB) fetchTokens(tx *gorm.DB, b *batch) error {
	var claims []tokenRow
	for _, v := range b.views {
		if c := v.touches.Claim; c != nil {
			claims = append(claims, rowOfClaim(*c))
		}
	}
	if len(claims) == 0 {
		return nil
	}
	if err := claim(db.dialect, tx, &b.tokens, claims, claimTokens, readClaims); err != nil {
		return fmt.Errorf("claim tokens: %w", err)
	}
	if err := db.at("after the token"); err != nil {
		return err
	}
	if len(b.tokens.was) == 0 {
		return nil
	}
	var subjects []uuid.UUID
	for _, r := range b.tokens.was {
		subjects = append(subjects, r.BookingID)
	}
	if err := db.readInto(tx, b, "SELECT b.* FROM {0} k CROSS JOIN bookings b WHERE b.id = k.id", idSet(subjects)); err != nil {
		return err
	}
	for _, id := range subjects {
		if _, there := b.bookings.was[id]; there {
			continue
		}
		var tokens int64
		if err := tx.Model(&tokenRow{}).Where("booking_id = ?", id).Count(&tokens).Error; err != nil {
			return fmt.Errorf("look for tokens: %w", err)
		}
		if tokens == 0 { // archived since we read it, with its booking
			return errVanished
		}
		// The database is broken, which a rerun would not mend: the rules will say so.
	}
	return nil
}

// readInto adds the bookings that a query finds to the batch.
func (db *DB) readInto(tx *gorm.DB, b *batch, text string, sets ...set) error {
	rows, err := query[bookingRow](db.dialect, tx, text, sets...)
	if err != nil {
		return fmt.Errorf("read bookings: %w", err)
	}
	some, err := query[occupiedRow](db.dialect, tx, `SELECT o.* FROM {0} k CROSS JOIN occupied_resources o
		WHERE o.booking_id = k.id ORDER BY o.booking_id, o.seq`, idSet(idsOf(rows)))
	if err != nil {
		return fmt.Errorf("read occupied resources: %w", err)
	}
	items := map[uuid.UUID][]occupiedRow{}
	for _, it := range some {
		items[it.BookingID] = append(items[it.BookingID], it)
	}
	found, err := assemble(rows, items)
	for _, one := range found {
		b.bookings.fetched(one.ID, one)
		b.nameSchedule(one)
	}
	return err
}

// fetchCatalogueVersions finds out which operations were planned with an outdated catalogue,
// and drops that catalogue from memory. It takes a shared lock on merchants whose catalogue
// must not change meanwhile. The others need none: an import changes room only under the
// locks of its slots.
func (db *DB) fetchCatalogueVersions(tx *gorm.DB, b *batch) error {
	type row struct {
		ID      string
		Version int64
	}
	steady := map[string]bool{}
	for _, v := range b.pending() {
		if id := v.touches.MerchantID; id != "" {
			steady[id] = steady[id] || v.touches.Steady
		}
	}
	versions := map[string]int64{}
	for _, locked := range []bool{true, false} {
		var rows []row
		for id, s := range steady {
			if s == locked {
				rows = append(rows, row{ID: id})
			}
		}
		if len(rows) == 0 {
			continue
		}
		lock := ""
		if locked {
			lock = " ORDER BY m.id" + db.dialect.shareOf("m")
		}
		rows, err := query[row](db.dialect, tx, "SELECT m.id, m.version FROM {0} k CROSS JOIN merchants m WHERE m.id = k.id"+lock, setOf(rows))
		if err != nil {
			return fmt.Errorf("read catalogue versions: %w", err)
		}
		for _, r := range rows {
			versions[r.ID] = r.Version
		}
	}
	for _, v := range b.pending() {
		if id := v.touches.MerchantID; id != "" && versions[id] != v.touches.CatalogueVersion {
			db.catalogue.Delete(id)
			v.stale = true
		}
	}
	return nil
}

func (db *DB) fetchBookings(tx *gorm.DB, b *batch) error {
	ids := map[uuid.UUID]bool{}
	named := map[booking.ScheduleKey]bool{}
	for _, v := range b.pending() {
		for _, id := range v.touches.Bookings {
			ids[id] = true
		}
		if v.touches.Schedule.ScheduleID != "" {
			named[v.touches.Schedule] = true
		}
	}
	if len(ids)+len(named) == 0 {
		return nil
	}
	err := db.readInto(tx, b, `SELECT b.* FROM bookings b WHERE b.id IN (SELECT k.id FROM {0} k
		UNION SELECT s.id FROM {1} k CROSS JOIN bookings s WHERE s.merchant_id = k.merchant_id AND s.schedule_id = k.schedule_id)
		ORDER BY b.id`+db.dialect.lock, idSet(slices.Collect(maps.Keys(ids))), setOf(slices.Collect(maps.Keys(named))))
	if err != nil {
		return err
	}
	b.holds.was, err = holdsOf(db.dialect, tx, idsOfBookings(b.lockedBookings()))
	return err
}

const claimGuestKeys = `INSERT INTO guest_keys (merchant_id, key, guest_id, normalized)
	SELECT merchant_id, key, guest_id, true FROM {0} k WHERE true ON CONFLICT DO NOTHING RETURNING merchant_id, key`

const lockGuestKeys = `SELECT o.* FROM {0} k CROSS JOIN guest_keys o
	WHERE o.merchant_id = k.merchant_id AND o.key = k.key ORDER BY o.merchant_id, o.key`

// fetchGuestKeys claims the guests' keys. Two first requests of one guest meet here, so they
// cannot make two charts. A key that nobody had is inserted for the new guest of the first
// operation that announced it; run finds out whose it really is, and write corrects it.
func (db *DB) fetchGuestKeys(tx *gorm.DB, b *batch) error {
	var claims []guestKeyRow
	for _, v := range b.pending() {
		for _, k := range v.touches.GuestKeys {
			claims = append(claims, guestKeyRow{MerchantID: k.MerchantID, Key: k.Key, GuestID: v.touches.NewGuest})
		}
	}
	if err := claim(db.dialect, tx, &b.keys, claims, claimGuestKeys, lockGuestKeys+db.dialect.lockOf("o")); err != nil {
		return fmt.Errorf("claim guest keys: %w", err)
	}
	return nil
}

// fetchGuests locks the guests whom the keys, the visitors' names and the bookings belong
// to. A new booking and a change of the same guest's other booking meet here, so the two
// visits cannot end up at the same time.
func (db *DB) fetchGuests(tx *gorm.DB, b *batch) error {
	ids := map[uuid.UUID]bool{}
	named := map[booking.VisitorKey]bool{}
	for _, v := range b.pending() {
		if v.touches.Visitor.VisitorID != "" {
			named[v.touches.Visitor] = true
		}
	}
	for _, k := range b.keys.was {
		ids[k.GuestID] = true
	}
	for _, one := range b.lockedBookings() {
		ids[one.GuestID] = true
	}
	if len(ids)+len(named) == 0 {
		return nil
	}
	whose, sets := "SELECT k.id FROM {0} k", []set{idSet(slices.Collect(maps.Keys(ids)))}
	if len(named) > 0 { // and the charts that they are joined to
		for _, column := range []string{"id", "joined_to"} {
			whose += fmt.Sprintf(" UNION SELECT o.%s FROM {%d} k CROSS JOIN guests o WHERE o.merchant_id = k.merchant_id AND o.visitor_id = k.visitor_id", column, len(sets))
			sets = append(sets, setOf(slices.Collect(maps.Keys(named))))
		}
	}
	rows, err := query[guestRow](db.dialect, tx, "SELECT g.* FROM guests g WHERE g.id IN ("+whose+") ORDER BY g.id"+db.dialect.lock, sets...)
	if err != nil {
		return fmt.Errorf("lock guests: %w", err)
	}
	for _, r := range rows {
		b.guests.fetched(r.ID, booking.Guest(r))
		b.nameVisitor(booking.Guest(r))
	}
	for k := range named {
		if id, found := b.visitors[k]; found {
			if _, locked := b.guests.was[id]; !locked { // the chart was joined to that one while we waited for its lock
				return errVanished
			}
		}
	}
	return nil
}

// fetchVisits reads the visits that the guests already have at the announced times.
func (db *DB) fetchVisits(tx *gorm.DB, b *batch) error {
	type row struct {
		GuestID        uuid.UUID
		FromSec, ToSec int64
	}
	for _, v := range b.pending() {
		if v.touches.FromSec >= v.touches.ToSec {
			continue
		}
		for id := range v.owners() {
			s := span{v.touches.FromSec, v.touches.ToSec}
			if a, twice := b.agendas[id]; twice {
				s = span{min(s.from, a.known.from), max(s.to, a.known.to)}
			}
			b.agendas[id] = agenda{known: s}
		}
	}
	if len(b.agendas) == 0 {
		return nil
	}
	var rows []row
	for id, a := range b.agendas {
		rows = append(rows, row{id, a.known.from, a.known.to})
	}
	found, err := query[bookingRow](db.dialect, tx, `SELECT b.id, b.guest_id, b.state, b.service_id, b.staff_id, b.room_id, b.party_size,
		b.start_sec, b.end_sec, b.expires_sec, b.contact FROM {0} k CROSS JOIN bookings b WHERE b.guest_id = k.guest_id AND b.end_sec > k.from_sec
		AND b.start_sec < k.to_sec AND b.state IN (`+liveStates+`)`, setOf(rows))
	if err != nil {
		return fmt.Errorf("read visits: %w", err)
	}
	for _, r := range found {
		one, err := r.booking(nil)
		if err != nil {
			return fmt.Errorf("visit %s: %w", r.ID, err)
		}
		b.setVisit(visitOf(one))
	}
	return nil
}

// liveStates are booking.Live as a list in SQL.
var liveStates = func() string {
	s := setOf([]struct{}{})
	for _, state := range booking.Live {
		s.columns = append(s.columns, column{name: string(state)})
	}
	return s.list("'%s'", ", ")
}()

// fetchSlots locks the announced slots and those of the bookings' holds in one ascending
// pass.
func (db *DB) fetchSlots(tx *gorm.DB, b *batch) error {
	for _, v := range b.pending() {
		for k := range v.announced() {
			b.locked[k] = true
		}
		for _, s := range v.touches.Shares {
			s.ToSec = max(s.ToSec, b.shares[s.Key()].ToSec)
			b.shares[s.Key()] = sharedSpan{Span: s}
			delete(b.locked, s.Key()) // the key of a share, not of a slot
		}
	}
	for _, s := range b.shares {
		for _, k := range s.Locks() {
			b.locked[k] = true
		}
	}
	rows, made, err := db.makeAndLock(tx, slices.SortedFunc(maps.Keys(b.locked), inventory.SlotKey.Compare))
	if err != nil {
		return err
	}
	for _, r := range rows {
		s, err := r.slot()
		if err != nil {
			return err
		}
		b.slots.fetched(r.key(), slot{Slot: s, offered: r.Offered})
	}
	for _, k := range made {
		b.slots.inserted(k, b.slots.was[k])
	}
	if err := db.at("after the slots"); err != nil {
		return err
	}
	return db.fetchShares(tx, b)
}

// fetchShares reads the rows of the announced shares. Nobody else can take any of them,
// because fetchSlots has locked their days. It needs a statement of its own: the one that
// locks the days sees all other rows as they were before it had to wait.
func (db *DB) fetchShares(tx *gorm.DB, b *batch) error {
	spans := make([]inventory.Span, 0, len(b.shares))
	for _, s := range b.shares {
		spans = append(spans, s.Span)
	}
	around, err := rowsOfShares(db.dialect, tx, spans, "s.taken > 0 OR s.offered > 0")
	for k, s := range b.shares {
		b.shares[k] = sharedSpan{s.Span, around.of(s.Span)}
	}
	return err
}

// sharedRow is a slot of a share.
type sharedRow struct {
	ShareID     uuid.UUID
	ResourceID  uuid.UUID
	StartSec    int64
	SlotSeconds int64
	PartySize   int
	SpotsTotal  *int
	Offered     int
	Known       int
	Taken       int
}

func (r sharedRow) row() inventory.Row {
	row := inventory.Row{
		SlotKey: inventory.SlotKey{Resource: r.ResourceID, StartSec: r.StartSec}, EndSec: r.StartSec + r.SlotSeconds,
		PartySize: r.PartySize, Spots: r.Offered, Offered: r.Offered, Known: r.Known, Taken: r.Taken,
	}
	if r.SpotsTotal != nil {
		row.Spots = *r.SpotsTotal
	}
	return row
}

// sharedRows are slots by their shares, each once.
type sharedRows map[uuid.UUID]map[inventory.SlotKey]inventory.Row

func (all sharedRows) add(r sharedRow) {
	if all[r.ShareID] == nil {
		all[r.ShareID] = map[inventory.SlotKey]inventory.Row{}
	}
	row := r.row()
	all[r.ShareID][row.SlotKey] = row
}

// of returns the rows that overlap the span.
func (all sharedRows) of(s inventory.Span) []inventory.Row {
	var rows []inventory.Row
	for _, r := range all[s.ShareID] {
		if r.StartSec < s.ToSec && s.FromSec < r.EndSec {
			rows = append(rows, r)
		}
	}
	return rows
}

// overlapping are the slots s of a share's span k; the condition says which. PostgreSQL does
// not know how few they are, so the text makes it search the index resource by resource,
// which SQLite does by itself.
func (d dialect) overlapping(condition string) string {
	slots := "slots s"
	const near = "s.resource_id = m.resource_id AND s.start_sec > k.from_sec - m.slot_seconds AND s.start_sec < k.to_sec"
	if d.lateral {
		slots = "LATERAL (SELECT * FROM slots s WHERE " + near + " OFFSET 0) s"
	}
	return "CROSS JOIN resource_shares m CROSS JOIN " + slots + " WHERE m.share_id = k.share_id AND " + near + " AND (" + condition + ")"
}

// rowsOfShares reads the slots that overlap the spans.
func rowsOfShares(d dialect, tx *gorm.DB, spans []inventory.Span, condition string) (sharedRows, error) {
	around := sharedRows{}
	if len(spans) == 0 {
		return around, nil
	}
	rows, err := query[sharedRow](d, tx, `SELECT k.share_id, s.resource_id, s.start_sec, m.slot_seconds, m.party_size,
		s.spots_total, s.offered, s.known, s.taken FROM {0} k `+d.overlapping(condition), setOf(inventory.JoinSpans(spans)))
	if err != nil {
		return nil, fmt.Errorf("read what is shared: %w", err)
	}
	for _, r := range rows {
		around.add(r)
	}
	return around, nil
}

// slotAt is a slot's key as a row.
type slotAt struct {
	ResourceID uuid.UUID
	StartSec   int64
}

func slotSet(keys []inventory.SlotKey) set {
	rows := make([]slotAt, len(keys))
	for i, k := range keys {
		rows[i] = slotAt{k.Resource, k.StartSec}
	}
	return setOf(rows)
}

// lockSlots locks the rows of keys, which are sorted. It makes missing rows of lanes and
// staff, all of them before it locks any: an insert of a row that another transaction is
// inserting waits for that transaction, which must not be waiting for a lock of ours.
func (db *DB) lockSlots(tx *gorm.DB, keys []inventory.SlotKey) ([]slotRow, error) {
	rows, _, err := db.makeAndLock(tx, keys)
	return rows, err
}

// makeAndLock is lockSlots, and also returns the keys of the rows that it made.
func (db *DB) makeAndLock(tx *gorm.DB, keys []inventory.SlotKey) (rows []slotRow, made []inventory.SlotKey, err error) {
	if len(keys) == 0 {
		return nil, nil, nil
	}
	asked := slotSet(keys)
	there, err := query[slotAt](db.dialect, tx, `SELECT s.resource_id, s.start_sec FROM {0} k CROSS JOIN slots s
		WHERE s.resource_id = k.resource_id AND s.start_sec = k.start_sec`, asked)
	if err != nil {
		return nil, nil, fmt.Errorf("look for slots: %w", err)
	}
	want := len(there)
	if len(there) < len(keys) {
		var missing int
		if made, missing, err = db.makeSlots(tx, keys, there); err != nil {
			return nil, nil, err
		}
		want += missing
	}
	rows, err = query[slotRow](db.dialect, tx, `SELECT s.* FROM {0} k CROSS JOIN slots s
		WHERE s.resource_id = k.resource_id AND s.start_sec = k.start_sec ORDER BY s.resource_id, s.start_sec`+db.dialect.lockOf("s"), asked)
	if err != nil {
		return nil, nil, fmt.Errorf("lock slots: %w", err)
	}
	if len(rows) < want { // pruned meanwhile
		return nil, nil, errVanished
	}
	return rows, made, nil
}

// makeSlots inserts the rows of keys that are missing. It returns those it has made, and
// how many there must be now: somebody else may have made the others. It locks their
// resources, shared: an import that changes a capacity waits until the rows with the old
// one are committed, and then finds them.
func (db *DB) makeSlots(tx *gorm.DB, keys []inventory.SlotKey, there []slotAt) (made []inventory.SlotKey, must int, err error) {
	have := make(map[slotAt]bool, len(there))
	for _, at := range there {
		have[at] = true
	}
	missing := slices.DeleteFunc(slices.Clone(keys), func(k inventory.SlotKey) bool { return have[slotAt{k.Resource, k.StartSec}] })
	ids := map[uuid.UUID]bool{}
	for _, k := range missing {
		ids[k.Resource] = true
	}
	resources, err := query[resourceRow](db.dialect, tx, `SELECT r.* FROM {0} k CROSS JOIN resources r
		WHERE r.id = k.id AND r.kind <> 'published' ORDER BY r.id`+db.dialect.shareOf("r"), idSet(slices.Collect(maps.Keys(ids))))
	if err != nil {
		return nil, 0, fmt.Errorf("lock resources: %w", err)
	}
	capacity := make(map[uuid.UUID]int, len(resources))
	for _, r := range resources {
		capacity[r.ID] = r.DefaultCapacity
	}
	type row struct {
		ResourceID        uuid.UUID
		StartSec          int64
		Offered, Capacity int
	}
	var rows []row
	for _, k := range missing {
		if n, ok := capacity[k.Resource]; ok {
			rows = append(rows, row{k.Resource, k.StartSec, n, n})
		}
	}
	if len(rows) == 0 {
		return nil, 0, nil
	}
	done, err := query[slotAt](db.dialect, tx, `INSERT INTO slots (resource_id, start_sec, offered, capacity)
		SELECT resource_id, start_sec, offered, capacity FROM {0} k WHERE true
		ON CONFLICT DO NOTHING RETURNING resource_id, start_sec`, setOf(rows))
	if err != nil {
		return nil, 0, fmt.Errorf("make slots: %w", err)
	}
	made = make([]inventory.SlotKey, len(done))
	for i, at := range done {
		made[i] = inventory.SlotKey{Resource: at.ResourceID, StartSec: at.StartSec}
	}
	return made, len(rows), nil
}
