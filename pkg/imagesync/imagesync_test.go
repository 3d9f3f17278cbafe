package imagesync_test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

var env = step.Env{Retry: retry.Policy{Attempts: 4, First: time.Millisecond, Max: 5 * time.Millisecond}}

const unique = "none-abcde-20260102030405"

type digester interface{ Digest() (v1.Hash, error) }

func digestOf(t *testing.T, what digester) string {
	t.Helper()
	digest, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// pushed is an image in a registry, and the workspace of its build.
type pushed struct {
	home   *registrytest.Registry
	client *registry.Client
	dir    workspace.Dir
	digest string
}

func newClient(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	o.Env = env
	o.Insecure = append(o.Insecure, "127.0.0.1")
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// push stores what as team/app:1-1 and writes the record of the push stage.
func push(t *testing.T, home *registrytest.Registry, what remote.Taggable) pushed {
	t.Helper()
	home.Push(t, "team/app:"+unique, what)
	home.Push(t, "team/app:1-1", what)
	image, ok := what.(digester)
	if !ok {
		t.Fatalf("%T has no digest", what)
	}
	p := pushed{home: home, client: newClient(t, home.Options()), dir: workspace.Dir(t.TempDir()), digest: digestOf(t, image)}
	p.record(t, workspace.PushedImage{Repository: home.Host + "/team/app", Unique: unique, Primary: "1-1", Floating: []string{"1", "latest"}})
	return p
}

func (p pushed) record(t *testing.T, image workspace.PushedImage) {
	t.Helper()
	if err := workspace.Write(p.dir, workspace.Push{Digest: p.digest, Images: []workspace.PushedImage{image}}); err != nil {
		t.Fatal(err)
	}
}

func (p pushed) sync(ctx context.Context, targets ...imagesync.Target) (workspace.Sync, error) {
	return imagesync.Run(ctx, imagesync.Options{Env: env, Workspace: p.dir, Registry: p.client, Targets: targets})
}

func newImage(t *testing.T, size int64, layers int) v1.Image {
	t.Helper()
	image, err := random.Image(size, int64(layers))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func newIndex(t *testing.T) v1.ImageIndex {
	t.Helper()
	index, err := random.Index(2000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func tagsOf(t *testing.T, c *registry.Client, repository string) []string {
	t.Helper()
	repo, err := c.ParseRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(repo, c.Remote(t.Context())...)
	if failure.KindOf(registry.Classify(err, repository)) == failure.NotFound {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

func TestRegistry(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{TLS: true, TokenServer: true})
	for name, what := range map[string]remote.Taggable{"image": newImage(t, 50_000, 3), "index": newIndex(t)} {
		t.Run(name, func(t *testing.T) {
			mirror := registrytest.StartDebian(t, registrytest.Options{})
			p := push(t, home, what)
			target := &imagesync.Registry{Client: p.client, URI: registry.URI{Host: mirror.Host}}
			record, err := p.sync(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			want := workspace.Sync{Targets: []workspace.SyncedTarget{{Kind: "registry", Location: mirror.Host + "/team/app:1-1", Digest: p.digest}}}
			if diff := cmp.Diff(want, record); diff != "" {
				t.Errorf("record differs (-want +got):\n%s", diff)
			}
			checkRemote(t, p.client, mirror.Host+"/team/app:1-1", what)
			if got := tagsOf(t, p.client, mirror.Host+"/team/app"); len(got) != 4 {
				t.Errorf("tags = %q", got)
			}
			checkRemote(t, p.client, mirror.Host+"/team/app:latest", what)
			again, err := p.sync(t.Context(), target)
			if err != nil || !again.Targets[0].Existed {
				t.Errorf("again: %+v, %v", again, err)
			}
			other := push(t, home, newImage(t, 10, 1))
			if _, err := other.sync(t.Context(), target); failure.KindOf(err) != failure.Conflict {
				t.Errorf("tags that mean another image: %v", err)
			}
		})
	}
}

// checkRemote pulls all of it and verifies every digest.
func checkRemote(t *testing.T, c *registry.Client, ref string, what remote.Taggable) {
	t.Helper()
	parsed, err := c.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := remote.Get(parsed, c.Remote(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := what.(v1.ImageIndex); ok {
		index, err := desc.ImageIndex()
		if err == nil {
			err = validate.Index(index)
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
	image, err := desc.Image()
	if err == nil {
		err = validate.Image(image)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestRegistryItself refuses to copy an image onto itself.
func TestRegistryItself(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	proxy := faultproxy.Start(t, home.URL)
	p := push(t, home, newImage(t, 1000, 3))
	p.record(t, workspace.PushedImage{Repository: proxy.Host + "/team/app", Unique: unique, Primary: "1-1"})
	target := &imagesync.Registry{Client: p.client, URI: registry.URI{Host: proxy.Host}}
	if _, err := p.sync(t.Context(), target); failure.KindOf(err) != failure.Usage {
		t.Errorf("a mirror that is the registry itself: %v", err)
	}
	if n := proxy.Count("^(PUT|POST|PATCH)"); n != 0 {
		t.Errorf("%d requests that write", n)
	}
}

func TestRegistryFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		rule faultproxy.Rule
		kind failure.Kind // empty means success
		text string
	}{
		"download cut":          {faultproxy.Rule{Method: http.MethodGet, Path: "/blobs/", Count: 3, Fault: faultproxy.CutResponse(100)}, "", ""},
		"download overloaded":   {faultproxy.Rule{Method: http.MethodGet, Path: "/blobs/", Count: 2, Fault: faultproxy.Status(503)}, "", ""},
		"content corrupt":       {faultproxy.Rule{Method: http.MethodGet, Path: "/blobs/", Fault: faultproxy.Corrupt()}, failure.Untrusted, "differs from its digest"},
		"manifest corrupt":      {faultproxy.Rule{Method: http.MethodGet, Path: "/manifests/", Fault: faultproxy.Corrupt()}, failure.Untrusted, "differs from its digest"},
		"blob gone":             {faultproxy.Rule{Method: http.MethodGet, Path: "/blobs/", Fault: faultproxy.Status(404)}, failure.NotFound, "does not exist"},
		"source down":           {faultproxy.Rule{Fault: faultproxy.Status(503)}, failure.Unavailable, "failed"},
		"content of other size": {faultproxy.Rule{Method: http.MethodGet, Path: "/blobs/", Fault: faultproxy.Answer(200, "x/y", "short")}, failure.Untrusted, "5 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home, mirror := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
			proxy := faultproxy.Start(t, home.URL)
			p := push(t, home, newImage(t, 60_000, 2))
			p.record(t, workspace.PushedImage{Repository: proxy.Host + "/team/app", Unique: unique, Primary: "1-1"})
			proxy.Add(tc.rule)
			_, err := p.sync(t.Context(), &imagesync.Registry{Client: p.client, URI: registry.URI{Host: mirror.Host}})
			if failure.KindOf(err) != tc.kind || (err != nil && !strings.Contains(err.Error(), tc.text)) {
				t.Fatalf("error %v (%s), want %q with %q", err, failure.KindOf(err), tc.kind, tc.text)
			}
			if got := tagsOf(t, p.client, mirror.Host+"/team/app"); (err == nil) != (len(got) == 2) || (err != nil && len(got) > 0) {
				t.Errorf("tags = %q", got)
			}
		})
	}
}

func TestRunWithoutWork(t *testing.T) {
	dir := workspace.Dir(t.TempDir())
	if record, err := imagesync.Run(t.Context(), imagesync.Options{Workspace: dir}); err != nil || len(record.Targets) != 0 {
		t.Errorf("without targets: %+v, %v", record, err)
	}
	o := imagesync.Options{Workspace: dir, Targets: []imagesync.Target{&imagesync.Directory{Path: t.TempDir()}}}
	if _, err := imagesync.Run(t.Context(), o); failure.KindOf(err) != failure.NotFound {
		t.Errorf("before the push: %v", err)
	}
	if err := workspace.Write(dir, workspace.Prepare{State: workspace.StateSkipped}); err != nil {
		t.Fatal(err)
	}
	if _, err := imagesync.Run(t.Context(), o); err != nil {
		t.Errorf("skipped: %v", err)
	}
}

func TestDirectory(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	image := newImage(t, 30_000, 3)
	p := push(t, home, image)
	for _, format := range []imagesync.Format{imagesync.DockerArchive, imagesync.OCIArchive} {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			target := &imagesync.Directory{Path: dir, Format: format}
			record, err := p.sync(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "team-app-1-1.tar")
			got := record.Targets[0]
			if got.Kind != "directory" || got.Location != file || got.Existed {
				t.Errorf("record = %+v", got)
			}
			checkChecksum(t, file, got.Digest)
			checkArchive(t, file, format, digestOf(t, image))
			if names := namesIn(t, dir); !cmp.Equal(names, []string{"team-app-1-1.tar", "team-app-1-1.tar.sha256"}) {
				t.Errorf("files = %q", names)
			}
			if err := os.Remove(file + ".sha256"); err != nil {
				t.Fatal(err)
			}
			again, err := p.sync(t.Context(), target)
			if err != nil || !again.Targets[0].Existed || again.Targets[0].Digest != got.Digest {
				t.Errorf("again: %+v, %v", again, err)
			}
			checkChecksum(t, file, got.Digest)
			checkOther(t, p, target, file)
		})
	}
}

// checkOther changes the file in several ways: each is refused, and leaves it as it is.
func checkOther(t *testing.T, p pushed, target imagesync.Target, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), content...)
	changed[len(changed)/2] ^= 1
	for name, other := range map[string][]byte{"changed": changed, "cut": content[:len(content)/2], "longer": append(content, 0), "empty": nil} {
		if err := os.WriteFile(file, other, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.sync(t.Context(), target); failure.KindOf(err) != failure.Conflict {
			t.Errorf("%s file: %v", name, err)
		}
		if now, err := os.ReadFile(file); err != nil || len(now) != len(other) {
			t.Errorf("%s file: was touched: %d bytes, %v", name, len(now), err)
		}
	}
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func checkChecksum(t *testing.T, file, digest string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	want := hex.EncodeToString(sum[:])
	if digest != "sha256:"+want {
		t.Errorf("digest %s, want %s", digest, want)
	}
	line, err := os.ReadFile(file + ".sha256")
	if err != nil || string(line) != want+"  "+filepath.Base(file)+"\n" {
		t.Errorf("checksum file %q, %v", line, err)
	}
}

// checkArchive reads the archive with code that is not ours.
func checkArchive(t *testing.T, file string, format imagesync.Format, digest string) {
	t.Helper()
	if format == imagesync.DockerArchive {
		image, err := tarball.ImageFromPath(file, nil)
		if err == nil {
			err = validate.Image(image)
		}
		if err != nil {
			t.Error(err)
		}
		checkSkopeo(t, "docker-archive:"+file, "")
		return
	}
	dir := t.TempDir()
	untar(t, file, dir)
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err == nil {
		err = validate.Index(index)
	}
	if err != nil {
		t.Error(err)
	}
	checkSkopeo(t, "oci-archive:"+file, digest)
}

// checkSkopeo lets skopeo read the whole image.
func checkSkopeo(t *testing.T, source, digest string) {
	t.Helper()
	program, err := exec.LookPath("skopeo")
	if err != nil {
		if os.Getenv("OSBS_TEST_SKIP_SERVERS") == "1" {
			return
		}
		t.Fatalf("%v: install Debian's package skopeo, or set OSBS_TEST_SKIP_SERVERS=1", err)
	}
	out, err := exec.CommandContext(t.Context(), program, "copy", "-q", source, "dir:"+t.TempDir()).CombinedOutput()
	if err != nil {
		t.Errorf("skopeo copy %s: %v: %s", source, err, out)
	}
	if digest == "" {
		return
	}
	out, err = exec.CommandContext(t.Context(), program, "inspect", "--format", "{{.Digest}}", source).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != digest {
		t.Errorf("skopeo inspect %s: %s, %v, want %s", source, out, err, digest)
	}
}

func untar(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		content, err := io.ReadAll(r)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o750)
		}
		if err == nil {
			err = os.WriteFile(path, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectoryOfIndex(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	index := newIndex(t)
	p := push(t, home, index)
	dir := t.TempDir()
	if _, err := p.sync(t.Context(), &imagesync.Directory{Path: dir, Format: imagesync.DockerArchive}); failure.KindOf(err) != failure.Usage {
		t.Errorf("docker-archive of an index: %v", err)
	}
	if names := namesIn(t, dir); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
	if _, err := p.sync(t.Context(), &imagesync.Directory{Path: dir, Format: imagesync.OCIArchive}); err != nil {
		t.Fatal(err)
	}
	unpacked := t.TempDir()
	untar(t, filepath.Join(dir, "team-app-1-1.tar"), unpacked)
	path, err := layout.FromPath(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := path.ImageIndex()
	if err == nil {
		err = validate.Index(whole)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestDirectoryErrors(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	p := push(t, home, newImage(t, 3_000_000, 1))
	absent := &imagesync.Directory{Path: filepath.Join(t.TempDir(), "absent"), Format: imagesync.OCIArchive}
	if _, err := p.sync(t.Context(), absent); failure.KindOf(err) != failure.Storage || !strings.Contains(err.Error(), "is the volume mounted?") {
		t.Errorf("absent directory: %v", err)
	}
	for name, option := range map[string]string{"full": "size=1m", "read-only": "size=16m,ro"} {
		t.Run(name, func(t *testing.T) {
			dir := mount(t, option)
			_, err := p.sync(t.Context(), &imagesync.Directory{Path: dir, Format: imagesync.OCIArchive})
			if failure.KindOf(err) != failure.Storage {
				t.Errorf("error %v (%s)", err, failure.KindOf(err))
			}
			if names := namesIn(t, dir); len(names) != 0 {
				t.Errorf("left behind: %q", names)
			}
		})
	}
}

// mount gives a tmpfs, for which the test must be root.
func mount(t *testing.T, option string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV|readOnly(option), strings.TrimSuffix(option, ",ro")); err != nil {
		if os.Getenv("OSBS_TEST_SKIP_SERVERS") == "1" {
			t.Skip("not root")
		}
		t.Fatalf("mounting a tmpfs: %v: run as root, or set OSBS_TEST_SKIP_SERVERS=1", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func readOnly(option string) uintptr {
	if strings.HasSuffix(option, ",ro") {
		return syscall.MS_RDONLY
	}
	return 0
}

func TestDirectoryRemovesStale(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	p := push(t, home, newImage(t, 1000, 1))
	dir := t.TempDir()
	for _, name := range []string{".dead.tar.ABC.osbs-partial", ".live.tar.ABC.osbs-partial", ".other", "x.osbs-partial"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, ".link.osbs-partial")); err != nil {
		t.Fatal(err)
	}
	live, err := os.Open(filepath.Join(dir, ".live.tar.ABC.osbs-partial"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := syscall.Flock(int(live.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := p.sync(t.Context(), &imagesync.Directory{Path: dir, Format: imagesync.OCIArchive}); err != nil {
		t.Fatal(err)
	}
	want := []string{".link.osbs-partial", ".live.tar.ABC.osbs-partial", ".other", "team-app-1-1.tar", "team-app-1-1.tar.sha256", "x.osbs-partial"}
	if diff := cmp.Diff(want, namesIn(t, dir)); diff != "" {
		t.Errorf("files differ (-want +got):\n%s", diff)
	}
}

// TestDirectoryTogether lets several builds sync the same image at once: all succeed, one file is there.
func TestDirectoryTogether(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	image := newImage(t, 100_000, 2)
	dir := t.TempDir()
	errs := make(chan error)
	for range 6 {
		p := push(t, home, image)
		go func() {
			_, err := p.sync(t.Context(), &imagesync.Directory{Path: dir, Format: imagesync.OCIArchive})
			errs <- err
		}()
	}
	for range 6 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if names := namesIn(t, dir); len(names) != 2 {
		t.Errorf("files = %q", names)
	}
	checkArchive(t, filepath.Join(dir, "team-app-1-1.tar"), imagesync.OCIArchive, digestOf(t, image))
}

// TestDirectoryCorrupt reads a corrupt layer: no file may appear.
func TestDirectoryCorrupt(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	proxy := faultproxy.Start(t, home.URL)
	p := push(t, home, newImage(t, 1000, 1))
	p.record(t, workspace.PushedImage{Repository: proxy.Host + "/team/app", Unique: unique})
	proxy.Add(faultproxy.Rule{Method: http.MethodGet, Path: "/blobs/", Fault: faultproxy.Corrupt()})
	dir := t.TempDir()
	_, err := p.sync(t.Context(), &imagesync.Directory{Path: dir, Format: imagesync.OCIArchive})
	if failure.KindOf(err) != failure.Untrusted {
		t.Errorf("error %v", err)
	}
	if names := namesIn(t, dir); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestParseFormat(t *testing.T) {
	for text, want := range map[string]imagesync.Format{"": imagesync.OCIArchive, "oci": imagesync.OCIArchive, "docker": imagesync.DockerArchive,
		"docker-archive": imagesync.DockerArchive, "oci-archive": imagesync.OCIArchive} {
		if got, err := imagesync.ParseFormat(text); err != nil || got != want {
			t.Errorf("ParseFormat(%q) = %q, %v", text, got, err)
		}
	}
	if _, err := imagesync.ParseFormat("zip"); failure.KindOf(err) != failure.Usage {
		t.Errorf("zip: %v", err)
	}
}
