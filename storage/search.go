package storage

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/letters"
)

// The table guest_terms is the search index of charts. Bookings do not write it. A guest
// whose column searched differs from the guest's current name is not indexed yet:
// [DB.IndexGuests] does that a few seconds later, and until then every search of the merchant
// looks at that guest directly.

// searchable is an expression for the indexed text of a guest. The index guests_unsearched
// has exactly this text.
const searchable = "given_name || '\n' || family_name || '\n' || email"

// unsearched is a condition for guests who are not indexed yet.
const unsearched = "searched <> " + searchable

// nothingSearchable is the value of searchable for a guest without name and address.
const nothingSearchable = "\n\n"

// termRow says that a guest has a term: a part of the name, or the whole address. The first
// byte says which.
type termRow struct {
	MerchantID string
	Term       []byte
	GuestID    uuid.UUID
}

func (termRow) TableName() string { return "guest_terms" }

const (
	nameTerm  = "n"
	emailTerm = "e"
)

// searchedRow is a guest with the text that is, or was, indexed.
type searchedRow struct {
	ID         uuid.UUID
	MerchantID string
	Searched   string
	Searchable string
}

const searchedColumns = "id, merchant_id, searched, " + searchable + " AS searchable"

// termsOf returns a guest's terms. searched is the indexed text: given name, family name and
// address, one per line.
func termsOf(searched string) []string {
	givenName, rest, _ := strings.Cut(searched, "\n")
	end := max(strings.LastIndex(rest, "\n"), 0)
	familyName, email := rest[:end], strings.TrimPrefix(rest[end:], "\n")
	var terms []string
	for _, term := range booking.SearchTerms(booking.NameText(letters.Form(givenName), letters.Form(familyName))) {
		if strings.Trim(term, " \n") != "" { // nobody searches for a space
			terms = append(terms, nameTerm+term)
		}
	}
	if email = plainEmail(email); email != "" {
		terms = append(terms, emailTerm+email)
	}
	return terms
}

// plainEmail does to an address what lower and trim do in a statement.
func plainEmail(s string) string { return booking.LowerASCII(strings.Trim(s, " ")) }

// IndexGuests implements [booking.Store].
func (db *DB) IndexGuests(ctx context.Context, limit int) (n int, err error) {
	var waiting []uuid.UUID // read without a lock, because usually there are none
	if err := db.read.WithContext(ctx).Model(&guestRow{}).Where(unsearched).Limit(1).Pluck("id", &waiting).Error; err != nil || len(waiting) == 0 {
		return 0, unavailable(err)
	}
	err = db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		if err := db.byIndexes(tx); err != nil {
			return err
		}
		var guests []searchedRow
		err := tx.Raw("SELECT "+searchedColumns+" FROM guests WHERE "+unsearched+" ORDER BY merchant_id, id LIMIT ?"+db.dialect.skip, limit).Scan(&guests).Error
		if err != nil {
			return fmt.Errorf("read guests: %w", err)
		}
		if n = len(guests); n == 0 {
			return nil
		}
		if err := dropTerms(tx, guests); err != nil {
			return err
		}
		var terms []termRow
		for i, g := range guests {
			for _, term := range termsOf(g.Searchable) {
				terms = append(terms, termRow{MerchantID: g.MerchantID, Term: []byte(term), GuestID: g.ID})
			}
			guests[i].Searched = g.Searchable
		}
		if err := insert(db.dialect, tx, "guest_terms", terms); err != nil {
			return fmt.Errorf("write terms: %w", err)
		}
		return exec(db.dialect, tx, n, "UPDATE guests SET searched = k.searched FROM {0} k WHERE guests.id = k.id", setOf(guests))
	})
	return n, err
}

// dropTerms removes the terms of guests, whose rows are locked.
func dropTerms(tx *gorm.DB, guests []searchedRow) error {
	for _, g := range guests {
		var terms [][]byte
		for _, term := range termsOf(g.Searched) {
			terms = append(terms, []byte(term))
		}
		if len(terms) == 0 {
			continue
		}
		err := tx.Where("merchant_id = ? AND term IN ? AND guest_id = ?", g.MerchantID, terms, g.ID).Delete(&termRow{}).Error
		if err != nil {
			return fmt.Errorf("drop terms: %w", err)
		}
	}
	return nil
}

// phoneDigits is an expression for a guest's number without what people put between its
// digits. The index guests_phone has exactly this text.
const phoneDigits = `replace(replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '(', ''), ')', ''), '.', ''), '+', '')`

// SearchGuests implements [booking.Store]. It stays within one merchant, and finds its
// candidates by an index: of visitors, of numbers, or of terms.
func (db *DB) SearchGuests(ctx context.Context, q booking.GuestSearch) (found []booking.Guest, more bool, err error) {
	var rows []guestRow
	want := q.Offset + q.Limit + 1
	err = db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		switch {
		case q.VisitorID != "" || len(q.Phones) > 0:
			// Use the index for what is wanted, not the one for the order of the result.
			where, args := db.wanted(q)
			err = tx.Raw("WITH f AS MATERIALIZED (SELECT * FROM guests WHERE "+where+") SELECT * FROM f ORDER BY id LIMIT ?", append(args, want)...).Scan(&rows).Error
		case q.Email != "" || q.NamePart != "":
			rows, err = db.searchTerms(tx, q, want)
		}
		return err
	})
	if err != nil {
		return nil, false, unavailable(fmt.Errorf("search guests: %w", err))
	}
	more = len(rows) >= want
	rows = rows[min(q.Offset, len(rows)):]
	for _, r := range rows[:min(q.Limit, len(rows))] {
		found = append(found, booking.Guest(r))
	}
	return found, more, nil
}

