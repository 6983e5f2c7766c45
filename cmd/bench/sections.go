package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"holdfast/storage/storagetest"
)

// warmUp is the time at the start of each of our rounds that does not count, or the length of a shorter round; pgbench, whose
// connections are new in each round, gets a second.
const (
	warmUp          = 300 * time.Millisecond
	pgbenchWarmUp   = time.Second
	methodClients   = 16
	visitsPerClient = 10
)

// site is one of our servers on a database of its own.
type site struct {
	*server
	name string
	db   database // none on SQLite
	call *caller

	again int // requests repeated after a 503
}

// open starts a server on an empty database with the catalogue, and with slots and bookings if the stock is loaded.
func (b *bench) open(ctx context.Context, name string, s stock) (*site, error) {
	p := program{binary: b.binary, dir: b.dir, target: filepath.Join(b.dir, name+".db")}
	var db database
	if name != sqlite {
		var err error
		if p.target, err = storagetest.NewDatabase(b.admin); err != nil {
			return nil, err
		}
		if db, err = newDatabase(p.target, b.dir); err != nil {
			return nil, err
		}
	}
	if err := p.importCatalogue(ctx); err != nil {
		return nil, err
	}
	if s.loaded {
		if err := s.load(ctx, db, time.Now()); err != nil {
			return nil, err
		}
	}
	srv, err := p.serve(ctx)
	if err != nil {
		return nil, err
	}
	return &site{server: srv, name: name, db: db, call: newCaller(s)}, nil
}

const sqlite = "SQLite"

// close stops the server, runs verify, and counts the bookings: a lost one, or one too many, fails the run.
func (b *bench) close(ctx context.Context, s *site) error {
	memory, err := peakMemory(s.cmd.Process.Pid)
	b.figures.memory = max(b.figures.memory, memory)
	b.figures.again += s.again
	if err := errors.Join(err, s.stop(), ctx.Err()); err != nil {
		return err
	}
	note("verifying %s", s.name)
	if err := s.verify(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	var found int
	if s.db.url == "" {
		found, err = s.bookings(ctx)
	} else {
		var out string
		if out, err = s.db.sql(ctx, "SELECT count(*) FROM idempotency_tokens WHERE caller = 'google'", nil); err == nil {
			_, err = fmt.Sscan(out, &found)
		}
	}
	if err != nil {
		return err
	}
	if want := int(s.call.booked.Load()); found != want {
		return fmt.Errorf("%s: %d bookings are there, %d were answered", s.name, found, want)
	}
	return nil
}

// cpu returns the CPU time that the server and the database have used.
func (s *site) cpu() (time.Duration, error) {
	own, err := statOf(s.cmd.Process.Pid)
	if err != nil || s.db.url == "" {
		return own.own, err
	}
	postgres, err := cpuOfTree(s.db.postmaster)
	return own.own + postgres, err
}

// measure is one round of ours.
func (s *site) measure(ctx context.Context, l load) (round, error) {
	var before time.Duration
	var cpuErr error
	sampled := make(chan struct{})
	l.warm = min(warmUp, l.length)
	l.started = func() { before, cpuErr = s.cpu(); close(sampled) }
	sent, err := l.run(ctx, s.address)
	if err != nil {
		return round{}, fmt.Errorf("%s: %w", s.name, err)
	}
	<-sampled
	after, err := s.cpu()
	s.again += sent.again
	return newRound(sent.each, sent.took, after-before), errors.Join(cpuErr, err)
}

// pairs measures the server against pgbench in alternating rounds.
func (b *bench) pairs(ctx context.Context, s *site) error {
	c := s.call
	if err := b.compareRows(ctx, s); err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		pair *comparison
		ours func() maker // called for each round, because pgbench may change what a client would look at again
		book textbook
	}{
		{"spread", &b.figures.spread, func() maker { return c.creates(b.clients, c.anywhere) }, c.textbookSpread()},
		{"hot", &b.figures.hot, func() maker { return c.creates(b.clients, c.hottest) }, c.textbookHot()},
		{"move", &b.figures.move, func() maker { return c.moves(b.clients) }, c.textbookMove()},
		{"lookup", &b.figures.lookup, func() maker { return c.lookups }, c.textbookFetch()},
	} {
		for i := range b.rounds {
			ours, err := s.measure(ctx, load{clients: b.clients, length: b.round, next: p.ours()})
			if err != nil {
				return err
			}
			theirs, err := s.db.pgbench(ctx, p.book, b.protocol, b.clients, pgbenchWarmUp, b.round)
			if err != nil {
				return err
			}
			p.pair.add(ours, theirs)
			note("%s %d of %d: %.0f/s, pgbench %.0f/s", p.name, i+1, b.rounds, ours.rate(), theirs.rate())
		}
	}
	return nil
}

