// Package filestore keeps build configs as files: one ConfigMap in YAML each, in one directory.
package filestore

import (
	"context"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/internal/yamldir"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Store is a directory of build configs. It is safe with several processes.
type Store struct {
	dir *yamldir.Dir[corev1.ConfigMap, *corev1.ConfigMap]
}

var _ buildconfig.Store = (*Store)(nil)

// New returns the Store of a directory, which is created when something is stored.
func New(dir string) *Store {
	return &Store{dir: yamldir.New[corev1.ConfigMap](dir, "build config")}
}

// Get implements buildconfig.Store.
func (s *Store) Get(_ context.Context, name string) (*buildconfig.BuildConfig, error) {
	cm, err := s.dir.Get(name)
	if err != nil {
		return nil, err
	}
	return configmap.From(cm)
}

// List implements buildconfig.Store.
func (s *Store) List(ctx context.Context) ([]*buildconfig.BuildConfig, error) {
	stored, err := s.dir.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*buildconfig.BuildConfig, 0, len(stored))
	for _, cm := range stored {
		bc, err := configmap.From(cm)
		if err != nil {
			return nil, err
		}
		out = append(out, bc)
	}
	return out, nil
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
func (s *Store) Delete(ctx context.Context, name string) error { return s.dir.Delete(ctx, name) }

// write stores bc if may says so of what is stored, nil when nothing is.
func (s *Store) write(ctx context.Context, bc *buildconfig.BuildConfig, may func(*corev1.ConfigMap) error) (*buildconfig.BuildConfig, error) {
	var written *corev1.ConfigMap
	err := s.dir.Change(ctx, bc.Name, func(stored *corev1.ConfigMap) (*corev1.ConfigMap, error) {
		if err := may(stored); err != nil {
			return nil, err
		}
		var err error
		written, err = next(bc, stored)
		return written, err
	})
	if err != nil {
		return nil, err
	}
	return configmap.From(written)
}

// next is the ConfigMap to store after stored, which is nil when nothing is. What others keep in stored survives even if bc was not
// read from a store.
func next(bc *buildconfig.BuildConfig, stored *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	bc = bc.Clone()
	bc.Stored = stored
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
