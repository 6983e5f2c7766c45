// Package conform rehearses Google's checks against any booking server that speaks the Booking Server API v3.
// It reaches the server over HTTP, and knows only its address, its credentials and its availability feed.
//
// Google admits a server because of its behaviour, and most of what Google looks at can be seen from outside:
// book a slot, ask again, fill it, send the same request eight times at once. The package does what Google does,
// and compares every answer with the published rule. It reports each fault with what was expected, what came,
// how to repair it, and the source of the rule.
//
// The pieces, from the wire up: [Client] sends and records each request with its answer as an [Exchange]; the
// judge… functions are pure and compare an exchange with a rule; a group (one file each) is a short story of
// requests and judgements; [Run] runs the groups one after the other and cancels what they booked; [Report] is
// the result. rules.go has every rule in words.
//
// Three principles:
//
//   - Only the group to which a fault belongs reports it. A server that spells CANCELED with two Ls fails
//     "cancel" and nothing else, although the word appears in many answers. So answers are read generously, and
//     a group that meets another group's fault says that it could not be tested.
//   - What was not seen to work has not passed. If the feed has no suitable slot, or the server does not offer
//     the method, it is "not tested".
//   - Nothing is left behind. Every booking is cancelled as soon as its group has ended, even if the run is
//     interrupted, and the report lists what could not be cancelled. All guests are made up, under a prefix that
//     is new in each run.
package conform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of a run. A full run sends about 220 requests, and takes 5 seconds plus the time of the answers.
const (
	mostRequests = 1000
	mostTime     = 10 * time.Minute
	cleanUpTime  = time.Minute // in addition, to cancel what was booked
)

// Options say what to rehearse.
type Options struct {
	URL          string   // /v3/… is appended
	Credentials  string   // user:password
	Feed         *Feed    // where the slots are
	Groups       []string // nil: all
	GuestsPrefix string   // of user ids and email addresses; "": conform
	Timeout      time.Duration

	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) // nil: really sleep
	Progress func(line string)                    // nil: silence
}

// group is one chapter of a rehearsal.
type group struct {
	id, title string
	books     bool   // it needs something that can be booked
	after     string // a group that must pass for this one to show anything
	run       func(context.Context, *results)
}

// groups are all groups in the order in which they run: those that later ones depend on come first, and those
// that look at all exchanges come last.
var groups = []group{
	{id: "health", title: "HealthCheck", run: health},
	{id: "auth", title: "credentials are asked for", run: auth},
	{id: "availability", title: "BatchAvailabilityLookup", run: availability},
	{id: "create", title: "CreateBooking", run: create},
	{id: "replay", books: true, title: "the same request again", run: replay},
	{id: "tokens", books: true, title: "the same request 8 times at once", after: "replay", run: tokens},
	{id: "race", books: true, title: "more guests than spots, at once", run: race},
	{id: "retry", books: true, title: "a new attempt after a failure", run: retry},
	{id: "list", books: true, title: "ListBookings", run: list},
	{id: "status", books: true, title: "GetBookingStatus", run: status},
	{id: "reschedule", books: true, title: "UpdateBooking to another time", run: reschedule},
	{id: "cancel", books: true, title: "UpdateBooking to cancel", run: cancel},
	{id: "readiness", title: "the portal's readiness tasks", run: readiness},
	{id: "formats", title: "paths, JSON and words", run: formats},
	{id: "latency", title: "how long answers take", run: latency},
}

// GroupIDs are the names that [Options.Groups] may have.
func GroupIDs() []string {
	ids := make([]string, len(groups))
	for i, g := range groups {
		ids[i] = g.id
	}
	return ids
}

var goodPrefix = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)

// rehearsal is a run.
type rehearsal struct {
	client *Client
	feed   *Feed
	pool   *pool
	guests *guests
	books  *books
	report *Report
	now    func() time.Time
	sleep  func(context.Context, time.Duration)
	say    func(format string, args ...any)
	told   map[string]bool // faults that a group has reported, for groups that meet them again
}

// Run rehearses and reports. It returns an error, and no report, if it could not begin: the options are wrong,
// nobody answers, or the server refuses the credentials. When ctx ends, it cancels what it booked and reports
// what there is.
func Run(ctx context.Context, o Options) (*Report, error) {
	r, chosen, err := newRehearsal(o)
	if err != nil {
		return nil, err
	}
	defer r.client.close()
	started := r.now()
	limited, cancel := context.WithTimeoutCause(ctx, mostTime, errTimeUp)
	defer cancel()
	if err := r.begin(limited); err != nil {
		return nil, err
	}
	for _, g := range chosen {
		r.runGroup(limited, g)
	}
	r.cleanUp(ctx, "")
	r.report.Cleanup = r.books.account(r.client.redact)
	r.report.Interrupted = ctx.Err() != nil
	r.report.Latency = latencies(r.client.all())
	r.report.Requests = r.client.count()
	r.report.Seconds = r.now().Sub(started).Seconds()
	return r.report, nil
}

