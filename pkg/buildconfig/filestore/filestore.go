// Package filestore keeps build configs as files: one ConfigMap in YAML each, in one directory. It is safe with several processes,
// and a reader, even one that starts after a crash, sees every build config whole.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	extension = ".yaml"
	lockFile  = ".lock"
	// maxFile bounds what is read of a build config, in bytes; it is what a ConfigMap may hold.
	maxFile = 1 << 20
	// lockPoll is how often a taken flock is tried again; it is held for one read and one write.
	lockPoll = 2 * time.Millisecond
)

// Store is a directory of build configs.
type Store struct{ dir string }

var _ buildconfig.Store = (*Store)(nil)

// New returns the Store of a directory, which is created when something is stored.
func New(dir string) *Store { return &Store{dir: dir} }

// Get implements buildconfig.Store.
func (s *Store) Get(_ context.Context, name string) (*buildconfig.BuildConfig, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	cm, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure.New(failure.NotFound, "build config %s does not exist", name)
	}
	if err != nil {
		return nil, err
	}
	return configmap.From(cm)
}

// List implements buildconfig.Store.
func (s *Store) List(ctx context.Context) ([]*buildconfig.BuildConfig, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.New(failure.Storage, "listing build configs: %w", err)
	}
	out := make([]*buildconfig.BuildConfig, 0, len(entries))
	for _, entry := range entries {
		name, isOne := strings.CutSuffix(entry.Name(), extension)
		if !isOne || strings.HasPrefix(name, ".") {
			continue
		}
		bc, err := s.Get(ctx, name)
		if failure.KindOf(err) == failure.NotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, bc)
	}
	return out, ctx.Err()
}

// Create implements buildconfig.Store.
func (s *Store) Create(ctx context.Context, bc *buildconfig.BuildConfig) (*buildconfig.BuildConfig, error) {
	return s.write(ctx, bc, func(stored *corev1.ConfigMap) error {
		if stored != nil {
			return failure.New(failure.Conflict, "build config %s exists already", bc.Name)
		}
		return nil
	})
}

// Update implements buildconfig.Store.
func (s *Store) Update(ctx context.Context, bc *buildconfig.BuildConfig) (*buildconfig.BuildConfig, error) {
	return s.write(ctx, bc, func(stored *corev1.ConfigMap) error {
		switch {
		case stored == nil:
			return failure.New(failure.NotFound, "build config %s does not exist", bc.Name)
		case stored.ResourceVersion != bc.ResourceVersion:
			return failure.New(failure.Conflict, "build config %s has changed since it was read (version %s, now %s)",
				bc.Name, bc.ResourceVersion, stored.ResourceVersion)
		default:
			return nil
		}
	})
}

// Delete implements buildconfig.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	return s.locked(ctx, func() error {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return failure.New(failure.NotFound, "build config %s does not exist", name)
		}
		if err != nil {
			return failure.New(failure.Storage, "deleting build config %s: %w", name, err)
		}
		return nil
	})
}

// write stores bc under the directory's lock, if may says so of what is stored, nil when nothing is.
func (s *Store) write(ctx context.Context, bc *buildconfig.BuildConfig, may func(stored *corev1.ConfigMap) error) (*buildconfig.BuildConfig, error) {
	path, err := s.path(bc.Name)
	if err != nil {
		return nil, err
	}
	var cm *corev1.ConfigMap
	err = s.locked(ctx, func() error {
		stored, err := read(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := may(stored); err != nil {
			return err
		}
		if cm, err = next(bc, stored); err != nil {
			return err
		}
		data, err := yaml.Marshal(cm)
		if err != nil {
			return fmt.Errorf("encoding build config %s: %w", bc.Name, err)
		}
		if err := renameio.WriteFile(path, data, 0o644, renameio.WithTempDir(s.dir)); err != nil {
			return failure.New(failure.Storage, "writing build config %s: %w", bc.Name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return configmap.From(cm)
}

// next is the ConfigMap to store after stored, which is nil when nothing is. What others keep in stored survives even if bc was not
// read from a store.
func next(bc *buildconfig.BuildConfig, stored *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	bc = bc.Clone()
	if stored != nil {
		bc.Stored = stored
	}
	cm, err := configmap.To(bc)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	version, created := now.UnixMilli(), metav1.NewTime(now.Truncate(time.Second)) // a version never comes back after a Delete
	if stored != nil {
		created = stored.CreationTimestamp
		if version, err = strconv.ParseInt(stored.ResourceVersion, 10, 64); err != nil {
			return nil, failure.New(failure.InvalidInput, "build config %s has the resource version %q", bc.Name, stored.ResourceVersion)
		}
	}
	cm.ResourceVersion, cm.CreationTimestamp = strconv.FormatInt(version+1, 10), created
	return cm, nil
}

// path is the file of a build config. A name that is no file name of this directory is refused.
func (s *Store) path(name string) (string, error) {
	valid := func(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '.' }
	if name == "" || len(name) > 253 || name[0] == '.' || strings.ContainsFunc(name, func(r rune) bool { return !valid(r) }) {
		return "", failure.New(failure.Usage, "%q is no valid name of a build config: it may hold a-z, 0-9, - and dots", name)
	}
	return filepath.Join(s.dir, name+extension), nil
}

// locked runs op while no other process, and no other goroutine, writes in the directory.
func (s *Store) locked(ctx context.Context, op func() error) (err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil { //nolint:gosec // like the rest of the data directory, readable by others
		return failure.New(failure.Storage, "creating the directory of build configs: %w", err)
	}
	l := flock.New(filepath.Join(s.dir, lockFile))
	if _, err := l.TryLockContext(ctx, lockPoll); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return failure.New(failure.Storage, "locking the directory of build configs: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return op()
}

// read returns the ConfigMap of a file; that there is none is fs.ErrNotExist.
func read(path string) (*corev1.ConfigMap, error) {
	f, err := os.Open(path) //nolint:gosec // Store.path has made it
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, failure.New(failure.Storage, "reading build config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading build config: %w", err)
	}
	if len(data) > maxFile {
		return nil, failure.New(failure.InvalidInput, "%s is larger than %d bytes", path, maxFile)
	}
	cm := &corev1.ConfigMap{}
	if err := yaml.Unmarshal(data, cm); err != nil {
		return nil, failure.New(failure.InvalidInput, "%s is malformed: %w", path, err)
	}
	if want := strings.TrimSuffix(filepath.Base(path), extension); cm.Name != want {
		return nil, failure.New(failure.InvalidInput, "%s holds the build config %q", path, cm.Name)
	}
	if !slices.Contains([]string{"", "ConfigMap"}, cm.Kind) {
		return nil, failure.New(failure.InvalidInput, "%s holds a %s", path, cm.Kind)
	}
	return cm, nil
}
