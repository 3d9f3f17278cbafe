package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/progress"
)

// Source is where an image is read from.
type Source interface {
	// Manifest returns the manifest or index with the digest, verified.
	Manifest(ctx context.Context, digest string) (Manifest, error)
	// Content opens a blob; local says that it is read from this machine. Content that can begin at an offset is an io.Seeker, for
	// io.SeekStart before the first Read.
	Content(ctx context.Context, d v1.Descriptor) (content io.ReadCloser, local bool, err error)
	// Home is the repository that has the blob, if there is one: it can be mounted from there inside one registry.
	Home(d v1.Descriptor) (name.Repository, bool)
}

var _ Source = (*Repository)(nil)

// Content implements Source.
func (r *Repository) Content(ctx context.Context, d v1.Descriptor) (io.ReadCloser, bool, error) {
	content, err := r.Blob(ctx, d)
	if err != nil {
		return nil, false, err
	}
	from := func(offset int64) (io.ReadCloser, error) { return r.blobFrom(ctx, d, offset) }
	return &remoteContent{ReadCloser: content, from: from}, false, nil
}

// Home implements Source: the repository itself.
func (r *Repository) Home(v1.Descriptor) (name.Repository, bool) { return r.name, true }

// checks is how many blobs are looked for at once, which costs next to nothing.
const checks = 16

// DefaultJobs is how many blobs are moved at once if nobody says otherwise.
const DefaultJobs = 6

// Stats tells what became of the bytes of an image's blobs.
type Stats struct {
	Uploaded int64 // sent from this machine
	Mounted  int64 // taken over from another repository of the registry
	Existed  int64 // there already
	Copied   int64 // streamed from another registry
}

type counters struct{ uploaded, mounted, existed, copied atomic.Int64 }

func (c *counters) stats() Stats {
	return Stats{Uploaded: c.uploaded.Load(), Mounted: c.mounted.Load(), Existed: c.existed.Load(), Copied: c.copied.Load()}
}

// Blobs brings everything into the repository that the image with the digest refers to: the blobs of all platforms, at most jobs
// at once, and an index's manifests. The image's own manifest is returned, not stored: its PutManifest is what makes the image
// visible. A failed transfer leaves only blobs behind, which the next one finds.
func (r *Repository) Blobs(ctx context.Context, src Source, digest string, jobs int) (Manifest, Stats, error) {
	if jobs <= 0 {
		jobs = DefaultJobs
	}
	all, err := List(ctx, src, digest)
	if err != nil {
		return Manifest{}, Stats{}, err
	}
	var count counters
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(jobs, checks))
	moving := make(chan struct{}, jobs)
	for _, d := range largestFirst(all.Blobs) {
		group.Go(func() error { return r.place(groupCtx, src, d, moving, &count) })
	}
	if err := group.Wait(); err != nil {
		return Manifest{}, count.stats(), err
	}
	for _, child := range all.Children {
		if err := r.placeManifest(ctx, child); err != nil {
			return Manifest{}, count.stats(), err
		}
	}
	return all.Top, count.stats(), nil
}

// Contents is all that an image or index consists of.
type Contents struct {
	Top Manifest
	// Children are an index's manifests, each after those that it refers to.
	Children []Manifest
	// Blobs are the configurations and layers, each once, in the order in which the manifests name them.
	Blobs []v1.Descriptor
}

// List reads the manifests of the image with the digest, those of all platforms if it is an index. Layers that may only be had from
// their vendor are left out.
func List(ctx context.Context, src Source, digest string) (Contents, error) {
	top, err := src.Manifest(ctx, digest)
	if err != nil {
		return Contents{}, fmt.Errorf("reading the image: %w", err)
	}
	children, blobs, err := contents(ctx, src, top, 0)
	if err != nil {
		return Contents{}, err
	}
	return Contents{Top: top, Children: children, Blobs: once(blobs)}, nil
}

func once(blobs []v1.Descriptor) []v1.Descriptor {
	seen := map[v1.Hash]bool{}
	out := make([]v1.Descriptor, 0, len(blobs))
	for _, d := range blobs {
		if !seen[d.Digest] && (d.MediaType.IsDistributable() || len(d.URLs) == 0) {
			seen[d.Digest] = true
			out = append(out, d)
		}
	}
	return out
}

// largestFirst orders blobs so that the longest transfer does not begin last.
func largestFirst(blobs []v1.Descriptor) []v1.Descriptor {
	out := slices.Clone(blobs)
	slices.SortStableFunc(out, func(a, b v1.Descriptor) int { return int(min(1, max(-1, b.Size-a.Size))) })
	return out
}

