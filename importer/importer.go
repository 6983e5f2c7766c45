// Package importer reads catalogues and feeds, checks them completely, and then writes them or shows
// what that would do. It is the only way in for both, from the command line or from a page that takes a
// file.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/inventory/catalogue"
	"holdfast/letters"
	"holdfast/storage"
)

// Importer imports files, once. While it checks them it collects what to write. It knows what they may
// refer to: what is stored, and what the same import brings.
type Importer struct {
	Service *booking.Service
	DB      *storage.DB
	By      booking.By

	// AllowWithdraw accepts a complete feed even if it is empty or withdraws more than half of what
	// is on sale.
	AllowWithdraw bool

	Out      io.Writer                               // gets what was done, or would be, line by line
	Warn     io.Writer                               // gets what is wrong, or may be, line by line
	Progress func() func(format string, args ...any) // starts a display of progress; may be nil

	now time.Time

	known    catalogue.Index
	policies []policy
	losses   []feedLoss
	feeds    map[string]string // digests of complete feeds, by kind and time
	writes   []func(context.Context) error
	previews []func(context.Context) error // show what the writes would do
}

// Load checks all files and writes them: clinics first, then merchants, services and availability,
// because they refer to each other in that order. If anything is wrong, it goes to Warn, and Load
// returns [ErrNothingWritten].
func (i *Importer) Load(ctx context.Context, paths []string) error {
	if err := i.checkFiles(ctx, paths); err != nil {
		return err
	}
	for _, l := range i.losses {
		report(i.Warn, l.name, l.err)
	}
	if len(i.losses) > 0 {
		return ErrNothingWritten
	}
	for _, write := range i.writes {
		if err := write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles checks all files and collects what to write.
func (i *Importer) checkFiles(ctx context.Context, paths []string) error {
	i.now = i.Service.Now()
	var files []*catalogue.File
	var wrong bool
	for _, path := range paths {
		f, err := catalogue.Open(ctx, path)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			wrong = true
			report(i.Warn, path, err)
			continue
		}
		files = append(files, f)
	}
	if wrong {
		return ErrNothingWritten
	}
	return i.check(ctx, files)
}

// ErrNothingWritten: the import was refused, or only previewed.
var ErrNothingWritten = errors.New("nothing was written")

// report writes what is wrong with a file, line by line, each with the file's name.
func report(w io.Writer, name string, err error) {
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		if !strings.HasPrefix(line, name) {
			line = name + ": " + line
		}
		fmt.Fprintln(w, letters.Shown(line))
	}
}

// feedLoss is a feed that withdraws too much.
type feedLoss struct {
	name string
	err  error
}

func (i *Importer) check(ctx context.Context, files []*catalogue.File) error {
	if err := i.DB.Known(ctx, i.known.AddMerchant, i.known.AddService); err != nil {
		return err
	}
	feeds, err := catalogue.Feeds(files)
	if err != nil {
		report(i.Warn, "feeds", err)
		return ErrNothingWritten
	}
	var wrong bool
	note := func(name string, err error) {
		if err != nil {
			wrong = true
			report(i.Warn, name, err)
		}
	}
	for _, f := range files {
		if f.Kind == catalogue.Clinics {
			note(f.Path, i.checkClinics(ctx, f))
		}
	}
	for _, f := range feeds {
		check := map[catalogue.Kind]func(context.Context, catalogue.Feed) error{
			catalogue.MerchantFeed:     i.checkMerchants,
			catalogue.ServiceFeed:      i.checkServices,
			catalogue.AvailabilityFeed: i.checkAvailability,
		}[f.Kind]
		note(name(f), check(ctx, f))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, p := range i.policies { // after the feeds: they may bring the merchants
		note(p.path, i.checkPolicy(p))
	}
	if wrong {
		return ErrNothingWritten
	}
	return nil
}

// policy is what a catalogue says about a merchant that feeds make.
type policy struct {
	path     string
	merchant inventory.Merchant
}

func (i *Importer) checkPolicy(p policy) error {
	m := p.merchant
	if kind, _ := i.known.Merchant(m.ID); kind != inventory.MerchantFeed {
		return fmt.Errorf("feed_merchants: no feed has brought a merchant %q", m.ID)
	}
	for _, o := range m.Offers {
		for _, id := range o.ServiceIDs {
			if !i.known.Service(m.ID, id) {
				return fmt.Errorf("feed_merchants: offer %q of %s: no such service: %q", o.ID, m.ID, id)
			}
		}
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		if err := i.DB.PutPolicy(ctx, m); err != nil {
			return fmt.Errorf("%s: merchant %s: %w", p.path, m.ID, err)
		}
		fmt.Fprintf(i.Out, "%s: merchant %s: offers %d\n", p.path, m.ID, len(m.Offers))
		return i.soldOver(i.DB.SoldOverAt(ctx, m.ID, i.now.Unix(), mostSoldOver+1))
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewPolicy(ctx, p) })
	return nil
}

