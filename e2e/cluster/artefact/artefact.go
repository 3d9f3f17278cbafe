// Package artefact builds what the cluster is made of, from the Go module proxy alone, and keeps it in a cache directory.
//
// An artefact is a directory named NAME-KEY, where KEY is a hash of all that it is built from. It appears under that name only when it is
// complete, so a build that was killed leaves nothing that a later one could take for good.
package artefact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Artefact is something that can be built and kept.
type Artefact struct {
	// Name is what people call it, and the beginning of its directory's name.
	Name string
	// Inputs is all that decides what comes out: versions, flags, the texts of sources.
	Inputs []string
	// Make builds it into dir, which exists and is empty. What it prints goes to log.
	Make func(ctx context.Context, dir string, log io.Writer) error
}

// Key is a hash of the inputs.
func (a Artefact) Key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", a.Name)
	for _, in := range a.Inputs {
		fmt.Fprintf(h, "%d %s\n", len(in), in)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Cache is a directory of artefacts, shared by all checkouts of the user.
type Cache struct {
	Dir string
	// Progress is told in one line what is being built and how long it took.
	Progress io.Writer
}

// Ensure returns the artefact's directory, and builds it if it is not there yet. Two programs never build the same one at once.
func (c *Cache) Ensure(ctx context.Context, a Artefact) (string, error) {
	dir := filepath.Join(c.Dir, a.Name+"-"+a.Key())
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache of artefacts: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(c.Dir, a.Name+".lock"))
	if err != nil {
		return "", fmt.Errorf("waiting for another build of %s: %w", a.Name, err)
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	if err := c.build(ctx, a, dir); err != nil {
		return "", fmt.Errorf("building %s: %w", a.Name, err)
	}
	return dir, nil
}

// build makes the artefact beside its place and moves it there. The log of a build that fails stays.
func (c *Cache) build(ctx context.Context, a Artefact, dir string) error {
	work := filepath.Join(c.Dir, a.Name+".building")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	logFile := filepath.Join(c.Dir, a.Name+".log")
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(c.Progress, "building %s ...\n", a.Name)
	start := time.Now()
	if err := a.Make(ctx, work, log); err != nil {
		return fmt.Errorf("%w (its output is in %s)", err, logFile)
	}
	fmt.Fprintf(c.Progress, "built %s in %s\n", a.Name, time.Since(start).Round(time.Second))
	return os.Rename(work, dir)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// lock takes an exclusive lock, which ends with the process that has it.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
