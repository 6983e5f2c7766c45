package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/inventory/catalogue"
	"holdfast/storage"
)

type importCommand struct {
	Files  []string `arg:"" name:"file" help:"Catalogues and feeds, in any order; what each is, is recognised by its content. All shards of a feed go into one import."`
	DryRun bool     `help:"Show what would be added, changed and removed, and which visits it affects, and write nothing."`
}

func (cmd *importCommand) Help() string {
	return `Each file is checked whole before a row of it is written; everything that is
wrong with it is reported at once, each with its path. What is written takes
effect at once, also in servers that are running, and an import that was
interrupted is simply run again.

A complete Google feed replaces what earlier feeds made and nothing else: the
clinics of a catalogue are never touched by it. Slots that are no longer in it
are withdrawn, their bookings stay.

Visits to come that a clinic's new catalogue does not provide for are listed by
their schedule id, with the reasons: over capacity, group or zone gone, zone
switched off, closed at that time, doctor gone or not at work. They stay.`
}

// Run checks all files and then writes them: clinics first, then merchants,
// services and availability, because that is how they refer to each other.
func (cmd *importCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	if cmd.DryRun {
		return previewFiles(ctx, db, cmd.Files, time.Now(), c)
	}
	return importFiles(ctx, db, cmd.Files, time.Now(), c)
}