// compareRows makes both sides book and move once on an idle database, and fails unless they write the same rows.
func (b *bench) compareRows(ctx context.Context, s *site) error {
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a load, no secret
	lane, n := s.call.anywhere(r)
	for _, op := range []struct {
		name  string
		ours  call
		book  textbook
		total *int
	}{
		{"CreateBooking", s.call.create(lane, n, nil), s.call.textbookSpread(), &b.figures.rowsCreate},
		{"update-reservation", s.call.moves(1)(0, r), s.call.textbookMove(), &b.figures.rowsMove},
	} {
		if err := s.db.indexed(ctx); err != nil {
			return err
		}
		ours, err := s.db.written(ctx, func() error { return once(ctx, s.address, op.ours) })
		if err != nil {
			return err
		}
		if err := s.db.indexed(ctx); err != nil {
			return err
		}
		theirs, err := s.db.written(ctx, func() error { return s.db.pgbenchOnce(ctx, op.book, b.protocol) })
		if err != nil {
			return err
		}
		if err := same(op.name, ours, theirs); err != nil {
			return err
		}
		*op.total = ours.total()
	}
	return nil
}

// paced measures response times at half of the highest rate, for bookings and lookups.
func (b *bench) paced(ctx context.Context, s *site) error {
	for _, p := range []struct {
		name    string
		highest *comparison
		into    *[]round
		next    maker
	}{
		{"bookings", &b.figures.spread, &b.figures.pacedCreate, s.call.creates(b.clients, s.call.anywhere)},
		{"lookups", &b.figures.lookup, &b.figures.pacedLookup, s.call.lookups},
	} {
		for i := range max(1, b.rounds/3) {
			rate := medianOf(p.highest.ours, rateOf) / 2
			r, err := s.measure(ctx, load{clients: b.clients, length: 2 * b.round, rate: rate, next: p.next})
			if err != nil {
				return err
			}
			*p.into = append(*p.into, r)
			note("%s at half of the highest rate %d: %.0f/s, p99 %v", p.name, i+1, r.rate(), r.p99)
		}
	}
	return nil
}

// race asks for the places of a few slots many times over: the number of bookings must be exactly the number of places.
func (b *bench) race(ctx context.Context, s *site) error {
	const starts, asked = 12, 5
	places := raceLanes * starts * raceCapacity
	var next, won, lost atomic.Int64
	refused := has(`{"booking_failure":{"cause":"SLOT_UNAVAILABLE"`)
	sent, err := load{clients: b.clients, length: time.Hour, limit: asked * places, next: func(int, *rand.Rand) call {
		i := int(next.Add(1)) - 1
		c := s.call.create(lanes+i%raceLanes, i/raceLanes%starts, func(string, string) { won.Add(1) })
		booked := c.check
		c.check = func(status int, answer []byte) error {
			if refused(status, answer) == nil {
				lost.Add(1)
				return nil
			}
			return booked(status, answer)
		}
		return c
	}}.run(ctx, s.address)
	if err != nil {
		return fmt.Errorf("%s: the race: %w", s.name, err)
	}
	s.again += sent.again
	note("%s: the race for %d places: %d booked, %d refused", s.name, places, won.Load(), lost.Load())
	if int(won.Load()) != places || int(lost.Load()) != (asked-1)*places {
		return fmt.Errorf("%s: the race for %d places: %d booked, %d refused", s.name, places, won.Load(), lost.Load())
	}
	return nil
}

