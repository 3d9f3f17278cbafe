// Package registrymatrix does with a registry all that builds do, for every way of access that it has: images and indexes are pushed, in
// Docker's format and in the OCI's, copied, mounted, tagged and read back.
package registrymatrix

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

// Kind is an implementation of a registry.
type Kind struct {
	Start func(testing.TB, registrytest.Options) *registrytest.Registry
	// Tokens says that it can be started with a token server, OnlyOCI that it refuses what is in Docker's formats.
	Tokens, OnlyOCI bool
}

// access are the ways of access.
var access = map[string]registrytest.Options{
	"anonymous":          {},
	"basic":              {BasicAuth: true},
	"bearer":             {TokenServer: true},
	"custom CA":          {TLS: true},
	"custom CA, bearer":  {TLS: true, TokenServer: true},
	"client certificate": {TLS: true, ClientCertificate: true},
	"certificate, basic": {TLS: true, ClientCertificate: true, BasicAuth: true},
}

var env = step.Env{Retry: retry.Policy{Attempts: 3, First: time.Millisecond, Max: 10 * time.Millisecond}}

// Run does everything with one kind of registry.
func Run(t *testing.T, kind Kind) {
	t.Helper()
	for name, options := range access {
		if options.TokenServer && !kind.Tokens {
			continue
		}
		options.Memory = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, other := kind.Start(t, options), registrytest.Start(t, registrytest.Options{Memory: true})
			for format, write := range contents {
				if kind.OnlyOCI && (format == "Docker image" || format == "Docker list") {
					continue
				}
				path := strings.ReplaceAll(strings.ToLower(format), " ", "-") // zot lets no tag of an image become one of an index
				t.Run(format, func(t *testing.T) { all(t, target, other, path, write) })
			}
		})
	}
}

// contents write an image or an index into a layout, and return its digest.
var contents = map[string]func(t *testing.T, dir layout.Path) v1.Hash{
	"OCI image": func(t *testing.T, dir layout.Path) v1.Hash {
		t.Helper()
		return writeImage(t, dir, types.OCIManifestSchema1, types.OCIConfigJSON)
	},
	"Docker image": func(t *testing.T, dir layout.Path) v1.Hash {
		t.Helper()
		return writeImage(t, dir, types.DockerManifestSchema2, types.DockerConfigJSON)
	},
	"OCI index": func(t *testing.T, dir layout.Path) v1.Hash {
		t.Helper()
		return writeIndex(t, dir, types.OCIImageIndex, types.OCIManifestSchema1, types.OCIConfigJSON)
	},
	"Docker list": func(t *testing.T, dir layout.Path) v1.Hash {
		t.Helper()
		return writeIndex(t, dir, types.DockerManifestList, types.DockerManifestSchema2, types.DockerConfigJSON)
	},
}

