// Package imagesync is the sync stage: it brings the pushed image to further places, each behind the Target interface: a second
// registry, a directory such as an NFS mount, a Pulp server.
//
// Every target gets the image under its unique and primary tag first. Floating tags are moved only when all targets have it; those of the
// registries that were pushed into are moved later, by the import stage.
package imagesync

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// String names the target among those of its kind.
	String() string
	// Sync brings the image there and verifies what then is there. To sync an image again that is there already is a success.
	Sync(ctx context.Context, image Image) (workspace.SyncedTarget, error)
	// Tag moves the image's floating tags there, if the target has such. The image is there already.
	Tag(ctx context.Context, image Image) error
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
	// Floating tags mean the image that was built last.
	Floating []string
	// Source reads the image.
	Source transfer.Source
	// Home is the repository that has the image, and Attached what belongs to it there.
	Home     *transfer.Repository
	Attached transfer.Attached
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

// Run syncs the image of the push record into every target and writes the sync record. A target that fails does not keep the others from
// being synced, but fails the stage, and no floating tag is moved then. When the stage is run again, what has been synced is only looked at.
// Without targets, if the prepare stage skipped the build, and if the image has not changed, it does nothing.
func Run(ctx context.Context, o Options) (workspace.Sync, error) {
	o.Env = o.WithDefaults()
	if prepared, err := workspace.Read[workspace.Prepare](o.Workspace); err == nil && prepared.State == workspace.StateSkipped {
		return workspace.Sync{}, nil
	}
	record := workspace.Sync{Targets: []workspace.SyncedTarget{}}
	if len(o.Targets) == 0 {
		return record, workspace.Write(o.Workspace, record)
	}
	image, unchanged, err := o.image()
	if err != nil {
		return workspace.Sync{}, err
	}
	if unchanged {
		o.Log.Info("nothing to sync: the image has not changed", "digest", image.Digest)
		return record, workspace.Write(o.Workspace, record)
	}
	if err := o.attached(ctx, &image); err != nil {
		return workspace.Sync{}, err
	}
	if record, err = o.syncAll(ctx, image); err != nil {
		return workspace.Sync{}, err
	}
	return record, o.tagAll(ctx, image)
}

// syncAll syncs into every target, and keeps the record up to date.
func (o Options) syncAll(ctx context.Context, image Image) (workspace.Sync, error) {
	record := workspace.Sync{Targets: []workspace.SyncedTarget{}}
	var failed []error
	for _, target := range o.Targets {
		synced, err := target.Sync(ctx, image)
		if err != nil {
			failed = append(failed, fmt.Errorf("syncing to %s %s: %w", target.Kind(), target, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		synced.Kind = target.Kind()
		o.Log.Info("synced", "kind", synced.Kind, "location", synced.Location, "digest", synced.Digest, "existed", synced.Existed)
		record.Targets = append(record.Targets, synced)
		if err := workspace.Write(o.Workspace, record); err != nil {
			return workspace.Sync{}, err
		}
	}
	return record, o.report(record, failed)
}

// report is the error of a stage of which targets have failed. Its kind is that of the first.
func (o Options) report(record workspace.Sync, failed []error) error {
	if len(failed) <= 1 {
		return errors.Join(failed...)
	}
	for _, err := range failed {
		o.Log.Error("a target has failed", "error", err)
	}
	return fmt.Errorf("%d of %d targets failed: %w", len(failed), len(failed)+len(record.Targets), errors.Join(failed...))
}

// tagAll moves the floating tags, now that every target has the image.
func (o Options) tagAll(ctx context.Context, image Image) error {
	if len(image.Floating) == 0 {
		return nil
	}
	var failed []error
	for _, target := range o.Targets {
		if err := target.Tag(ctx, image); err != nil {
			failed = append(failed, fmt.Errorf("moving the floating tags of %s %s: %w", target.Kind(), target, err))
		}
	}
	return errors.Join(failed...)
}

// attached looks for what belongs to the image in the registry that it was pushed into. Files hold the image alone.
func (o Options) attached(ctx context.Context, image *Image) error {
	if !slices.ContainsFunc(o.Targets, func(t Target) bool { return t.Kind() != (*Directory)(nil).Kind() }) {
		return nil
	}
	name, err := o.Registry.ParseRepository(image.Repository)
	if err != nil {
		return err
	}
	if image.Home, err = transfer.Open(ctx, o.Registry, o.Env, name, transfer.Pull); err != nil {
		return err
	}
	image.Attached, err = image.Home.Attached(ctx, image.Source, image.Digest)
	if err == nil && !image.Attached.IsEmpty() {
		o.Log.Info("something belongs to the image, and follows it", "tags", len(image.Attached.Tags), "subjects", len(image.Attached.Referrers))
	}
	return err
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
		Floating: first.Floating, Source: o.source(repo)}
	if first.Primary != "" {
		image.Tags = append(image.Tags, first.Primary)
	}
	return image, false, checkTags(image)
}

func checkTags(image Image) error {
	for _, tag := range append(slices.Clone(image.Tags), image.Floating...) {
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
