package main

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// rootfs writes the files of Debian packages, and of all they depend on, as installed on this machine, into a tar: a base image
// that is as real as Debian's own.
func rootfs(ctx context.Context, path string, packages ...string) error {
	files, err := filesOf(ctx, packages)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: link, Linkname: "usr/" + link, Mode: 0o777}); err != nil {
			return err
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, file := range files {
		if err := addFile(w, file, seen); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return w.Close()
}

// filesOf lists what dpkg installed for packages and their dependencies.
func filesOf(ctx context.Context, packages []string) ([]string, error) {
	var files []string
	done := map[string]bool{}
	for queue := packages; len(queue) > 0; queue = queue[1:] {
		p := queue[0]
		if done[p] {
			continue
		}
		done[p] = true
		list, err := exec.CommandContext(ctx, "dpkg-query", "-L", p).Output()
		if err != nil {
			continue // a virtual package, or an alternative that is not installed
		}
		files = append(files, strings.Split(strings.TrimSpace(string(list)), "\n")...)
		depends, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Pre-Depends},${Depends}", p).Output()
		if err != nil {
			return nil, fmt.Errorf("asking dpkg for what %s depends on: %w", p, err)
		}
		for _, d := range strings.FieldsFunc(string(depends), func(r rune) bool { return r == ',' || r == '|' }) {
			if words := strings.Fields(d); len(words) > 0 {
				queue = append(queue, strings.TrimSuffix(words[0], ":any"))
			}
		}
	}
	return files, nil
}

// addFile adds one installed file, moved under /usr where that is merged.
func addFile(w *tar.Writer, file string, seen map[string]bool) error {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) || file == "/." || strings.HasPrefix(file, "/tmp") {
		return nil
	}
	if err != nil {
		return err
	}
	target := strings.TrimPrefix(file, "/")
	for _, merged := range []string{"bin", "sbin", "lib", "lib64"} {
		if target == merged {
			return nil
		}
		if strings.HasPrefix(target, merged+"/") {
			target = "usr/" + target
		}
	}
	if seen[target] {
		return nil
	}
	seen[target] = true
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = target
	if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// image makes an image of one layer from a tar.
func image(tarPath string) (v1.Image, error) {
	layer, err := tarball.LayerFromFile(tarPath)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	return mutate.Config(img, v1.Config{Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Cmd: []string{"/bin/sh"}})
}

// pushImage puts an image into a registry under ref.
func pushImage(ctx context.Context, ref string, img v1.Image) error {
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(r, img, remote.WithContext(ctx))
}

// seeded is a source of numbers that is the same in every run: what is measured does not change from run to run.
func seeded(n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(n, n)) //nolint:gosec // test data, not a secret
}

// writeData writes size bytes that compress to about two fifths, as programs do.
func writeData(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := seeded(seed)
	w := bufio.NewWriterSize(f, 1<<20)
	words := make([][]byte, 4096)
	for i := range words {
		words[i] = fmt.Appendf(nil, "%x ", r.Uint64()>>(r.UintN(50)))
	}
	for written := int64(0); written < size; {
		n, err := w.Write(words[r.UintN(uint(len(words)))])
		if err != nil {
			return err
		}
		written += int64(n)
	}
	return w.Flush()
}

// newWorkspace makes a workspace as clone and prepare leave it, with the source, if any, taken from a directory.
func newWorkspace(dir, source string, labels map[string]string) error {
	w := workspace.Dir(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if source == "" {
		if err := os.Mkdir(w.Source(), 0o755); err != nil {
			return err
		}
	} else if err := os.CopyFS(w.Source(), os.DirFS(source)); err != nil {
		return err
	}
	when := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	commit := strings.Repeat("1", 40)
	if err := workspace.Write(w, workspace.Clone{URL: "https://git.example.com/bench", Branch: "main", Commit: commit, CommitTime: when}); err != nil {
		return err
	}
	return workspace.Write(w, workspace.Prepare{State: workspace.StateBuild, Commit: commit, CommitTime: when, Labels: labels})
}

// writeFiles writes small text files, the directories in between included.
func writeFiles(dir string, files map[string]string) error {
	for path, text := range files {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
