package imagesync

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/transfer"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Registry is a Target: a second registry. The image has the same name and tags there; an index comes with all its platforms.
type Registry struct {
	// Client reaches it.
	Client *registry.Client
	// URI is the registry.
	URI registry.URI
	// Jobs is how many blobs are copied at once; 0 means transfer.DefaultJobs.
	Jobs int
}

var _ Target = (*Registry)(nil)

// Kind implements Target.
func (*Registry) Kind() string { return "registry" }

// String implements Target.
func (r *Registry) String() string { return r.URI.Host }

// Tag implements Target.
func (r *Registry) Tag(ctx context.Context, image Image) error {
	repo, err := r.open(ctx, image)
	if err != nil {
		return err
	}
	digest, err := v1.NewHash(image.Digest)
	if err != nil {
		return failure.New(failure.InvalidInput, "digest %q is malformed: %w", image.Digest, err)
	}
	for _, tag := range image.Floating {
		moved, err := repo.Tag(ctx, digest, tag)
		if err != nil {
			return err
		}
		image.Log.Info("floating tag", "tag", repo.Name().String()+":"+tag, "digest", digest, "moved", moved)
	}
	return nil
}

// Sync implements Target. A primary tag that means another image there is failure.Conflict.
func (r *Registry) Sync(ctx context.Context, image Image) (workspace.SyncedTarget, error) {
	repo, err := r.open(ctx, image)
	if err != nil {
		return workspace.SyncedTarget{}, err
	}
	existed, err := Copy(ctx, repo, image, r.Jobs)
	if err == nil {
		err = repo.Attach(ctx, image.Home, image.Attached, r.Jobs)
	}
	return workspace.SyncedTarget{Location: repo.Name().String() + ":" + image.Best(), Digest: image.Digest, Existed: existed}, err
}

// open opens the repository of the image's name there.
func (r *Registry) open(ctx context.Context, image Image) (*transfer.Repository, error) {
	destination, err := r.Client.ParseRepository(r.URI.Host + "/" + image.Name)
	if err != nil {
		return nil, err
	}
	from, err := r.Client.ParseRepository(image.Repository)
	if err != nil {
		return nil, err
	}
	if from.String() == destination.String() {
		return nil, failure.New(failure.Usage, "the mirror registry %s is the one that was pushed into", r.URI.Host)
	}
	return transfer.Open(ctx, r.Client, image.Env, destination, transfer.Push, from)
}

// Copy brings the image into repo, under all its tags, and reads each back. existed says that all of it was there already.
func Copy(ctx context.Context, repo *transfer.Repository, image Image, jobs int) (existed bool, err error) {
	missing, err := missingTags(ctx, repo, image)
	if err != nil || len(missing) == 0 {
		return err == nil, err
	}
	top, _, err := repo.Blobs(ctx, image.Source, image.Digest, jobs)
	if err != nil {
		return false, err
	}
	for _, tag := range missing {
		if err := repo.PutManifest(ctx, tag, top); err != nil {
			return false, err
		}
	}
	return false, nil
}

// missingTags are the tags that do not exist in repo. Unique and primary tags mean one image for ever.
func missingTags(ctx context.Context, repo *transfer.Repository, image Image) ([]string, error) {
	var missing []string
	for _, tag := range image.Tags {
		digest, found, err := repo.Resolve(ctx, tag)
		switch {
		case err != nil:
			return nil, err
		case !found:
			missing = append(missing, tag)
		case digest.String() != image.Digest:
			return nil, failure.WithHint(failure.New(failure.Conflict, "%s:%s exists with digest %s, this image has %s", repo.Name(), tag, digest, image.Digest),
				"somebody else pushes into the mirror registry: let only syncs do that")
		}
	}
	return missing, nil
}
