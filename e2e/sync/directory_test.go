//go:build e2e

package sync_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// volume is an ext4 file system of a few MiB in a file, mounted. The kernel of this machine may have no NFS; what it says about a file
// system that is full, read-only or gone is the same.
func volume(t *testing.T, size int) (dir string) {
	t.Helper()
	base := t.TempDir()
	file, dir := filepath.Join(base, "volume"), filepath.Join(base, "mounted")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "truncate", "-s", fmt.Sprint(size), file)
	command(t, "mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", file)
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", file, dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted from a file here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.CommandContext(context.WithoutCancel(t.Context()), "umount", "-l", dir).Run() }) // the test may have done so
	if err := os.RemoveAll(filepath.Join(dir, "lost+found")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// archive syncs a build into a directory.
func archive(t *testing.T, from source, build workspace.Dir, dir string) (workspace.Sync, error) {
	t.Helper()
	o := imagesync.Options{Workspace: build, Registry: from.Client(t), Targets: []imagesync.Target{&imagesync.Directory{Path: dir}}}
	return imagesync.Run(t.Context(), o)
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestVolumeFull fills a volume: the sync says so and leaves nothing behind, and works when there is room again.
func TestVolumeFull(t *testing.T) {
	from, dir := newSource(t), volume(t, 8<<20)
	image, err := random.Image(2<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	build, _ := from.built(t, "team/archive", "none-abcde-1", "1-1", image)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = archive(t, from, build, dir)
	want(t, err, failure.Storage, "no space left on device", "the volume is full")
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	record, err := archive(t, from, build, dir)
	if err != nil || record.Targets[0].Location != filepath.Join(dir, "team-archive-1-1.tar") {
		t.Errorf("with room: %+v, %v", record, err)
	}
	if again, err := archive(t, from, build, dir); err != nil || !again.Targets[0].Existed {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// TestVolumeReadOnly remounts a volume read-only.
func TestVolumeReadOnly(t *testing.T) {
	from, dir := newSource(t), volume(t, 8<<20)
	command(t, "mount", "-o", "remount,ro", dir)
	build, _ := from.built(t, "team/archive", "none-abcde-1", "1-1", newImage(t))
	_, err := archive(t, from, build, dir)
	want(t, err, failure.Storage, "read-only file system", "the volume is mounted read-only")
}

// TestVolumeVanishes unmounts a volume in the middle of a sync.
func TestVolumeVanishes(t *testing.T) {
	dir := volume(t, 8<<20)
	var once sync.Once
	from := source{registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
				once.Do(func() { command(t, "umount", "-l", dir) })
			}
			next.ServeHTTP(w, req)
		})
	}})}
	build, _ := from.built(t, "team/archive", "none-abcde-1", "1-1", newImage(t))
	_, err := archive(t, from, build, dir)
	want(t, err, failure.Storage, "went away while the image was written", "mount it again")
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("written beside the volume: %q", got)
	}
}
