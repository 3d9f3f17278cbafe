package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"

	"github.com/osbs-tekton/osbs/pkg/build/internal/blobs"
	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// memo remembers whole builds. The layer cache of the engine recognises the same steps one by one, in seconds; a build of which
// nothing has changed is recognised here by one digest of all that goes into it, as fast as the sources can be read.
type memo struct {
	path   string // empty: nothing is remembered
	cache  blobs.Cache
	layout string
	kind   string
}

// memoVersion is part of every digest, so that a change of what builds mean forgets them.
const memoVersion = "1"

// newMemo reads the context. On the way it dates files that are older than the layers may be: git does not keep times, so whatever
// the checkout left would differ between builds.
func (o Options) newMemo(ctx context.Context, request wire.Build) (memo, error) {
	context, err := hashTree(ctx, request.Context, request.FileTime)
	if err != nil {
		return memo{}, failure.New(failure.Storage, "reading the sources: %w", err)
	}
	if !request.LayerCache || request.RemoteAdd {
		return memo{}, nil
	}
	key := request
	key.Temp, key.Layout, key.Storage, key.Context, key.Repair, key.Debug = "", "", "", "", false, false
	key.Secrets = map[string]string{}
	for id := range request.Secrets {
		key.Secrets[id] = ""
	}
	data, err := json.Marshal(struct {
		Version, Context string
		Request          wire.Build
	}{memoVersion, context, key})
	if err != nil {
		return memo{}, failure.New(failure.Internal, "encoding the request: %w", err)
	}
	sum := sha256.Sum256(data)
	return memo{
		path:   filepath.Join(request.Storage, "results", hex.EncodeToString(sum[:])+".json"),
		cache:  blobs.Open(filepath.Join(request.Storage, wire.BlobsDir)),
		layout: request.Layout, kind: request.Compression,
	}, nil
}

// recall returns the image if this was built before and all its layers are still there, and links them into the layout.
func (m memo) recall() *wire.Image {
	if m.path == "" {
		return nil
	}
	data, err := os.ReadFile(m.path)
	if err != nil {
		return nil
	}
	var image wire.Image
	if json.Unmarshal(data, &image) != nil || len(image.Config) == 0 {
		return nil
	}
	for i, l := range image.Layers {
		b, found := m.cache.Find(l.DiffID, m.kind)
		if !found || b.Digest != l.Digest || b.LinkInto(m.layout) != nil {
			return nil
		}
		image.Layers[i].Reused = true
	}
	return &image
}

// remember keeps the image for the next build.
func (m memo) remember(image *wire.Image) error {
	if m.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(image)
	if err != nil {
		return err
	}
	return renameio.WriteFile(m.path, data, 0o600, renameio.WithTempDir(filepath.Dir(m.path)))
}

// entry is a file of the context.
type entry struct {
	Path, Mode, Link, Content string
}

// hashTree is a digest of all files under dir but git's own: their paths, modes, link targets and contents. Files older than
// earliest get that time.
func hashTree(ctx context.Context, dir string, earliest time.Time) (string, error) {
	var entries []*entry
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if d.Name() == ".git" && path != dir {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		e := &entry{Path: name}
		entries = append(entries, e)
		return e.fill(&group, root, d, earliest)
	})
	if err := errors.Join(err, group.Wait(), ctx.Err()); err != nil {
		return "", err
	}
	data, err := json.Marshal(entries)
	if err != nil {
		return "", err
	}
	return digestOf(data), nil
}

// fill describes the file; regular ones are read in parallel.
func (e *entry) fill(group *errgroup.Group, root *os.Root, d fs.DirEntry, earliest time.Time) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	e.Mode = info.Mode().String()
	if info.Mode().Type() == fs.ModeSymlink {
		e.Link, err = root.Readlink(e.Path)
		return err
	}
	if info.ModTime().Before(earliest) {
		if err := root.Chtimes(e.Path, earliest, earliest); err != nil {
			return err
		}
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	group.Go(func() error {
		f, err := root.Open(e.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		e.Content = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return nil
}
