package build_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/osbs-tekton/osbs/pkg/build"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// engineBinary is cmd/build, built once without cgo, as it is shipped: this test links none of it and can look for races.
var engineBinary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "osbs-engine-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	engineBinary = filepath.Join(dir, "build")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-buildvcs=false", "-o", engineBinary,
		"-tags=containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper", "../../cmd/build")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the engine: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// commitTime is that of every test's commit.
var commitTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const commit = "0123456789abcdef0123456789abcdef01234567"

// file is an entry of a test's tar or source tree.
type file struct {
	content string
	mode    int64
	link    string
	kind    byte
}

func tarOf(t *testing.T, files map[string]file, order ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if len(order) == 0 {
		for n := range files {
			order = append(order, n)
		}
	}
	for _, n := range order {
		f := files[n]
		h := &tar.Header{Name: n, Mode: f.mode, Size: int64(len(f.content)), Typeflag: f.kind, Linkname: f.link, ModTime: time.Unix(1e9, 0)}
		if f.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// busybox is Debian's busybox-static: a shell without libraries.
func busybox(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/bin/busybox")
	if err != nil {
		if os.Getenv("OSBS_TEST_SKIP_SERVERS") == "1" {
			t.Skip(err)
		}
		t.Fatalf("%v: install the Debian package busybox-static", err)
	}
	return string(data)
}

// lab has a registry with a base image, and a storage.
type lab struct {
	t       *testing.T
	host    string
	image   v1.Image
	storage string
	client  *registry.Client
	env     step.Env
	output  *output
}

// output is what a build has printed so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Reset()
}

func newLab(t *testing.T) *lab {
	t.Helper()
	server := httptest.NewServer(ggcr.New(ggcr.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, host: u.Host, storage: filepath.Join(t.TempDir(), "storage"), output: &output{}}
	l.env.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.client, err = registry.New(registry.Options{Env: l.env, Insecure: []string{u.Host}})
	if err != nil {
		t.Fatal(err)
	}
	l.image = l.base(t)
	l.publish("base:1", l.image)
	return l
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// base has two layers: busybox, and a file.
func (l *lab) base(t *testing.T) v1.Image {
	t.Helper()
	first := map[string]file{
		"bin/": {kind: tar.TypeDir}, "bin/busybox": {content: busybox(t)}, "tmp/": {kind: tar.TypeDir, mode: 0o1777},
		"etc/": {kind: tar.TypeDir}, "etc/passwd": {content: "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n", mode: 0o644},
		"etc/group": {content: "root:x:0:\nuser:x:1000:\n", mode: 0o644}, "root/": {kind: tar.TypeDir, mode: 0o700},
	}
	order := []string{"bin/", "bin/busybox", "tmp/", "etc/", "etc/passwd", "etc/group", "root/"}
	for _, n := range strings.Fields("sh cat ls echo id sleep true false touch mkdir ln sha256sum dd yes head wc setsid stat grep chmod chown mknod rm env tar cp") {
		first["bin/"+n] = file{kind: tar.TypeSymlink, link: "busybox"}
		order = append(order, "bin/"+n)
	}
	image := appendLayer(t, empty.Image, tarOf(t, first, order...))
	image = appendLayer(t, image, tarOf(t, map[string]file{"etc/base": {content: "base\n", mode: 0o644}}))
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", runtime.GOARCH, v1.Time{Time: time.Unix(1_700_000_000, 0)}
	config.Config.Env = []string{"PATH=/bin", "PARENT_SAYS=yes"}
	config.Config.Labels = map[string]string{"vcs-ref": "of-the-base", "vendor": "Example"}
	for i := range config.History {
		config.History[i].Created = config.Created
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

func appendLayer(t *testing.T, image v1.Image, data []byte) v1.Image {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		t.Fatal(err)
	}
	return image
}

func (l *lab) publish(ref string, image v1.Image) {
	l.t.Helper()
	r, err := name.ParseReference(l.host + "/" + ref)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := remote.Write(r, image); err != nil {
		l.t.Fatal(err)
	}
}

// workspace has sources, and the records that the earlier stages would leave. In the Dockerfile, BASE stands for the base image.
// Every base is given as reference and image; the first is the parent.
func (l *lab) workspace(files map[string]file, bases ...workspace.Base) workspace.Dir {
	l.t.Helper()
	ws := workspace.Dir(l.t.TempDir())
	for n, f := range files {
		path := filepath.Join(ws.Source(), n)
		l.do(os.MkdirAll(filepath.Dir(path), 0o755))
		if f.kind == tar.TypeSymlink {
			l.do(os.Symlink(f.link, path))
			continue
		}
		mode := os.FileMode(0o644)
		if f.mode != 0 {
			mode = os.FileMode(f.mode)
		}
		l.do(os.WriteFile(path, []byte(strings.ReplaceAll(f.content, "BASE", l.host+"/base:1")), mode))
	}
	l.do(workspace.Write(ws, workspace.Clone{URL: "https://git.example.com/app", Branch: "main", Commit: commit, CommitTime: commitTime}))
	l.do(workspace.Write(ws, workspace.DetectBase{
		Dockerfile: "Dockerfile", Platform: "linux/" + runtime.GOARCH, Scratch: len(bases) == 0, Bases: bases,
	}))
	l.do(workspace.Write(ws, workspace.Prepare{State: workspace.StateBuild, Commit: commit, CommitTime: commitTime}))
	for _, b := range bases {
		l.keep(ws, b)
	}
	return ws
}

// keep does what detect-base does with a base's manifest and configuration.
func (l *lab) keep(ws workspace.Dir, b workspace.Base) {
	l.t.Helper()
	ref, err := name.ParseReference(b.Repository + "@" + b.ManifestDigest)
	l.do(err)
	image, err := remote.Image(ref)
	l.do(err)
	manifest, err := image.RawManifest()
	l.do(err)
	config, err := image.RawConfigFile()
	l.do(err)
	configName, err := image.ConfigName()
	l.do(err)
	l.do(os.MkdirAll(ws.Manifests(), 0o755))
	l.do(os.WriteFile(ws.Blob(b.ManifestDigest), manifest, 0o644))
	l.do(os.WriteFile(ws.Blob(configName.String()), config, 0o644))
}

// parent is the record of the lab's base image.
func (l *lab) parent() workspace.Base {
	l.t.Helper()
	return l.baseRecord("base:1", l.image, true)
}

func (l *lab) baseRecord(ref string, image v1.Image, parent bool) workspace.Base {
	l.t.Helper()
	digest, err := image.Digest()
	l.do(err)
	config, err := image.ConfigFile()
	l.do(err)
	repository, _, _ := strings.Cut(ref, ":")
	return workspace.Base{
		Stages: []string{"0"}, Reference: l.host + "/" + ref, Resolved: l.host + "/" + ref, Repository: l.host + "/" + repository,
		Digest: digest.String(), ManifestDigest: digest.String(), Parent: parent, Env: config.Config.Env, Labels: config.Config.Labels,
	}
}

func (l *lab) do(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) options(ws workspace.Dir) build.Options {
	return build.Options{
		Env: l.env, Workspace: ws, Registry: l.client, Engine: engineBinary, Storage: l.storage, LayerCache: true, Output: l.output,
	}
}

// build builds a Dockerfile on the lab's base with other files beside it.
func (l *lab) build(dockerfile string, files map[string]file, change ...func(*build.Options)) (workspace.Dir, workspace.Build, error) {
	l.t.Helper()
	if files == nil {
		files = map[string]file{}
	}
	files["Dockerfile"] = file{content: dockerfile}
	ws := l.workspace(files, l.parent())
	o := l.options(ws)
	for _, c := range change {
		c(&o)
	}
	l.output.Reset()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	record, err := build.Run(ctx, o)
	if err != nil {
		l.t.Logf("output:\n%s", l.output)
	}
	return ws, record, err
}

// mustBuild fails the test if the build does.
func (l *lab) mustBuild(dockerfile string, files map[string]file, change ...func(*build.Options)) *built {
	l.t.Helper()
	ws, record, err := l.build(dockerfile, files, change...)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.open(ws, record)
}

// built is an image that a test looks into.
type built struct {
	record   workspace.Build
	manifest v1.Manifest
	config   v1.ConfigFile
	// files of the new layers, by path; the content of a directory is empty.
	files map[string]*tar.Header
	text  map[string]string
}

func (l *lab) open(ws workspace.Dir, record workspace.Build) *built {
	l.t.Helper()
	b := &built{record: record, files: map[string]*tar.Header{}, text: map[string]string{}}
	l.do(json.Unmarshal(l.blob(ws, record.Digest), &b.manifest))
	l.do(json.Unmarshal(l.blob(ws, b.manifest.Config.Digest.String()), &b.config))
	for _, layer := range record.Layers {
		if layer.Base {
			continue
		}
		path := filepath.Join(ws.Image(), "blobs", "sha256", strings.TrimPrefix(layer.Digest, "sha256:"))
		opened, err := tarball.LayerFromFile(path)
		l.do(err)
		plain, err := opened.Uncompressed()
		l.do(err)
		l.untar(b, plain)
		l.do(plain.Close())
	}
	return b
}

func (l *lab) untar(b *built, r io.Reader) {
	l.t.Helper()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		l.do(err)
		content, err := io.ReadAll(archive)
		l.do(err)
		b.files["/"+strings.Trim(h.Name, "/")] = h
		b.text["/"+strings.Trim(h.Name, "/")] = string(content)
	}
}

func (l *lab) blob(ws workspace.Dir, digest string) []byte {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(ws.Image(), "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
	l.do(err)
	return data
}
