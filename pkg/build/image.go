package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Media types of OCI's image specification and of Docker's schema 2.
const (
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	ociLayer       = "application/vnd.oci.image.layer.v1.tar"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

// The annotations that name the base, from OCI's list.
const (
	annotationCreated    = "org.opencontainers.image.created"
	annotationBaseName   = "org.opencontainers.image.base.name"
	annotationBaseDigest = "org.opencontainers.image.base.digest"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	URLs        []string          `json:"urls,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// index is the index.json of a layout.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// noParentTime is what the files of an image FROM scratch are dated: later than what tar and zip cannot express.
var noParentTime = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// layersAndTime is how many layers the base has, and when it was made. The latter dates the files of new layers, so that a layer
// depends on nothing but the base, the instructions and the files: builds of different commits share what they have in common.
func (b baseImage) layersAndTime() (time.Time, int, error) {
	if b.manifest == nil {
		return noParentTime, 0, nil
	}
	var c struct {
		Created time.Time `json:"created"`
		RootFS  struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(b.config, &c); err != nil {
		return time.Time{}, 0, failure.New(failure.InvalidInput, "the base's configuration is malformed: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(b.manifest, &m); err != nil {
		return time.Time{}, 0, failure.New(failure.InvalidInput, "the base's manifest is malformed: %w", err)
	}
	if len(m.Layers) != len(c.RootFS.DiffIDs) {
		return time.Time{}, 0, failure.New(failure.InvalidInput, "the base's manifest has %d layers, its configuration %d", len(m.Layers), len(c.RootFS.DiffIDs))
	}
	if c.Created.Before(noParentTime) {
		c.Created = noParentTime
	}
	return c.Created.UTC().Truncate(time.Second), len(m.Layers), nil
}

// assemble makes the image of what the engine built, writes the layout, and returns the stage's record.
func (o Options) assemble(in input, request wire.Build, built *wire.Image) (workspace.Build, error) {
	config, labels, err := o.configuration(in, request, built.Config)
	if err != nil {
		return workspace.Build{}, err
	}
	m := manifest{SchemaVersion: 2, MediaType: ociManifest, Config: descriptor{MediaType: ociConfig}}
	if request.Docker {
		m.MediaType, m.Config.MediaType = dockerManifest, dockerConfig
	}
	record := workspace.Build{Platform: in.bases.Platform, Labels: labels, MediaType: m.MediaType}
	if m.Layers, record.Layers, err = o.layers(in, request, built, config); err != nil {
		return workspace.Build{}, err
	}
	m.Annotations = map[string]string{annotationCreated: in.prepare.CommitTime.UTC().Format(time.RFC3339)}
	if parent := in.bases.Parent(); parent != nil {
		record.BaseName, record.BaseDigest, record.BaseRepository = parent.Resolved, parent.Digest, parent.Repository
		m.Annotations[annotationBaseName], m.Annotations[annotationBaseDigest] = parent.Resolved, parent.Digest
	}
	if request.Docker {
		m.Annotations = nil // schema 2 has none
	}
	l := layout(in.result.Image())
	if m.Config, err = l.put(m.Config.MediaType, config); err != nil {
		return workspace.Build{}, err
	}
	d, err := l.putJSON(m.MediaType, m)
	if err != nil {
		return workspace.Build{}, err
	}
	d.Platform = &platform{OS: request.OS, Architecture: request.Architecture, Variant: request.Variant}
	record.Digest = d.Digest
	return record, l.finish(d)
}

// layers joins the base's own layers, as its manifest has them, and the new ones.
func (o Options) layers(in input, request wire.Build, built *wire.Image, config []byte) ([]descriptor, []workspace.Layer, error) {
	var c struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, nil, failure.New(failure.Internal, "the engine's configuration is malformed: %w", err)
	}
	var base manifest
	if in.parent.manifest != nil {
		if err := json.Unmarshal(in.parent.manifest, &base); err != nil {
			return nil, nil, failure.New(failure.InvalidInput, "the base's manifest is malformed: %w", err)
		}
	}
	if got, want := len(base.Layers)+len(built.Layers), len(c.RootFS.DiffIDs); got != want {
		return nil, nil, failure.New(failure.Internal, "the engine's image has %d layers, its configuration %d", got, want)
	}
	all := make([]descriptor, 0, len(c.RootFS.DiffIDs))
	record := make([]workspace.Layer, 0, len(c.RootFS.DiffIDs))
	for i, l := range base.Layers {
		l.MediaType = translate(l.MediaType, request.Docker)
		all = append(all, l)
		record = append(record, workspace.Layer{Digest: l.Digest, DiffID: c.RootFS.DiffIDs[i], MediaType: l.MediaType, Size: l.Size, Base: true})
	}
	for i, l := range built.Layers {
		if want := c.RootFS.DiffIDs[len(base.Layers)+i]; l.DiffID != want {
			return nil, nil, failure.New(failure.Internal, "layer %d of the engine's image is %s, its configuration says %s", i, l.DiffID, want)
		}
		kind := layerType(o.Compression, request.Docker)
		all = append(all, descriptor{MediaType: kind, Digest: l.Digest, Size: l.Size})
		record = append(record, workspace.Layer{Digest: l.Digest, DiffID: l.DiffID, MediaType: kind, Size: l.Size})
	}
	return all, record, nil
}

// translate names a layer's media type in the format of the image: the bytes are the same in both.
func translate(mediaType string, docker bool) string {
	for _, suffix := range []string{"", ".gzip", "+gzip"} {
		if mediaType != ociLayer+suffix && mediaType != dockerLayer+suffix {
			continue
		}
		if suffix == "" {
			return layerType(CompressionNone, docker)
		}
		return layerType(CompressionGzip, docker)
	}
	return mediaType
}

func layerType(compression string, docker bool) string {
	switch {
	case docker && compression == CompressionGzip:
		return dockerLayer + ".gzip"
	case docker:
		return dockerLayer
	case compression == CompressionNone:
		return ociLayer
	default:
		return ociLayer + "+" + compression
	}
}

// configuration completes the engine's: labels, and the commit's time for everything that this build did.
func (o Options) configuration(in input, request wire.Build, made []byte) ([]byte, map[string]string, error) {
	var c map[string]json.RawMessage
	if err := json.Unmarshal(made, &c); err != nil {
		return nil, nil, failure.New(failure.Internal, "the engine's configuration is malformed: %w", err)
	}
	// Docker's form has fields that say where it was built.
	for _, field := range []string{"container", "container_config", "docker_version", "id", "parent", "comment"} {
		delete(c, field)
	}
	run := map[string]json.RawMessage{}
	if err := decode(c["config"], &run); err != nil {
		return nil, nil, err
	}
	var labels map[string]string
	if err := decode(run["Labels"], &labels); err != nil {
		return nil, nil, err
	}
	labels = o.labels(in, labels)
	history, err := o.history(in, c["history"])
	if err != nil {
		return nil, nil, err
	}
	for _, field := range []struct {
		of    map[string]json.RawMessage
		name  string
		value any
	}{
		{run, "Labels", labels}, {c, "config", run}, {c, "history", history}, {c, "created", in.prepare.CommitTime.UTC()},
		{c, "os", request.OS}, {c, "architecture", request.Architecture},
	} {
		if field.of[field.name], err = json.Marshal(field.value); err != nil {
			return nil, nil, failure.New(failure.Internal, "encoding the configuration: %w", err)
		}
	}
	delete(run, "Hostname")
	delete(run, "Domainname")
	data, err := json.Marshal(c)
	if err != nil {
		return nil, nil, failure.New(failure.Internal, "encoding the configuration: %w", err)
	}
	return data, labels, nil
}

func decode(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return failure.New(failure.Internal, "the engine's configuration is malformed: %w", err)
	}
	return nil
}

// history dates what this build did with the commit's time; what the base brought keeps its own.
func (o Options) history(in input, made json.RawMessage) ([]map[string]any, error) {
	var all, base []map[string]any
	if err := decode(made, &all); err != nil {
		return nil, err
	}
	if in.parent.config != nil {
		var c struct {
			History []map[string]any `json:"history"`
		}
		if err := json.Unmarshal(in.parent.config, &c); err != nil {
			return nil, failure.New(failure.InvalidInput, "the base's configuration is malformed: %w", err)
		}
		base = c.History
	}
	when := in.prepare.CommitTime.UTC().Format(time.RFC3339)
	for i := range all {
		if i >= len(base) {
			all[i]["created"] = when
		}
	}
	return all, nil
}

// labels adds those that say where the image came from. What the Dockerfile sets stays as it is; what the base had is replaced,
// because it tells of the base.
func (o Options) labels(in input, made map[string]string) map[string]string {
	labels := make(map[string]string, len(made)+8)
	for k, v := range made {
		labels[k] = v
	}
	inherited := map[string]string{}
	if p := in.bases.Parent(); p != nil {
		inherited = p.Labels
	}
	for name, value := range map[string]string{
		"build-date":   in.prepare.CommitTime.UTC().Format(time.RFC3339),
		"vcs-ref":      in.prepare.Commit,
		"vcs-type":     "git",
		"vcs-url":      o.Redact.String(in.clone.URL),
		"architecture": labelArchitecture(in.bases.Platform),
	} {
		_, set := in.prepare.Labels[name]
		got, have := labels[name]
		if was, had := inherited[name]; !set && (!have || had && was == got) {
			labels[name] = value
		}
	}
	for name, value := range map[string]string{
		"release": cmp.Or(in.prepare.Release, o.Release), "com.redhat.component": o.Component, "architecture": o.Architecture,
	} {
		if value != "" {
			labels[name] = value
		}
	}
	return labels
}

// labelArchitecture is the platform's architecture in the words of rpm and uname, which the label has always used.
func labelArchitecture(platform string) string {
	_, architecture, _ := splitPlatform(platform)
	switch architecture {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	case "386":
		return "i686"
	default:
		return architecture
	}
}

// splitPlatform reads os/arch[/variant].
func splitPlatform(platform string) (system, architecture, variant string) {
	parts := append(strings.SplitN(platform, "/", 3), "", "", "")
	return parts[0], parts[1], parts[2]
}

// layout is the directory of an OCI image layout.
type layout string

func (l layout) put(mediaType string, data []byte) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Digest: digestOf(data), Size: int64(len(data))}
	return d, l.write(filepath.Join("blobs", "sha256", strings.TrimPrefix(d.Digest, "sha256:")), data)
}

func (l layout) putJSON(mediaType string, value any) (descriptor, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, failure.New(failure.Internal, "encoding %s: %w", mediaType, err)
	}
	return l.put(mediaType, data)
}

// finish makes the directory a layout; a crash before that leaves no index.json, hence no image.
func (l layout) finish(image descriptor) error {
	data, err := json.Marshal(index{SchemaVersion: 2, MediaType: ociIndex, Manifests: []descriptor{image}})
	if err != nil {
		return failure.New(failure.Internal, "encoding index.json: %w", err)
	}
	if err := l.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return l.write("index.json", data)
}

func (l layout) write(name string, data []byte) error {
	if err := os.WriteFile(filepath.Join(string(l), name), data, 0o644); err != nil {
		return failure.New(failure.Storage, "writing the image layout: %w", fmt.Errorf("%s: %w", name, err))
	}
	return nil
}
