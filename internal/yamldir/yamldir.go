// Package yamldir keeps objects of the Kubernetes API as YAML files, one each, in one directory. It is safe with several processes,
// and a reader, even one that starts after a crash, sees every object whole.
package yamldir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	extension = ".yaml"
	lockFile  = ".lock"
	// maxFile bounds what is read of an object, in bytes: a little more than the API server accepts.
	maxFile = 4 << 20
	// maxName is the longest name of an object, in bytes: with the extension and a temporary suffix it fits a file name.
	maxName = 230
	// lockPoll is how often a taken flock is tried again; it is held for one read and one write.
	lockPoll = 2 * time.Millisecond
)

// Object is an API object, such as *corev1.ConfigMap.
type Object[T any] interface {
	*T
	metav1.Object
}

// Dir is a directory of objects of one type. It is created when something is stored.
type Dir[T any, P Object[T]] struct {
	path, what string
}

// New returns the Dir of a directory; what names its objects for people, such as `build config`.
func New[T any, P Object[T]](path, what string) *Dir[T, P] { return &Dir[T, P]{path: path, what: what} }

// Get reads an object; that there is none is failure.NotFound.
func (d *Dir[T, P]) Get(name string) (P, error) {
	path, err := d.file(name)
	if err != nil {
		return nil, err
	}
	object, err := d.read(path, name)
	if err == nil && object == nil {
		return nil, failure.New(failure.NotFound, "%s %s does not exist", d.what, name)
	}
	return object, err
}

// List reads all objects, by name.
func (d *Dir[T, P]) List(ctx context.Context) ([]P, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, failure.New(failure.Storage, "listing %ss: %w", d.what, err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), extension); ok && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	slices.Sort(names) // with the extension they sort otherwise
	out := make([]P, 0, len(names))
	for _, name := range names {
		object, err := d.Get(name)
		if failure.KindOf(err) == failure.NotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, object)
	}
	return out, ctx.Err()
}

// Change replaces an object by what op makes of the stored one, nil if there is none, while no other process, and no other goroutine,
// writes in the directory. What op returns is stored; nil, or an error, stores nothing.
func (d *Dir[T, P]) Change(ctx context.Context, name string, op func(stored P) (P, error)) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	return d.locked(ctx, func() error {
		stored, err := d.read(path, name)
		if err != nil {
			return err
		}
		object, err := op(stored)
		if err != nil || object == nil {
			return err
		}
		data, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("encoding %s %s: %w", d.what, name, err)
		}
		if len(data) > maxFile {
			return failure.New(failure.InvalidInput, "%s %s would be larger than %d bytes", d.what, name, maxFile)
		}
		if err := renameio.WriteFile(path, data, 0o644, renameio.WithTempDir(d.path)); err != nil {
			return failure.New(failure.Storage, "writing %s %s: %w", d.what, name, err)
		}
		return nil
	})
}

// Delete removes an object; that there is none is failure.NotFound.
func (d *Dir[T, P]) Delete(ctx context.Context, name string) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	return d.locked(ctx, func() error {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return failure.New(failure.NotFound, "%s %s does not exist", d.what, name)
		}
		if err != nil {
			return failure.New(failure.Storage, "deleting %s %s: %w", d.what, name, err)
		}
		return nil
	})
}

// file is where an object is kept. A name that is no file name of this directory is refused.
func (d *Dir[T, P]) file(name string) (string, error) {
	invalid := func(r rune) bool {
		return ('a' > r || r > 'z') && ('0' > r || r > '9') && !strings.ContainsRune("-._", r)
	}
	if name == "" || len(name) > maxName || name[0] == '.' || strings.ContainsFunc(name, invalid) {
		return "", failure.New(failure.Usage, "%q is no valid name of %s %s: it may hold a-z, 0-9, -, _ and dots", name, article(d.what), d.what)
	}
	return filepath.Join(d.path, name+extension), nil
}

func article(what string) string {
	if strings.ContainsAny(what[:1], "AEIOUaeiou") {
		return "an"
	}
	return "a"
}

func (d *Dir[T, P]) locked(ctx context.Context, op func() error) (err error) {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return failure.New(failure.Storage, "creating the directory of %ss: %w", d.what, err)
	}
	l := flock.New(filepath.Join(d.path, lockFile))
	if _, err := l.TryLockContext(ctx, lockPoll); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return failure.New(failure.Storage, "locking the directory of %ss: %w", d.what, err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return op()
}

// read returns nil when there is no file.
func (d *Dir[T, P]) read(path, name string) (P, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.New(failure.Storage, "reading %s %s: %w", d.what, name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading %s %s: %w", d.what, name, err)
	}
	if len(data) > maxFile {
		return nil, failure.New(failure.InvalidInput, "%s is larger than %d bytes", path, maxFile)
	}
	object := P(new(T))
	if err := yaml.Unmarshal(data, object); err != nil {
		return nil, failure.New(failure.InvalidInput, "%s is malformed: %w", path, err)
	}
	if object.GetName() != name {
		return nil, failure.New(failure.InvalidInput, "%s holds the %s %q", path, d.what, object.GetName())
	}
	return object, nil
}
