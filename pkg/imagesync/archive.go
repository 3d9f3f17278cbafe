package imagesync

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

// Format is the form of an archive.
type Format string

// The formats: what `docker load` reads, and the OCI image layout as a tar file.
const (
	DockerArchive Format = "docker-archive"
	OCIArchive    Format = "oci-archive"
)

// ParseFormat reads a format; `docker` and `oci` are short for the two.
func ParseFormat(text string) (Format, error) {
	switch text {
	case "", "oci", string(OCIArchive):
		return OCIArchive, nil
	case "docker", string(DockerArchive):
		return DockerArchive, nil
	default:
		return "", failure.New(failure.Usage, "archive format %q: accepted are %s and %s", text, OCIArchive, DockerArchive)
	}
}

// archive writes an image as a tar file. One image gives the same bytes every time.
type archive struct {
	image Image
	tar   *tar.Writer
}

// writeArchive writes the image to w. Blobs are verified as they pass.
func writeArchive(ctx context.Context, w io.Writer, image Image, format Format) error {
	all, err := transfer.List(ctx, image.Source, image.Digest)
	if err != nil {
		return err
	}
	a := &archive{image: image, tar: tar.NewWriter(w)}
	if format == DockerArchive {
		err = a.docker(ctx, all)
	} else {
		err = a.oci(ctx, all)
	}
	if err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return fmt.Errorf("finishing the archive: %w", err)
	}
	return nil
}

// annotationRef is how an OCI layout names a tag.
const annotationRef = "org.opencontainers.image.ref.name"

// oci writes an OCI image layout.
func (a *archive) oci(ctx context.Context, all transfer.Contents) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{
		MediaType: all.Top.MediaType, Digest: all.Top.Digest, Size: int64(len(all.Top.Raw)),
		Annotations: map[string]string{annotationRef: a.image.Best()},
	}}}
	encoded, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encoding index.json: %w", err)
	}
	if err := a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := a.file("index.json", encoded); err != nil {
		return err
	}
	written := map[v1.Hash]bool{}
	for _, m := range append([]transfer.Manifest{all.Top}, all.Children...) {
		if written[m.Digest] {
			continue
		}
		written[m.Digest] = true
		if err := a.file(blobName(m.Digest), m.Raw); err != nil {
			return err
		}
	}
	for _, d := range all.Blobs {
		if err := a.blob(ctx, blobName(d.Digest), d); err != nil {
			return err
		}
	}
	return nil
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// dockerImage is an entry of a docker-archive's manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// docker writes what `docker save` would.
func (a *archive) docker(ctx context.Context, all transfer.Contents) error {
	if !all.Top.MediaType.IsImage() {
		return failure.WithHint(failure.New(failure.Usage, "an image for several platforms does not fit into a %s", DockerArchive), "use %s", OCIArchive)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(all.Top.Raw))
	if err != nil {
		return failure.New(failure.InvalidInput, "manifest %s is malformed: %w", all.Top.Digest, err)
	}
	entry := dockerImage{Config: manifest.Config.Digest.Hex + ".json", RepoTags: []string{a.image.Repository + ":" + a.image.Best()}}
	for _, d := range manifest.Layers {
		entry.Layers = append(entry.Layers, layerName(d))
	}
	for _, d := range all.Blobs {
		file := layerName(d)
		if d.Digest == manifest.Config.Digest {
			file = entry.Config
		}
		if err := a.blob(ctx, file, d); err != nil {
			return err
		}
	}
	encoded, err := json.Marshal([]dockerImage{entry})
	if err != nil {
		return fmt.Errorf("encoding manifest.json: %w", err)
	}
	return a.file("manifest.json", encoded)
}

// layerName gives a layer the suffix of its compression.
func layerName(d v1.Descriptor) string {
	switch kind := string(d.MediaType); {
	case strings.HasSuffix(kind, "gzip"):
		return d.Digest.Hex + ".tar.gz"
	case strings.HasSuffix(kind, "zstd"):
		return d.Digest.Hex + ".tar.zst"
	default:
		return d.Digest.Hex + ".tar"
	}
}

func (a *archive) header(name string, size int64) error {
	err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
	if err != nil {
		return fmt.Errorf("writing %s into the archive: %w", name, err)
	}
	return nil
}

func (a *archive) file(name string, content []byte) error {
	if err := a.header(name, int64(len(content))); err != nil {
		return err
	}
	if _, err := a.tar.Write(content); err != nil {
		return fmt.Errorf("writing %s into the archive: %w", name, err)
	}
	return nil
}

// blob streams one blob and compares its digest.
func (a *archive) blob(ctx context.Context, name string, d v1.Descriptor) (err error) {
	task := a.image.Progress.Start("archive blob "+d.Digest.Hex[:min(12, len(d.Digest.Hex))], d.Size)
	defer func() { task.Done("", err) }()
	content, _, err := a.image.Source.Content(ctx, d)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := a.header(name, d.Size); err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(a.tar, io.TeeReader(io.LimitReader(content, d.Size), watch{ctx, task, hash}))
	if err != nil {
		return fmt.Errorf("writing blob %s into the archive: %w", d.Digest, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); n != d.Size || got != d.Digest.Hex {
		return failure.New(failure.Untrusted, "blob %s differs from its digest: it has %d bytes and sha256 %s", d.Digest, n, got)
	}
	return nil
}

// watch hashes, reports and ends with the context what passes.
type watch struct {
	ctx  context.Context //nolint:containedctx // the writer lives as long as one call
	task interface{ Add(int64) }
	hash io.Writer
}

func (w watch) Write(p []byte) (int, error) {
	w.task.Add(int64(len(p)))
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.hash.Write(p)
}