const (
	maxDepth     = 3    // of indexes within indexes
	maxManifests = 1000 // of one index
)

// contents lists the manifests below m, lowest first, and all blobs.
func contents(ctx context.Context, src Source, m Manifest, depth int) (children []Manifest, blobs []v1.Descriptor, err error) {
	switch {
	case m.MediaType.IsIndex():
	case m.MediaType.IsImage():
		parsed, err := v1.ParseManifest(bytes.NewReader(m.Raw))
		if err != nil {
			return nil, nil, failure.New(failure.InvalidInput, "manifest %s is malformed: %w", m.Digest, err)
		}
		return nil, append([]v1.Descriptor{parsed.Config}, parsed.Layers...), nil
	default:
		return nil, nil, failure.New(failure.InvalidInput, "manifest %s has media type %q, which is neither an image's nor an index's", m.Digest, m.MediaType)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(m.Raw))
	switch {
	case err != nil:
		return nil, nil, failure.New(failure.InvalidInput, "index %s is malformed: %w", m.Digest, err)
	case depth >= maxDepth || len(index.Manifests) > maxManifests:
		return nil, nil, failure.New(failure.InvalidInput, "index %s is too large: at most %d manifests, %d levels deep", m.Digest, maxManifests, maxDepth)
	}
	for _, d := range index.Manifests {
		child, err := src.Manifest(ctx, d.Digest.String())
		if err != nil {
			return nil, nil, fmt.Errorf("reading index %s: %w", m.Digest, err)
		}
		below, more, err := contents(ctx, src, child, depth+1)
		if err != nil {
			return nil, nil, err
		}
		children = append(append(children, below...), child)
		blobs = append(blobs, more...)
	}
	return children, blobs, nil
}

// placeManifest stores a manifest by its digest, unless the repository has it.
func (r *Repository) placeManifest(ctx context.Context, m Manifest) error {
	_, found, err := r.Resolve(ctx, m.Digest.String())
	if err != nil || found {
		return err
	}
	return r.PutManifest(ctx, m.Digest.String(), m)
}

// place brings one blob into the repository, in the cheapest way that works. moving bounds how many are moved at once.
func (r *Repository) place(ctx context.Context, src Source, d v1.Descriptor, moving chan struct{}, count *counters) error {
	has, err := r.HasBlob(ctx, d.Digest)
	if err != nil {
		return err
	}
	if has {
		r.start(d).Done("exists already", nil)
		count.existed.Add(d.Size)
		return nil
	}
	select {
	case moving <- struct{}{}:
		defer func() { <-moving }()
		return r.move(ctx, src, d, count)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", r.reference(d.Digest.String()), ctx.Err())
	}
}

// start shows a blob to whoever watches.
func (r *Repository) start(d v1.Descriptor) progress.Task {
	return r.env.Progress.Start(fmt.Sprintf("blob %s to %s", d.Digest.Hex[:min(12, len(d.Digest.Hex))], r.name), d.Size)
}

// move brings a blob into the repository that it does not have.
func (r *Repository) move(ctx context.Context, src Source, d v1.Descriptor, count *counters) (err error) {
	task, note := r.start(d), ""
	defer func() { task.Done(note, err) }()
	at, mounted, err := r.mount(ctx, src, d)
	if err != nil {
		return err
	}
	if mounted {
		note = "mounted"
		count.mounted.Add(d.Size)
		return nil
	}
	isLocal := false
	err = r.upload(ctx, d, at, func(ctx context.Context) (io.ReadCloser, error) {
		content, local, err := src.Content(ctx, d)
		isLocal = local
		return content, err
	}, task)
	switch {
	case err != nil:
	case isLocal:
		count.uploaded.Add(d.Size)
	default:
		count.copied.Add(d.Size)
	}
	return err
}

// mount tries to take the blob from another repository of the same registry. If that is not possible, an upload may be open, which the
// registry opens instead.
func (r *Repository) mount(ctx context.Context, src Source, d v1.Descriptor) (at opened, mounted bool, err error) {
	home, ok := src.Home(d)
	if !ok || home.RegistryStr() != r.name.RegistryStr() || home.RepositoryStr() == r.name.RepositoryStr() {
		return opened{}, false, nil
	}
	at, err = r.begin(ctx, d.Digest, &home)
	return at, err == nil && at.location == nil, err
}
