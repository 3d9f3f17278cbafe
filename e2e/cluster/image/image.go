// Package image makes the few base images that the cluster needs, from files of this machine, and pushes them.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Nonroot is the user that images run as if nothing else is said.
const Nonroot = 65532

// path is where programs are looked for in an image.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// File is an entry of an image. One with a target is a symbolic link, one whose name ends with a slash is a directory.
type File struct {
	Name   string
	Text   []byte
	Mode   int64
	Owner  int
	Target string
}

// Static is the base of programs that need nothing of the system: users, CA certificates, a directory for temporary files. certificates is in PEM.
func Static(certificates []byte) (v1.Image, error) {
	files := append(system(certificates), File{Name: "home/nonroot/", Mode: 0o755, Owner: Nonroot})
	return build(files, v1.Config{User: "65532:65532", WorkingDir: "/home/nonroot",
		Env: []string{path, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}})
}

// Tini is Static with the little init that Tekton's remote resolvers are started by.
func Tini(certificates, tini []byte) (v1.Image, error) {
	files := append(system(certificates), File{Name: "home/nonroot/", Mode: 0o755, Owner: Nonroot}, File{Name: "sbin/", Mode: 0o755},
		File{Name: "sbin/tini", Text: tini, Mode: 0o755})
	return build(files, v1.Config{User: "65532:65532", WorkingDir: "/home/nonroot",
		Env: []string{path, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}})
}

// Busybox is a shell and its tools. busybox must be linked statically.
func Busybox(ctx context.Context, file string, certificates []byte) (v1.Image, error) {
	busybox, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	list, err := exec.CommandContext(ctx, file, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("asking %s for its commands: %w", file, err)
	}
	files := append(system(certificates), File{Name: "bin/", Mode: 0o755}, File{Name: "bin/busybox", Text: busybox, Mode: 0o755},
		File{Name: "usr/", Mode: 0o755}, File{Name: "usr/bin/", Mode: 0o755}, File{Name: "usr/bin/env", Target: "../../bin/busybox"})
	for command := range strings.FieldsSeq(string(list)) {
		if command != "busybox" {
			files = append(files, File{Name: "bin/" + command, Target: "busybox"})
		}
	}
	return build(files, v1.Config{Cmd: []string{"sh"}, Env: []string{path}})
}

// Program is an image of one static program.
func Program(file, entrypoint string, user int) (v1.Image, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return build([]File{{Name: strings.TrimPrefix(entrypoint, "/"), Text: text, Mode: 0o755}},
		v1.Config{User: fmt.Sprintf("%d:%[1]d", user), Entrypoint: []string{entrypoint}})
}

// system is what every image has.
func system(certificates []byte) []File {
	const (
		passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n" +
			"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
		group = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"
	)
	return []File{
		{Name: "etc/", Mode: 0o755}, {Name: "etc/ssl/", Mode: 0o755}, {Name: "etc/ssl/certs/", Mode: 0o755},
		{Name: "etc/ssl/certs/ca-certificates.crt", Text: certificates, Mode: 0o644},
		{Name: "etc/passwd", Text: []byte(passwd), Mode: 0o644}, {Name: "etc/group", Text: []byte(group), Mode: 0o644},
		{Name: "etc/nsswitch.conf", Text: []byte("hosts: files dns\n"), Mode: 0o644},
		{Name: "home/", Mode: 0o755}, {Name: "root/", Mode: 0o700}, {Name: "tmp/", Mode: 0o1777}, {Name: "var/", Mode: 0o755}, {Name: "var/run/", Mode: 0o755},
	}
}

// build makes an image of one layer. The same files give the same digest.
func build(files []File, config v1.Config) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return archive(files) }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("packing a layer: %w", err)
	}
	image, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Config = runtime.GOARCH, "linux", config
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	return mutate.ConfigFile(image, file)
}

func archive(files []File) (io.ReadCloser, error) {
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: f.Mode, Uid: f.Owner, Gid: f.Owner, ModTime: time.Unix(0, 0), Size: int64(len(f.Text)), Typeflag: tar.TypeReg}
		switch {
		case f.Target != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Target, 0o777
		case strings.HasSuffix(f.Name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Text); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(&text), w.Close()
}

// Push writes an image to a registry without credentials, and returns its reference by digest. transport may be nil.
func Push(ctx context.Context, image v1.Image, reference string, transport http.RoundTripper) (string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	options := []remote.Option{remote.WithContext(ctx)}
	if transport != nil {
		options = append(options, remote.WithTransport(transport))
	}
	if err := remote.Write(ref, image, options...); err != nil {
		return "", fmt.Errorf("pushing %s: %w", reference, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	return ref.Context().Digest(digest.String()).String(), nil
}
