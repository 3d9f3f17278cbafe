// Package blobs keeps compressed layers between builds, so that none is compressed twice. Several builds may use one directory.
package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// Cache is the directory.
type Cache struct {
	dir string
	// boot says since when a blob is known to be whole: a machine that was switched off may have lost what was not yet on the disk.
	boot string
}

// Blob is a compressed layer in the cache.
type Blob struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Boot   string `json:"boot"`
	path   string
}

// Open uses the directory, which need not exist.
func Open(dir string) Cache {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		id = nil // then every blob is read again before it is trusted
	}
	return Cache{dir: dir, boot: strings.TrimSpace(string(id))}
}

// path of a layer's blob; diffID is "sha256:...".
func (c Cache) path(diffID, compression string) string {
	return filepath.Join(c.dir, filepath.Base(strings.TrimPrefix(diffID, "sha256:"))+"."+compression)
}

// Find returns the blob of a layer, if it is there and whole.
func (c Cache) Find(diffID, compression string) (Blob, bool) {
	b := Blob{path: c.path(diffID, compression)}
	data, err := os.ReadFile(b.path + ".json")
	if err != nil || json.Unmarshal(data, &b) != nil {
		return b, false
	}
	info, err := os.Stat(b.path)
	if err != nil || info.Size() != b.Size {
		return b, false
	}
	return b, b.Boot != "" && b.Boot == c.boot || hashFile(b.path) == b.Digest
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

// LinkInto makes the blob part of an OCI layout, without a copy where both are on one file system.
func (b Blob) LinkInto(layout string) error {
	target := filepath.Join(layout, "blobs", "sha256", strings.TrimPrefix(b.Digest, "sha256:"))
	err := os.Link(b.path, target)
	if err == nil || errors.Is(err, os.ErrExist) {
		return nil
	}
	from, err := os.Open(b.path)
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

// Writer receives a blob.
type Writer struct {
	cache Cache
	path  string
	file  *renameio.PendingFile
	hash  hash.Hash
	size  int64
}

// Create begins the blob of a layer.
func (c Cache) Create(diffID, compression string) (*Writer, error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	path := c.path(diffID, compression)
	file, err := renameio.TempFile(c.dir, path)
	if err != nil {
		return nil, err
	}
	return &Writer{cache: c, path: path, file: file, hash: sha256.New()}, nil
}

func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	return n, err
}

// Discard gives the blob up, unless it was committed.
func (w *Writer) Discard() { _ = w.file.Cleanup() }

// Commit puts the blob into the cache. What describes it comes last, so that a killed build leaves nothing that is trusted.
func (w *Writer) Commit() (Blob, error) {
	b := Blob{Digest: "sha256:" + hex.EncodeToString(w.hash.Sum(nil)), Size: w.size, Boot: w.cache.boot, path: w.path}
	if err := w.file.Chmod(0o644); err != nil {
		return b, err
	}
	if err := w.file.Close(); err != nil {
		return b, err
	}
	if err := os.Rename(w.file.Name(), w.path); err != nil {
		return b, err
	}
	data, err := json.Marshal(b)
	if err != nil {
		return b, err
	}
	return b, renameio.WriteFile(w.path+".json", data, 0o600, renameio.WithTempDir(w.cache.dir))
}
