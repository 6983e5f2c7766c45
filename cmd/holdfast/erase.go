package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/booking"
	"holdfast/letters"
	"holdfast/storage"
)

type retainCommand struct {
	After time.Duration `default:"8760h" help:"How long to keep a guest's personal data after the visit; 8760h is a year. (${default})"`
	vacuum
}

// vacuum has the settings of all commands that erase.
type vacuum struct {
	Vacuum bool `help:"Then VACUUM: on PostgreSQL the tables that hold guests, beside the servers. On SQLite it rewrites the file, and nobody can book meanwhile; needed once, if a version before this flag erased something."`
}

// wipe removes what was erased from the database's files.
func (v vacuum) wipe(ctx context.Context, db *storage.DB) error {
	err := db.Wipe(ctx, v.Vacuum)
	if errors.Is(err, storage.ErrNotWiped) {
		return fmt.Errorf("%w; run it again, or restart the servers", err)
	}
	return err
}

func (cmd *retainCommand) Help() string {
	return `Erases contact, memo, additional request, funnel, procedures and whatever else may
describe the guest of a visit that ended so long ago; then guests without any other
visit, and the marketing preferences of people who never came. When and where a
visit was, and what happened to it, stays. It works in small transactions, also
while serving; if it is interrupted, run it again. Run it daily.`
}

func (cmd *retainCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	if cmd.After < 0 {
		return errors.New("--after must not be below zero")
	}
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	tell := c.progress()
	done, err := newService(db).Retain(ctx, operator, cmd.After, func(r booking.Retention) {
		tell("erased: visits %d, guests %d, preferences %d", r.Visits, r.Guests, r.Preferences)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "erased: visits %d, guests %d, preferences %d\n", done.Visits, done.Guests, done.Preferences)
	return errors.Join(err, cmd.wipe(ctx, db))
}

type eraseCommand struct {
	Merchant     string `placeholder:"ID" help:"Only at this merchant; by default at all."`
	GoogleUserID string `placeholder:"ID" help:"Google's id of the user."`
	Email        string `placeholder:"ADDRESS" help:"The email address."`
	Phone        string `placeholder:"NUMBER" help:"The telephone number, in any notation. It finds one chart at each merchant. Families share numbers, so the command lists the other charts that have it."`
	Visitor      string `placeholder:"ID" help:"The clinic's visitorId."`
	Cancel       bool   `help:"Cancel upcoming visits first. Without this flag the command refuses while there are any, and lists them."`
	vacuum
}

func (cmd *eraseCommand) Help() string {
	return `Finds one person by any of the names given, and erases the chart, its lookup keys,
the personal data in the visits, and the marketing preference. The visits stay,
without a guest. The command lists charts that only share the number: name them
with --visitor to erase them, too. Prefer the environment variables, such as
HOLDFAST_PHONE: others on the machine can see arguments.

A retried CreateBooking gets the booking in its current state, without the guest.
The catalogue's list of banned guests does not change. When the command ends, an
SQLite file and its -wal no longer contain the data; for PostgreSQL see --vacuum.`
}

func (cmd *eraseCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	subject := booking.Subject{MerchantID: cmd.Merchant, UserID: cmd.GoogleUserID, Email: cmd.Email, Phone: cmd.Phone, VisitorID: cmd.Visitor}
	if subject == (booking.Subject{MerchantID: cmd.Merchant}) {
		return errors.New("whom? Give --google-user-id, --email, --phone or --visitor")
	}
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	service := newService(db)
	done, err := service.Erase(ctx, operator, subject, cmd.Cancel)
	var ahead *booking.StillAhead
	switch {
	case errors.Is(err, booking.ErrNotFound):
		return errors.New("nobody is known by these names")
	case errors.As(err, &ahead):
		return fmt.Errorf("nothing was erased: %w; --cancel cancels those that have not begun", err)
	case err != nil:
		return err
	}
	if _, err := fmt.Fprintf(c.out, "erased: guests %d, visits %d, of them canceled %d\n", done.Guests, done.Visits, done.Canceled); err != nil {
		return err
	}
	left, err := service.Sharing(ctx, cmd.Merchant, cmd.Phone)
	for _, g := range left {
		fmt.Fprintf(c.out, "left: visitor %s of %s, who shares the number\n", g.VisitorID, letters.Shown(g.MerchantID))
	}
	return errors.Join(err, cmd.wipe(ctx, db))
}
