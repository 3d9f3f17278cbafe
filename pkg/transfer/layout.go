package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Layout is a Source: an OCI image layout on this machine from which blobs may be absent, and the repository that has those.
type Layout struct {
	// Dir is the layout; it may not exist at all, then everything comes from the repository.
	Dir string
	// Rest names the repository that has what the layout lacks; nil if the layout is complete.
	Rest *name.Repository
	// InRest are the blobs that Rest has although the layout may have them too: mounting is cheaper than sending.
	InRest map[v1.Hash]bool
	// Open opens Rest; it is called once, when the first absent blob is wanted.
	Open func(context.Context) (*Repository, error)

	mu   sync.Mutex
	rest *Repository
}

var _ Source = (*Layout)(nil)

// path is where the layout has a blob.
func (l *Layout) path(digest v1.Hash) string {
	return filepath.Join(l.Dir, "blobs", filepath.Base(digest.Algorithm), filepath.Base(digest.Hex))
}

// Manifest implements Source.
func (l *Layout) Manifest(ctx context.Context, digest string) (Manifest, error) {
	want, err := v1.NewHash(digest)
	if err != nil {
		return Manifest{}, failure.New(failure.InvalidInput, "digest %q is malformed: %w", digest, err)
	}
	f, err := os.Open(l.path(want))
	if errors.Is(err, fs.ErrNotExist) {
		rest, err := l.repository(ctx, want)
		if err != nil {
			return Manifest{}, err
		}
		return rest.Manifest(ctx, digest)
	}
	if err != nil {
		return Manifest{}, failure.New(failure.Storage, "reading the built image: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return Manifest{}, failure.New(failure.Storage, "reading the built image: %w", err)
	}
	got, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil || got != want {
		return Manifest{}, failure.New(failure.Untrusted, "the built image is damaged: manifest %s has digest %s", want, got)
	}
	return Manifest{Raw: raw, MediaType: mediaType(raw, string(types.OCIManifestSchema1)), Digest: got}, nil
}

// Content implements Source. A file of the wrong size is failure.Untrusted; content of the wrong digest the registry refuses.
func (l *Layout) Content(ctx context.Context, d v1.Descriptor) (io.ReadCloser, bool, error) {
	f, err := os.Open(l.path(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		rest, err := l.repository(ctx, d.Digest)
		if err != nil {
			return nil, false, err
		}
		return rest.Content(ctx, d)
	}
	if err != nil {
		return nil, false, failure.New(failure.Storage, "reading the built image: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != d.Size {
		err = failure.New(failure.Untrusted, "the built image is damaged: blob %s has %d bytes, its manifest says %d", d.Digest, info.Size(), d.Size)
	}
	if err != nil {
		_ = f.Close()
		return nil, false, err
	}
	return f, true, nil
}

// Home implements Source: what the layout lacks can be mounted from the repository that has it.
func (l *Layout) Home(d v1.Descriptor) (name.Repository, bool) {
	if l.Rest == nil {
		return name.Repository{}, false
	}
	if l.InRest[d.Digest] {
		return *l.Rest, true
	}
	_, err := os.Stat(l.path(d.Digest))
	return *l.Rest, err != nil
}

// repository opens what has the rest.
func (l *Layout) repository(ctx context.Context, wanted v1.Hash) (*Repository, error) {
	if l.Open == nil {
		return nil, failure.New(failure.NotFound, "the built image has no blob %s, and no base it could be taken from", wanted)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest == nil {
		rest, err := l.Open(ctx)
		if err != nil {
			return nil, err
		}
		l.rest = rest
	}
	return l.rest, nil
}