// wanted is a condition for the guests that a search wants.
func (db *DB) wanted(q booking.GuestSearch) (where string, args []any) {
	where, args = "merchant_id = ? AND id > ? AND joined_to IS NULL", []any{q.MerchantID, q.After}
	and := func(term string, arg ...any) { where, args = where+" AND "+term, append(args, arg...) }
	if q.VisitorID != "" { // it may be the name of a chart that is joined to another
		and("id IN (SELECT COALESCE(o.joined_to, o.id) FROM guests o WHERE o.merchant_id = ? AND o.visitor_id = ?)", q.MerchantID, q.VisitorID)
	}
	if len(q.Phones) > 0 { // also the chart that the number's key leads to, however its number is written
		and("id IN (SELECT o.id FROM guests o WHERE o.merchant_id = ? AND "+phoneDigits+" IN ? UNION SELECT k.guest_id FROM guest_keys k WHERE k.merchant_id = ? AND k.key = ?)",
			q.MerchantID, q.Phones, q.MerchantID, q.PhoneKey)
	}
	if q.Email != "" {
		and(fmt.Sprintf(db.dialect.lower, "trim(email)")+" = ?", q.Email)
	}
	if q.NamePart != "" { // of [booking.NameText]
		name := fmt.Sprintf(db.dialect.lower, "given_name || ' ' || family_name || ' ' || given_name || '\n' || family_name || given_name")
		// Charts have one form of Unicode. Older releases stored names as they came, some of
		// them as macOS writes them.
		like := func(form string) string { return "%" + likeEscape.Replace(booking.LowerASCII(form)) + "%" }
		and("("+name+` LIKE ? ESCAPE '\' OR `+name+` LIKE ? ESCAPE '\')`, like(letters.Form(q.NamePart)), like(letters.Apart(q.NamePart)))
	}
	return where, args
}

// likeEscape escapes a text for LIKE.
var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// searchTerms finds the first want guests by their terms, and among those who are not indexed
// yet.
func (db *DB) searchTerms(tx *gorm.DB, q booking.GuestSearch, want int) ([]guestRow, error) {
	if err := db.byIndexes(tx); err != nil {
		return nil, err
	}
	var rows []guestRow
	where, args := db.wanted(q)
	if err := tx.Where(unsearched).Where(where, args...).Order("id").Limit(want).Find(&rows).Error; err != nil {
		return nil, err
	}
	terms, err := db.rarest(tx, q)
	if err != nil || len(terms) == 0 {
		return rows, err
	}
	indexed := 0
	for after, some := q.After, want+32; indexed < want; some = min(4*some, 2000) {
		ids, err := having(tx, q.MerchantID, terms, after, some)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			break
		}
		after = ids[len(ids)-1]
		for part := range slices.Chunk(ids, rowsAtOnce) {
			var found []guestRow
			if err := tx.Where("id IN ? AND NOT ("+unsearched+")", part).Where(where, args...).Find(&found).Error; err != nil {
				return nil, err
			}
			rows, indexed = append(rows, found...), indexed+len(found)
		}
		if len(ids) < some {
			break
		}
	}
	slices.SortFunc(rows, func(a, b guestRow) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return rows[:min(want, len(rows))], nil
}

// A search uses the rarest of its terms. These bound how many it uses, how many it counts,
// and how far it counts.
const (
	termsUsed  = 3
	termsTried = 24
	termsCount = 1000
)

// rarest returns the terms that a search uses, the rarest first; none if nobody has one of
// them.
func (db *DB) rarest(tx *gorm.DB, q booking.GuestSearch) ([]termRow, error) {
	var tried []termRow
	if q.Email != "" {
		tried = append(tried, termRow{MerchantID: q.MerchantID, Term: []byte(emailTerm + q.Email)})
	}
	if q.NamePart != "" {
		for _, term := range booking.PartTerms(booking.LowerASCII(letters.Form(q.NamePart))) {
			tried = append(tried, termRow{MerchantID: q.MerchantID, Term: []byte(nameTerm + term)})
		}
	}
	type counted struct {
		Term  []byte
		Count int
	}
	counts, err := query[counted](db.dialect, tx, fmt.Sprintf(`SELECT k.term, (SELECT COUNT(*) FROM
		(SELECT 1 FROM guest_terms t WHERE t.merchant_id = k.merchant_id AND t.term = k.term LIMIT %d) h) AS count FROM {0} k`, termsCount),
		setOf(tried[:min(len(tried), termsTried)]))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(counts, func(a, b counted) int { return a.Count - b.Count })
	if len(counts) == 0 || counts[0].Count == 0 {
		return nil, nil
	}
	var terms []termRow
	for _, c := range counts[:min(len(counts), termsUsed)] {
		terms = append(terms, termRow{Term: c.Term})
	}
	return terms, nil
}

// having returns the first guests after one, by id, who have all of the terms.
func having(tx *gorm.DB, merchantID string, terms []termRow, after uuid.UUID, limit int) (ids []uuid.UUID, err error) {
	text, args := "SELECT t.guest_id FROM guest_terms t WHERE t.merchant_id = ? AND t.term = ? AND t.guest_id > ?", []any{merchantID, terms[0].Term, after}
	for _, also := range terms[1:] {
		text += " AND EXISTS (SELECT 1 FROM guest_terms a WHERE a.merchant_id = ? AND a.term = ? AND a.guest_id = t.guest_id)"
		args = append(args, merchantID, also.Term)
	}
	err = tx.Raw(text+" ORDER BY t.guest_id LIMIT ?", append(args, limit)...).Scan(&ids).Error
	return ids, err
}
