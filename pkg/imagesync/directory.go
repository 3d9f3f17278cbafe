package imagesync

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Directory is a Target: a directory, usually a mounted NFS volume, that gets the image as <name>-<tag>.tar with <file>.sha256
// beside it. A file has its final name only when it is complete and on disk.
type Directory struct {
	Path   string
	Format Format
}

var _ Target = (*Directory)(nil)

// Kind implements Target.
func (*Directory) Kind() string { return "directory" }

// String implements Target.
func (d *Directory) String() string { return d.Path }

// Tag implements Target: files have no floating tags.
func (*Directory) Tag(context.Context, Image) error { return nil }

const (
	checksumSuffix = ".sha256"
	partialSuffix  = ".osbs-partial"
	bufferSize     = 1 << 20 // of writes, bytes: NFS likes them large
)

// Sync implements Target. If the file exists with the same content, that is success; with other content it is failure.Conflict.
// A directory that is absent, full or read-only is failure.Storage.
func (d *Directory) Sync(ctx context.Context, image Image) (workspace.SyncedTarget, error) {
	final := filepath.Join(d.Path, fileName(image))
	if info, err := os.Stat(d.Path); err != nil || !info.IsDir() {
		return workspace.SyncedTarget{}, failure.WithHint(failure.New(failure.Storage, "%s is not a directory", d.Path), "is the volume mounted?")
	}
	volume, err := d.volume()
	if err != nil {
		return workspace.SyncedTarget{}, err
	}
	d.removeStale(image)
	sum, existed, err := d.place(ctx, image, final)
	if err == nil {
		err = d.writeChecksum(final, sum)
	}
	if now, lookErr := d.volume(); ctx.Err() == nil && (lookErr != nil || now != volume) {
		return workspace.SyncedTarget{}, failure.WithHint(failure.New(failure.Storage, "the volume at %s went away while the image was written: %w", d.Path, errors.Join(err, lookErr)),
			"mount it again, then run the sync again")
	}
	if err != nil {
		return workspace.SyncedTarget{}, err
	}
	return workspace.SyncedTarget{Location: final, Digest: "sha256:" + sum, Existed: existed}, nil
}

// volume tells the file system at the path from another one that is mounted there later, or from the directory below it.
func (d *Directory) volume() (id [2]uint64, err error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(d.Path, &stat); err != nil {
		return id, storageError(&fs.PathError{Op: "stat", Path: d.Path, Err: err})
	}
	return [2]uint64{stat.Dev, stat.Ino}, nil
}

// fileName is flat; name and tags hold no other separators.
func fileName(image Image) string {
	return strings.ReplaceAll(image.Name, "/", "-") + "-" + strings.ReplaceAll(image.Best(), "/", "-") + ".tar"
}

// place writes the file, unless it is there.
func (d *Directory) place(ctx context.Context, image Image, final string) (sum string, existed bool, err error) {
	sum, err = d.compare(ctx, image, final)
	if !errors.Is(err, fs.ErrNotExist) {
		return sum, true, err
	}
	partial, err := newPartial(final)
	if err != nil {
		return "", false, storageError(err)
	}
	defer partial.discard()
	if sum, err = d.fill(ctx, partial.file, image); err != nil {
		return "", false, err
	}
	err = partial.publish(final)
	if errors.Is(err, fs.ErrExist) { // another sync of the same image was faster
		sum, err = d.compare(ctx, image, final)
		return sum, true, err
	}
	return sum, false, storageError(err)
}

// fill writes the archive and brings it to disk.
func (d *Directory) fill(ctx context.Context, f *os.File, image Image) (string, error) {
	sum := sha256.New()
	disk := &storageWriter{w: f}
	buffered := bufio.NewWriterSize(io.MultiWriter(disk, sum), bufferSize)
	if err := writeArchive(ctx, buffered, image, d.Format); err != nil {
		return "", disk.explain(err)
	}
	if err := buffered.Flush(); err != nil {
		return "", disk.explain(err)
	}
	if err := f.Sync(); err != nil {
		return "", storageError(err)
	}
	return hexSum(sum), nil
}

// compare writes the archive over the existing file, in thought. fs.ErrNotExist says that there is none.
func (d *Directory) compare(ctx context.Context, image Image, final string) (string, error) {
	f, err := os.Open(final)
	if err != nil {
		return "", storageError(err)
	}
	defer f.Close()
	sum := sha256.New()
	same := &comparer{with: bufio.NewReaderSize(f, bufferSize)}
	err = writeArchive(ctx, io.MultiWriter(same, sum), image, d.Format)
	if err == nil {
		err = same.end()
	}
	if errors.Is(err, errDifferent) {
		return "", failure.WithHint(failure.New(failure.Conflict, "%s exists with other content", final),
			"a version and release are built once: raise the release label, or remove the file")
	}
	return hexSum(sum), err
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// writeChecksum writes <file>.sha256 in the form of sha256sum, unless it is there.
func (d *Directory) writeChecksum(final, sum string) error {
	content := []byte(sum + "  " + filepath.Base(final) + "\n")
	if have, err := os.ReadFile(final + checksumSuffix); err == nil && bytes.Equal(have, content) {
		return nil
	}
	partial, err := newPartial(final + checksumSuffix)
	if err != nil {
		return storageError(err)
	}
	defer partial.discard()
	if _, err := partial.file.Write(content); err != nil {
		return storageError(err)
	}
	if err := partial.file.Sync(); err != nil {
		return storageError(err)
	}
	return storageError(partial.replace(final + checksumSuffix))
}

var errDifferent = errors.New("the content differs")

// comparer fails at the first byte in which what is written differs from what with has.
type comparer struct {
	with   io.Reader
	buffer []byte
}

func (c *comparer) Write(p []byte) (int, error) {
	if len(c.buffer) < len(p) {
		c.buffer = make([]byte, len(p))
	}
	n, err := io.ReadFull(c.with, c.buffer[:len(p)])
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 0, errDifferent
	case err != nil:
		return 0, storageError(err)
	case !bytes.Equal(c.buffer[:n], p):
		return 0, errDifferent
	}
	return n, nil
}

