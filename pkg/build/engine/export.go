package engine

import (
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"
	"golang.org/x/sync/errgroup"

	"github.com/osbs-tekton/osbs/pkg/build/internal/blobs"
	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// export puts the new layers of an image, compressed, into the layout.
func export(ctx context.Context, store storage.Store, id string, b wire.Build) (*wire.Image, error) {
	config, err := readConfig(store, id)
	if err != nil {
		return nil, err
	}
	layers, err := newLayers(store, id, b.ParentLayers)
	if err != nil {
		return nil, err
	}
	out := &wire.Image{Config: config, Layers: make([]wire.Layer, len(layers))}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	e := exporter{store: store, cache: blobs.Open(filepath.Join(b.Storage, wire.BlobsDir)), layout: b.Layout, compression: b.Compression}
	for i, layer := range layers {
		group.Go(func() (err error) {
			out.Layers[i], err = e.layer(ctx, layer)
			return err
		})
	}
	return out, group.Wait()
}

// readConfig is the configuration that the library made.
func readConfig(store storage.Store, id string) ([]byte, error) {
	manifest, err := store.ImageBigData(id, storage.ImageDigestBigDataKey)
	if err != nil {
		return nil, failure.New(failure.Storage, "reading the built image: %w", err)
	}
	var m struct {
		Config struct {
			Digest string `json:"digest"`
		} `json:"config"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, failure.New(failure.Internal, "the built image's manifest: %w", err)
	}
	config, err := store.ImageBigData(id, m.Config.Digest)
	if err != nil {
		return nil, failure.New(failure.Storage, "reading the built image: %w", err)
	}
	return config, nil
}

// newLayers are the image's layers above those of its base, from the lowest up.
func newLayers(store storage.Store, id string, parentLayers int) ([]*storage.Layer, error) {
	image, err := store.Image(id)
	if err != nil {
		return nil, failure.New(failure.Storage, "reading the built image: %w", err)
	}
	var all []*storage.Layer
	for next := image.TopLayer; next != ""; {
		layer, err := store.Layer(next)
		if err != nil {
			return nil, failure.New(failure.Storage, "reading the built image: %w", err)
		}
		all = append(all, layer)
		next = layer.Parent
	}
	if len(all) < parentLayers {
		return nil, failure.New(failure.Internal, "the built image has %d layers, its base %d", len(all), parentLayers)
	}
	layers := make([]*storage.Layer, 0, len(all)-parentLayers)
	for i := len(all) - parentLayers - 1; i >= 0; i-- {
		layers = append(layers, all[i])
	}
	return layers, nil
}

type exporter struct {
	store               storage.Store
	cache               blobs.Cache
	layout, compression string
}

// layer puts one layer into the layout. A layer that was compressed before is taken from the cache.
func (e exporter) layer(ctx context.Context, l *storage.Layer) (wire.Layer, error) {
	diff := l.UncompressedDigest
	if err := diff.Validate(); err != nil {
		return wire.Layer{}, failure.New(failure.Internal, "layer %s: %w", l.ID, err)
	}
	blob, reused := e.cache.Find(diff.String(), e.compression)
	if !reused {
		var err error
		if blob, err = e.compress(ctx, l); err != nil {
			return wire.Layer{}, storageFault(err, "compressing layer "+l.ID)
		}
	}
	if err := blob.LinkInto(e.layout); err != nil {
		return wire.Layer{}, failure.New(failure.Storage, "writing a layer to the layout: %w", err)
	}
	return wire.Layer{DiffID: diff.String(), Digest: blob.Digest, Size: blob.Size, Reused: reused}, nil
}

// compress makes the blob of a layer. Its bytes depend on nothing but the layer: blocks are cut at fixed places.
func (e exporter) compress(ctx context.Context, l *storage.Layer) (blobs.Blob, error) {
	plain := archive.Uncompressed
	diff, err := e.store.Diff("", l.ID, &storage.DiffOptions{Compression: &plain})
	if err != nil {
		return blobs.Blob{}, err
	}
	defer diff.Close()
	to, err := e.cache.Create(l.UncompressedDigest.String(), e.compression)
	if err != nil {
		return blobs.Blob{}, err
	}
	defer to.Discard()
	packed, err := compressor(to, e.compression)
	if err != nil {
		return blobs.Blob{}, err
	}
	checked := newPipeline(ctx, diff, l.UncompressedDigest)
	defer checked.Close()
	if _, err := io.Copy(packed, checked); err != nil {
		return blobs.Blob{}, err
	}
	if err := packed.Close(); err != nil {
		return blobs.Blob{}, err
	}
	return to.Commit()
}

// Compression settings: fast ones, because a layer is compressed once and mostly read on a network that is slower still. Blocks of
// gzip are compressed in parallel.
const (
	gzipLevel = 3
	gzipBlock = 256 << 10
)

func compressor(to io.Writer, compression string) (io.WriteCloser, error) {
	switch compression {
	case "gzip":
		z, err := pgzip.NewWriterLevel(to, gzipLevel)
		if err != nil {
			return nil, err
		}
		return z, z.SetConcurrency(gzipBlock, runtime.GOMAXPROCS(0))
	case "zstd":
		return zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedDefault))
	default:
		return nopCloser{to}, nil
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
