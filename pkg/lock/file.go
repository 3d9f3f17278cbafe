package lock

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/internal/process"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// maxState bounds what is read of a lock, in bytes.
	maxState = 8 << 20
	// flockPoll is how often a taken flock is tried again; it is held for one read and one write.
	flockPoll = 2 * time.Millisecond
	// turnPoll is how often a waiting build looks whether it is its turn.
	turnPoll = 100 * time.Millisecond
)

// File keeps locks as files in one directory of this machine: for each lock its state, and a file whose flock guards the state. A
// holder is alive as long as its process runs, so a killed one needs no clean-up.
type File struct {
	dir  string
	seen *process.Observer
	poll time.Duration
}

var _ Locker = (*File)(nil)

// NewFile returns the locks of a directory, which is created when a lock is taken. It must not be shared between machines.
func NewFile(dir string) (*File, error) {
	seen, err := process.NewObserver()
	if err != nil {
		return nil, err
	}
	return &File{dir: dir, seen: seen, poll: turnPoll}, nil
}

// Acquire implements Locker.
func (f *File) Acquire(ctx context.Context, name string, r Request) error {
	if r.UID == "" || r.Build == "" {
		return failure.New(failure.Usage, "the holder of a lock needs a name and a UID")
	}
	p, err := f.seen.Identify(r.PID)
	if err != nil {
		return err
	}
	e := entry{Holder: r.Holder, Process: p, Autorebuild: r.Autorebuild, Created: r.Created}
	poll := time.NewTicker(f.poll)
	defer poll.Stop()
	for {
		res, err := f.try(ctx, name, e, r.Policy)
		if err == nil && res == acquired {
			return nil
		}
		if err == nil {
			select {
			case <-poll.C:
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		return errors.Join(err, giveUp(ctx, f, name, r.Holder, err))
	}
}

// try is one look at the lock.
func (f *File) try(ctx context.Context, name string, e entry, policy Policy) (result, error) {
	var res result
	err := f.change(ctx, name, func(s *state) (bool, error) {
		s.bury(f.seen.Alive)
		before := s.Next
		var by string
		res, by = s.try(e, policy, time.Now().UTC())
		switch res {
		case refused:
			var running *Holder
			if s.Holder != nil {
				running = &s.Holder.Holder
			}
			return false, busy(name, running, s.waiters())
		case replaced:
			return true, superseded(name, e.Build, by)
		case waiting:
			return s.Next != before, nil
		default:
			return true, nil
		}
	})
	return res, err
}

// Release implements Locker.
func (f *File) Release(ctx context.Context, name string, holder Holder) error {
	if _, err := os.Stat(f.dir); errors.Is(err, fs.ErrNotExist) { //nolint:gosec // who runs the program chooses the directory
		return nil
	}
	return f.change(ctx, name, func(s *state) (bool, error) { return s.leave(holder.UID), nil })
}

// Holder implements Locker.
func (f *File) Holder(_ context.Context, name string) (*Holder, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	s, err := readState(path)
	if err != nil || s.Holder == nil || !f.seen.Alive(s.Holder.Process) {
		return nil, err
	}
	return &s.Holder.Holder, nil
}

// Waiting returns who waits for the lock, the next first.
func (f *File) Waiting(_ context.Context, name string) ([]Holder, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	s, err := readState(path)
	if err != nil {
		return nil, err
	}
	s.bury(f.seen.Alive)
	return s.waiters(), nil
}

// change applies op to the state while nobody else does, and stores it if op says that it changed; with an error of op too.
func (f *File) change(ctx context.Context, name string, op func(*state) (changed bool, err error)) (err error) {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil { //nolint:gosec // who runs the program chooses the directory
		return failure.New(failure.Storage, "creating the directory of locks: %w", err)
	}
	l := flock.New(strings.TrimSuffix(path, extension) + ".flock") // stays: removing it would let two hold it
	if _, err := l.TryLockContext(ctx, flockPoll); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return failure.New(failure.Storage, "locking %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	s, err := readState(path)
	if err != nil {
		return err
	}
	changed, err := op(s)
	if !changed {
		return err
	}
	return errors.Join(err, writeState(path, s))
}

const extension = ".json"

// path is the file of a lock's state. A name that is no file name of this directory is refused.
func (f *File) path(name string) (string, error) {
	valid := func(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '.' }
	if name == "" || len(name) > 200 || name[0] == '.' || strings.ContainsFunc(name, func(r rune) bool { return !valid(r) }) {
		return "", failure.New(failure.Usage, "%q is no valid name of a lock: it may hold a-z, 0-9, - and dots", name)
	}
	return filepath.Join(f.dir, name+extension), nil
}

func readState(path string) (*state, error) {
	s := &state{}
	file, err := os.Open(path) //nolint:gosec // File.path has checked the name
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, failure.New(failure.Storage, "reading lock: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxState))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading lock: %w", err)
	}
	if err := json.Unmarshal(data, s); err != nil {
		err := failure.New(failure.Storage, "lock %s is malformed: %w", path, err)
		return nil, failure.WithHint(err, "if no build runs, remove the file")
	}
	return s, nil
}

func writeState(path string, s *state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return failure.New(failure.Internal, "encoding lock: %w", err)
	}
	if err := renameio.WriteFile(path, append(data, '\n'), 0o644, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return failure.New(failure.Storage, "writing lock: %w", err)
	}
	return nil
}
