package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/booking"
	"holdfast/letters"
)

type keyCommand struct {
	Create keyCreateCommand `cmd:"" help:"Print a new API key for a merchant, alone on standard output. It is stored hashed and cannot be shown again."`
	List   keyListCommand   `cmd:"" help:"List the ids of a merchant's keys, or of all; never the keys."`
	Rotate keyRotateCommand `cmd:"" help:"Replace a key: print a new one. The old one works until --overlap has passed."`
	Revoke keyRevokeCommand `cmd:"" help:"End a key and its tokens at once."`
}

type keyCreateCommand struct {
	Merchant string `required:"" placeholder:"ID" help:"The id of the merchant, a clinic or one from a feed."`
	Name     string `placeholder:"TEXT" help:"What the key is for, in your words."`
}

func (cmd *keyCreateCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	key, err := newService(db).NewKey(ctx, cmd.Merchant, cmd.Name)
	if errors.Is(err, booking.ErrNotFound) {
		return fmt.Errorf("--merchant: there is no merchant %q", cmd.Merchant)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, key)
	return err
}

type keyListCommand struct {
	Merchant string `placeholder:"ID" help:"Only this merchant's; by default all merchants'."`
	JSON     bool   `help:"Print one JSON array."`
}

func (cmd *keyListCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	keys, err := newService(db).Keys(ctx, cmd.Merchant)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return letters.WriteJSON(c.out, append([]booking.Key{}, keys...))
	}
	var list table
	list.row("KEY", "MERCHANT", "NAME", "CREATED", "LAST EXCHANGED", "ENDS")
	for _, k := range keys {
		ends := moment(k.ExpiresSec)
		if k.RevokedSec != 0 {
			ends = "revoked " + moment(k.RevokedSec)
		}
		list.row(k.ID, k.MerchantID, k.Name, moment(k.CreatedSec), moment(k.UsedSec), ends)
	}
	return list.print(c.out)
}

// moment returns a time for people, in UTC; "" for 0.
func moment(sec int64) string {
	if sec == 0 {
		return "-"
	}
	return time.Unix(sec, 0).UTC().Format("2006-01-02 15:04Z")
}

type keyRotateCommand struct {
	ID      string        `arg:"" help:"The key's id as key list shows it, or the beginning of it."`
	Overlap time.Duration `default:"24h" help:"How long the old key still works. (${default})"`
}

func (cmd *keyRotateCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	if cmd.Overlap < 0 {
		return errors.New("--overlap must not be below zero")
	}
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	key, err := newService(db).RotateKey(ctx, cmd.ID, cmd.Overlap)
	if errors.Is(err, booking.ErrNotFound) {
		return fmt.Errorf("there is no key %q: see key list", cmd.ID)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, key)
	return err
}

type keyRevokeCommand struct {
	ID string `arg:"" help:"The key's id as key list shows it, or the beginning of it."`
}

func (cmd *keyRevokeCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	err = newService(db).RevokeKey(ctx, cmd.ID)
	if errors.Is(err, booking.ErrNotFound) {
		return fmt.Errorf("there is no key %q: see key list", cmd.ID)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, "revoked")
	return err
}
