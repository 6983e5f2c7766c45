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

// foreign matches what addresses of servers look like, in any spelling, and file names hardly
// ever do: a URL of any kind, host:port, user:password@host, user/password@host, and
// key=value.
var foreign = regexp.MustCompile(`://|^\[|^[\w.+-]{2,}\s*:|:.*@|^[^/.\\:]{2}.*@|(^|[\s;,'"])\w+\s*=`)

// fileOptions are the options of an SQLite file, after its name, that do not
// begin with an underscore. (https://www.sqlite.org/uri.html)
var fileOptions = []string{"cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs"}

// sqliteFile splits the name of an SQLite file into its path and the options after it. It
// refuses what was meant as the address of a server: as the name of a file it would show its
// password to everybody. Errors do not repeat any of it.
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

// makePrivate creates the file of a database, if it does not exist, so that only its owner
// can read it, whatever the umask. SQLite gives the files beside it, -wal and -shm, the same
// permissions.
func makePrivate(path string, options url.Values) error {
	if mode := options.Get("mode"); mode != "" && mode != "rwc" {
		return nil // SQLite would not create it either
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Exposed lists the files of the SQLite database target that others than their owner may
// read or write, each with its permissions. PostgreSQL has none.
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
