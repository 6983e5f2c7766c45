package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The bench clinics: ten merchants with ten lanes each, half-hour slots. Of every twenty loaded slots one is full and one
// has a visit that can be moved; a tenth has a booking.
const (
	lanes            = 100
	lanesPerMerchant = 10
	capacity         = 1000
	slotSec          = 1800
	blockLen         = 20 // slots, of which the last is full and the tenth has a visit
	zoneID           = "65a000000000000000000001"

	// The race is for the places of a merchant of its own.
	raceMerchant = "race"
	raceLanes    = 10
	raceCapacity = 4
)

func merchantOf(lane int) string { return fmt.Sprintf("bench-%d", lane/lanesPerMerchant) }
func groupOf(lane int) string    { return fmt.Sprintf("65b%021d", lane) }
func serviceOf(lane int) string  { return fmt.Sprintf("service-%d", lane) }

// catalogue returns the input of `holdfast import`.
func catalogue() string {
	var y strings.Builder
	y.WriteString("merchants:\n")
	merchant := func(id string, first, n, capacity int) {
		fmt.Fprintf(&y, "- id: %s\n  name: %s\n  time_zone: UTC\n  zones: [{id: %s, name: zone}]\n  groups:\n", id, id, zoneID)
		for lane := first; lane < first+n; lane++ {
			fmt.Fprintf(&y, "  - {id: %s, title: group, interval_minutes: %d, zones: [{zone_id: %s, capacity: %d}]}\n",
				groupOf(lane), slotSec/60, zoneID, capacity)
		}
		y.WriteString("  services:\n")
		for lane := first; lane < first+n; lane++ {
			fmt.Fprintf(&y, "  - {id: %s, group_id: %s, duration_sec: %d}\n", serviceOf(lane), groupOf(lane), slotSec)
		}
	}
	for first := 0; first < lanes; first += lanesPerMerchant {
		merchant(merchantOf(first), first, lanesPerMerchant, capacity)
	}
	merchant(raceMerchant, lanes, raceLanes, raceCapacity)
	return y.String()
}

// stock is what a database has to book.
type stock struct {
	starts  int   // slots of each lane
	baseSec int64 // the first of them, Unix seconds
	loaded  bool  // with bookings; otherwise there is only the catalogue
}

// newStock returns a stock with that many slots, in whole blocks on every lane.
func newStock(slots int, loaded bool, now time.Time) stock {
	day := now.Unix()/86400 + 10 // well ahead
	return stock{starts: max(slots/lanes/blockLen, 4) * blockLen, baseSec: day * 86400, loaded: loaded}
}

func (s stock) slots() int           { return s.starts * lanes }
func (s stock) blocks() int          { return s.starts / blockLen }
func (s stock) movable() int         { return lanes * s.blocks() }
func (s stock) startSec(n int) int64 { return s.baseSec + slotSec*int64(n) }
func (s stock) full(n int) bool      { return s.loaded && n%blockLen == blockLen-1 }

// importCatalogue loads the clinics.
func (p program) importCatalogue(ctx context.Context) error {
	path := filepath.Join(p.dir, "bench.yaml")
	if err := os.WriteFile(path, []byte(catalogue()), 0o600); err != nil {
		return err
	}
	_, err := p.run(ctx, "import", path)
	return err
}

//go:embed sql/prepare.sql
var prepareSQL string

//go:embed sql/load.sql
var loadSQL string

//go:embed sql/settle.sql
var settleSQL string

// load fills a database with the stock's slots and their bookings by SQL: through the API the largest one would take a day.
func (s stock) load(ctx context.Context, db database, now time.Time) error {
	if _, err := db.sql(ctx, prepareSQL, nil); err != nil {
		return err
	}
	label := fmt.Sprintf("loading %d slots", s.slots())
	step := min(lanes, max(1, lanes*100_000/s.slots()))
	for first := 0; first < lanes; first += step {
		progress(label, first, lanes)
		_, err := db.sql(ctx, loadSQL, map[string]any{
			"first": first, "last": min(first+step, lanes) - 1, "starts": s.starts, "base": s.baseSec,
			"capacity": capacity, "lanes_per_merchant": lanesPerMerchant, "now": now.Unix(),
		})
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	progress(label, lanes, lanes)
	_, err := db.sql(ctx, settleSQL, map[string]any{"base": s.baseSec})
	return err
}
