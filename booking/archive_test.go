package booking_test

import (
	"testing"
	"time"

	"holdfast/booking"
)

func TestArchivalStays(t *testing.T) {
	rule := booking.Archival{UntilSec: 1000, TokensUntilSec: 2000}
	fit := booking.Over{EndSec: 1000, ErasedSec: 1, Tokens: 1, TokenSec: 2000}
	for name, tt := range map[string]struct {
		change func(*booking.Over)
		want   booking.Stay
	}{
		"fit":              {func(*booking.Over) {}, ""},
		"ended later":      {func(o *booking.Over) { o.EndSec++ }, booking.StaysChanged},
		"not erased":       {func(o *booking.Over) { o.ErasedSec = 0 }, booking.StaysUnerased},
		"young token":      {func(o *booking.Over) { o.TokenSec++ }, booking.StaysToken},
		"no token":         {func(o *booking.Over) { o.Tokens, o.TokenSec = 0, 0 }, ""},
		"undelivered":      {func(o *booking.Over) { o.Undelivered = true }, booking.StaysUndelivered},
		"use of an offer":  {func(o *booking.Over) { o.OfferUse = true }, booking.StaysOffer},
		"erased and young": {func(o *booking.Over) { o.ErasedSec, o.TokenSec = 0, 3000 }, booking.StaysUnerased},
	} {
		o := fit
		tt.change(&o)
		if got := rule.Stays(o); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	rule.Undelivered, fit.Undelivered = true, true
	if got := rule.Stays(fit); got != "" {
		t.Errorf("undelivered, which may go: %q", got)
	}
}

func TestNewArchival(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	got, err := booking.NewArchival(now, 2*time.Hour, time.Hour, true)
	if want := (booking.Archival{UntilSec: 1_000_000 - 7200, TokensUntilSec: 1_000_000 - 3600, Undelivered: true}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, wrong := range [][2]time.Duration{{time.Hour, 2 * time.Hour}, {time.Hour, -1}, {-2, -1}} {
		if _, err := booking.NewArchival(now, wrong[0], wrong[1], false); err == nil {
			t.Errorf("after %s, tokens %s: no error", wrong[0], wrong[1])
		}
	}
}