// embedded measures SQLite against PostgreSQL, both starting with only the catalogue.
func (b *bench) embedded(ctx context.Context, lite, postgres *site) error {

	for i := range b.rounds {
		var rounds [2]round
		for j, s := range []*site{lite, postgres} {
			var err error
			rounds[j], err = s.measure(ctx, load{clients: b.clients, length: b.round, next: s.call.creates(b.clients, s.call.anywhere)})
			if err != nil {
				return err
			}
		}
		b.figures.sqlite.add(rounds[0], rounds[1])
		note("SQLite %d of %d: %.0f/s, PostgreSQL %.0f/s", i+1, b.rounds, rounds[0].rate(), rounds[1].rate())
	}
	return nil
}

// perClients measures CreateBooking from few and from many clients.
func (b *bench) perClients(ctx context.Context, s *site) error {
	for _, clients := range []int{1, 16, 64} {
		r, err := s.measure(ctx, load{clients: clients, length: b.round, next: s.call.creates(clients, s.call.anywhere)})
		if err != nil {
			return err
		}
		b.figures.clients = append(b.figures.clients, named{s.name, fmt.Sprint(clients), r})
		note("%s, %d clients: %.0f/s", s.name, clients, r.rate())
	}
	return nil
}

// perMethod measures every method alone.
func (b *bench) perMethod(ctx context.Context, s *site) error {
	if err := s.call.unlock(ctx, s.server); err != nil {
		return err
	}
	visits, err := s.call.visits(ctx, s.server, methodClients, visitsPerClient)
	if err != nil {
		return err
	}
	for _, m := range s.call.methods(methodClients, visits) {
		r, err := s.measure(ctx, load{clients: methodClients, length: b.round, next: m.next})
		if err != nil {
			return err
		}
		b.figures.methods = append(b.figures.methods, named{s.name, m.name, r})
		note("%s, %s: %.0f/s", s.name, m.name, r.rate())
	}
	return nil
}

// growth measures the same load on databases of several sizes, in turn.
func (b *bench) growth(ctx context.Context) (err error) {
	var sites []*site
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, b.close(ctx, s))
		}
	}()
	for _, slots := range b.sizes {
		s, err := b.open(ctx, fmt.Sprintf("PostgreSQL with %d slots", slots), newStock(slots, true, time.Now()))
		if err != nil {
			return err
		}
		sites = append(sites, s)
		sizes, err := s.db.sizes(ctx)
		if err != nil {
			return err
		}
		b.figures.sizes = append(b.figures.sizes, size{slots: s.call.slots(), bookings: 2 * s.call.movable(), relations: sizes})
	}
	for i := range b.rounds {
		for j, s := range sites {
			create, err := s.measure(ctx, load{clients: b.clients, length: b.round, next: s.call.creates(b.clients, s.call.anywhere)})
			if err != nil {
				return err
			}
			lookup, err := s.measure(ctx, load{clients: b.clients, length: b.round, next: s.call.lookups})
			if err != nil {
				return err
			}
			b.figures.sizes[j].create = append(b.figures.sizes[j].create, create)
			b.figures.sizes[j].lookup = append(b.figures.sizes[j].lookup, lookup)
			note("growth %d of %d, %d slots: %.0f bookings/s, %.0f lookups/s", i+1, b.rounds, s.call.slots(), create.rate(), lookup.rate())
		}
	}
	return nil
}

// note prints how far the run has come.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
