package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"holdfast/letters"
	"holdfast/storage"
)

type doctorCommand struct {
	serveCommand `embed:""`

	JSON bool `help:"Print the findings as a JSON array."`
}

func (cmd *doctorCommand) Help() string {
	return `Looks at everything that keeps a server from starting or that goes wrong later:
settings, credentials and certificates and when they expire, the database and its
settings, schema, replication, poolers, connections, clocks and disks. It takes the
settings of serve, changes nothing, migrates nothing, and may run beside a server.

It prints one line for each thing it has looked at and says what to do where something
is doubtful or bad. The exit status is 1 if anything is bad: a server would not start, or
could not take bookings.`
}

// Run prints what it finds.
func (cmd *doctorCommand) Run(ctx context.Context, s *settings, c *console) error {
	found := append(cmd.settingsFound(), storage.Examine(ctx, s.Database, s.options())...)
	if cmd.JSON {
		if err := letters.WriteJSON(c.out, found); err != nil {
			return err
		}
	} else if err := printFindings(c, found); err != nil {
		return err
	}
	for _, f := range found {
		if f.Grade == storage.Bad {
			return exitStatus(1)
		}
	}
	return nil
}

func printFindings(c *console, found []storage.Finding) error {
	var t table
	counts := map[storage.Grade]int{}
	for _, f := range found {
		counts[f.Grade]++
		t.row(string(f.Grade), f.What, f.Says)
		if f.Remedy != "" {
			t.row(" ", " ", "→ "+f.Remedy)
		}
	}
	if err := t.print(c.out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "%d ok, %d doubtful, %d bad\n", counts[storage.Good], counts[storage.Doubtful], counts[storage.Bad])
	return err
}

// settingsFound looks at the settings of serve, and at the files that they name.
func (cmd *doctorCommand) settingsFound() (found []storage.Finding) {
	add := func(what string, grade storage.Grade, says, remedy string) {
		found = append(found, storage.Finding{What: what, Grade: grade, Says: says, Remedy: remedy})
	}
	if err := cmd.check(); err != nil {
		add("settings", storage.Bad, err.Error(), "")
	}
	var warned warnings
	secrets, err := newSecrets(&cmd.serveCommand, slog.New(&warned))
	if err != nil {
		add("secrets", storage.Bad, err.Error(), "")
	} else {
		secrets.remind(time.Now())
	}
	for _, w := range warned {
		add("secrets", storage.Doubtful, w, "docs/security.md says how to replace them without a refused request")
	}
	if err == nil && warned == nil {
		add("secrets", storage.Good, "credentials and certificate can be read, and none expires soon", "")
	}
	if cmd.TLSCert == "" && len(cmd.TrustedProxies) == 0 && !onLoopback(cmd.Address) {
		add("HTTPS", storage.Doubtful, "plain HTTP on "+cmd.Address+": credentials and names can be read on the way", "set --tls-cert and --tls-key, or name the proxy that ends TLS in --trusted-proxies")
	}
	switch {
	case cmd.InternalAddress == "":
		add("metrics", storage.Doubtful, "nobody can watch this server", "set --internal-address; deploy/ has alerts and a dashboard")
	case !onLoopback(cmd.InternalAddress):
		add("metrics", storage.Doubtful, cmd.InternalAddress+" is served without credentials", "make sure that only operators reach it")
	default:
		add("metrics", storage.Good, "at "+cmd.InternalAddress, "")
	}
	to, err := url.Parse(cmd.OTLPEndpoint)
	switch {
	case cmd.OTLPEndpoint == "" || err != nil: // a bad one is among the settings
	case to.Scheme == "http" && cmd.OTLPHeaders != "" && !onLoopback(net.JoinHostPort(to.Hostname(), "0")):
		add("traces", storage.Doubtful, "the headers for the collector are sent over plain HTTP, and can be read on the way", "use https in --otlp-endpoint, or a collector on this machine")
	default:
		add("traces", storage.Good, "sent by "+cmd.TracesSampler, "")
	}
	if files := maxFiles(); files < 2*maxConnections {
		add("open files", storage.Doubtful, fmt.Sprintf("the system allows %d, so %d connections at most", files, files/2), fmt.Sprintf("raise the limit to %d (ulimit -n, LimitNOFILE)", 2*maxConnections))
	} else {
		add("open files", storage.Good, fmt.Sprintf("%d allowed", files), "")
	}
	return found
}

// onLoopback reports whether only this machine can reach an address.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// warnings are log lines of level WARN and above, as sentences.
type warnings []string

func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, ", %s %v", strings.ReplaceAll(a.Key, "_", " "), a.Value)
		return true
	})
	*w = append(*w, b.String())
	return nil
}

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warnings) WithGroup(string) slog.Handler      { return w }