func name(f catalogue.Feed) string {
	if len(f.Files) == 1 {
		return f.Files[0].Path
	}
	return fmt.Sprintf("%s and %d more", f.Files[0].Path, len(f.Files)-1)
}

func (i *Importer) checkClinics(ctx context.Context, f *catalogue.File) error {
	merchants, err := f.Clinics(ctx)
	if err != nil {
		return err
	}
	var clinics []inventory.Merchant
	for _, m := range merchants {
		if m.Kind == inventory.MerchantFeed {
			i.policies = append(i.policies, policy{f.Path, m})
			continue
		}
		clinics = append(clinics, m)
		i.offGrid(f.Path, m)
		if err := i.known.AddClinic(m); err != nil {
			return err
		}
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		for _, m := range clinics {
			done, err := i.Service.ReplaceClinic(ctx, i.By, m)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
			fmt.Fprintf(i.Out, "%s: clinic %s: zones %d, groups %d, staff %d, services %d, offers %d\n",
				f.Path, m.ID, len(m.Zones), len(m.Groups), len(m.Staff), len(m.Services), len(m.Offers))
			i.affected(m, done.Affected)
		}
		return nil
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewClinics(ctx, f, clinics) })
	return nil
}

// offGrid warns of times at which a group opens but no slot starts: nobody can book the time until the
// next slot.
func (i *Importer) offGrid(path string, m inventory.Merchant) {
	for _, g := range m.Groups {
		if g.Timetable == nil {
			continue
		}
		days := map[int][]string{} // by the minute of the day
		for n := range g.Timetable {
			weekday := time.Weekday((n + 1) % 7) // from Monday on
			for _, minutes := range g.OffGrid(g.Timetable[weekday]) {
				days[minutes] = append(days[minutes], weekday.String())
			}
		}
		for _, minutes := range slices.Sorted(maps.Keys(days)) {
			fmt.Fprintf(i.Warn, "%s: clinic %s: group %s: warning: it opens at %s (%s), but no slot starts before %s; with \"grid: %s\" one does\n",
				path, m.ID, g.ID, clock(minutes), strings.Join(days[minutes], ", "), clock(g.NextSlot(minutes)), inventory.GridOpening)
		}
	}
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// affected lists the visits that a clinic's new catalogue does not provide for.
func (i *Importer) affected(m inventory.Merchant, visits []booking.Affected) {
	for _, a := range visits {
		reasons := make([]string, len(a.Reasons))
		for n, r := range a.Reasons {
			reasons[n] = string(r)
		}
		since := ""
		if a.Before {
			since = " (as before)"
		}
		fmt.Fprintf(i.Out, "  visit %s %s: %s%s\n", a.ScheduleID, inventory.Period(a.StartSec, a.EndSec, m.Location), strings.Join(reasons, ", "), since)
	}
}

func (i *Importer) checkMerchants(ctx context.Context, f catalogue.Feed) error {
	r, err := i.known.AddMerchants(ctx, f)
	if err != nil {
		return err
	}
	feed, err := i.checkFeed(ctx, storage.FeedMerchants, f, r)
	if err != nil {
		return err
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		rows := func(each func(inventory.Merchant) error) error {
			_, err := f.Merchants(ctx, each)
			return err
		}
		skipped, err := i.DB.PutFeedMerchants(ctx, rows, feed, i.now.Unix())
		if err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		fmt.Fprintf(i.Out, "%s: merchants %d%s%s\n", name(f), r.Rows-skipped, lost(", without services from now on %d", r.Loss), leftAlone(skipped))
		return nil
	})
	i.previews = append(i.previews, func(context.Context) error {
		fmt.Fprintf(i.Out, "%s: merchants added %d, kept %d, without services from now on %d%s\n",
			name(f), r.Added, r.Kept()-r.Skipped, r.Loss.Withdrawn, leftAlone(r.Skipped))
		return nil
	})
	return nil
}

