package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// bases puts base images into the storage. The library would fetch them too, but it decompresses each layer twice.
type bases struct {
	store  storage.Store
	mu     sync.Mutex // one question at a time on the socket
	socket *os.File
}

// baseLayers are the layers of a base, from the lowest up.
type baseLayers struct {
	blobs []v1.Descriptor
	diffs []digest.Digest
}

func parseBase(b wire.Base) (baseLayers, digest.Digest, error) {
	var m v1.Manifest
	var c v1.Image
	if err := errors.Join(json.Unmarshal(b.Manifest, &m), json.Unmarshal(b.Config, &c)); err != nil {
		return baseLayers{}, "", failure.New(failure.InvalidInput, "base %s: %w", b.Reference, err)
	}
	if len(m.Layers) != len(c.RootFS.DiffIDs) {
		return baseLayers{}, "", failure.New(failure.InvalidInput, "base %s: %d layers, %d diff IDs", b.Reference, len(m.Layers), len(c.RootFS.DiffIDs))
	}
	for i, l := range m.Layers {
		if err := errors.Join(l.Digest.Validate(), c.RootFS.DiffIDs[i].Validate()); err != nil {
			return baseLayers{}, "", failure.New(failure.InvalidInput, "base %s: layer %d: %w", b.Reference, i, err)
		}
	}
	return baseLayers{m.Layers, c.RootFS.DiffIDs}, digest.FromBytes(b.Config), nil
}

// pinned is the name of a base in the storage and in the source policy.
func pinned(b wire.Base) (string, error) {
	named, err := reference.ParseNormalizedNamed(b.Repository)
	if err != nil {
		return "", failure.New(failure.InvalidInput, "base %s: %w", b.Reference, err)
	}
	exact, err := reference.WithDigest(reference.TrimNamed(named), digest.Digest(b.Digest))
	if err != nil {
		return "", failure.New(failure.InvalidInput, "base %s: %w", b.Reference, err)
	}
	return exact.String(), nil
}

// ensure makes sure that the base is in the storage under its pinned name.
func (s *bases) ensure(ctx context.Context, b wire.Base) error {
	layers, config, err := parseBase(b)
	if err != nil {
		return err
	}
	name, err := pinned(b)
	if err != nil {
		return err
	}
	id := config.Encoded()
	if image, err := s.store.Image(id); err == nil && s.complete(image, layers) {
		return s.record(b, id, name, image.TopLayer, config)
	}
	top, err := s.layers(ctx, b, layers)
	if err != nil {
		return fmt.Errorf("base %s: %w", b.Reference, err)
	}
	return s.record(b, id, name, top, config)
}

// complete says whether the image in the storage has all its layers.
func (s *bases) complete(image *storage.Image, layers baseLayers) bool {
	id := image.TopLayer
	for i := len(layers.diffs) - 1; i >= 0; i-- {
		layer, err := s.store.Layer(id)
		if err != nil || layer.UncompressedDigest != layers.diffs[i] {
			return false
		}
		id = layer.Parent
	}
	return true
}

// record makes the image of layers that are there. If it exists, because of an earlier build, of one that does the same now, or of
// one that was killed before it had written all data, what is missing is added.
func (s *bases) record(b wire.Base, id, name, top string, config digest.Digest) error {
	manifestDigest := digest.Digest(b.Digest)
	options := &storage.ImageOptions{Digest: manifestDigest, BigData: []storage.ImageBigDataOption{
		{Key: config.String(), Data: b.Config, Digest: config},
		{Key: storage.ImageDigestManifestBigDataNamePrefix + "-" + b.Digest, Data: b.Manifest, Digest: manifestDigest},
		{Key: storage.ImageDigestBigDataKey, Data: b.Manifest, Digest: manifestDigest},
	}}
	_, err := s.store.CreateImage(id, nil, top, "{}", options)
	if errors.Is(err, storage.ErrDuplicateID) {
		for _, data := range options.BigData {
			if _, err := s.store.ImageBigDataSize(id, data.Key); err == nil {
				continue
			}
			if err := s.store.SetImageBigData(id, data.Key, data.Data, manifest.Digest); err != nil {
				return failure.New(failure.Storage, "recording base %s: %w", b.Reference, err)
			}
		}
		err = nil
	}
	if err != nil {
		return failure.New(failure.Storage, "recording base %s: %w", b.Reference, err)
	}
	if err := s.store.AddNames(id, []string{name}); err != nil {
		return failure.New(failure.Storage, "naming base %s: %w", b.Reference, err)
	}
	return nil
}

