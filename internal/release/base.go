package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// makeBase makes the base image, for a place from which no public one can be reached: accounts, certificates, /tmp, and nothing to run.
func (r *release) makeBase(ctx context.Context) error {
	if r.base != madeBase {
		return nil
	}
	layer, err := baseLayer(r.ca)
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	index := v1.ImageIndex(empty.Index)
	for _, platform := range r.platforms {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return err
		}
		config := &v1.ConfigFile{
			OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, RootFS: v1.RootFS{Type: "layers"},
			Config: v1.Config{
				User: "65532:65532", WorkingDir: "/home/nonroot",
				Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
			},
		}
		files, err := image.ConfigFile()
		if err != nil {
			return err
		}
		config.RootFS, config.History = files.RootFS, files.History
		one, err := mutate.ConfigFile(image, config)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: p}})
	}
	return r.pushBase(ctx, index)
}

func (r *release) pushBase(ctx context.Context, index v1.ImageIndex) error {
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	ref, err := name.NewTag(r.registry + "/static:" + r.version)
	if err != nil {
		return err
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("pushing %s: %w", ref, err)
	}
	r.base = ref.Context().Digest(digest.String()).String()
	return nil
}

// baseLayer has the same bytes for the same certificates.
func baseLayer(ca string) (v1.Layer, error) {
	certificates, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates that programs are to trust: %w", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name, content string
		mode          int64
	}{
		{"etc/", "", 0o755},
		{"etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n", 0o644},
		{"etc/group", "root:x:0:\nnonroot:x:65532:\n", 0o644},
		{"etc/ssl/", "", 0o755},
		{"etc/ssl/certs/", "", 0o755},
		{"etc/ssl/certs/ca-certificates.crt", string(certificates), 0o644},
		{"home/", "", 0o755},
		{"home/nonroot/", "", 0o755},
		{"tmp/", "", 0o1777},
	} {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
}