// checkFeed checks a feed as a whole, after its rows.
func (i *Importer) checkFeed(ctx context.Context, kind storage.FeedKind, f catalogue.Feed, r catalogue.Report) (storage.Feed, error) {
	feed := storage.Feed{Complete: f.Meta.Complete, GenerationSec: f.Meta.GenerationSec, Digest: r.Digest}
	for _, w := range r.Warnings {
		report(i.Warn, name(f), fmt.Errorf("%s: warning: %s", w.Path, w.Message))
	}
	if err := r.Loss.Refused(); err != nil && !i.AllowWithdraw {
		i.losses = append(i.losses, feedLoss{name(f), fmt.Errorf("%w; --allow-withdraw takes it all the same", err)})
	}
	if id := fmt.Sprint(kind, feed.GenerationSec); feed.Complete {
		if other, ok := i.feeds[id]; ok && other != r.Digest {
			return feed, errors.New("metadata.generation_timestamp: another feed of the same time is in this import")
		}
		if i.feeds == nil {
			i.feeds = map[string]string{}
		}
		i.feeds[id] = r.Digest
	}
	return feed, i.DB.CheckFeed(ctx, kind, feed, i.now.Unix())
}

// lost says how much a complete feed withdraws, if it does.
func lost(format string, l catalogue.Loss) string {
	if l.Withdrawn == 0 {
		return ""
	}
	return fmt.Sprintf(format, l.Withdrawn)
}

func (i *Importer) checkServices(ctx context.Context, f catalogue.Feed) error {
	r, err := i.known.AddServices(ctx, f)
	if err != nil {
		return err
	}
	feed, err := i.checkFeed(ctx, storage.FeedServices, f, r)
	if err != nil {
		return err
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		rows := func(each func(string, []inventory.Service) error) error {
			return f.ServicesOfMerchants(ctx, &i.known, each)
		}
		if err := i.DB.PutFeedServices(ctx, rows, feed, i.now.Unix()); err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		fmt.Fprintf(i.Out, "%s: services %d%s%s\n", name(f), r.Rows, lost(", removed %d", r.Loss), leftAlone(r.Skipped))
		return nil
	})
	i.previews = append(i.previews, func(context.Context) error {
		fmt.Fprintf(i.Out, "%s: services added %d, kept %d, removed %d\n", name(f), r.Added, r.Kept(), r.Loss.Withdrawn)
		return nil
	})
	return nil
}

// chunk is how many published slots one transaction writes: enough to be fast, few enough that no guest
// has to wait.
const chunk = 500

