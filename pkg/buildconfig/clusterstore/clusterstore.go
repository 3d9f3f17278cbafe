// Package clusterstore keeps build configs in a cluster: one ConfigMap each, in the namespace of the builds.
package clusterstore

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Store is the build configs of a namespace. The API server compares resource versions, so any number of programs may write.
type Store struct {
	maps cluster.Resource[corev1.ConfigMap]
}

var _ buildconfig.Store = (*Store)(nil)

// New returns the Store of the client's namespace.
func New(c *cluster.Client) *Store {
	return &Store{maps: cluster.For[corev1.ConfigMap](c, corev1.SchemeGroupVersion, "configmaps", "ConfigMap")}
}

// Get implements buildconfig.Store. A ConfigMap of that name which is no build config is failure.InvalidInput: it is not touched.
func (s *Store) Get(ctx context.Context, name string) (*buildconfig.BuildConfig, error) {
	cm, err := s.maps.Get(ctx, name)
	if err != nil {
		return nil, notFound(err, name)
	}
	if err := own(cm); err != nil {
		return nil, err
	}
	return configmap.From(cm)
}

// List implements buildconfig.Store.
func (s *Store) List(ctx context.Context) ([]*buildconfig.BuildConfig, error) {
	maps, err := s.maps.List(ctx, cluster.Selection{Labels: configmap.Selector})
	if err != nil {
		return nil, err
	}
	out := make([]*buildconfig.BuildConfig, 0, len(maps))
	for i := range maps {
		bc, err := configmap.From(&maps[i])
		if err != nil {
			return nil, err
		}
		out = append(out, bc)
	}
	slices.SortFunc(out, func(a, b *buildconfig.BuildConfig) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Create implements buildconfig.Store.
func (s *Store) Create(ctx context.Context, bc *buildconfig.BuildConfig) (*buildconfig.BuildConfig, error) {
	bc = bc.Clone()
	bc.Stored, bc.ResourceVersion = nil, ""
	cm, err := configmap.To(bc)
	if err != nil {
		return nil, err
	}
	stored, err := s.maps.Create(ctx, bc.Name, cm)
	if failure.KindOf(err) == failure.Conflict {
		return nil, failure.New(failure.Conflict, "build config %s exists already", bc.Name)
	}
	if err != nil {
		return nil, err
	}
	return configmap.From(stored)
}

// Update implements buildconfig.Store.
func (s *Store) Update(ctx context.Context, bc *buildconfig.BuildConfig) (*buildconfig.BuildConfig, error) {
	if read, ok := bc.Stored.(*corev1.ConfigMap); !ok || read == nil || read.ResourceVersion != bc.ResourceVersion {
		stored, err := s.Get(ctx, bc.Name) // for what others keep in it
		if err != nil {
			return nil, err
		}
		bc = bc.Clone()
		bc.Stored = stored.Stored
	}
	if bc.ResourceVersion == "" {
		return nil, failure.New(failure.Internal, "build config %s has no resource version to compare", bc.Name)
	}
	cm, err := configmap.To(bc)
	if err != nil {
		return nil, err
	}
	updated, err := s.maps.Update(ctx, bc.Name, cm)
	switch failure.KindOf(err) {
	case "":
		return configmap.From(updated)
	case failure.Conflict:
		return nil, failure.New(failure.Conflict, "build config %s has changed since it was read (version %s)", bc.Name, bc.ResourceVersion)
	default:
		return nil, notFound(err, bc.Name)
	}
}

// Delete implements buildconfig.Store. A malformed build config can be deleted, a ConfigMap that is none cannot.
func (s *Store) Delete(ctx context.Context, name string) error {
	cm, err := s.maps.Get(ctx, name)
	if err == nil {
		err = own(cm)
	}
	if err == nil {
		err = s.maps.Delete(ctx, name)
	}
	return notFound(err, name)
}

func notFound(err error, name string) error {
	if failure.KindOf(err) == failure.NotFound {
		return failure.New(failure.NotFound, "build config %s does not exist", name)
	}
	return err
}

// own says whether a ConfigMap is a build config.
func own(cm *corev1.ConfigMap) error {
	if cm.Labels[configmap.LabelManagedBy] == configmap.ManagedBy && cm.Labels[configmap.LabelKind] == configmap.Kind {
		return nil
	}
	err := failure.New(failure.InvalidInput, "ConfigMap %s is no build config: it has not the labels %s", cm.Name, configmap.Selector)
	return failure.WithHint(err, "it is somebody else's: name another build config")
}
