package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"
	"golang.org/x/sync/errgroup"

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
	e := exporter{store: store, cache: filepath.Join(b.Storage, "blobs"), layout: b.Layout, compression: b.Compression}
	if err := os.MkdirAll(e.cache, 0o700); err != nil {
		return nil, failure.New(failure.Storage, "making the cache of layers: %w", err)
	}
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
	store                      storage.Store
	cache, layout, compression string
}

// cached is what is remembered of a compressed layer. Boot says since when the blob is known to be whole: a machine that was
// switched off may have lost what was not yet on the disk.
type cached struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Boot   string `json:"boot"`
}

// layer puts one layer into the layout. A layer that was compressed before is taken from the cache.
func (e exporter) layer(ctx context.Context, l *storage.Layer) (wire.Layer, error) {
	diff := l.UncompressedDigest
	if err := diff.Validate(); err != nil {
		return wire.Layer{}, failure.New(failure.Internal, "layer %s: %w", l.ID, err)
	}
	blob := filepath.Join(e.cache, diff.Encoded()+"."+e.compression)
	c, reused := readCached(blob)
	if !reused {
		var err error
		if c, err = e.compress(ctx, l, blob); err != nil {
			return wire.Layer{}, err
		}
	}
	target := filepath.Join(e.layout, "blobs", "sha256", strings.TrimPrefix(c.Digest, "sha256:"))
	if err := link(blob, target); err != nil {
		return wire.Layer{}, failure.New(failure.Storage, "writing a layer to the layout: %w", err)
	}
	return wire.Layer{DiffID: diff.String(), Digest: c.Digest, Size: c.Size, Reused: reused}, nil
}

// readCached trusts a blob that was written since the machine started; another one is read again.
func readCached(blob string) (cached, bool) {
	var c cached
	data, err := os.ReadFile(blob + ".json")
	if err != nil || json.Unmarshal(data, &c) != nil {
		return c, false
	}
	info, err := os.Stat(blob)
	if err != nil || info.Size() != c.Size {
		return c, false
	}
	return c, c.Boot == bootID() || hashFile(blob) == c.Digest
}

func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

func hashFile(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// link avoids a copy where both are on one file system.
func link(blob, target string) error {
	err := os.Link(blob, target)
	if err == nil || errors.Is(err, os.ErrExist) {
		return nil
	}
	from, err := os.Open(blob)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		return err
	}
	return to.Close()
}

// compress writes the blob of a layer. The bytes depend on nothing but the layer: blocks are cut at fixed places.
func (e exporter) compress(ctx context.Context, l *storage.Layer, blob string) (cached, error) {
	plain := archive.Uncompressed
	diff, err := e.store.Diff("", l.ID, &storage.DiffOptions{Compression: &plain})
	if err != nil {
		return cached{}, failure.New(failure.Storage, "reading layer %s: %w", l.ID, err)
	}
	defer diff.Close()
	file, err := renameio.TempFile(e.cache, blob)
	if err != nil {
		return cached{}, failure.New(failure.Storage, "writing a layer: %w", err)
	}
	defer file.Cleanup() //nolint:errcheck // it is gone, or will be removed with the cache
	sum := &counter{hash: sha256.New()}
	packed, err := compressor(io.MultiWriter(file, sum), e.compression)
	if err != nil {
		return cached{}, failure.New(failure.Internal, "compressing a layer: %w", err)
	}
	checked := newPipeline(ctx, diff, l.UncompressedDigest)
	defer checked.Close()
	if _, err = io.Copy(packed, checked); err == nil {
		err = packed.Close()
	}
	if err != nil {
		return cached{}, storageFault(err, "compressing layer "+l.ID)
	}
	c := cached{Digest: "sha256:" + hex.EncodeToString(sum.hash.Sum(nil)), Size: sum.n, Boot: bootID()}
	return c, e.keep(file, blob, c)
}

// keep puts a blob into the cache; what describes it comes last, so that a killed build leaves nothing that is trusted.
func (e exporter) keep(file *renameio.PendingFile, blob string, c cached) error {
	data, err := json.Marshal(c)
	if err != nil {
		return failure.New(failure.Internal, "describing a layer: %w", err)
	}
	if err := os.Chmod(file.Name(), 0o644); err != nil {
		return failure.New(failure.Storage, "writing a layer: %w", err)
	}
	if err := os.Rename(file.Name(), blob); err != nil {
		return failure.New(failure.Storage, "writing a layer: %w", err)
	}
	if err := os.WriteFile(blob+".tmp", data, 0o600); err != nil {
		return failure.New(failure.Storage, "describing a layer: %w", err)
	}
	if err := os.Rename(blob+".tmp", blob+".json"); err != nil {
		return failure.New(failure.Storage, "describing a layer: %w", err)
	}
	return nil
}

type counter struct {
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.hash.Write(p)
}

// Compression settings: fast ones, because a layer is compressed once and mostly read on a network that is slower still. Blocks of
// gzip are compressed in parallel.
const (
	gzipLevel = 3
	gzipBlock = 1 << 20
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
