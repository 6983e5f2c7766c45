package main

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

type importCommand struct {
	Files  []string `arg:"" name:"file" help:"Catalogues and feeds, in any order; their content shows which is which. Import all shards of a feed together."`
	DryRun bool     `help:"Show what the import would add, change and remove, and which visits it affects, and write nothing."`

	AllowWithdraw bool `help:"Accept a complete feed that is empty, or that withdraws more than half of what is on sale."`
}

func (cmd *importCommand) Help() string {
	return `Checks all of a file before it writes a row of it, and reports all errors at once,
each with its path. Changes take effect at once, also in running servers. If an
import is interrupted, run it again.

A complete Google feed replaces what earlier feeds made and nothing else: it never
touches the clinics of a catalogue. Slots that are no longer in it are withdrawn;
their bookings stay. A feed that is empty, or that would withdraw more than half of
what is on sale, is most likely a mistake, and needs --allow-withdraw.

The import lists upcoming visits that no longer fit a clinic's new catalogue by
their schedule id, with the reasons: over capacity, group or zone gone, zone
switched off, closed at that time, doctor gone or not at work. They stay. It
also warns of opening times at which no slot starts.`
}

// Run checks all files and then writes them: clinics first, then merchants,
// services and availability, because that is how they refer to each other.
func (cmd *importCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	i := &importer{console: c, db: db, now: time.Now(), allowWithdraw: cmd.AllowWithdraw}
	if cmd.DryRun {
		return i.preview(ctx, cmd.Files)
	}
	if err := i.load(ctx, cmd.Files); err != nil {
		return err
	}
	// A catalogue may have banned somebody whom this one does not name any more.
	err = db.Wipe(ctx, false)
	if errors.Is(err, storage.ErrNotWiped) {
		fmt.Fprintln(c.err, "imported, but what it replaced:", err)
		return nil
	}
	return err
}

// load checks all files and writes them.
func (i *importer) load(ctx context.Context, paths []string) error {
	if err := i.checkFiles(ctx, paths); err != nil {
		return err
	}
	for _, l := range i.losses {
		report(i.err, l.name, l.err)
	}
	if len(i.losses) > 0 {
		return errNothingWritten
	}
	for _, write := range i.writes {
		if err := write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles checks all files; then the importer knows what there is to write.
func (i *importer) checkFiles(ctx context.Context, paths []string) error {
	var files []*catalogue.File
	var wrong bool
	for _, path := range paths {
		f, err := catalogue.Open(ctx, path)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			wrong = true
			report(i.err, path, err)
			continue
		}
		files = append(files, f)
	}
	if wrong {
		return errNothingWritten
	}
	return i.check(ctx, files)
}

var errNothingWritten = errors.New("nothing was written")

// report says what is wrong with a file, line by line, each with its name.
func report(w io.Writer, name string, err error) {
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		if !strings.HasPrefix(line, name) {
			line = name + ": " + line
		}
		fmt.Fprintln(w, letters.Shown(line))
	}
}

// importer checks files, noting what there is to write, and knows what they
// may refer to: what is stored, and what the same import brings.
type importer struct {
	*console
	db            *storage.DB
	now           time.Time
	allowWithdraw bool

	known    catalogue.Index
	policies []policy
	losses   []feedLoss
	feeds    map[string]string // digests of complete feeds, by kind and time
	writes   []func(context.Context) error
	previews []func(context.Context) error // tell what the writes would do
}

// feedLoss is a feed that takes too much away.
type feedLoss struct {
	name string
	err  error
}

func (i *importer) check(ctx context.Context, files []*catalogue.File) error {
	if err := i.db.Known(ctx, i.known.AddMerchant, i.known.AddService); err != nil {
		return err
	}
	feeds, err := catalogue.Feeds(files)
	if err != nil {
		report(i.err, "feeds", err)
		return errNothingWritten
	}
	var wrong bool
	note := func(name string, err error) {
		if err != nil {
			wrong = true
			report(i.err, name, err)
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
		return errNothingWritten
	}
	return nil
}

// policy is what a catalogue says of a merchant that feeds make.
type policy struct {
	path     string
	merchant inventory.Merchant
}

func (i *importer) checkPolicy(p policy) error {
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
		if err := i.db.PutPolicy(ctx, m); err != nil {
			return fmt.Errorf("%s: merchant %s: %w", p.path, m.ID, err)
		}
		fmt.Fprintf(i.out, "%s: merchant %s: offers %d\n", p.path, m.ID, len(m.Offers))
		return i.soldOver(i.db.SoldOverAt(ctx, m.ID, i.now.Unix(), mostSoldOver+1))
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

func (i *importer) checkClinics(ctx context.Context, f *catalogue.File) error {
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
			done, err := i.db.ReplaceClinic(ctx, m, i.now.Unix())
			if err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
			fmt.Fprintf(i.out, "%s: clinic %s: zones %d, groups %d, staff %d, services %d, offers %d\n",
				f.Path, m.ID, len(m.Zones), len(m.Groups), len(m.Staff), len(m.Services), len(m.Offers))
			i.affected(m, done.Affected)
		}
		return nil
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewClinics(ctx, f, clinics) })
	return nil
}

// offGrid warns of times at which a group opens and no slot starts: what is left
// until the next one does cannot be booked.
func (i *importer) offGrid(path string, m inventory.Merchant) {
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
			fmt.Fprintf(i.err, "%s: clinic %s: group %s: warning: it opens at %s (%s), but no slot starts before %s; with \"grid: %s\" one does\n",
				path, m.ID, g.ID, clock(minutes), strings.Join(days[minutes], ", "), clock(g.NextSlot(minutes)), inventory.GridOpening)
		}
	}
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// affected lists the visits that a clinic's catalogue does not provide for.
func (i *importer) affected(m inventory.Merchant, visits []booking.Affected) {
	for _, a := range visits {
		reasons := make([]string, len(a.Reasons))
		for n, r := range a.Reasons {
			reasons[n] = string(r)
		}
		since := ""
		if a.Before {
			since = " (as before)"
		}
		fmt.Fprintf(i.out, "  visit %s %s: %s%s\n", a.ScheduleID, period(a.StartSec, a.EndSec, m.Location), strings.Join(reasons, ", "), since)
	}
}

