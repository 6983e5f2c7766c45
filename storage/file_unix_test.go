//go:build unix

package storage_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// Whatever the umask, only their owner can read the files with guests' data that we write.
func TestFilesArePrivate(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		before := syscall.Umask(umask)
		t.Cleanup(func() { syscall.Umask(before) })
		dir := t.TempDir()
		target := filepath.Join(dir, "holdfast.db")
		db := storagetest.Open(t, target, storage.Options{})
		if _, err := db.Verify(t.Context(), nil); err != nil { // makes use of the pool that reads
			t.Fatal(err)
		}
		if err := storage.Backup(t.Context(), target, filepath.Join(dir, "copy.db")); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			info, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, f.Name())
			if info.Mode().Perm() != 0o600 {
				t.Errorf("umask %04o: %s is %v", umask, f.Name(), info.Mode())
			}
		}
		if want := []string{"copy.db", "holdfast.db", "holdfast.db-shm", "holdfast.db-wal"}; !slices.Equal(names, want) {
			t.Errorf("got %v, want %v", names, want)
		}
		if exposed, err := storage.Exposed(target); err != nil || exposed != nil {
			t.Errorf("got %v, %v", exposed, err)
		}
		syscall.Umask(before)
	}
}

func TestExposed(t *testing.T) {
	target := storagetest.SQLite(t)
	storagetest.Open(t, target, storage.Options{})
	for name, mode := range map[string]os.FileMode{"": 0o640, "-wal": 0o604} {
		if err := os.Chmod(target+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	exposed, err := storage.Exposed("file:" + target + "?_pragma=cache_size(-1000)")
	if err != nil || len(exposed) != 2 || !strings.HasSuffix(exposed[0], ".db (0640)") || !strings.HasSuffix(exposed[1], "-wal (0604)") {
		t.Errorf("got %v, %v", exposed, err)
	}
	if exposed, err := storage.Exposed("postgres://db/holdfast"); err != nil || exposed != nil {
		t.Errorf("got %v, %v", exposed, err)
	}
}
