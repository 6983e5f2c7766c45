package conform

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict is the result of a rule or a group.
type Verdict string

// The verdicts. A group has passed if all of its rules have, Advice or not.
const (
	Passed    Verdict = "passed"
	Advice    Verdict = "advice" // of a rule: obeyed, but not ideally
	Partly    Verdict = "partly tested"
	NotTested Verdict = "not tested"
	Failed    Verdict = "failed"
)

// Report is the result of a rehearsal.
type Report struct {
	URL         string    `json:"url"`
	Run         string    `json:"run"` // what the ids of this run's guests begin with
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"`
	Requests    int       `json:"requests"`
	Interrupted bool      `json:"interrupted"`
	Feed        *Feed     `json:"feed"`
	Notes       []string  `json:"notes"`
	Groups      []Group   `json:"groups"`
	Latency     []Timing  `json:"latency"`
	Readiness   []Task    `json:"readiness"`
	Cleanup     Cleanup   `json:"cleanup"`
}

// Group is the result of a group.
type Group struct {
	ID       string  `json:"id"`
	Title    string  `json:"title"`
	Verdict  Verdict `json:"verdict"`
	Reason   string  `json:"reason,omitempty"` // why it was not tested
	Requests int     `json:"requests"`
	Checks   []Check `json:"checks"`
}

// Check is the result of a rule.
type Check struct {
	Rule
	Verdict  Verdict `json:"verdict"`
	Came     string  `json:"came,omitempty"`     // what was wrong, or why it was not tested
	Times    int     `json:"times,omitempty"`    // it failed
	Sent     string  `json:"sent,omitempty"`     // the first time
	Answered string  `json:"answered,omitempty"` // the first time
}

// Cleanup is what happened to the bookings.
type Cleanup struct {
	Made      int        `json:"made"`
	Cancelled int        `json:"cancelled"`
	Left      []Leftover `json:"left"`
}

// Leftover is a booking that could not be cancelled, or a request that may have booked: then the BookingID is "".
type Leftover struct {
	BookingID  string    `json:"booking_id"`
	MerchantID string    `json:"merchant_id"`
	ServiceID  string    `json:"service_id"`
	Start      time.Time `json:"start"`
	UserID     string    `json:"user_id"`
	Why        string    `json:"why"`
}

// Count returns how many groups have this verdict.
func (r *Report) Count(v Verdict) int {
	n := 0
	for _, g := range r.Groups {
		if g.Verdict == v {
			n++
		}
	}
	return n
}

// verdict returns the verdict of a group that has run, or "".
func (r *Report) verdict(id string) Verdict {
	for _, g := range r.Groups {
		if g.ID == id {
			return g.Verdict
		}
	}
	return ""
}

// Text returns the report for people: an overview, then what to do.
func (r *Report) Text() string {
	var b strings.Builder
	printf := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	printf("Rehearsal of %s\n%s, guests %s-…@example.com\n", r.URL, r.Started.Format(time.RFC3339), r.Run)
	printf("Feed: %s, %d in use", plural(r.Feed.Slots, "slot"), r.Feed.Chosen)
	if len(r.Feed.Unusable) > 0 {
		printf(" (%s)", r.Feed.none())
	}
	printf("\n")
	for _, note := range r.Notes {
		printf("Note: %s\n", note)
	}
	b.WriteByte('\n')
	r.overview(&b)
	r.failures(&b)
	r.listing(&b, "ADVICE", Advice)
	r.listing(&b, "NOT TESTED", NotTested)
	r.tables(&b)
	r.cleanup(&b)
	printf("\n%d requests in %.1f s. Of %s %d passed, %d partly tested, %d not tested, %d failed.\n",
		r.Requests, r.Seconds, plural(len(r.Groups), "group"), r.Count(Passed), r.Count(Partly), r.Count(NotTested), r.Count(Failed))
	if r.Interrupted {
		printf("The run was interrupted.\n")
	}
	return b.String()
}