// ahead is how many layers are fetched while an earlier one is unpacked.
const ahead = 3

// layers makes the layers that are missing and returns the id of the topmost.
func (s *bases) layers(ctx context.Context, b wire.Base, layers baseLayers) (string, error) {
	parent, missing := "", 0
	for ; missing < len(layers.diffs); missing++ {
		id := chainID(parent, layers.diffs[missing])
		if _, err := s.store.Layer(id); err != nil {
			break
		}
		parent = id
	}
	streams := make([]*spool, 0, len(layers.diffs))
	defer func() {
		for _, st := range streams {
			st.close()
		}
	}()
	for i := missing; i < len(layers.diffs); i++ {
		for next := missing + len(streams); next < len(layers.diffs) && next <= i+ahead; next++ {
			st, err := s.open(b.Repository, layers.blobs[next], next > i)
			if err != nil {
				return "", err
			}
			streams = append(streams, st)
		}
		id := chainID(parent, layers.diffs[i])
		if err := s.put(ctx, streams[i-missing], id, parent, layers.blobs[i], layers.diffs[i]); err != nil {
			return "", err
		}
		streams[i-missing].close()
		parent = id
	}
	return parent, nil
}

// chainID names a layer by all that is below it, by the library's rule: under another name it would make every layer again.
func chainID(parent string, diff digest.Digest) string {
	if parent == "" {
		return diff.Encoded()
	}
	return digest.Canonical.FromString(parent + "+" + diff.Encoded()).Encoded()
}

// put unpacks one layer into the storage.
func (s *bases) put(ctx context.Context, from io.Reader, id, parent string, blob v1.Descriptor, diff digest.Digest) error {
	plain, err := decompress(from)
	if err != nil {
		return failure.New(failure.Untrusted, "layer %s: %w", blob.Digest, err)
	}
	checked := newPipeline(ctx, plain, diff)
	defer checked.Close()
	size := blob.Size
	options := &storage.LayerOptions{OriginalDigest: blob.Digest, OriginalSize: &size, UncompressedDigest: diff}
	_, _, err = s.store.PutLayer(id, parent, nil, "", false, options, checked)
	if errors.Is(err, storage.ErrDuplicateID) {
		return nil
	}
	if err != nil {
		return storageFault(err, "layer "+blob.Digest.String())
	}
	return nil
}

// decompress recognises gzip and zstd by their first bytes, as registries' media types cannot be relied upon.
func decompress(from io.Reader) (io.Reader, error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(from, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("its beginning: %w", err)
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), from)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(whole)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	default:
		return whole, nil
	}
}

// pipeline decompresses and hashes in one goroutine while another, its reader, unpacks. Its end is an error if the content is not
// what it should be.
type pipeline struct {
	full, free chan []byte
	stop       chan struct{}
	once       sync.Once
	rest, buf  []byte
	err        error
	hasher     hash.Hash
	want       digest.Digest
}

// The buffers of a pipeline: enough for the goroutines not to wait for each other.
const (
	pipelineBuffers = 8
	pipelineBuffer  = 256 << 10
)

func newPipeline(ctx context.Context, from io.Reader, want digest.Digest) *pipeline {
	p := &pipeline{
		full: make(chan []byte, pipelineBuffers), free: make(chan []byte, pipelineBuffers), stop: make(chan struct{}),
		hasher: sha256.New(), want: want,
	}
	for range pipelineBuffers {
		p.free <- make([]byte, pipelineBuffer)
	}
	go p.fill(ctx, from)
	return p
}