// importFiles checks all files and writes them.
func importFiles(ctx context.Context, db *storage.DB, paths []string, now time.Time, c *console) error {
	i, err := checkFiles(ctx, db, paths, now, c)
	if err != nil {
		return err
	}
	for _, write := range i.writes {
		if err := write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles checks all files, and returns an importer that knows what there is
// to write.
func checkFiles(ctx context.Context, db *storage.DB, paths []string, now time.Time, c *console) (*importer, error) {
	var files []*catalogue.File
	var wrong bool
	for _, path := range paths {
		f, err := catalogue.Open(path)
		if err != nil {
			wrong = true
			report(c.err, path, err)
			continue
		}
		files = append(files, f)
	}
	if wrong {
		return nil, errNothingWritten
	}
	i := &importer{db: db, now: now, console: c}
	return i, i.check(ctx, files)
}

var errNothingWritten = errors.New("nothing was written")

// report says what is wrong with a file, line by line, each with its name.
func report(w io.Writer, name string, err error) {
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		if !strings.HasPrefix(line, name) {
			line = name + ": " + line
		}
		fmt.Fprintln(w, line)
	}
}

// importer checks files, noting what there is to write, and knows what they
// may refer to: what is stored, and what the same import brings.
type importer struct {
	*console
	db        *storage.DB
	now       time.Time
	merchants map[string]inventory.MerchantKind
	services  map[[2]string]bool
	policies  []policy
	writes    []func(context.Context) error
	previews  []func(context.Context) error // tell what the writes would do
}

// Merchant and Service make the importer a catalogue.Known.
func (i *importer) Merchant(id string) (inventory.MerchantKind, bool) {
	kind, ok := i.merchants[id]
	return kind, ok
}

func (i *importer) Service(merchantID, serviceID string) bool {
	return i.services[[2]string{merchantID, serviceID}]
}

func (i *importer) check(ctx context.Context, files []*catalogue.File) (err error) {
	if i.merchants, i.services, err = i.db.Known(ctx); err != nil {
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
			note(f.Path, i.checkClinics(f))
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
	if i.merchants[m.ID] != inventory.MerchantFeed {
		return fmt.Errorf("feed_merchants: no feed has brought a merchant %q", m.ID)
	}
	for _, o := range m.Offers {
		for _, id := range o.ServiceIDs {
			if !i.Service(m.ID, id) {
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

func (i *importer) checkClinics(f *catalogue.File) error {
	merchants, err := f.Clinics()
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
		i.merchants[m.ID] = inventory.MerchantClinic
		for _, s := range m.Services {
			i.services[[2]string{m.ID, s.ID}] = true
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
		start, end := time.Unix(a.StartSec, 0).In(m.Location), time.Unix(a.EndSec, 0).In(m.Location)
		fmt.Fprintf(i.out, "  visit %s %s–%s: %s%s\n", a.ScheduleID, start.Format("2006-01-02 15:04"), end.Format("15:04"), strings.Join(reasons, ", "), since)
	}
}

func (i *importer) checkMerchants(_ context.Context, f catalogue.Feed) error {
	merchants, err := f.Merchants()
	if err != nil {
		return err
	}
	for _, m := range merchants {
		if i.merchants[m.ID] != inventory.MerchantClinic {
			i.merchants[m.ID] = inventory.MerchantFeed
		}
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		skipped, err := i.db.PutFeedMerchants(ctx, merchants, f.Meta.Complete, f.Meta.GenerationSec, i.now.Unix())
		if err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		fmt.Fprintf(i.out, "%s: merchants %d%s\n", name(f), len(merchants)-skipped, leftAlone(skipped))
		return nil
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewMerchants(ctx, f, merchants) })
	return nil
}

func (i *importer) checkServices(_ context.Context, f catalogue.Feed) error {
	list, skipped, err := f.Services(i)
	if err != nil {
		return err
	}
	if f.Meta.Complete {
		for key := range i.services {
			if i.merchants[key[0]] == inventory.MerchantFeed {
				delete(i.services, key)
			}
		}
	}
	services := map[string][]inventory.Service{}
	for _, s := range list {
		services[s.MerchantID] = append(services[s.MerchantID], s.Service)
		i.services[[2]string{s.MerchantID, s.ID}] = true
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		if err := i.db.PutFeedServices(ctx, services, f.Meta.Complete, f.Meta.GenerationSec, i.now.Unix()); err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		fmt.Fprintf(i.out, "%s: services %d%s\n", name(f), len(list), leftAlone(skipped))
		return nil
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewServices(ctx, f, list) })
	return nil
}

// chunk is how many published slots are written in one transaction: enough to
// be quick, few enough that a guest does not wait.
const chunk = 500

func (i *importer) checkAvailability(ctx context.Context, f catalogue.Feed) error {
	if err := i.db.StaleAvailability(ctx, f.Meta.GenerationSec); err != nil {
		return err
	}
	f.Progress = i.reading("checking "+name(f), f.Size())
	slots, skipped, err := f.CheckAvailability(i)
	if err != nil {
		return err
	}
	i.writes = append(i.writes, func(ctx context.Context) error {
		f.Progress = i.reading("writing "+name(f), f.Size())
		over, err := i.writeAvailability(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		withdrawn := 0
		if f.Meta.Complete {
			var err error
			if withdrawn, err = i.db.WithdrawPublished(ctx, f.Meta.GenerationSec, i.now.Unix()); err != nil {
				return fmt.Errorf("%s: %w", name(f), err)
			}
		}
		fmt.Fprintf(i.out, "%s: slots %d, withdrawn %d%s\n", name(f), slots, withdrawn, leftAlone(skipped))
		return i.soldOver(i.db.SoldOver(ctx, over, i.now.Unix(), mostSoldOver+1))
	})
	i.previews = append(i.previews, func(ctx context.Context) error { return i.previewAvailability(ctx, f) })
	return nil
}

// mostSoldOver is how many visits that were sold over one another an import lists.
const mostSoldOver = 100

// writeAvailability returns slots that have been sold over others.
func (i *importer) writeAvailability(ctx context.Context, f catalogue.Feed) (over []inventory.SlotKey, err error) {
	err = i.eachChunk(ctx, f, func(rows []inventory.Published) error {
		some, err := i.db.PutRows(ctx, rows, f.Meta.GenerationSec)
		over = append(over, some[:min(len(some), 2*mostSoldOver-len(over))]...)
		return err
	})
	return over, err
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
	_, err := f.Availability(i, func(p inventory.Published) error {
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
