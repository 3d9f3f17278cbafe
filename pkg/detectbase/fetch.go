package detectbase

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// Bounds of what a registry may send.
const (
	maxManifest  = 4 << 20 // bytes; what registries accept
	maxConfig    = 8 << 20 // bytes
	maxDepthJSON = 64
	maxPlatforms = 1000
)

// image is what a base's reference means: an index, or a manifest.
type image struct {
	digest v1.Hash
	index  *v1.IndexManifest // nil if it is a manifest
	raw    []byte
}

// fetch asks the registry for what the base's reference means, and keeps it in the workspace.
func (d *detector) fetch(ctx context.Context, w wanted) (*image, error) {
	raw, digest, mediaType, err := d.manifest(ctx, w, w.ref)
	if err != nil {
		return nil, err
	}
	img := &image{digest: digest, raw: raw}
	if !mediaType.IsIndex() {
		return img, nil
	}
	if img.index, err = v1.ParseIndexManifest(bytes.NewReader(raw)); err != nil {
		return nil, rubbish(w, err)
	}
	if len(img.index.Manifests) > maxPlatforms {
		return nil, rubbish(w, fmt.Errorf("its index has more than %d entries", maxPlatforms))
	}
	return img, nil
}

// manifest gets one manifest or index and keeps it in the workspace.
func (d *detector) manifest(ctx context.Context, w wanted, ref name.Reference) ([]byte, v1.Hash, types.MediaType, error) {
	desc, err := d.puller.Get(ctx, ref)
	if err != nil {
		return nil, v1.Hash{}, "", explain(w, registry.Classify(err, w.describe()))
	}
	if err := checkJSON(desc.Manifest, maxManifest); err != nil {
		return nil, v1.Hash{}, "", rubbish(w, err)
	}
	mediaType, err := mediaTypeOf(desc.Manifest)
	if err != nil {
		return nil, v1.Hash{}, "", rubbish(w, err)
	}
	return desc.Manifest, desc.Digest, mediaType, d.keep(desc.Digest, desc.Manifest)
}

// mediaTypeOf tells what a document is by what it holds: the Content-Type of a hostile or broken server says nothing.
func mediaTypeOf(raw []byte) (types.MediaType, error) {
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Config        json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", fmt.Errorf("it is not JSON: %w", err)
	}
	isIndex, isImage := doc.Manifests != nil, doc.Config != nil
	switch {
	case doc.SchemaVersion == 1:
		return "", errors.New("it has the manifest format of Docker before 1.10, which is no longer supported")
	case isIndex == isImage:
		return "", errors.New("it is neither an image nor an index")
	case isIndex:
		return types.OCIImageIndex, nil
	default:
		return types.OCIManifestSchema1, nil
	}
}

// forPlatform is the manifest's digest and the configuration of the image for a platform.
func (d *detector) forPlatform(ctx context.Context, w wanted, img *image, platform v1.Platform) (v1.Hash, v1.Config, error) {
	raw, digest := img.raw, img.digest
	if img.index != nil {
		chosen, err := choose(w, img.index, platform)
		if err != nil {
			return v1.Hash{}, v1.Config{}, err
		}
		var mediaType types.MediaType
		if raw, digest, mediaType, err = d.manifest(ctx, w, w.ref.Context().Digest(chosen.Digest.String())); err != nil {
			return v1.Hash{}, v1.Config{}, err
		}
		if mediaType.IsIndex() {
			return v1.Hash{}, v1.Config{}, rubbish(w, errors.New("its index holds another index for the platform"))
		}
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return v1.Hash{}, v1.Config{}, rubbish(w, err)
	}
	config, err := d.config(ctx, w, manifest.Config)
	if err != nil {
		return v1.Hash{}, v1.Config{}, err
	}
	if config.OS != "" && (config.OS != platform.OS || config.Architecture != platform.Architecture) {
		return v1.Hash{}, v1.Config{}, noPlatform(w, platform, config.OS+"/"+config.Architecture)
	}
	return digest, config.Config, nil
}

