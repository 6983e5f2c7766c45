package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"text/template"
	"time"
)

// comparison is the rounds of two sides, pair by pair.
type comparison struct {
	ours, theirs []round
}

func (c *comparison) add(ours, theirs round) {
	c.ours, c.theirs = append(c.ours, ours), append(c.theirs, theirs)
}

func (c comparison) ratio() ratio { return ratioOf(c.ours, c.theirs, rateOf) }

// size is one of the databases of growth.
type size struct {
	slots, bookings int
	relations       []relation
	create, lookup  []round
}

// named is a row of a table.
type named struct {
	database, what string
	round          round
}

// figures are what a run has measured.
type figures struct {
	spread, hot, move, lookup, sqlite comparison
	pacedCreate, pacedLookup          []round
	sizes                             []size
	clients, methods                  []named
	memory                            int64 // peak resident memory of a server
	again                             int   // requests repeated after a 503
	rowsCreate, rowsMove              int
}

// growth returns the ratio of the largest database's rate of bookings to the smallest's.
func (f figures) growth() ratio { return f.grown(func(s size) []round { return s.create }, rateOf) }

func (f figures) grown(of func(size) []round, figure func(round) float64) ratio {
	if len(f.sizes) < 2 {
		return ratio{}
	}
	return ratioOf(of(f.sizes[len(f.sizes)-1]), of(f.sizes[0]), figure)
}

// last returns the last line of a run, for machines: ratios without unit, milliseconds and megabytes. What was not measured is
// "-".
func (f figures) last() string {
	number := func(format string, v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	r := func(r ratio) string { return number("%.2f", r.median) }
	return fmt.Sprintf("spread=%s hot=%s move=%s bal=%s growth=%s sqlite=%s p99create=%s rss=%s",
		r(f.spread.ratio()), r(f.hot.ratio()), r(f.move.ratio()), r(f.lookup.ratio()), r(f.growth()), r(f.sqlite.ratio()),
		number("%.1fms", millis(medianOf(f.pacedCreate, p99))), number("%.0fMB", float64(f.memory)/(1<<20)))
}

// bar is a ratio in the chart, with its target.
type bar struct {
	name   string
	ratio  ratio
	target float64
}

func (f figures) bars() []bar {
	var measured []bar
	for _, b := range []bar{
		{"CreateBooking, spread : pgbench", f.spread.ratio(), 1.5},
		{"CreateBooking, one hot slot : pgbench", f.hot.ratio(), 4},
		{"update-reservation : pgbench", f.move.ratio(), 1},
		{"lookup of 67 slots : pgbench", f.lookup.ratio(), 0.8},
		{"largest : smallest database", f.growth(), 0.8},
		{"SQLite : PostgreSQL", f.sqlite.ratio(), 0.8},
	} {
		if b.ratio.median > 0 {
			measured = append(measured, b)
		}
	}
	return measured
}

// report prints everything that was measured, and the chart.
func (b *bench) report(ctx context.Context, out io.Writer) error {
	db, err := newDatabase(b.admin, b.dir)
	if err != nil {
		return err
	}
	settings, err := db.settings(ctx)
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s; %s, %s (WAL, synchronous FULL), %s; %d cores (%s)\n",
		time.Now().UTC().Format(time.DateOnly), settings, dependency("modernc.org/sqlite"), runtime.Version(), runtime.NumCPU(), processor())
	fmt.Fprintf(&text, "%d connections, %d pairs of %v, pgbench -M %s; server, load and databases share the machine\n\n",
		b.clients, b.rounds, b.round, b.protocol)
	b.figures.tables(&text)
	text.WriteString(b.figures.last() + "\n")
	if _, err := io.WriteString(out, text.String()); err != nil {
		return err
	}
	if b.chart == "" {
		return nil
	}
	return os.WriteFile(b.chart, []byte(chart(b.figures.bars(), time.Now())), 0o600)
}

func (f figures) tables(w io.Writer) {
	if f.spread.ours != nil {
		fmt.Fprintf(w, "Rows written: a booking %d, a move %d, by each side.\n\n", f.rowsCreate, f.rowsMove)
	}
	f.comparisons(w)
	f.growthTable(w)
	listing(w, "CreateBooking by number of clients", "clients", f.clients)
	listing(w, fmt.Sprintf("Every method, %d clients", methodClients), "method", f.methods)
	fmt.Fprintf(w, "Memory of the server, at most: %.0f MB; target 256 MB\n", float64(f.memory)/(1<<20))
	fmt.Fprintf(w, "Requests that were answered 503 and sent again: %d\n\n", f.again)
}