// fill reads, hashes, and hands each buffer to the reader.
func (p *pipeline) fill(ctx context.Context, from io.Reader) {
	defer close(p.full)
	for {
		var buf []byte
		select {
		case buf = <-p.free:
		case <-p.stop:
			return
		case <-ctx.Done():
			p.err = ctx.Err()
			return
		}
		n, err := io.ReadFull(from, buf[:pipelineBuffer])
		p.hasher.Write(buf[:n])
		if n > 0 {
			select {
			case p.full <- buf[:n]:
			case <-p.stop:
				return
			}
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			p.err = err
		} else if got := digest.NewDigestFromBytes(digest.SHA256, p.hasher.Sum(nil)); got != p.want {
			p.err = failure.New(failure.Untrusted, "its content is %s, not %s", got, p.want)
		}
		return
	}
}

func (p *pipeline) Read(to []byte) (int, error) {
	if len(p.rest) == 0 {
		if p.buf != nil {
			p.free <- p.buf
			p.buf = nil
		}
		buf, ok := <-p.full
		if !ok {
			if p.err != nil {
				return 0, p.err
			}
			return 0, io.EOF
		}
		p.buf, p.rest = buf, buf
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Close ends the goroutines.
func (p *pipeline) Close() { p.once.Do(func() { close(p.stop) }) }

// spool is a blob on its way: straight from the parent, or by way of a file so that several can be on their way at once.
type spool struct {
	io.Reader
	pipe *os.File
	file *os.File
	more *sync.Cond
	size int64
	done error
	read int64
}

// open asks for a blob.
func (s *bases) open(repository string, blob v1.Descriptor, buffered bool) (*spool, error) {
	pipe, err := s.ask(wire.Fetch{Repository: repository, Digest: blob.Digest.String()})
	if err != nil {
		return nil, failure.New(failure.Internal, "asking for layer %s: %w", blob.Digest, err)
	}
	if !buffered {
		return &spool{Reader: pipe, pipe: pipe}, nil
	}
	file, err := os.CreateTemp("", "layer-")
	if err != nil {
		pipe.Close()
		return nil, failure.New(failure.Storage, "fetching layer %s: %w", blob.Digest, err)
	}
	_ = os.Remove(file.Name())
	st := &spool{pipe: pipe, file: file, more: sync.NewCond(&sync.Mutex{})}
	st.Reader = readerFunc(st.follow)
	go st.copy()
	return st, nil
}

func (s *bases) ask(wanted wire.Fetch) (*os.File, error) {
	question, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.socket.Write(question); err != nil {
		return nil, err
	}
	rights := make([]byte, unix.CmsgSpace(4))
	n, rightsN, _, _, err := unix.Recvmsg(int(s.socket.Fd()), make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n != 1 {
		return nil, errors.Join(err, errors.New("no answer"))
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsN])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(err, errors.New("no descriptor"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(err, errors.New("no descriptor"))
	}
	return os.NewFile(uintptr(fds[0]), wanted.Digest), nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// copy fills the file.
func (st *spool) copy() {
	buf := make([]byte, pipelineBuffer)
	for {
		n, err := st.pipe.Read(buf)
		if n > 0 {
			if _, werr := st.file.WriteAt(buf[:n], st.size); werr != nil {
				err = werr
			}
		}
		st.more.L.Lock()
		st.size += int64(n)
		st.done = err
		st.more.Broadcast()
		st.more.L.Unlock()
		if err != nil {
			return
		}
	}
}

// follow reads the file as it grows.
func (st *spool) follow(p []byte) (int, error) {
	st.more.L.Lock()
	for st.read == st.size && st.done == nil {
		st.more.Wait()
	}
	size, done := st.size, st.done
	st.more.L.Unlock()
	if st.read == size {
		return 0, done
	}
	n, err := st.file.ReadAt(p[:min(int64(len(p)), size-st.read)], st.read)
	st.read += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (st *spool) close() {
	st.pipe.Close()
	if st.file != nil {
		st.file.Close()
	}
}