func (r *Report) overview(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, g := range r.Groups {
		counts := map[Verdict]int{}
		for _, c := range g.Checks {
			counts[c.Verdict]++
		}
		var parts []string
		for _, v := range []Verdict{Failed, Passed, Advice, NotTested} {
			if counts[v] > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", counts[v], v))
			}
		}
		verdict := string(g.Verdict)
		if g.Verdict == Failed {
			verdict = "FAILED"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", verdict, g.ID, g.Title, strings.Join(parts, ", ")) //nolint:errcheck // into memory
	}
	w.Flush() //nolint:errcheck // into memory
}

func (r *Report) failures(b *strings.Builder) {
	said := false
	for _, g := range r.Groups {
		for _, c := range g.Checks {
			if c.Verdict != Failed {
				continue
			}
			if !said {
				b.WriteString("\nFAILED\n")
				said = true
			}
			times := ""
			if c.Times > 1 {
				times = fmt.Sprintf(" (%d times)", c.Times)
			}
			fmt.Fprintf(b, "\n  %s%s\n", c.ID, times)
			for _, line := range [][2]string{
				{"expected", c.Expected}, {"came", c.Came}, {"sent", c.Sent}, {"answer", c.Answered}, {"repair", c.Repair}, {"source", c.Source},
			} {
				if line[1] != "" {
					fmt.Fprintf(b, "    %-9s %s\n", line[0], strings.ReplaceAll(line[1], "\n", "\n              "))
				}
			}
		}
	}
}

// listing writes one line for each reason why checks of a group have this verdict.
func (r *Report) listing(b *strings.Builder, title string, v Verdict) {
	said := false
	for _, g := range r.Groups {
		var reasons []string
		ids := map[string][]string{}
		for _, c := range g.Checks {
			if c.Verdict != v {
				continue
			}
			if ids[c.Came] == nil {
				reasons = append(reasons, c.Came)
			}
			ids[c.Came] = append(ids[c.Came], strings.TrimPrefix(c.ID, g.ID+"."))
		}
		for _, why := range reasons {
			if !said {
				fmt.Fprintf(b, "\n%s\n", title)
				said = true
			}
			what := g.ID + "." + strings.Join(ids[why], ", ")
			if len(ids[why]) == len(g.Checks) {
				what = g.ID
			}
			fmt.Fprintf(b, "  %s: %s\n", what, why)
		}
	}
}

func (r *Report) tables(b *strings.Builder) {
	if len(r.Readiness) > 0 {
		b.WriteString("\nREADINESS, as the portal counts\n")
		w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		fmt.Fprint(w, "  task\tsent\twithout error\tneeded\t\n") //nolint:errcheck // into memory
		for _, t := range r.Readiness {
			fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%s\n", t.Task, t.Sent, t.Good, t.Needed, t.Verdict) //nolint:errcheck // into memory
		}
		w.Flush() //nolint:errcheck // into memory
	}
	if len(r.Latency) > 0 {
		b.WriteString("\nLATENCY of everything sent, in ms\n")
		w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(w, "\t\tcalls\tp50\tp90\tp95\tp99\tmax\tlimit\tslower\t\n") //nolint:errcheck // into memory
		for _, t := range r.Latency {
			limit := "-"
			if t.Limit > 0 {
				limit = fmt.Sprintf("%.0f", t.Limit)
			}
			fmt.Fprintf(w, "\t%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%d\t\n", //nolint:errcheck // into memory
				t.Method, t.Calls, t.P50, t.P90, t.P95, t.P99, t.Most, limit, t.Slower)
		}
		w.Flush() //nolint:errcheck // into memory
	}
}

func (r *Report) cleanup(b *strings.Builder) {
	fmt.Fprintf(b, "\nCLEAN-UP: %s made, %d cancelled, %d left\n", plural(r.Cleanup.Made, "booking"), r.Cleanup.Cancelled, len(r.Cleanup.Left))
	for _, l := range r.Cleanup.Left {
		what := "booking " + l.BookingID
		if l.BookingID == "" {
			what = "perhaps a booking"
		}
		fmt.Fprintf(b, "  %s of %s at %s/%s, %s: %s\n", what, l.UserID, l.MerchantID, l.ServiceID, l.Start.Format(time.RFC3339), l.Why)
	}
}
