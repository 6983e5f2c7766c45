package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/inventory/catalogue"
	"holdfast/storage"
)

// previewFiles tells what importing the files would do, and writes nothing. It
// fails if a catalogue would be refused.
func previewFiles(ctx context.Context, db *storage.DB, paths []string, now time.Time, c *console) error {
	i, err := checkFiles(ctx, db, paths, now, c)
	if err != nil {
		return err
	}
	var refused []error
	for _, preview := range i.previews {
		refused = append(refused, preview(ctx))
	}
	fmt.Fprintln(c.out, errNothingWritten)
	return errors.Join(refused...)
}

func (i *importer) previewClinics(ctx context.Context, f *catalogue.File, clinics []inventory.Merchant) error {
	var refused []error
	for _, m := range clinics {
		c, err := i.db.CompareClinic(ctx, m, i.now.Unix())
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		fmt.Fprintf(i.out, "%s: clinic %s: differences %d, visits affected %d\n", f.Path, m.ID, len(c.Differences), len(c.Affected))
		for _, d := range c.Differences {
			fmt.Fprintln(i.out, " ", d)
		}
		i.affected(m, c.Affected)
		if err := c.Refused(); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", f.Path, err))
		}
	}
	return errors.Join(refused...)
}

// previewMerchants, and the two below, compare with what is stored: an import
// that brings merchants, services and slots at once would add them in turn.
func (i *importer) previewMerchants(ctx context.Context, f catalogue.Feed, merchants []inventory.Merchant) error {
	known, _, err := i.db.Known(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name(f), err)
	}
	added, skipped := 0, 0
	for _, m := range merchants {
		switch kind, there := known[m.ID]; {
		case !there:
			added++
		case kind == inventory.MerchantClinic:
			skipped++
		}
		delete(known, m.ID)
	}
	removed := 0
	for _, kind := range known {
		if f.Meta.Complete && kind == inventory.MerchantFeed {
			removed++
		}
	}
	fmt.Fprintf(i.out, "%s: merchants added %d, kept %d, without services from now on %d%s\n",
		name(f), added, len(merchants)-added-skipped, removed, leftAlone(skipped))
	return nil
}

func (i *importer) previewServices(ctx context.Context, f catalogue.Feed, list []catalogue.MerchantService) error {
	merchants, known, err := i.db.Known(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name(f), err)
	}
	added := 0
	for _, s := range list {
		key := [2]string{s.MerchantID, s.ID}
		if !known[key] {
			added++
		}
		delete(known, key)
	}
	removed := 0
	for key := range known {
		if f.Meta.Complete && merchants[key[0]] == inventory.MerchantFeed {
			removed++
		}
	}
	fmt.Fprintf(i.out, "%s: services added %d, kept %d, removed %d\n", name(f), added, len(list)-added, removed)
	return nil
}

func (i *importer) previewAvailability(ctx context.Context, f catalogue.Feed) error {
	f.Progress = i.reading("comparing "+name(f), f.Size())
	var sum storage.PublishedChange
	rows := 0
	err := i.eachChunk(ctx, f, func(some []inventory.Published) error {
		c, err := i.db.ComparePublished(ctx, some, f.Meta.GenerationSec, i.now.Unix())
		sum.Added, sum.Changed, sum.Stay = sum.Added+c.Added, sum.Changed+c.Changed, sum.Stay+c.Stay
		rows += len(some)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name(f), err)
	}
	withdrawn := 0
	if f.Meta.Complete {
		ahead, err := i.db.PublishedAhead(ctx, f.Meta.GenerationSec, i.now.Unix())
		if err != nil {
			return fmt.Errorf("%s: %w", name(f), err)
		}
		withdrawn = ahead - sum.Stay
	}
	fmt.Fprintf(i.out, "%s: slots added %d, changed %d, kept %d, withdrawn %d\n",
		name(f), sum.Added, sum.Changed, rows-sum.Added-sum.Changed, withdrawn)
	return nil
}

// previewPolicy compares what no feed says of a merchant.
func (i *importer) previewPolicy(ctx context.Context, p policy) error {
	before, err := i.db.Refreshed(ctx, p.merchant.ID)
	if errors.Is(err, booking.ErrNotFound) { // the same import brings it
		before, err = &inventory.Merchant{ID: p.merchant.ID}, nil
	}
	if err != nil {
		return fmt.Errorf("%s: merchant %s: %w", p.path, p.merchant.ID, err)
	}
	after := *before
	after.Guests, after.Offers, after.Sharing = p.merchant.Guests, p.merchant.Offers, p.merchant.Sharing
	differences := inventory.Differences(before, &after)
	fmt.Fprintf(i.out, "%s: merchant %s: differences %d\n", p.path, p.merchant.ID, len(differences))
	for _, d := range differences {
		fmt.Fprintln(i.out, " ", d)
	}
	return nil
}
