package push

import (
	"context"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/labels"
	"github.com/osbs-tekton/osbs/pkg/transfer"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// built is what there is to push: an image, or an index.
type built struct {
	digest string
	labels map[string]string
	source transfer.Source
	// bases are the repositories that have the layers which the source lacks.
	bases []name.Repository
	// platform is the image's, if the record of its build says so.
	platform string
	// config is that of one of images.
	config *v1.ConfigFile
}

// built finds what was built: for one platform, or for each of those that detect-base was given.
func (o Options) built(ctx context.Context) (built, error) {
	bases, err := workspace.Read[workspace.DetectBase](o.Workspace)
	if failure.KindOf(err) == failure.NotFound { // an image that was built outside the pipeline
		bases, err = workspace.DetectBase{}, nil
	}
	if err != nil {
		return built{}, err
	}
	platforms := bases.Platforms()
	if len(platforms) == 1 {
		return o.in(ctx, o.Workspace)
	}
	var parts []built
	var missing []string
	for _, platform := range platforms {
		part, err := o.in(ctx, o.Workspace.Platform(platform))
		switch {
		case failure.KindOf(err) == failure.NotFound:
			missing = append(missing, platform)
			continue
		case err != nil:
			return built{}, err
		case part.platform == "":
			part.platform = platform
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 { // another engine may have built all platforms at once
		whole, err := o.in(ctx, o.Workspace)
		if failure.KindOf(err) != failure.NotFound {
			return whole, complete(ctx, whole, platforms, err)
		}
	}
	if len(missing) > 0 {
		return built{}, failure.WithHint(failure.New(failure.NotFound, "nothing has been built for %s", strings.Join(missing, ", ")),
			"the build stage runs once for each platform that detect-base was given: %s", strings.Join(platforms, ", "))
	}
	return joinBuilt(ctx, parts)
}

// in is what was built in one part of the workspace: by the build stage, whose record says all of it, or by another engine, which leaves
// a whole layout.
func (o Options) in(ctx context.Context, dir workspace.Dir) (built, error) {
	record, err := workspace.Read[workspace.Build](dir)
	if failure.KindOf(err) == failure.NotFound {
		return fromLayout(ctx, dir.Image(), err)
	}
	if err != nil {
		return built{}, err
	}
	layout := &transfer.Layout{Dir: dir.Image(), InRest: map[v1.Hash]bool{}}
	b := built{digest: record.Digest, labels: record.Labels, platform: record.Platform, source: layout}
	if record.BaseRepository == "" {
		return b, nil
	}
	base, err := o.Registry.ParseRepository(record.BaseRepository)
	if err != nil {
		return built{}, err
	}
	b.bases = []name.Repository{base}
	layout.Rest = &base
	layout.Open = func(ctx context.Context) (*transfer.Repository, error) {
		return transfer.Open(ctx, o.Registry, o.Env, base, transfer.Pull)
	}
	for _, layer := range record.Layers {
		if digest, err := v1.NewHash(layer.Digest); err == nil && layer.Base {
			layout.InRest[digest] = true
		}
	}
	return b, nil
}

// joinBuilt makes an index of the platforms' images.
func joinBuilt(ctx context.Context, parts []built) (built, error) {
	all := parts[0]
	all.platform = ""
	entries := make([]entry, 0, len(parts))
	for i, part := range parts {
		if err := agree(parts[0], part); err != nil {
			return built{}, err
		}
		if i > 0 {
			all.bases = append(all.bases, part.bases...)
		}
		entries = append(entries, entry{PlatformImage{Digest: part.digest, Platform: part.platform}, part.source})
	}
	index, err := join(ctx, entries)
	if err != nil {
		return built{}, err
	}
	source := &joined{index: index, parts: map[v1.Hash]transfer.Source{}}
	for _, part := range parts {
		if err := source.add(ctx, part); err != nil {
			return built{}, err
		}
	}
	all.digest, all.source = index.Digest.String(), source
	return all, nil
}

// agree refuses two platforms whose labels would give the image different tags.
func agree(a, b built) error {
	for _, label := range []string{labels.Name, labels.Version, labels.Release, labels.Component} {
		if was, is := labels.Get(a.labels, label), labels.Get(b.labels, label); was != is {
			return failure.New(failure.InvalidInput, "the label %s is %q for %s and %q for %s: the platforms of an image must have one", label, was, a.platform, is, b.platform)
		}
	}
	return nil
}

// joined is a Source: an index, and the sources of the images that it names.
type joined struct {
	index transfer.Manifest
	// parts have the manifests and blobs.
	parts map[v1.Hash]transfer.Source
}

var _ transfer.Source = (*joined)(nil)

// add notes what a platform's image consists of.
func (j *joined) add(ctx context.Context, part built) error {
	all, err := transfer.List(ctx, part.source, part.digest)
	if err != nil {
		return err
	}
	j.parts[all.Top.Digest] = part.source
	for _, blob := range all.Blobs {
		j.parts[blob.Digest] = part.source
	}
	return nil
}

// Manifest implements transfer.Source.
func (j *joined) Manifest(ctx context.Context, digest string) (transfer.Manifest, error) {
	if digest == j.index.Digest.String() {
		return j.index, nil
	}
	want, err := v1.NewHash(digest)
	if err != nil {
		return transfer.Manifest{}, failure.New(failure.InvalidInput, "digest %q is malformed: %w", digest, err)
	}
	part, err := j.part(want)
	if err != nil {
		return transfer.Manifest{}, err
	}
	return part.Manifest(ctx, digest)
}

// Content implements transfer.Source.
func (j *joined) Content(ctx context.Context, d v1.Descriptor) (content io.ReadCloser, local bool, err error) {
	part, err := j.part(d.Digest)
	if err != nil {
		return nil, false, err
	}
	return part.Content(ctx, d)
}

// Home implements transfer.Source.
func (j *joined) Home(d v1.Descriptor) (name.Repository, bool) {
	part, err := j.part(d.Digest)
	if err != nil {
		return name.Repository{}, false
	}
	return part.Home(d)
}

func (j *joined) part(digest v1.Hash) (transfer.Source, error) {
	if part, ok := j.parts[digest]; ok {
		return part, nil
	}
	return nil, failure.New(failure.NotFound, "none of the platforms' images has %s", digest)
}
