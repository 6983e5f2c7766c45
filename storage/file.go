package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// foreign is what the addresses of servers look like, in whatever spelling, and
// names of files hardly ever: a URL of any kind, host:port, user:password@host,
// user/password@host, and key=value.
var foreign = regexp.MustCompile(`://|^\[|^[\w.+-]{2,}\s*:|:.*@|^[^/.\\:]{2}.*@|(^|[\s;,'"])\w+\s*=`)

// fileOptions are the options of an SQLite file, behind its name, that do not
// begin with an underscore. (https://www.sqlite.org/uri.html)
var fileOptions = []string{"cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs"}

// sqliteFile takes the name of an SQLite file apart into its path and the options
// behind it. It refuses what was meant to be the address of a server: as a file's
// name, its password could be read by everybody. No error repeats anything of it.
func sqliteFile(target string) (path string, options url.Values, err error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(target, "file:"), "?")
	options, err = url.ParseQuery(query)
	if err != nil {
		return "", nil, errors.New("the options behind the file's name cannot be read")
	}
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return "", nil, errors.New("an SQLite database must be a file")
	}
	strange := foreign.MatchString(strings.TrimSpace(path))
	for option := range options {
		strange = strange || !strings.HasPrefix(option, "_") && !slices.Contains(fileOptions, option)
	}
	if strange {
		return "", nil, errors.New("refusing to make a file of that name: it looks like the address of a server. " +
			"PostgreSQL is named by a URL, postgres://user:password@host/database; a file needs another name")
	}
	return path, options, nil
}

// makePrivate makes the file of a database, if it is not there, so that only its
// owner can read it, whatever the umask. SQLite gives what it puts beside it, -wal
// and -shm, the same permissions.
func makePrivate(path string, options url.Values) error {
	if mode := options.Get("mode"); mode != "" && mode != "rwc" {
		return nil // then SQLite would not make it either
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Exposed lists those files of an SQLite database, as target names it, that
// others than their owner may read or write, each with its permissions. Of
// PostgreSQL there are none.
func Exposed(target string) ([]string, error) {
	if isPostgres(target) || runtime.GOOS == "windows" { // which has no such permissions
		return nil, nil
	}
	path, _, err := sqliteFile(target)
	if err != nil {
		return nil, err
	}
	var exposed []string
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.Mode().Perm()&0o077 != 0:
			exposed = append(exposed, fmt.Sprintf("%s (%04o)", name, info.Mode().Perm()))
		}
	}
	return exposed, nil
}
