package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v: got %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("median has changed its argument: got %v, want %v", c.values, before)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 99, 0}, {hundred[:1], 50, 1}, {hundred[:2], 50, 1}, {hundred[:3], 50, 2},
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 0, 1}, {hundred[:50], 99, 50},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("p%d of 1 to %d: got %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

// at is a round of one second with rate operations.
func at(rate int) round { return round{done: rate, took: time.Second} }

// The machine became ten times slower between the first pair and the second. That does not affect the median of the pairs' ratios, as
// it would the ratio of medians.
func TestRatioIsOfPairs(t *testing.T) {
	ours, theirs := []round{at(2000), at(210), at(1000)}, []round{at(1000), at(100), at(1000)}
	got := ratioOf(ours, theirs, rateOf)
	if want := (ratio{median: 2, min: 1, max: 2.1}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := ratioOf(nil, nil, rateOf); got != (ratio{}) {
		t.Errorf("of no pairs: got %v, want nothing", got)
	}
	if got := ratioOf(ours[:1], []round{{}}, rateOf); got != (ratio{}) {
		t.Errorf("of a pair in which theirs did nothing: got %v, want nothing", got)
	}
}

func TestRound(t *testing.T) {
	r := newRound([]time.Duration{30, 10, 20}, 2*time.Second, 6*time.Second)
	if r.rate() != 1.5 || r.cpuEach() != 2*time.Second || r.p50 != 20 || r.p99 != 30 {
		t.Errorf("got rate %v, CPU %v, p50 %d, p99 %d, want 1.5, 2s, 20, 30", r.rate(), r.cpuEach(), r.p50, r.p99)
	}
	if got := (round{}).cpuEach(); got != 0 {
		t.Errorf("CPU for each of no operations: got %v, want 0", got)
	}
}

func TestDue(t *testing.T) {
	for _, c := range []struct {
		i    int
		rate float64
		want time.Duration
	}{{0, 100, 0}, {1, 100, 10 * time.Millisecond}, {250, 100, 2500 * time.Millisecond}, {3, 1.5, 2 * time.Second}} {
		if got := due(c.i, c.rate); math.Abs(float64(got-c.want)) > 1000 {
			t.Errorf("request %d at %v a second: got %v, want %v", c.i, c.rate, got, c.want)
		}
	}
}

func measured() figures {
	pair := comparison{ours: []round{at(300)}, theirs: []round{at(200)}}
	grown := []size{{slots: 1, create: []round{at(100)}}, {slots: 10, create: []round{at(90)}}}
	return figures{
		spread: pair, hot: pair, move: pair, lookup: pair, sqlite: pair, sizes: grown,
		pacedCreate: []round{{p99: 12300 * time.Microsecond}}, memory: 100 << 20,
	}
}

func TestLastLine(t *testing.T) {
	for _, c := range []struct {
		name    string
		figures figures
		want    string
	}{
		{"everything", measured(), "spread=1.50 hot=1.50 move=1.50 bal=1.50 growth=0.90 sqlite=1.50 p99create=12.3ms rss=100MB"},
		{"nothing", figures{}, "spread=- hot=- move=- bal=- growth=- sqlite=- p99create=- rss=-"},
	} {
		if got := c.figures.last(); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestTablesHaveTheirColumns(t *testing.T) {
	f := measured()
	f.clients = []named{{"SQLite", "16", at(5)}}
	for i := range f.sizes {
		f.sizes[i].relations = []relation{{name: "slots", bytes: 3 << 20}, {name: "slots_pkey", index: true, bytes: 1 << 19}}
	}
	var text strings.Builder
	f.tables(&text)
	columns := 0
	for line := range strings.Lines(text.String()) {
		n := strings.Count(line, "|")
		if n > 0 && columns > 0 && n != columns {
			t.Errorf("a row of %d columns in a table of %d: %s", n-1, columns-1, line)
		}
		columns = n
	}
	for _, want := range []string{"| CreateBooking, spread; pgbench | 300 | 200 | 1.50 (1.50–1.50) | 1.5 |", "| index slots_pkey | 0.5 | 0.5 |", "| SQLite | 16 | 5 |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestChartIsXML(t *testing.T) {
	f := measured()
	bars := append(f.bars(), bar{name: `<&">`, ratio: ratio{1, 0.5, 2}, target: 1})
	drawn := chart(bars, time.Unix(0, 0))
	d := xml.NewDecoder(strings.NewReader(drawn))
	var texts []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, drawn)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
	for _, b := range bars {
		if !slices.Contains(texts, b.name) {
			t.Errorf("no bar is called %q", b.name)
		}
	}
	if regexp.MustCompile(`NaN|Inf|="-`).MatchString(drawn) {
		t.Errorf("a coordinate is none:\n%s", drawn)
	}
}

func TestOptions(t *testing.T) {
	o, err := parse([]string{"-pairs", "3", "-only", "pairs,race", "-growth", "10,20"})
	if err != nil || o.rounds != 3 || !o.wants("race") || o.wants("growth") || !slices.Equal(o.sizes, []int{10, 20}) {
		t.Errorf("got %+v, %v", o, err)
	}
	for _, args := range [][]string{{"-only", "pair"}, {"-pairs", "0"}, {"-growth", "many"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v: got no error", args)
		}
	}
}