func (i *importer) checkMerchants(ctx context.Context, f catalogue.Feed) error {
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
		skipped, err := i.db.PutFeedMerchants(ctx, rows, feed, i.now.Unix())
		if err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		fmt.Fprintf(i.out, "%s: merchants %d%s%s\n", name(f), r.Rows-skipped, lost(", without services from now on %d", r.Loss), leftAlone(skipped))
		return nil
	})
	i.previews = append(i.previews, func(context.Context) error {
		fmt.Fprintf(i.out, "%s: merchants added %d, kept %d, without services from now on %d%s\n",
			name(f), r.Added, r.Kept()-r.Skipped, r.Loss.Withdrawn, leftAlone(r.Skipped))
		return nil
	})
	return nil
}

// checkFeed checks what a feed is as a whole, after its rows.
func (i *importer) checkFeed(ctx context.Context, kind storage.FeedKind, f catalogue.Feed, r catalogue.Report) (storage.Feed, error) {
	feed := storage.Feed{Complete: f.Meta.Complete, GenerationSec: f.Meta.GenerationSec, Digest: r.Digest}
	for _, w := range r.Warnings {
		report(i.err, name(f), fmt.Errorf("%s: warning: %s", w.Path, w.Message))
	}
	if err := r.Loss.Refused(); err != nil && !i.allowWithdraw {
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
	return feed, i.db.CheckFeed(ctx, kind, feed, i.now.Unix())
}

// lost tells what a complete feed takes away, if it does.
func lost(format string, l catalogue.Loss) string {
	if l.Withdrawn == 0 {
		return ""
	}
	return fmt.Sprintf(format, l.Withdrawn)
}

func (i *importer) checkServices(ctx context.Context, f catalogue.Feed) error {
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
		if err := i.db.PutFeedServices(ctx, rows, feed, i.now.Unix()); err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		fmt.Fprintf(i.out, "%s: services %d%s%s\n", name(f), r.Rows, lost(", removed %d", r.Loss), leftAlone(r.Skipped))
		return nil
	})
	i.previews = append(i.previews, func(context.Context) error {
		fmt.Fprintf(i.out, "%s: services added %d, kept %d, removed %d\n", name(f), r.Added, r.Kept(), r.Loss.Withdrawn)
		return nil
	})
	return nil
}

// chunk is how many published slots are written in one transaction: enough to
// be quick, few enough that a guest does not wait.
const chunk = 500

func (i *importer) checkAvailability(ctx context.Context, f catalogue.Feed) error {
	// The rows need minutes to read, this does not.
	if err := i.db.CheckFeed(ctx, storage.FeedAvailability, storage.Feed{GenerationSec: f.Meta.GenerationSec}, i.now.Unix()); err != nil {
		return err
	}
	f.Progress = i.reading("checking "+name(f), f.Size())
	onSale := i.db.OnSale(ctx, f.Meta.GenerationSec, i.now.Unix())
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
		fmt.Fprintf(i.out, "%s: slots %d, withdrawn %d%s\n", name(f), r.Rows, withdrawn, leftAlone(r.Skipped))
		return i.soldOver(i.db.SoldOver(ctx, over, i.now.Unix(), mostSoldOver+1))
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewAvailability(ctx, f, r) })
	return nil
}

// mostSoldOver is how many visits that were sold over one another an import lists.
const mostSoldOver = 100

// writeAvailability returns also slots that have been sold over others.
func (i *importer) writeAvailability(ctx context.Context, f catalogue.Feed, feed storage.Feed) (withdrawn int, over []inventory.SlotKey, err error) {
	if err := i.db.BeginAvailability(ctx, feed, i.now.Unix()); err != nil {
		return 0, nil, err
	}
	err = i.eachChunk(ctx, f, func(rows []inventory.Published) error {
		some, err := i.db.PutRows(ctx, rows, feed.GenerationSec)
		over = append(over, some[:min(len(some), 2*mostSoldOver-len(over))]...)
		return err
	})
	if err != nil || !feed.Complete {
		return 0, over, err
	}
	withdrawn, err = i.db.WithdrawPublished(ctx, feed.GenerationSec, i.now.Unix())
	return withdrawn, over, err
}

// soldOver lists visits to come that have been sold over others.
func (i *importer) soldOver(visits []storage.SoldOver, err error) error {
	for _, v := range visits[:min(len(visits), mostSoldOver)] {
		start, end := time.Unix(v.StartSec, 0).UTC(), time.Unix(v.EndSec, 0).UTC()
		fmt.Fprintf(i.out, "  visit %s of %s %s–%s UTC: sold over another\n", v.ScheduleID, v.MerchantID, start.Format("2006-01-02 15:04"), end.Format("15:04"))
	}
	if len(visits) > mostSoldOver {
		fmt.Fprintln(i.out, "  … and more")
	}
	return err
}

// eachChunk gives the rows of a feed to do, a chunk at a time.
func (i *importer) eachChunk(ctx context.Context, f catalogue.Feed, do func([]inventory.Published) error) error {
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

// reading says every second how far a long reading has come.
func (i *importer) reading(what string, size int64) func(int64) {
	tell := i.progress()
	return func(bytes int64) {
		if size > 0 {
			tell("%s: %d%%", what, 100*bytes/size)
		}
	}
}
