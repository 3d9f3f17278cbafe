package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

// maxIndex bounds the index.json of a layout, in bytes.
const maxIndex = 4 << 20

// fromLayout reads what another engine than the build stage has left: an OCI image layout with one image, or one index, in it. noRecord
// is why the build stage has left nothing.
func fromLayout(ctx context.Context, dir string, noRecord error) (built, error) {
	f, err := os.Open(filepath.Join(dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return built{}, fmt.Errorf("%w, and %s is no OCI image layout", noRecord, filepath.Base(dir))
	}
	if err != nil {
		return built{}, failure.New(failure.Storage, "reading the image layout: %w", err)
	}
	defer f.Close()
	index, err := v1.ParseIndexManifest(io.LimitReader(f, maxIndex))
	if err != nil {
		return built{}, failure.New(failure.InvalidInput, "index.json of the image layout is malformed: %w", err)
	}
	if len(index.Manifests) != 1 {
		return built{}, failure.New(failure.InvalidInput, "the image layout has %d images: it must have one, or one index of several platforms", len(index.Manifests))
	}
	b := built{digest: index.Manifests[0].Digest.String(), source: &transfer.Layout{Dir: dir}}
	images, err := b.images(ctx)
	if err != nil {
		return built{}, err
	}
	for i, image := range images {
		if i > 0 {
			if err := agree(images[0], image); err != nil {
				return built{}, err
			}
		}
	}
	b.labels = images[0].labels
	return b, nil
}

// maxManifests bounds how many manifests of an index are read.
const maxManifests = 64

// images are the images of an index, or the one image, each with its labels and its platform. Attestations are none.
func (b built) images(ctx context.Context) ([]built, error) {
	top, err := b.source.Manifest(ctx, b.digest)
	if err != nil {
		return nil, err
	}
	if !top.MediaType.IsIndex() {
		image, err := b.image(ctx, top)
		return []built{image}, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(top.Raw))
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "index %s is malformed: %w", top.Digest, err)
	}
	if len(index.Manifests) > maxManifests {
		return nil, failure.New(failure.InvalidInput, "index %s has %d manifests, more than %d", top.Digest, len(index.Manifests), maxManifests)
	}
	var images []built
	for _, d := range index.Manifests {
		if d.Platform != nil && d.Platform.OS == "unknown" {
			continue
		}
		m, err := b.source.Manifest(ctx, d.Digest.String())
		if err != nil {
			return nil, err
		}
		image, err := b.image(ctx, m)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	if len(images) == 0 {
		return nil, failure.New(failure.InvalidInput, "index %s names no image", top.Digest)
	}
	return images, nil
}

// image reads the labels and the platform of one image.
func (b built) image(ctx context.Context, m transfer.Manifest) (built, error) {
	if !m.MediaType.IsImage() {
		return built{}, failure.New(failure.InvalidInput, "%s has media type %q, which is not an image's", m.Digest, m.MediaType)
	}
	config, err := configOf(ctx, b.source, m)
	if err != nil {
		return built{}, err
	}
	image := built{digest: m.Digest.String(), source: b.source, labels: config.Config.Labels, config: config}
	if config.OS != "" && config.Architecture != "" {
		image.platform = config.Platform().String()
	}
	return image, nil
}

// complete checks that one layout has all platforms.
func complete(ctx context.Context, whole built, platforms []string, err error) error {
	if err != nil {
		return err
	}
	images, err := whole.images(ctx)
	if err != nil {
		return err
	}
	var have []string
	for _, image := range images {
		have = append(have, image.platform)
	}
	for _, platform := range platforms {
		if !hasPlatform(have, platform) {
			return failure.New(failure.NotFound, "the image layout has no image for %s, only for %s", platform, strings.Join(have, ", "))
		}
	}
	return nil
}

// hasPlatform finds a platform; where one side names no variant, any will do.
func hasPlatform(have []string, platform string) bool {
	for _, h := range have {
		if h == platform || strings.HasPrefix(h, platform+"/") || strings.HasPrefix(platform, h+"/") {
			return true
		}
	}
	return false
}
