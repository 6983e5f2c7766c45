package catalogue

import (
	"context"
	"fmt"
	"hash/maphash"

	"holdfast/inventory"
)

// How many merchants and services one installation, or one feed, may have.
const (
	mostMerchants = 1_000_000
	mostServices  = 2_000_000
)

// Index is a [Known] that is filled from the database and then from each file of an import, in order. It also counts what a
// complete feed withdraws. It stores no names, and takes 30 bytes for each merchant and service.
//
// The zero value is empty.
type Index struct {
	merchants map[mark]*seller
	services  map[mark]int32 // the feed that brought it, by merchant and service
	feed      int32          // the feed being read; 0 is the database
	floor     int32          // the last complete services feed: what came before it is gone

	selling int // merchants of feeds with services, in the database
	sold    int // their services
}

// mark is a seeded hash of a name. Nobody outside knows the seeds, so nobody can construct two names with one mark.
type mark [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func markOf(name [2]string) mark {
	return mark{maphash.Comparable(seeds[0], name), maphash.Comparable(seeds[1], name)}
}

// seller is a merchant.
type seller struct {
	kind     inventory.MerchantKind
	services int32 // in the database
}

// Merchant implements [Known].
func (i *Index) Merchant(id string) (inventory.MerchantKind, bool) {
	s, ok := i.merchants[markOf([2]string{id})]
	if !ok {
		return "", false
	}
	return s.kind, true
}

// Service implements [Known].
func (i *Index) Service(merchantID, serviceID string) bool {
	feed, ok := i.services[markOf([2]string{merchantID, serviceID})]
	if !ok || feed >= i.floor {
		return ok
	}
	kind, _ := i.Merchant(merchantID)
	return kind == inventory.MerchantClinic
}

// AddMerchant adds a merchant. A feed does not take over a clinic.
func (i *Index) AddMerchant(id string, kind inventory.MerchantKind) error {
	if i.merchants == nil {
		i.merchants = map[mark]*seller{}
	}
	key := markOf([2]string{id})
	if s, ok := i.merchants[key]; ok {
		if kind == inventory.MerchantClinic {
			s.kind = kind
		}
		return nil
	}
	if len(i.merchants) == mostMerchants {
		return fmt.Errorf("more than %d merchants", mostMerchants)
	}
	i.merchants[key] = &seller{kind: kind}
	return nil
}

// AddService adds a service of a known merchant.
func (i *Index) AddService(merchantID, serviceID string) error {
	if i.services == nil {
		i.services = map[mark]int32{}
	}
	key := markOf([2]string{merchantID, serviceID})
	if _, ok := i.services[key]; !ok && len(i.services) == mostServices {
		return fmt.Errorf("more than %d services", mostServices)
	}
	i.services[key] = i.feed
	if s := i.merchants[markOf([2]string{merchantID})]; i.feed == 0 && s != nil && s.kind == inventory.MerchantFeed {
		if s.services == 0 {
			i.selling++
		}
		s.services++
		i.sold++
	}
	return nil
}

// AddClinic adds a clinic from a catalogue and its services.
func (i *Index) AddClinic(m inventory.Merchant) error {
	if err := i.AddMerchant(m.ID, inventory.MerchantClinic); err != nil {
		return err
	}
	for _, s := range m.Services {
		if err := i.AddService(m.ID, s.ID); err != nil {
			return err
		}
	}
	return nil
}

// AddMerchants reads a merchants feed and adds its merchants.
func (i *Index) AddMerchants(ctx context.Context, f Feed) (r Report, err error) {
	i.feed++
	var added, skipped int
	loss := Loss{What: "merchants with services", OnSale: i.selling, Withdrawn: i.selling}
	r, err = f.Merchants(ctx, func(m inventory.Merchant) error {
		s := i.merchants[markOf([2]string{m.ID})]
		switch {
		case s == nil:
			added++
		case s.kind == inventory.MerchantClinic:
			skipped++
		case s.services > 0:
			loss.Withdrawn--
		}
		return i.AddMerchant(m.ID, inventory.MerchantFeed)
	})
	r.Added, r.Skipped = added, skipped
	return r.with(f, loss), err
}

// AddServices reads a services feed and adds its services.
func (i *Index) AddServices(ctx context.Context, f Feed) (r Report, err error) {
	i.feed++
	var added int
	loss := Loss{What: "services", OnSale: i.sold, Withdrawn: i.sold}
	r, err = f.Services(ctx, i, func(s MerchantService) error {
		if _, there := i.services[markOf([2]string{s.MerchantID, s.ID})]; there {
			loss.Withdrawn--
		} else {
			added++
		}
		return i.AddService(s.MerchantID, s.ID)
	})
	r.Added = added
	if f.Meta.Complete {
		i.floor = i.feed
	}
	return r.with(f, loss), err
}

// Report says what a feed contains.
type Report struct {
	Rows     int      // merchants, services, or slots with recurrences expanded
	Skipped  int      // rows of clinics, which no feed changes
	Added    int      // of a merchants or services feed: those that the Index did not have
	Digest   string   // the same for feeds with the same content, in whatever files and order
	Warnings Problems // not wrong, but probably mistakes
	Loss     Loss     // what a complete feed withdraws, once that is known
}

// Kept returns how many rows of a merchants or services feed existed before.
func (r Report) Kept() int { return r.Rows - r.Added }

// with adds what a complete feed withdraws.
func (r Report) with(f Feed, loss Loss) Report {
	if f.Meta.Complete {
		r.Loss = loss
		r.Loss.Empty = r.Rows+r.Skipped == 0
	}
	return r
}

// Loss is what a complete feed withdraws by leaving it out.
type Loss struct {
	What      string // such as "slots on sale"
	OnSale    int    // what feeds have brought; only future slots
	Withdrawn int    // how much of that
	Empty     bool   // the feed is empty
}

// Refused returns an error if the feed is more likely a mistake than intended: if it withdraws more than half of what is on
// sale, or is empty.
func (l Loss) Refused() error {
	switch {
	case l.Empty:
		return fmt.Errorf("this complete feed is empty, and would withdraw all of %d %s", l.OnSale, l.What)
	case 2*l.Withdrawn > l.OnSale:
		return fmt.Errorf("this complete feed would withdraw %d of %d %s, more than half", l.Withdrawn, l.OnSale, l.What)
	}
	return nil
}
