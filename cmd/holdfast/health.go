package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

type healthCommand struct {
	Address string `default:"127.0.0.1:8080" help:"Where the server listens; if on all addresses, health asks this machine's own. (${default})"`
	TLSCert string `type:"path" placeholder:"FILE" help:"Set it if the server serves HTTPS. health does not read the file."`
}

func (cmd *healthCommand) Help() string {
	return `Asks a server on this machine for /livez, and exits with 0 if it answers within 3
seconds. It is for containers, whose image has neither shell nor curl. It takes the
settings of serve, so in the same environment it asks the right address. It sends
no credentials and does not check the database: a server need not be restarted
because its database is down.`
}

// healthWithin is how long an answer may take.
const healthWithin = 3 * time.Second

func (cmd *healthCommand) Run(ctx context.Context, c *console) error {
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	scheme := "http"
	if cmd.TLSCert != "" {
		scheme = "https"
	}
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // uses no proxy
			DisableKeepAlives: true,
			// To dial "every address" is to dial this machine.
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, cmd.Address)
			},
			// The certificate is for the server's public name, and the request has nothing secret.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost/livez", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: %s", resp.Status)
	}
	_, err = fmt.Fprintln(c.out, "healthy")
	return err
}
