package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// lockStorage announces a build that uses the storage. The lock lives as long as the file is open, here or in the engine.
//
// A build that finds nobody else has the storage alone at first, so that its engine can remove what killed builds have left; the
// engine then shares the lock.
func lockStorage(ctx context.Context, storage string) (lock *os.File, alone bool, err error) {
	if err := os.MkdirAll(storage, 0o755); err != nil {
		return nil, false, failure.New(failure.Storage, "making the storage: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(storage, "builds.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, failure.New(failure.Storage, "locking the storage: %w", err)
	}
	for {
		for _, how := range []int{unix.LOCK_EX, unix.LOCK_SH} {
			err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
			if err == nil {
				return f, how == unix.LOCK_EX, nil
			}
			if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
				f.Close()
				return nil, false, failure.New(failure.Storage, "locking the storage: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, false, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// lockPoll is how often a build looks whether another one has finished tidying up.
const lockPoll = 10 * time.Millisecond
