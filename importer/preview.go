package importer

import (
	"context"
	"errors"
	"fmt"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/inventory/catalogue"
	"holdfast/letters"
	"holdfast/storage"
)

// Preview shows what importing the files would do, and writes nothing. It fails if a catalogue or a feed
// would be refused.
func (i *Importer) Preview(ctx context.Context, paths []string) error {
	if err := i.checkFiles(ctx, paths); err != nil {
		return err
	}
	var refused []error
	for _, preview := range i.previews {
		refused = append(refused, preview(ctx))
	}
	for _, l := range i.losses {
		refused = append(refused, fmt.Errorf("%s: %w", l.name, l.err))
	}
	fmt.Fprintln(i.Out, ErrNothingWritten)
	return errors.Join(refused...)
}

func (i *Importer) previewClinics(ctx context.Context, f *catalogue.File, clinics []inventory.Merchant) error {
	var refused []error
	for _, m := range clinics {
		c, err := i.Service.CompareClinic(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		fmt.Fprintf(i.Out, "%s: clinic %s: differences %d, visits affected %d\n", f.Path, m.ID, len(c.Differences), len(c.Affected))
		for _, d := range c.Differences {
			fmt.Fprintln(i.Out, " ", letters.Shown(d.String()))
		}
		i.affected(m, c.Affected)
		if err := c.Refused(); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", f.Path, err))
		}
	}
	return errors.Join(refused...)
}

// previewAvailability compares only with what is stored: it does not see merchants and services that the
// same import would add before the slots.
func (i *Importer) previewAvailability(ctx context.Context, f catalogue.Feed, r catalogue.Report) error {
	f.Progress = i.reading("comparing "+name(f), f.Size())
	var sum storage.PublishedChange
	err := i.eachChunk(ctx, f, func(some []inventory.Published) error {
		c, err := i.DB.ComparePublished(ctx, some, f.Meta.GenerationSec)
		sum.Added, sum.Changed = sum.Added+c.Added, sum.Changed+c.Changed
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name(f), err)
	}
	fmt.Fprintf(i.Out, "%s: slots added %d, changed %d, kept %d, withdrawn %d\n",
		name(f), sum.Added, sum.Changed, r.Rows-sum.Added-sum.Changed, r.Loss.Withdrawn)
	return nil
}

// previewPolicy compares what feeds do not say about a merchant.
func (i *Importer) previewPolicy(ctx context.Context, p policy) error {
	before, err := i.DB.Refreshed(ctx, p.merchant.ID)
	if errors.Is(err, booking.ErrNotFound) { // the same import brings it
		before, err = &inventory.Merchant{ID: p.merchant.ID}, nil
	}
	if err != nil {
		return fmt.Errorf("%s: merchant %s: %w", p.path, p.merchant.ID, err)
	}
	after := *before
	after.Guests, after.Offers, after.Sharing = p.merchant.Guests, p.merchant.Offers, p.merchant.Sharing
	differences := inventory.Differences(before, &after)
	fmt.Fprintf(i.Out, "%s: merchant %s: differences %d\n", p.path, p.merchant.ID, len(differences))
	for _, d := range differences {
		fmt.Fprintln(i.Out, " ", letters.Shown(d.String()))
	}
	return nil
}