func (f figures) comparisons(w io.Writer) {
	if f.spread.ours == nil && f.sqlite.ours == nil {
		return
	}
	fmt.Fprintln(w, "| what | ours /s | theirs /s | ratio: median (min–max) | target | p50 ms | p99 ms | theirs p50 | p99 | CPU ms each | theirs |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, c := range []struct {
		name string
		comparison
		target string
	}{
		{"CreateBooking, spread; pgbench", f.spread, "1.5"},
		{"CreateBooking, one hot slot; pgbench", f.hot, "4"},
		{"update-reservation, a move; pgbench", f.move, "1.0"},
		{"BatchAvailabilityLookup, 67 slots; pgbench", f.lookup, "0.8"},
		{"CreateBooking on SQLite; on PostgreSQL", f.sqlite, "0.8"},
	} {
		if c.ours == nil {
			continue
		}
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %s | %s |", c.name, medianOf(c.ours, rateOf), medianOf(c.theirs, rateOf), c.ratio(), c.target)
		for _, side := range [][]round{c.ours, c.theirs} {
			fmt.Fprintf(w, " %.1f | %.1f |", millis(medianOf(side, p50)), millis(medianOf(side, p99)))
		}
		fmt.Fprintf(w, " %.2f | %.2f |\n", millis(medianOf(c.ours, cpuEach)), millis(medianOf(c.theirs, cpuEach)))
	}
	fmt.Fprintln(w)
	for _, p := range []struct {
		name   string
		rounds []round
		target string
	}{{"CreateBooking", f.pacedCreate, "40"}, {"BatchAvailabilityLookup, 67 slots", f.pacedLookup, "15"}} {
		if p.rounds != nil {
			fmt.Fprintf(w, "%s at half of the highest rate (%.0f/s): p50 %.1f ms, p99 %.1f ms; target %s ms\n",
				p.name, medianOf(p.rounds, rateOf), millis(medianOf(p.rounds, p50)), millis(medianOf(p.rounds, p99)), p.target)
		}
	}
	fmt.Fprintln(w)
}

func (f figures) growthTable(w io.Writer) {
	if len(f.sizes) == 0 {
		return
	}
	fmt.Fprintln(w, "| slots | bookings | CreateBooking /s | p99 ms | lookups /s | p99 ms |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, s := range f.sizes {
		fmt.Fprintf(w, "| %d | %d | %.0f | %.1f | %.0f | %.1f |\n", s.slots, s.bookings,
			medianOf(s.create, rateOf), millis(medianOf(s.create, p99)), medianOf(s.lookup, rateOf), millis(medianOf(s.lookup, p99)))
	}
	creates, lookups := func(s size) []round { return s.create }, func(s size) []round { return s.lookup }
	fmt.Fprintf(w, "\nLargest to smallest: CreateBooking rate %s, p99 %s; lookup rate %s, p99 %s; targets 0.8 and 1.5\n\n",
		f.growth(), f.grown(creates, p99), f.grown(lookups, rateOf), f.grown(lookups, p99))
	fmt.Fprint(w, "| table or index, MB after loading |")
	for _, s := range f.sizes {
		fmt.Fprintf(w, " %d slots |", s.slots)
	}
	fmt.Fprint(w, "\n|---|"+strings.Repeat("---|", len(f.sizes))+"\n")
	for i, r := range f.sizes[0].relations {
		name := r.name
		if r.index {
			name = "index " + name
		}
		fmt.Fprintf(w, "| %s |", name)
		for _, s := range f.sizes {
			fmt.Fprintf(w, " %.1f |", float64(s.relations[i].bytes)/(1<<20))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

func listing(w io.Writer, title, what string, rows []named) {
	if rows == nil {
		return
	}
	fmt.Fprintf(w, "%s:\n\n| database | %s | requests/s | p50 ms | p99 ms | CPU ms each |\n|---|---|---|---|---|---|\n", title, what)
	for _, n := range rows {
		fmt.Fprintf(w, "| %s | %s | %.0f | %.1f | %.1f | %.2f |\n", n.database, n.what, n.round.rate(),
			millis(n.round.p50.Seconds()), millis(n.round.p99.Seconds()), millis(cpuEach(n.round)))
	}
	fmt.Fprintln(w)
}

// dependency is a module that this program was built with.
func dependency(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return path + " " + m.Version
			}
		}
	}
	return path
}

// processor returns Linux's name of the processor.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if name := between(text, "model name\t: ", "\n"); err == nil && name != "" {
		return name
	}
	return runtime.GOARCH
}

// chart draws ratios as bars: the median, a line from the smallest to the largest pair, and a mark at the target.
func chart(bars []bar, now time.Time) string {
	const left, width, row = 270, 360, 34
	most := 1.0
	for _, b := range bars {
		most = max(most, b.ratio.max, b.target)
	}
	x := func(v float64) float64 { return left + v/most*width }
	var s strings.Builder
	height := len(bars)*row + 60
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 %d" font-family="sans-serif" font-size="13">`+"\n", height)
	fmt.Fprintf(&s, `<rect width="720" height="%d" fill="white"/>`+"\n", height)
	fmt.Fprintf(&s, `<text x="10" y="22">Rates as ratios, medians of pairs (line: smallest to largest; mark: target), %s</text>`+"\n", now.UTC().Format(time.DateOnly))
	for i, b := range bars {
		y := 40 + i*row
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-10, y+16, template.HTMLEscapeString(b.name))
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="%.1f" height="18" fill="#4a7fb5"/>`+"\n", left, y+2, x(b.ratio.median)-left)
		fmt.Fprintf(&s, `<path d="M%.1f %dH%.1f" stroke="black"/>`+"\n", x(b.ratio.min), y+11, x(b.ratio.max))
		fmt.Fprintf(&s, `<path d="M%.1f %dv24" stroke="#c0392b" stroke-width="2"/>`+"\n", x(b.target), y-1)
		fmt.Fprintf(&s, `<text x="%.1f" y="%d">%.2f</text>`+"\n", x(max(b.ratio.max, b.target))+8, y+16, b.ratio.median)
	}
	s.WriteString("</svg>\n")
	return s.String()
}
