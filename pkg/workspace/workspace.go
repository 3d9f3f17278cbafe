// Package workspace is what the stages of a build share: one directory with the sources, the built image, and one small file per
// stage that has more to say than a result holds. Each file has one writer, the stage it is named for.
package workspace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Dir is the root of a workspace.
type Dir string

// Source holds the clone of the git repository.
func (d Dir) Source() string { return filepath.Join(string(d), "source") }

// Image is the OCI image layout that the build stage writes. Blobs of the base's layers may be absent from it: Build says which
// layers are the base's own, and push takes those from the base's repository.
func (d Dir) Image() string { return filepath.Join(string(d), "image") }

// Platform is the part of the workspace that belongs to one of several platforms: the build for it leaves its record and its layout
// there. A build for one platform only uses the workspace itself.
func (d Dir) Platform(platform string) Dir {
	return Dir(filepath.Join(string(d), "platforms", filepath.Base(strings.ReplaceAll(platform, "/", "-"))))
}

// PinnedDockerfile is where detect-base leaves the Dockerfile with each base replaced by its digest, for other engines than the build
// stage.
func (d Dir) PinnedDockerfile() string { return filepath.Join(string(d), "Dockerfile.pinned") }

// Manifests holds manifests and configurations of bases, as the registry served them; a file is named by Blob.
func (d Dir) Manifests() string { return filepath.Join(string(d), "bases") }

// Blob is where a base's manifest or configuration with the given digest ("sha256:...") is kept.
func (d Dir) Blob(digest string) string {
	return filepath.Join(d.Manifests(), filepath.Base(filepath.Clean("/"+digest)))
}

// Record is what a stage leaves for the later ones.
type Record interface{ file() string }

func (Clone) file() string      { return "clone.json" }
func (DetectBase) file() string { return "detect-base.json" }
func (Lock) file() string       { return "lock.json" }
func (Prepare) file() string    { return "prepare.json" }
func (Build) file() string      { return "build.json" }
func (Push) file() string       { return "push.json" }
func (Sync) file() string       { return "sync.json" }
func (Import) file() string     { return "import.json" }

// maxRecord bounds what is read of a record, in bytes.
const maxRecord = 8 << 20

// Write stores the record of the stage that calls it. A reader, even one that starts after a crash, sees all of it or none.
func Write(d Dir, r Record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", r.file(), err)
	}
	if err := renameio.WriteFile(filepath.Join(string(d), r.file()), append(data, '\n'), 0o644, renameio.WithTempDir(string(d))); err != nil {
		return failure.New(failure.Storage, "writing %s: %w", r.file(), err)
	}
	return nil
}

// Read returns the record that an earlier stage left. That the stage has not run is failure.NotFound.
func Read[R Record](d Dir) (R, error) {
	var r R
	f, err := os.Open(filepath.Join(string(d), r.file()))
	if errors.Is(err, fs.ErrNotExist) {
		return r, failure.New(failure.NotFound, "%s is not in the workspace: the stage that writes it has not run", r.file())
	}
	if err != nil {
		return r, failure.New(failure.Storage, "reading %s: %w", r.file(), err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return r, failure.New(failure.Storage, "reading %s: %w", r.file(), err)
	}
	if len(data) > maxRecord {
		return r, failure.New(failure.InvalidInput, "%s is larger than %d bytes", r.file(), maxRecord)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, failure.New(failure.InvalidInput, "%s is malformed: %w", r.file(), err)
	}
	return r, nil
}
