// Package imagesync is the sync stage: it brings the pushed image to further places, each behind the Target interface: a second
// registry, a directory such as an NFS mount, a Pulp server.
//
// Floating tags are not synced: when the stage runs they do not mean the new image yet.
package imagesync

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/transfer"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Target is a place into which images are synced.
type Target interface {
	// Kind is registry, directory or pulp.
	Kind() string
	// Sync brings the image there and verifies what then is there. To sync an image again that is there already is a success.
	Sync(ctx context.Context, image Image) (workspace.SyncedTarget, error)
}

// Image is what is synced.
type Image struct {
	step.Env
	// Name is the image's name in a registry, such as team/app.
	Name string
	// Repository has the image: registry/name.
	Repository string
	// Digest is the image's manifest's or index's.
	Digest string
	// Tags to set, unique first, then primary if there is one.
	Tags []string
	// Source reads the image.
	Source transfer.Source
}

// Best is the tag that tells people most: the primary one, or the unique one of an image that has no primary.
func (i Image) Best() string { return i.Tags[len(i.Tags)-1] }

// Options of the sync stage.
type Options struct {
	step.Env
	Workspace workspace.Dir
	// Registry reaches the registry that the image was pushed into.
	Registry *registry.Client
	// Targets are synced one after the other, in this order.
	Targets []Target
}

// Run syncs the image of the push record into every target and writes the sync record. The first target that fails ends it; those
// before it stay synced. Without targets, if the prepare stage skipped the build, and if the image has not changed, it does nothing.
func Run(ctx context.Context, o Options) (workspace.Sync, error) {
	o.Env = o.WithDefaults()
	if prepared, err := workspace.Read[workspace.Prepare](o.Workspace); err == nil && prepared.State == workspace.StateSkipped {
		return workspace.Sync{}, nil
	}
	record := workspace.Sync{Targets: []workspace.SyncedTarget{}}
	if len(o.Targets) > 0 {
		image, unchanged, err := o.image()
		if err != nil {
			return workspace.Sync{}, err
		}
		if unchanged {
			o.Log.Info("nothing to sync: the image has not changed", "digest", image.Digest)
			return record, workspace.Write(o.Workspace, record)
		}
		for _, target := range o.Targets {
			synced, err := target.Sync(ctx, image)
			if err != nil {
				return workspace.Sync{}, fmt.Errorf("syncing to %s: %w", target.Kind(), err)
			}
			o.Log.Info("synced", "kind", synced.Kind, "location", synced.Location, "digest", synced.Digest, "existed", synced.Existed)
			record.Targets = append(record.Targets, synced)
		}
	}
	return record, workspace.Write(o.Workspace, record)
}

// image describes what push has pushed into the first registry, and says whether it has changed. Its blobs are read from the workspace,
// as far as they are there.
func (o Options) image() (image Image, unchanged bool, err error) {
	pushed, err := workspace.Read[workspace.Push](o.Workspace)
	if err != nil {
		return Image{}, false, err
	}
	if len(pushed.Images) == 0 {
		return Image{}, false, failure.New(failure.InvalidInput, "the push record names no image")
	}
	first := pushed.Images[0]
	repo, err := o.Registry.ParseRepository(first.Repository)
	if err != nil {
		return Image{}, false, err
	}
	if pushed.Unchanged {
		return Image{Repository: first.Repository, Digest: pushed.Digest}, true, nil
	}
	image = Image{Env: o.Env, Name: repo.RepositoryStr(), Repository: first.Repository, Digest: pushed.Digest, Tags: []string{first.Unique},
		Source: o.source(repo)}
	if first.Primary != "" {
		image.Tags = append(image.Tags, first.Primary)
	}
	return image, false, checkTags(image)
}

func checkTags(image Image) error {
	for _, tag := range image.Tags {
		if _, err := name.NewTag(image.Repository+":"+tag, name.StrictValidation); err != nil || strings.Contains(tag, "/") {
			return failure.New(failure.InvalidInput, "the push record has the malformed tag %q", tag)
		}
	}
	return nil
}

func (o Options) source(repo name.Repository) transfer.Source {
	return &transfer.Layout{Dir: o.Workspace.Image(), Rest: &repo, Open: func(ctx context.Context) (*transfer.Repository, error) {
		return transfer.Open(ctx, o.Registry, o.Env, repo, transfer.Pull)
	}}
}