// choose finds the platform's entry in an index: the same variant if possible, else one without a conflicting variant.
func choose(w wanted, index *v1.IndexManifest, want v1.Platform) (v1.Descriptor, error) {
	var fallback *v1.Descriptor
	var have []string
	for i, m := range index.Manifests {
		p := m.Platform
		if p == nil || p.OS == "unknown" {
			continue // an attestation
		}
		if name := p.String(); !slices.Contains(have, name) {
			have = append(have, name)
		}
		if p.OS != want.OS || p.Architecture != want.Architecture {
			continue
		}
		if variant(*p) == variant(want) {
			return m, nil
		}
		if fallback == nil && (p.Variant == "" || want.Variant == "") {
			fallback = &index.Manifests[i]
		}
	}
	if fallback != nil {
		return *fallback, nil
	}
	return v1.Descriptor{}, noPlatform(w, want, have...)
}

// noPlatform says which platforms a base has in place of the one that is wanted.
func noPlatform(w wanted, want v1.Platform, have ...string) error {
	return failure.WithHint(failure.New(failure.NotFound, "%s has no image for platform %s", w.describe(), want.String()),
		"it has %s", strings.Join(have, ", "))
}

// variant spells out the variant that an architecture has by default.
func variant(p v1.Platform) string {
	switch {
	case p.Variant != "":
		return p.Variant
	case p.Architecture == "arm64":
		return "v8"
	case p.Architecture == "arm":
		return "v7"
	default:
		return ""
	}
}

// config gets an image's configuration and keeps it in the workspace.
func (d *detector) config(ctx context.Context, w wanted, desc v1.Descriptor) (*v1.ConfigFile, error) {
	if desc.Size < 0 || desc.Size > maxConfig {
		return nil, rubbish(w, fmt.Errorf("its configuration has %d bytes", desc.Size))
	}
	layer, err := d.puller.Layer(ctx, w.ref.Context().Digest(desc.Digest.String()))
	if err != nil {
		return nil, explain(w, registry.Classify(err, w.describe()))
	}
	raw, err := registry.ReadBlob(layer, maxConfig)
	if err != nil {
		return nil, explain(w, registry.Classify(err, w.describe()))
	}
	if err := checkJSON(raw, maxConfig); err != nil {
		return nil, rubbish(w, err)
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, rubbish(w, err)
	}
	return config, d.keep(desc.Digest, raw)
}

// keep stores a document in the workspace under its digest.
func (d *detector) keep(digest v1.Hash, raw []byte) error {
	if err := os.MkdirAll(d.Workspace.Manifests(), 0o755); err != nil {
		return failure.New(failure.Storage, "keeping a base's manifest: %w", err)
	}
	if err := renameio.WriteFile(d.Workspace.Blob(digest.String()), raw, 0o644, renameio.WithTempDir(d.Workspace.Manifests())); err != nil {
		return failure.New(failure.Storage, "keeping a base's manifest: %w", err)
	}
	return nil
}

// checkJSON bounds a document before it is decoded.
func checkJSON(raw []byte, limit int) error {
	if len(raw) > limit {
		return fmt.Errorf("it has more than %d bytes", limit)
	}
	depth, inString, escaped := 0, false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepthJSON {
				return fmt.Errorf("it is nested deeper than %d levels", maxDepthJSON)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// rubbish is for answers that are not what a registry sends for an image.
func rubbish(w wanted, err error) error {
	return failure.New(failure.Unavailable, "%s: registry %s answered something that is not an image: %w", w.describe(), w.ref.Context().RegistryStr(), err)
}

// explain adds, to an image that does not exist and may have been meant as a stage, the stages there are.
func explain(w wanted, err error) error {
	kind := failure.KindOf(err)
	mayBeStage := !w.From && !strings.ContainsAny(w.Reference, "/:@")
	if mayBeStage && (kind == failure.NotFound || kind == failure.Unauthorized) {
		return failure.WithHint(err, "no stage is named %q either; the stages are %s", w.Reference, strings.Join(w.stages, ", "))
	}
	return err
}