// end checks that with has no more.
func (c *comparer) end() error {
	switch _, err := io.ReadFull(c.with, make([]byte, 1)); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return storageError(err)
	default:
		return errDifferent
	}
}

// storageWriter remembers that it was the disk that failed.
type storageWriter struct {
	w   io.Writer
	err error
}

func (s *storageWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// explain gives err the kind Storage if it comes from the disk.
func (s *storageWriter) explain(err error) error {
	if s.err != nil {
		return storageError(s.err)
	}
	return err
}

func storageError(err error) error {
	var classified *failure.Error
	if err == nil || errors.As(err, &classified) {
		return err
	}
	failed := failure.New(failure.Storage, "writing the archive: %w", err)
	for errno, hint := range storageHints {
		if errors.Is(err, errno) {
			return failure.WithHint(failed, "%s", hint)
		}
	}
	return failed
}

// storageHints say what would help against errors of file systems.
var storageHints = map[syscall.Errno]string{
	syscall.ENOSPC:   "the volume is full: free space on it, then run the sync again",
	syscall.EDQUOT:   "the quota on the volume is used up: raise it or free space, then run the sync again",
	syscall.EROFS:    "the volume is mounted read-only: the file server or the mount must allow writing",
	syscall.EACCES:   "the account of the sync stage may not write there: see its user and group, and what the file server maps them to",
	syscall.EPERM:    "the account of the sync stage may not write there: see its user and group, and what the file server maps them to",
	syscall.ESTALE:   "the file server does not know the volume any longer: it must be mounted again",
	syscall.EIO:      "the volume does not answer: see the file server",
	syscall.ENOTCONN: "the volume does not answer: see the file server",
	syscall.ENODEV:   "the volume does not answer: see the file server",
}

// partial is a file under a temporary name. Its flock says that its writer lives: whoever gets the lock may remove it.
type partial struct{ file *os.File }

// newPartial makes one beside final. Another sync may take the file for stale between its creation and its lock; then it is gone and
// another is made.
func newPartial(final string) (*partial, error) {
	for {
		name := filepath.Join(filepath.Dir(final), "."+filepath.Base(final)+"."+rand.Text()[:8]+partialSuffix)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return nil, err
		}
		if err := lock(f, syscall.LOCK_EX); err != nil {
			_ = f.Close()
			_ = os.Remove(name)
			return nil, err
		}
		if _, err := os.Lstat(name); err == nil {
			return &partial{f}, nil
		}
		_ = f.Close()
	}
}

// lock takes a flock. A file system without locks is treated as if nobody else wrote there.
func lock(f *os.File, how int) error {
	err := syscall.Flock(int(f.Fd()), how)
	if errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// publish gives the file its final name, which must be free: fs.ErrExist otherwise.
func (p *partial) publish(final string) error {
	err := os.Link(p.file.Name(), final)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		if _, err := os.Lstat(final); err == nil {
			return fs.ErrExist
		}
		return p.replace(final) // a file system without hard links
	}
	if err != nil {
		return err
	}
	return syncDirectory(final)
}

// replace gives the file its final name, whatever had it.
func (p *partial) replace(final string) error {
	if err := os.Rename(p.file.Name(), final); err != nil {
		return err
	}
	return syncDirectory(final)
}

// discard removes the temporary name, if it is still there, and ends the lock.
func (p *partial) discard() {
	_ = os.Remove(p.file.Name())
	_ = p.file.Close()
}

// syncDirectory makes a new name durable.
func syncDirectory(file string) error {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: the file system does not know it
		return err
	}
	return nil
}

// removeStale removes what dead builds have left. That it cannot is no reason to fail.
func (d *Directory) removeStale(image Image) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), partialSuffix) {
			continue
		}
		if err := removeIfDead(filepath.Join(d.Path, e.Name())); err != nil {
			image.Log.Debug("a temporary file stays", "file", e.Name(), "reason", err)
			continue
		}
		image.Log.Info("removed what a dead build had left", "file", e.Name())
	}
}

// removeIfDead removes a temporary file that nobody holds a lock on.
func removeIfDead(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("its writer lives: %w", err)
	}
	return os.Remove(file)
}