func newImage(t *testing.T, manifest, config types.MediaType) v1.Image {
	t.Helper()
	layer := types.OCILayer
	if manifest == types.DockerManifestSchema2 {
		layer = types.DockerLayer
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, manifest), config)
	content, err := random.Layer(20_000, layer)
	if err == nil {
		image, err = mutate.AppendLayers(image, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func writeImage(t *testing.T, dir layout.Path, manifest, config types.MediaType) v1.Hash {
	t.Helper()
	image := newImage(t, manifest, config)
	if err := dir.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	return digestOf(t, image)
}

func writeIndex(t *testing.T, dir layout.Path, list, manifest, config types.MediaType) v1.Hash {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, list)
	for _, architecture := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: newImage(t, manifest, config), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	if err := dir.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	return digestOf(t, index)
}

func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	digest, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// all pushes to target, copies within it and to other, tags, and reads back.
func all(t *testing.T, target, other *registrytest.Registry, path string, write func(*testing.T, layout.Path) v1.Hash) {
	t.Helper()
	dir, err := layout.Write(t.TempDir(), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	digest := write(t, dir)
	from := &transfer.Layout{Dir: string(dir)}
	pushed := open(t, target, "team/"+path)
	stats := push(t, pushed, from, digest, "1")
	if stats.Uploaded == 0 || stats.Mounted+stats.Copied != 0 {
		t.Errorf("pushed: %+v", stats)
	}
	if again := push(t, pushed, from, digest, "1"); again.Uploaded != 0 {
		t.Errorf("pushed again: %+v", again)
	}
	sameBlobs(t, from, pushed, digest)

	copied := open(t, target, "copies/"+path, pushed.Name().String())
	if stats := push(t, copied, pushed, digest, "1"); stats.Uploaded != 0 || stats.Mounted+stats.Copied+stats.Existed == 0 {
		t.Errorf("copied inside the registry: %+v", stats)
	}
	elsewhere := open(t, other, "copies/"+path)
	if stats := push(t, elsewhere, pushed, digest, "1"); stats.Copied == 0 && stats.Existed == 0 {
		t.Errorf("copied to another registry: %+v", stats)
	}
	sameBlobs(t, from, elsewhere, digest)
	retag(t, pushed, digest, write)
}

// retag moves a tag away and back again.
func retag(t *testing.T, repo *transfer.Repository, digest v1.Hash, write func(*testing.T, layout.Path) v1.Hash) {
	t.Helper()
	dir, err := layout.Write(t.TempDir(), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	second := write(t, dir)
	push(t, repo, &transfer.Layout{Dir: string(dir)}, second, "2")
	for _, want := range []v1.Hash{digest, second, digest} {
		if moved, err := repo.Tag(t.Context(), want, "latest"); err != nil || !moved {
			t.Errorf("moving the tag: %v, %v", moved, err)
		}
		if got, found, err := repo.Resolve(t.Context(), "latest"); got != want || !found || err != nil {
			t.Errorf("the tag means %s, %v, %v", got, found, err)
		}
	}
}

func open(t *testing.T, r *registrytest.Registry, path string, mountFrom ...string) *transfer.Repository {
	t.Helper()
	options := r.Options()
	options.Env = env
	c, err := registry.New(options)
	if err != nil {
		t.Fatal(err)
	}
	name, err := c.ParseRepository(r.Host + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	if len(mountFrom) > 0 {
		home, err := c.ParseRepository(mountFrom[0])
		if err != nil {
			t.Fatal(err)
		}
		repo, err := transfer.Open(t.Context(), c, env, name, transfer.Push, home)
		if err != nil {
			t.Fatal(err)
		}
		return repo
	}
	repo, err := transfer.Open(t.Context(), c, env, name, transfer.Push)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// push brings an image into a repository, under a tag. PutManifest reads back what it has put.
func push(t *testing.T, to *transfer.Repository, from transfer.Source, digest v1.Hash, tag string) transfer.Stats {
	t.Helper()
	manifest, stats, err := to.Blobs(t.Context(), from, digest.String(), 0)
	if err == nil {
		err = to.PutManifest(t.Context(), tag, manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// sameBlobs compares the manifests and the blobs of an image.
func sameBlobs(t *testing.T, want, got transfer.Source, digest v1.Hash) {
	t.Helper()
	all, err := transfer.List(t.Context(), got, digest.String())
	if err != nil {
		t.Fatal(err)
	}
	original, err := transfer.List(t.Context(), want, digest.String())
	if err != nil || !bytes.Equal(all.Top.Raw, original.Top.Raw) || len(all.Blobs) != len(original.Blobs) || len(all.Children) != len(original.Children) {
		t.Errorf("the image differs: %v", err)
	}
	for _, d := range all.Blobs {
		if !bytes.Equal(content(t, want, d), content(t, got, d)) {
			t.Errorf("blob %s differs", d.Digest)
		}
	}
}

func content(t *testing.T, s transfer.Source, d v1.Descriptor) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, _, err := s.Content(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