func newRehearsal(o Options) (*rehearsal, []group, error) {
	if o.GuestsPrefix == "" {
		o.GuestsPrefix = "conform"
	}
	if !goodPrefix.MatchString(o.GuestsPrefix) {
		return nil, nil, fmt.Errorf("guests' prefix: up to 32 letters, digits, dots, dashes and underscores, not %q", o.GuestsPrefix)
	}
	var chosen []group
	for _, g := range groups {
		if len(o.Groups) == 0 || slices.Contains(o.Groups, g.id) {
			chosen = append(chosen, g)
		}
	}
	for _, id := range o.Groups {
		if !slices.Contains(GroupIDs(), id) {
			return nil, nil, fmt.Errorf("there is no group %q; there are %s", id, strings.Join(GroupIDs(), ", "))
		}
	}
	client, err := newClient(o.URL, o.Credentials, o.Timeout, o.Now)
	if err != nil {
		return nil, nil, err
	}
	r := &rehearsal{
		client: client, feed: o.Feed, pool: newPool(o.Feed.Usable, o.Now()), guests: newGuests(o.GuestsPrefix), books: &books{},
		now: o.Now, sleep: o.Sleep, told: map[string]bool{},
		say: func(format string, args ...any) {
			if o.Progress != nil {
				o.Progress(client.redact(fmt.Sprintf(format, args...)))
			}
		},
	}
	if r.sleep == nil {
		r.sleep = wait
	}
	r.report = &Report{URL: client.root(), Run: r.guests.run, Started: o.Now().UTC(), Feed: o.Feed, Notes: o.Feed.notes(o.Now()), Readiness: []Task{}}
	if client.base.Scheme == "http" {
		r.report.Notes = append(r.report.Notes, "the address is http: Google calls https only, with a valid certificate")
	}
	return r, chosen, nil
}

var (
	errTimeUp  = errors.New("the time of a run is up")
	errRefused = errors.New("the server refuses the credentials")
)

// begin finds out whether somebody answers, and on which form of the path: Google's documents print it with and
// without a trailing slash. From here on requests use a form that works; the group "formats" tries the other.
func (r *rehearsal) begin(ctx context.Context) error {
	probe := &results{rehearsal: r, id: "begin"}
	ask := func() *Exchange {
		if slots := r.pool.page(1); len(slots) > 0 {
			x, _ := probe.lookup(ctx, slots)
			return x
		}
		return probe.send(ctx, call{method: healthCheck})
	}
	r.client.slash = true
	with := ask()
	if with.ok() {
		return nil
	}
	r.client.slash = false
	without := ask()
	if !without.ok() {
		r.client.slash = true
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case with.Status == 0 && without.Status == 0:
		return fmt.Errorf("%s does not answer: %s", r.client.root(), r.client.redact(without.Failure))
	case without.ok():
		r.report.Notes = append(r.report.Notes, "paths with a trailing slash are not answered; everything was sent without one")
	}
	for _, x := range []*Exchange{with, without} {
		if !without.ok() && (x.Status == http.StatusUnauthorized || x.Status == http.StatusForbidden) {
			return fmt.Errorf("%w: %s is answered with %d", errRefused, x.Path, x.Status)
		}
	}
	return nil
}

// runGroup runs one group and cancels what it booked.
func (r *rehearsal) runGroup(ctx context.Context, g group) {
	res := &results{rehearsal: r, id: g.id, checks: map[string]*Check{}}
	before := r.client.count()
	switch {
	case r.over(ctx) != "":
		res.stop("%s", r.over(ctx))
	case g.books && r.books.made == 0 && r.report.verdict("create") == Failed:
		res.stop("nothing could be booked: see the group %q", "create")
	case g.after != "" && r.report.verdict(g.after) == Failed:
		res.stop("the group %q failed, and this one builds on it", g.after)
	default:
		g.run(ctx, res)
	}
	r.cleanUp(ctx, g.id)
	done := res.group(g, r.client.count()-before)
	r.report.Groups = append(r.report.Groups, done)
	r.say("%-12s %-13s %s%s", done.ID, done.Verdict, plural(done.Requests, "request"), strings.TrimSuffix(": "+done.Reason, ": "))
}

// over returns why not to send anything more, or "".
func (r *rehearsal) over(ctx context.Context) string {
	switch {
	case errors.Is(context.Cause(ctx), errTimeUp):
		return errTimeUp.Error()
	case ctx.Err() != nil:
		return "interrupted"
	case r.client.count() >= mostRequests:
		return fmt.Sprintf("%d requests are enough", mostRequests)
	}
	return ""
}

// wait waits, but not longer than until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
