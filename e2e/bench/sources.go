package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// largeBase is how much the larger base has beside a shell, in bytes: half of it can be compressed.
const largeBase = 128 << 20

// buildCase is a repository that all systems build.
type buildCase struct {
	name, what string
	// url is the repository's, for https.
	url string
}

// sources makes the bases and the repositories.
func (s *site) sources(ctx context.Context) error {
	small, large := s.image("small"), s.image("large")
	if err := pushBases(ctx, small, large); err != nil {
		return err
	}
	for _, c := range []struct{ name, what, base, instructions string }{
		{"copy", "COPY of a small file", small, "COPY file /file\n"},
		{"runs", fmt.Sprintf("three RUNs on a base of %d MiB", largeBase>>20), large,
			"RUN echo one >/one\nRUN dd if=/dev/zero of=/two bs=1M count=8 2>/dev/null\nRUN cp /two /three && rm /two\n"},
	} {
		url, err := s.repository(ctx, c.name, "FROM "+c.base+"\nLABEL name=\""+s.namespace+"/"+c.name+
			"\" version=\"1\" release=\"1\" com.redhat.component=\""+c.name+"\"\n"+c.instructions)
		if err != nil {
			return err
		}
		s.cases = append(s.cases, buildCase{c.name, c.what, url})
	}
	return nil
}

// image is a reference of a base. It is in the registry without credentials: Shipwright's strategy for buildah cannot use those that Tekton
// brings, as its root file system is read-only.
func (s *site) image(name string) string {
	return variable("IMAGES") + "/" + s.namespace + "/" + name + ":1"
}

// pushBases makes an image with a shell, and one that has a large layer beside it.
func pushBases(ctx context.Context, small, large string) error {
	options := []crane.Option{crane.WithContext(ctx)}
	shell, err := crane.Pull(variable("BUSYBOX_IMAGE"), options...)
	if err != nil {
		return err
	}
	if err := crane.Push(shell, small, options...); err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	const files = 64
	for n := range files {
		content := make([]byte, largeBase/files)
		if _, err := rand.Read(content[:len(content)/2]); err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/share/large/%d", n), Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(shell, layer)
	if err != nil {
		return err
	}
	return crane.Push(image, large, options...)
}

// repository makes one with a Dockerfile, and returns its URL.
func (s *site) repository(ctx context.Context, name, dockerfile string) (string, error) {
	dir := filepath.Join(s.dir, "git", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for file, text := range map[string]string{"Dockerfile": dockerfile, "file": "hello\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	url := variable("GIT_HTTPS") + "/public/" + s.namespace + "-" + name + ".git"
	const helper = `credential.helper=!f() { echo "username=$OSBS_E2E_GIT_USER"; echo "password=$OSBS_E2E_GIT_PASSWORD"; }; f`
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"}, {"add", "--all"},
		{"-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "--message=Add an image"},
		{"-c", helper, "push", "--quiet", url, "main"},
	} {
		if _, err := s.command(ctx, "", "git", append([]string{"-C", dir}, args...)...); err != nil {
			return "", err
		}
	}
	return url, nil
}
