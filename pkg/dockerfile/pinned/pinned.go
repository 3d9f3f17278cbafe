// Package pinned leaves, for engines that know nothing of this project, the Dockerfile with each base replaced by its digest.
package pinned

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Write writes workspace.Dir.PinnedDockerfile with the bases that detect-base has pinned. An index stays an index, so that one file
// serves all platforms. If that is not possible there is no file, and the error says why.
func Write(d workspace.Dir, f *dockerfile.File, bases workspace.DetectBase, buildArgs map[string]string) error {
	if err := os.Remove(d.PinnedDockerfile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failure.New(failure.Storage, "removing an earlier Dockerfile.pinned: %w", err)
	}
	var text []byte
	for i, platform := range bases.Platforms() {
		own, err := forPlatform(f, bases, platform, buildArgs)
		if err != nil {
			return err
		}
		if i > 0 && !bytes.Equal(text, own) {
			return failure.New(failure.InvalidInput, "the bases of platforms %s and %s are different images", bases.Platform, platform)
		}
		text = own
	}
	if err := renameio.WriteFile(d.PinnedDockerfile(), text, 0o644, renameio.WithTempDir(string(d))); err != nil {
		return failure.New(failure.Storage, "writing Dockerfile.pinned: %w", err)
	}
	return nil
}

// forPlatform is the text for a platform.
func forPlatform(f *dockerfile.File, bases workspace.DetectBase, platform string, buildArgs map[string]string) ([]byte, error) {
	one, err := bases.For(platform)
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, b := range one.Bases {
		digests[b.Reference] = b.Repository + "@" + b.Digest
	}
	o := dockerfile.Options{Target: bases.DockerfileTarget, BuildArgs: buildArgs, Platform: platform}
	return f.Pinned(o, func(reference string) string {
		if pinned := digests[reference]; pinned != "" {
			return pinned
		}
		return reference
	})
}
