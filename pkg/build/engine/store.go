package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/ioutils"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The configuration files that the libraries would otherwise look for on the machine: a build depends on nothing that is there.
var configuration = map[string]string{
	"policy.json":     `{"default":[{"type":"insecureAcceptAnything"}]}`,
	"registries.conf": "short-name-mode = \"disabled\"\nunqualified-search-registries = [\"docker.io\"]\n",
	"containers.conf": "",
	"storage.conf":    "",
	"mounts.conf":     "",
}

// prepareTemp fills the directory that is only this build's.
func prepareTemp(b wire.Build) error {
	for _, dir := range []string{"home", "run", "secrets", contextDir} {
		if err := os.MkdirAll(filepath.Join(b.Temp, dir), 0o700); err != nil {
			return failure.New(failure.Storage, "preparing the build's directory: %w", err)
		}
	}
	for name, content := range configuration {
		if err := os.WriteFile(filepath.Join(b.Temp, name), []byte(content), 0o600); err != nil {
			return failure.New(failure.Storage, "preparing the build's directory: %w", err)
		}
	}
	return isolateMounts(b)
}

// isolateMounts keeps our mounts to ourselves, shows the processes of our namespace, puts the directory of cache mounts, which the
// library expects in the temporary directory, where it outlives the build, and brings the context here.
func isolateMounts(b wire.Build) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return failure.New(failure.Internal, "making mounts private: %w", err)
	}
	if os.Getpid() == 1 {
		// Where the kernel refuses, because parts of /proc are hidden from us, the old one serves.
		_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	kept := filepath.Join(b.Storage, "caches")
	seen := filepath.Join(b.Temp, "buildah-cache-"+strconv.Itoa(unshare.GetRootlessUID()))
	for _, dir := range []string{kept, seen} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return failure.New(failure.Storage, "preparing cache mounts: %w", err)
		}
	}
	if err := unix.Mount(kept, seen, "", unix.MS_BIND, ""); err != nil {
		return failure.New(failure.Internal, "preparing cache mounts: %w", err)
	}
	if err := unix.Mount(b.Context, filepath.Join(b.Temp, contextDir), "", unix.MS_BIND, ""); err != nil {
		return failure.New(failure.Internal, "preparing the context: %w", err)
	}
	return nil
}

// contextDir is where the library sees the context: a path that needs no quoting in the options of a mount.
const contextDir = "context"

// openStore opens the storage, and repairs it if nobody else uses it.
//
// Nothing is forced to the disk: that took longer than a small build. What was written before the machine last started may therefore
// be damaged, and is made again.
func openStore(b wire.Build) (storage.Store, error) {
	ioutils.SetDefaultOptions(ioutils.AtomicFileWriterOptions{NoSync: true})
	if b.Repair {
		if err := forgetEarlierBoot(b); err != nil {
			return nil, failure.New(failure.Storage, "clearing the storage: %w", err)
		}
	}
	store, err := getStore(b)
	if err != nil {
		return nil, failure.New(failure.Storage, "opening the storage: %w", err)
	}
	if !b.Repair {
		return store, nil
	}
	if err := repair(store, b); err != nil {
		return nil, failure.New(failure.Storage, "repairing the storage: %w", err)
	}
	if err := unix.Flock(wire.Lock, unix.LOCK_SH); err != nil {
		return nil, failure.New(failure.Storage, "sharing the storage: %w", err)
	}
	return store, nil
}

// forgetEarlierBoot removes layers that were written before the machine started.
func forgetEarlierBoot(b wire.Build) error {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	mark := filepath.Join(b.Storage, "boot")
	if last, err := os.ReadFile(mark); err == nil && bytes.Equal(last, id) {
		return nil
	}
	if err := os.RemoveAll(graph(b)); err != nil {
		return err
	}
	return os.WriteFile(mark, id, 0o600) //nolint:gosec // the storage is where whoever starts the build says
}

// graph is where the library keeps layers and images.
func graph(b wire.Build) string { return filepath.Join(b.Storage, "graph") }

// getStore takes the driver that was asked for, else overlay, else vfs, which is slow and works everywhere.
func getStore(b wire.Build) (storage.Store, error) {
	drivers := []string{b.Driver}
	if b.Driver == "" {
		drivers = []string{"overlay", "vfs"}
	}
	var errs []error
	for _, driver := range drivers {
		store, err := storage.GetStore(storage.StoreOptions{
			RunRoot: filepath.Join(b.Temp, "run"), GraphRoot: graph(b), GraphDriverName: driver,
		})
		if err == nil {
			return store, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", driver, err))
	}
	return nil, errors.Join(errs...)
}

// repair removes what builds left that were killed: their temporary directories, their containers, images without their data,
// layers that belong to no image, and files of which the storage has no record.
func repair(store storage.Store, b wire.Build) error {
	if err := removeOthers(filepath.Dir(b.Temp), filepath.Base(b.Temp)); err != nil {
		return err
	}
	containers, err := store.Containers()
	if err != nil {
		return err
	}
	for _, c := range containers {
		if err := store.DeleteContainer(c.ID); err != nil {
			return err
		}
	}
	if err := deleteUnfinishedImages(store); err != nil {
		return err
	}
	if err := deleteUnusedLayers(store); err != nil {
		return err
	}
	return store.GarbageCollect()
}

// deleteUnfinishedImages removes images whose record was written before their manifest or configuration.
func deleteUnfinishedImages(store storage.Store) error {
	images, err := store.Images()
	if err != nil {
		return err
	}
	for _, image := range images {
		if _, err := readConfig(store, image.ID); err == nil {
			continue
		}
		if _, err := store.DeleteImage(image.ID, true); err != nil {
			return err
		}
	}
	return nil
}

func removeOthers(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == keep {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// deleteUnusedLayers removes layers that no image has, the topmost first.
func deleteUnusedLayers(store storage.Store) error {
	layers, err := store.Layers()
	if err != nil {
		return err
	}
	images, err := store.Images()
	if err != nil {
		return err
	}
	parents := map[string]string{}
	for _, l := range layers {
		parents[l.ID] = l.Parent
	}
	used := map[string]bool{}
	for _, image := range images {
		for _, top := range append(image.MappedTopLayers, image.TopLayer) {
			for id := top; id != "" && !used[id]; id = parents[id] {
				used[id] = true
			}
		}
	}
	children := map[string]int{}
	for id, parent := range parents {
		if !used[id] {
			children[parent]++
		}
	}
	for removed := true; removed; {
		removed = false
		for id, parent := range parents {
			if used[id] || children[id] > 0 {
				continue
			}
			if err := store.DeleteLayer(id); err != nil {
				return err
			}
			delete(parents, id)
			children[parent]--
			removed = true
		}
	}
	return nil
}
