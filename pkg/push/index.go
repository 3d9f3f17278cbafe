package push

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

// PlatformImage is the image for one platform, already in the repository that the index will be in.
type PlatformImage struct {
	// Digest of the image's manifest.
	Digest string
	// Platform is os/arch[/variant]; empty means what the image's configuration says.
	Platform string
}

// Index joins images into an index and stores it in repo under each of the tags, or by digest only if there are none. The same
// images give the same index, whatever their order. Two images for one platform are failure.InvalidInput.
func Index(ctx context.Context, repo *transfer.Repository, images []PlatformImage, tags ...string) (transfer.Manifest, error) {
	entries := make([]entry, 0, len(images))
	for _, image := range images {
		entries = append(entries, entry{image, repo})
	}
	m, err := join(ctx, entries)
	if err != nil {
		return transfer.Manifest{}, err
	}
	for _, identifier := range append([]string{m.Digest.String()}, tags...) {
		if err := repo.PutManifest(ctx, identifier, m); err != nil {
			return transfer.Manifest{}, err
		}
	}
	return m, nil
}

// entry is an image that becomes part of an index, and where it is.
type entry struct {
	PlatformImage
	source transfer.Source
}

// join makes the index of the images.
func join(ctx context.Context, images []entry) (transfer.Manifest, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: make([]v1.Descriptor, 0, len(images))}
	if len(images) == 0 {
		return transfer.Manifest{}, failure.New(failure.InvalidInput, "no images to join into an index")
	}
	seen := map[string]string{}
	for _, image := range images {
		d, err := image.descriptor(ctx)
		if err != nil {
			return transfer.Manifest{}, fmt.Errorf("joining %s: %w", image.Digest, err)
		}
		platform := d.Platform.String()
		if other, ok := seen[platform]; ok {
			return transfer.Manifest{}, failure.New(failure.InvalidInput, "both %s and %s are for platform %s", other, image.Digest, platform)
		}
		seen[platform] = image.Digest
		index.Manifests = append(index.Manifests, d)
	}
	slices.SortFunc(index.Manifests, func(a, b v1.Descriptor) int {
		return bytes.Compare([]byte(a.Platform.String()), []byte(b.Platform.String()))
	})
	raw, err := json.Marshal(index)
	if err != nil {
		return transfer.Manifest{}, fmt.Errorf("encoding the index: %w", err)
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return transfer.Manifest{}, fmt.Errorf("hashing the index: %w", err)
	}
	return transfer.Manifest{Raw: raw, MediaType: types.OCIImageIndex, Digest: digest}, nil
}

// descriptor is an image's entry in an index.
func (e entry) descriptor(ctx context.Context) (v1.Descriptor, error) {
	m, err := e.source.Manifest(ctx, e.Digest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if !m.MediaType.IsImage() {
		return v1.Descriptor{}, failure.New(failure.InvalidInput, "%s has media type %q: only images can be joined", e.Digest, m.MediaType)
	}
	d := v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw))}
	if e.Platform != "" {
		d.Platform, err = v1.ParsePlatform(e.Platform)
		if err != nil {
			return v1.Descriptor{}, failure.New(failure.InvalidInput, "platform %q is malformed: %w", e.Platform, err)
		}
		return d, nil
	}
	config, err := configOf(ctx, e.source, m)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if config.OS == "" || config.Architecture == "" {
		return v1.Descriptor{}, failure.New(failure.InvalidInput, "the configuration of %s names no platform", m.Digest)
	}
	d.Platform = config.Platform()
	return d, nil
}

// maxConfig bounds an image's configuration, in bytes.
const maxConfig = 8 << 20

// configOf reads an image's configuration, and verifies it.
func configOf(ctx context.Context, source transfer.Source, m transfer.Manifest) (*v1.ConfigFile, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(m.Raw))
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "manifest %s is malformed: %w", m.Digest, err)
	}
	if manifest.Config.Size > maxConfig {
		return nil, failure.New(failure.InvalidInput, "the configuration of %s is larger than %d bytes", m.Digest, maxConfig)
	}
	content, _, err := source.Content(ctx, manifest.Config)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxConfig))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading the configuration of %s: %w", m.Digest, err)
	}
	if digest, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || digest != manifest.Config.Digest {
		return nil, failure.New(failure.Untrusted, "the configuration of %s is damaged: it has digest %s, not %s", m.Digest, digest, manifest.Config.Digest)
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "the configuration of %s is malformed: %w", m.Digest, err)
	}
	return config, nil
}
