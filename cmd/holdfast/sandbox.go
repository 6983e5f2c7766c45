package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"holdfast/sandbox"
)

type sandboxCommand struct {
	Address       string `default:"127.0.0.1:8090" help:"Where to listen. (${default})"`
	PartnerID     string `name:"google-partner-id" default:"20001234" placeholder:"N" help:"Google's number of the partner. (${default})"`
	KeyFile       string `name:"google-key-file" required:"" type:"path" placeholder:"KEY.json" help:"The service account's key. The sandbox writes the file, unless it is there."`
	BookingServer string `placeholder:"URL" help:"The partner's booking server, for guests to book at; /v3/… is appended. Without one, updates of any booking are accepted."`
	Credentials   string `placeholder:"USER:PASSWORD" help:"The credentials to call the booking server with. Prefer the environment variable: others on the machine can see arguments."`
}

func (cmd *sandboxCommand) Help() string {
	return `Serves what Google serves to a booking partner: tokens for a service account, and
the Maps Booking API with bookings.patch and availability:replace, which checks
every update as Google's documents say. Give the partner's program the key file,
and the sandbox's URL in place of Google's.

A page at / shows what guests would see, where the booking server disagrees, and
every call with its answer. A guest books with
  curl localhost:8090/sandbox/book -d '{"merchant_id":…,"service_id":…,"start_sec":…,"duration_sec":…}'
and these make the next calls fail:
  curl localhost:8090/sandbox/faults -d '[{"status":503,"times":3},{"lost":true,"times":1},{"seconds":20,"times":1}]'
/sandbox/state has everything as JSON. The sandbox keeps it in memory, asks nobody
for a password, and does not use the --database setting: serve it to yourself alone.`
}

// Run serves until ctx ends.
func (cmd *sandboxCommand) Run(ctx context.Context, c *console) (err error) {
	var p *sandbox.Partner
	if cmd.BookingServer != "" {
		if p, err = sandbox.NewPartner(cmd.BookingServer, cmd.Credentials); err != nil {
			return fmt.Errorf("--booking-server, --credentials: %w", err)
		}
	}
	key, isNew, err := sandboxKey(cmd.KeyFile)
	if err != nil {
		return fmt.Errorf("--google-key-file: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmd.Address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	address := "http://" + listener.Addr().String()
	google, err := sandbox.New(sandbox.Options{PartnerID: cmd.PartnerID, URL: address, Key: key, Partner: p, Now: time.Now})
	if err != nil {
		return errors.Join(fmt.Errorf("--google-partner-id: %w", err), listener.Close())
	}
	// The file names the address, which may be another one this time.
	content, err := google.WriteKey()
	if err == nil {
		err = os.WriteFile(cmd.KeyFile, content, 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("--google-key-file: %w", err), listener.Close())
	}
	c.log.Info("sandbox", "page", address+"/", "partner_id", cmd.PartnerID, "key_file", cmd.KeyFile, "new_key", isNew)
	srv := &http.Server{Handler: google, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute}
	return serve(ctx, srv, listener, &readiness{}, 0, c.log)
}

// sandboxKey reads the key of an earlier sandbox, or makes one. It leaves alone a file that is something else.
func sandboxKey(path string) (key *rsa.PrivateKey, isNew bool, err error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key, err = sandbox.NewKey()
		return key, true, err
	case err != nil:
		return nil, false, err
	}
	key, err = sandbox.ReadKey(content)
	return key, false, err
}
