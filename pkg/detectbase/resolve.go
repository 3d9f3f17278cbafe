package detectbase

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagestream"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// jobs is how many bases are looked up at once.
const jobs = 4

// wanted is a base that is to be resolved.
type wanted struct {
	dockerfile.Base
	// platform is the one that it is resolved for.
	platform v1.Platform
	// ref is what is asked of the registry: the tag, or the digest that the Dockerfile or the event names.
	ref name.Reference
	// resolved is the reference with everything spelled out.
	resolved string
	tag      string // ImageStreamTag
	stages   []string
}

// plan says, for every base, what the registry will be asked. stages are all stages' names, for hints.
func (d *detector) plan(p platform, bases []dockerfile.Base, stages []string) ([]wanted, error) {
	plan := make([]wanted, 0, len(bases))
	for _, b := range bases {
		w, err := d.want(b)
		if err != nil {
			return nil, err
		}
		w.stages, w.platform = stages, p.Platform
		if b.Platform != "" {
			if w.platform, err = parsePlatform(b.Platform); err != nil {
				return nil, failure.New(failure.InvalidInput, "Dockerfile line %d: %w", b.Line, err)
			}
		}
		plan = append(plan, w)
	}
	return plan, nil
}

// warnUnused tells of digests that were given for images that the Dockerfile does not use.
func (d *detector) warnUnused(plan []wanted) {
	unused := maps.Clone(d.BaseDigests)
	for _, w := range plan {
		for _, key := range []string{w.Reference, w.resolved, w.tag} {
			if key != "" {
				delete(unused, key)
			}
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(unused)) {
		d.Log.Warn("the Dockerfile does not use a base image whose digest was given", "reference", ref, "digest", unused[ref])
	}
}

func (d *detector) want(b dockerfile.Base) (wanted, error) {
	located, err := d.locate(b)
	if err != nil {
		return wanted{}, err
	}
	ref, err := d.Registry.ParseReference(located)
	if err != nil {
		return wanted{}, err
	}
	w := wanted{Base: b, ref: ref, resolved: spell(ref)}
	if w.tag, err = imagestream.TagFor(b.Reference, d.home...); err != nil {
		return wanted{}, failure.New(failure.InvalidInput, "%w", err)
	}
	if _, isPinned := ref.(name.Digest); isPinned {
		return w, nil
	}
	for _, key := range []string{b.Reference, w.resolved, w.tag} {
		if digest, ok := d.BaseDigests[key]; ok && key != "" {
			w.ref = ref.Context().Digest(digest)
			break
		}
	}
	return w, nil
}

// locate applies source_registry_uri.
func (d *detector) locate(b dockerfile.Base) (string, error) {
	if d.source.Host == "" {
		return b.Reference, nil
	}
	first, _, found := strings.Cut(b.Reference, "/")
	switch {
	case !found || !imagestream.IsHost(first):
		return d.source.Host + "/" + b.Reference, nil
	case d.OtherRegistries, strings.EqualFold(first, d.source.Host):
		return b.Reference, nil
	default:
		return "", failure.WithHint(failure.New(failure.InvalidInput, "Dockerfile line %d: base image %q is from registry %s, but bases must come from %s",
			b.Line, b.Reference, first, d.source.Host), "leave the registry out of the reference, or use an image of %s", d.source.Host)
	}
}

// spell writes docker.io the way people do.
func spell(ref name.Reference) string {
	return strings.Replace(ref.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}

// resolve asks the registries: once for each reference, so that a tag that moves meanwhile means one thing.
func (d *detector) resolve(ctx context.Context, plan []wanted) ([]workspace.Base, error) {
	fetched := make([]*image, len(plan))
	first := map[string]int{}
	group, groupCtx := errgroup.WithContext(ctx) // ends with Wait, so it is not for what comes after
	group.SetLimit(jobs)
	for i, w := range plan {
		if _, ok := first[w.ref.Name()]; ok {
			continue
		}
		first[w.ref.Name()] = i
		group.Go(func() error {
			img, err := d.fetch(groupCtx, w)
			fetched[i] = img
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	bases := make([]workspace.Base, 0, len(plan))
	for _, w := range plan {
		base, err := d.pin(ctx, w, fetched[first[w.ref.Name()]])
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	return bases, nil
}

// pin makes the record of a base of what was fetched.
func (d *detector) pin(ctx context.Context, w wanted, img *image) (workspace.Base, error) {
	manifest, config, err := d.forPlatform(ctx, w, img, w.platform)
	if err != nil {
		return workspace.Base{}, err
	}
	repository := w.ref.Context()
	return workspace.Base{
		Stages: w.Stages, Reference: w.Reference, Resolved: w.resolved,
		Repository: strings.Replace(repository.Name(), name.DefaultRegistry+"/", "docker.io/", 1),
		Digest:     img.digest.String(), ManifestDigest: manifest.String(),
		ImageStreamTag: w.tag, Parent: w.Parent, Env: config.Env, Labels: config.Labels,
	}, nil
}

// describe names a base in errors.
func (w wanted) describe() string {
	if w.ref.Name() == w.resolved || spell(w.ref) == w.resolved {
		return fmt.Sprintf("base image %s (Dockerfile line %d)", w.resolved, w.Line)
	}
	return fmt.Sprintf("base image %s, pinned to %s (Dockerfile line %d)", w.resolved, w.ref.Identifier(), w.Line)
}
