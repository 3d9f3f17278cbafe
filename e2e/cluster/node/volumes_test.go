package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestVolumesAreOpenToAllUsers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volumes")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- openVolumes(ctx, dir) }()
	for _, name := range []string{"first", "second"} {
		volume := filepath.Join(dir, name)
		if err := os.MkdirAll(volume, 0o750); err != nil {
			t.Fatal(err)
		}
		open(t, volume)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// open waits until all users may write into a directory.
func open(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() == 0o777 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s stays %s", dir, info.Mode())
		}
	}
}
