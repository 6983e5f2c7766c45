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
	After time.Duration `default:"8760h" help:"How long after a visit what is known of the guest is kept; 8760h is a year. (${default})"`
	vacuum
}

// vacuum is what can be asked of commands that erase.
type vacuum struct {
	Vacuum bool `help:"Then VACUUM: of PostgreSQL the tables with guests in them, beside the servers; an SQLite file is rewritten, and nobody can book meanwhile. Needed on SQLite once, if something was erased with a version before this flag."`
}

// wipe takes what was erased out of the database's files.
func (v vacuum) wipe(ctx context.Context, db *storage.DB) error {
	err := db.Wipe(ctx, v.Vacuum)
	if errors.Is(err, storage.ErrNotWiped) {
		return fmt.Errorf("%w; run it again, or restart the servers", err)
	}
	return err
}

func (cmd *retainCommand) Help() string {
	return `Erases contact, memo, additional request, funnel, procedures and what else may say
something about the guest of visits that ended so long ago, and then the guests
who have no others, and what people who never came said of marketing. When and where a visit was and what happened to it stays. It
works in small transactions, also while serving; broken off, run it again. Run it
daily.`
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
	Merchant     string `placeholder:"ID" help:"Only at this merchant; else at all."`
	GoogleUserID string `placeholder:"ID" help:"Google's id of the user."`
	Email        string `placeholder:"ADDRESS" help:"The email address."`
	Phone        string `placeholder:"NUMBER" help:"The telephone number, however it is written. It finds one chart at each merchant: families share numbers, and the other charts that have it are listed."`
	Visitor      string `placeholder:"ID" help:"The clinic's visitorId."`
	Cancel       bool   `help:"Cancel visits to come first. Without it they are refused, and listed."`
	vacuum
}

func (cmd *eraseCommand) Help() string {
	return `Erases one person, who is found by any of the names given: the chart, what it is
found by, what the visits say of them, and whether they want to hear from
merchants. The visits stay, without a guest. Charts that only share the number are
listed: name them with --visitor to erase them too. Prefer the environment variables,
such as HOLDFAST_PHONE: arguments can be seen by others on the machine.

A retried CreateBooking gets the booking as it is then, without the guest. The
catalogue's list of banned guests is not changed. An SQLite file and its -wal do
not have it any more when this ends; of PostgreSQL see --vacuum.`
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