func (i *Importer) checkAvailability(ctx context.Context, f catalogue.Feed) error {
	// Reading the rows takes minutes, so check this first.
	if err := i.DB.CheckFeed(ctx, storage.FeedAvailability, storage.Feed{GenerationSec: f.Meta.GenerationSec}, i.now.Unix()); err != nil {
		return err
	}
	f.Progress = i.reading("checking "+name(f), f.Size())
	onSale := i.DB.OnSale(ctx, f.Meta.GenerationSec, i.now.Unix())
	each := onSale.Feed
	if !f.Meta.Complete {
		each = nil
	}
	r, err := f.CheckAvailability(ctx, &i.known, each)
	if err != nil {
		return err
	}
	if f.Meta.Complete {
		if err := onSale.Done(); err != nil {
			return err
		}
		r.Loss = catalogue.Loss{What: "slots on sale", OnSale: onSale.Slots, Withdrawn: onSale.Withdrawn, Empty: r.Rows+r.Skipped == 0}
	}
	feed, err := i.checkFeed(ctx, storage.FeedAvailability, f, r)
	if err != nil {
		return err
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		f.Progress = i.reading("writing "+name(f), f.Size())
		withdrawn, over, err := i.writeAvailability(ctx, f, feed)
		if err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		fmt.Fprintf(i.Out, "%s: slots %d, withdrawn %d%s\n", name(f), r.Rows, withdrawn, leftAlone(r.Skipped))
		return i.soldOver(i.DB.SoldOver(ctx, over, i.now.Unix(), mostSoldOver+1))
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewAvailability(ctx, f, r) })
	return nil
}

// mostSoldOver is how many visits sold over one another an import lists.
const mostSoldOver = 100

// writeAvailability also returns slots that have been sold over others.
func (i *Importer) writeAvailability(ctx context.Context, f catalogue.Feed, feed storage.Feed) (withdrawn int, over []inventory.SlotKey, err error) {
	if err := i.DB.BeginAvailability(ctx, feed, i.now.Unix()); err != nil {
		return 0, nil, err
	}
	err = i.eachChunk(ctx, f, func(rows []inventory.Published) error {
		some, err := i.DB.PutPublished(ctx, rows, feed.GenerationSec)
		over = append(over, some[:min(len(some), 2*mostSoldOver-len(over))]...)
		return err
	})
	if err != nil || !feed.Complete {
		return 0, over, err
	}
	withdrawn, err = i.DB.WithdrawPublished(ctx, feed.GenerationSec, i.now.Unix())
	return withdrawn, over, err
}

// soldOver lists future visits that have been sold over others.
func (i *Importer) soldOver(visits []storage.SoldOver, err error) error {
	for _, v := range visits[:min(len(visits), mostSoldOver)] {
		start, end := time.Unix(v.StartSec, 0).UTC(), time.Unix(v.EndSec, 0).UTC()
		fmt.Fprintf(i.Out, "  visit %s of %s %s–%s UTC: sold over another\n", v.ScheduleID, v.MerchantID, start.Format("2006-01-02 15:04"), end.Format("15:04"))
	}
	if len(visits) > mostSoldOver {
		fmt.Fprintln(i.Out, "  … and more")
	}
	return err
}

// eachChunk calls do with the rows of a feed, a chunk at a time.
func (i *Importer) eachChunk(ctx context.Context, f catalogue.Feed, do func([]inventory.Published) error) error {
	rows := make([]inventory.Published, 0, chunk)
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := do(rows)
		rows = rows[:0]
		return err
	}
	_, err := f.Availability(ctx, &i.known, func(p inventory.Published) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if rows = append(rows, p); len(rows) < chunk {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

func leftAlone(skipped int) string {
	if skipped == 0 {
		return ""
	}
	return fmt.Sprintf(", rows left alone because they are of clinics of the catalogue: %d", skipped)
}

// reading reports every second how far a long read has come.
func (i *Importer) reading(what string, size int64) func(int64) {
	if i.Progress == nil {
		return func(int64) {}
	}
	tell := i.Progress()
	return func(bytes int64) {
		if size > 0 {
			tell("%s: %d%%", what, 100*bytes/size)
		}
	}
}
