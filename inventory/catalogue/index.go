package catalogue

import (
	"context"
	"fmt"
	"hash/maphash"

	"holdfast/inventory"
)

// How many merchants and services one installation has, and one feed brings.
const (
	mostMerchants = 1_000_000
	mostServices  = 2_000_000
)

// Index is a [Known] that is filled from the database and then by each file of
// an import, in order. It also counts what a complete feed takes away. It keeps
// no names: 30 bytes of each merchant and service.
//
// The zero value has nothing in it.
type Index struct {
	merchants map[mark]*seller
	services  map[mark]int32 // by merchant and service; the feed that brought it
	feed      int32          // the one that is being read: 0 is the database
	floor     int32          // the last complete services feed: what came before it is gone

	selling int // merchants of feeds with services, in the database
	sold    int // their services
}

// mark stands for a name. Nobody outside knows the seeds, so nobody can make two
// names with one mark.
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

// AddMerchant notes a merchant. A feed does not make a clinic its own.
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

// AddService notes a service of a merchant that is known.
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

// AddClinic notes a clinic of a catalogue and its services.
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

// AddMerchants reads a merchants feed and notes its merchants.
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

// AddServices reads a services feed and notes its services.
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

// Report is what a feed has in it.
type Report struct {
	Rows     int      // merchants, services, or slots with recurrences expanded
	Skipped  int      // rows that are a clinic's, which no feed changes
	Added    int      // of a merchants or services feed: those that the Index did not have
	Digest   string   // the same for feeds that say the same, in whatever files and order
	Warnings Problems // what is not wrong but looks like a mistake
	Loss     Loss     // what a complete feed takes away, once it is known
}

// Kept is how many rows were there before, of a merchants or services feed.
func (r Report) Kept() int { return r.Rows - r.Added }

// with adds what a complete feed takes away.
func (r Report) with(f Feed, loss Loss) Report {
	if f.Meta.Complete {
		r.Loss = loss
		r.Loss.Empty = r.Rows+r.Skipped == 0
	}
	return r
}

// Loss is what a complete feed takes away by leaving it out.
type Loss struct {
	What      string // such as "slots on sale"
	OnSale    int    // what feeds have brought, of slots those to come
	Withdrawn int    // of that
	Empty     bool   // there is nothing in the feed
}

// Refused returns an error if the feed takes away so much that a mistake is
// likelier than that it is meant: more than half of what is on sale, or if it has
// nothing in it.
func (l Loss) Refused() error {
	switch {
	case l.Empty:
		return fmt.Errorf("this complete feed is empty, and would withdraw all of %d %s", l.OnSale, l.What)
	case 2*l.Withdrawn > l.OnSale:
		return fmt.Errorf("this complete feed would withdraw %d of %d %s, more than half", l.Withdrawn, l.OnSale, l.What)
	}
	return nil
}
