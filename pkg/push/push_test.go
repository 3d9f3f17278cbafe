package push_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	mathrand "math/rand"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/push"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/transfer"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// fast is a retry policy that does not make a test wait.
var fast = retry.Policy{Attempts: 4, First: time.Millisecond, Max: 5 * time.Millisecond}

// labels of the built image.
var labels = map[string]string{"name": "team/app", "version": "1.2", "release": "3"}

// built is an image as the build stage leaves it: layers layers of size bytes each on those of base, which may be nil.
type built struct {
	image  v1.Image
	record workspace.Build
	dir    workspace.Dir
}

// newBuilt writes a workspace. The layers of base are left out of the layout, as the build stage does.
func newBuilt(t *testing.T, base v1.Image, baseRepository string, size int64, layers int) built {
	t.Helper()
	add, err := random.Image(size, int64(layers), random.WithSource(mathrand.NewSource(time.Now().UnixNano())))
	if err != nil {
		t.Fatal(err)
	}
	image, absent := add, map[v1.Hash]bool{}
	if base != nil {
		added, err := add.Layers()
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(base, added...); err != nil {
			t.Fatal(err)
		}
		below, err := base.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range below {
			absent[digestOf(t, l)] = true
		}
	}
	b := built{image: image, dir: workspace.Dir(t.TempDir())}
	b.record = workspace.Build{Digest: digestOf(t, image).String(), Platform: "linux/amd64", Labels: labels, BaseRepository: baseRepository}
	if err := os.MkdirAll(b.dir.Source(), 0o755); err != nil {
		t.Fatal(err)
	}
	b.writeLayout(t, absent)
	if err := workspace.Write(b.dir, b.record); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *built) writeLayout(t *testing.T, absent map[v1.Hash]bool) {
	t.Helper()
	manifest, err := b.image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := b.image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	b.writeBlob(t, digestOf(t, b.image), manifest)
	configDigest, err := b.image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	b.writeBlob(t, configDigest, config)
	layers, err := b.image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		digest := digestOf(t, l)
		size, err := l.Size()
		if err != nil {
			t.Fatal(err)
		}
		b.record.Layers = append(b.record.Layers, workspace.Layer{Digest: digest.String(), Size: size, Base: absent[digest]})
		if absent[digest] {
			continue
		}
		content, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		b.writeBlob(t, digest, data)
	}
}

func (b *built) writeBlob(t *testing.T, digest v1.Hash, data []byte) {
	t.Helper()
	file := b.blob(digest)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *built) blob(digest v1.Hash) string {
	return filepath.Join(b.dir.Image(), "blobs", digest.Algorithm, digest.Hex)
}

func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	digest, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// client reaches registries in plain HTTP, or as options say.
func client(t *testing.T, options registry.Options) *registry.Client {
	t.Helper()
	options.Env = step.Env{Retry: fast}
	options.Insecure = append(options.Insecure, "127.0.0.1")
	c, err := registry.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// options push b into the hosts.
func (b *built) options(c *registry.Client, hosts ...string) push.Options {
	o := push.Options{Env: step.Env{Retry: fast}, Workspace: b.dir, Registry: c,
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Rand: rand.Reader}
	for _, host := range hosts {
		o.Registries = append(o.Registries, registry.URI{Host: host})
	}
	return o
}

// tagsOf lists a repository's tags; none if there is no repository.
func tagsOf(t *testing.T, c *registry.Client, repo string) []string {
	t.Helper()
	parsed, err := c.ParseRepository(repo)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.List(parsed, c.Remote(t.Context())...)
	if failure.KindOf(registry.Classify(err, repo)) == failure.NotFound {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// checkImage pulls the reference whole and compares every digest.
func checkImage(t *testing.T, c *registry.Client, ref, digest string) {
	t.Helper()
	parsed, err := c.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(parsed, c.Remote(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, image).String(); got != digest {
		t.Errorf("%s has digest %s, want %s", ref, got, digest)
	}
	if err := validate.Image(image); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
}

func TestRun(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *registrytest.Registry{
		"plain": func(t *testing.T) *registrytest.Registry { return registrytest.Start(t, registrytest.Options{}) },
		"TLS and basic auth": func(t *testing.T) *registrytest.Registry {
			return registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
		},
		"token server": func(t *testing.T) *registrytest.Registry {
			return registrytest.Start(t, registrytest.Options{TLS: true, TokenServer: true})
		},
		"Debian's": func(t *testing.T) *registrytest.Registry {
			return registrytest.StartDebian(t, registrytest.Options{TLS: true, BasicAuth: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			c := client(t, r.Options())
			base, err := random.Image(4000, 2)
			if err != nil {
				t.Fatal(err)
			}
			r.Push(t, "base:1", base)
			b := newBuilt(t, base, r.Host+"/base", 100_000, 3)
			if err := os.WriteFile(filepath.Join(b.dir.Source(), "additional-tags"), []byte("stable\nno-good\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			record, err := push.Run(t.Context(), b.options(c, r.Host))
			if err != nil {
				t.Fatal(err)
			}
			got := record.Images[0]
			repo := r.Host + "/team/app"
			if got.Repository != repo || got.Primary != "1.2-3" || !strings.HasPrefix(got.Unique, "none-") || !strings.HasSuffix(got.Unique, "-20260102030405") {
				t.Errorf("record = %+v", got)
			}
			if diff := cmp.Diff([]string{"1.2", "latest", "stable"}, got.Floating); diff != "" {
				t.Errorf("floating tags differ (-want +got):\n%s", diff)
			}
			if got.Mounted == 0 || got.Uploaded < 300_000 || got.Copied != 0 || got.Existed != 0 {
				t.Errorf("stats = %+v", got)
			}
			if diff := cmp.Diff([]string{"1.2-3", got.Unique}, tagsOf(t, c, repo)); diff != "" {
				t.Errorf("tags in the registry differ (-want +got):\n%s", diff)
			}
			checkImage(t, c, repo+":1.2-3", record.Digest)
			stored, err := workspace.Read[workspace.Push](b.dir)
			if err != nil || !cmp.Equal(stored, record) {
				t.Errorf("stored %+v, error %v", stored, err)
			}
		})
	}
}

func TestRunAgain(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{})
	b := newBuilt(t, nil, "", 10_000, 2)
	first, err := push.Run(t.Context(), b.options(c, r.Host))
	if err != nil {
		t.Fatal(err)
	}
	again, err := push.Run(t.Context(), b.options(c, r.Host))
	if err != nil {
		t.Fatalf("the same build again: %v", err)
	}
	if again.Images[0].Unique != first.Images[0].Unique || again.Images[0].Uploaded != 0 || again.Images[0].Existed == 0 {
		t.Errorf("again: %+v, first %+v", again, first)
	}
	other := newBuilt(t, nil, "", 10_000, 2)
	_, err = push.Run(t.Context(), other.options(c, r.Host))
	if !errors.Is(err, push.ErrPrimaryExists) || failure.KindOf(err) != failure.Conflict {
		t.Errorf("another build of the same version and release: %v", err)
	}
	same := built{image: b.image, record: b.record, dir: workspace.Dir(t.TempDir())}
	if err := os.CopyFS(string(same.dir), os.DirFS(string(b.dir))); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(string(same.dir), "push-attempt.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := push.Run(t.Context(), same.options(c, r.Host)); failure.KindOf(err) != failure.Conflict {
		t.Errorf("another build with the same content: %v", err)
	}
	if got := tagsOf(t, c, r.Host+"/team/app"); len(got) != 2 {
		t.Errorf("tags = %q: a refused push has left one", got)
	}
}

func TestRunWithoutPrimary(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{})
	b := newBuilt(t, nil, "", 1000, 1)
	o := b.options(c, r.Host)
	o.Scratch, o.Target = true, "rhel-7"
	record, err := push.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := record.Images[0]
	if got.Primary != "" || got.Floating != nil || !strings.HasPrefix(got.Unique, "rhel-7-") {
		t.Errorf("record = %+v", got)
	}
	if diff := cmp.Diff([]string{got.Unique}, tagsOf(t, c, r.Host+"/team/app")); diff != "" {
		t.Errorf("tags differ (-want +got):\n%s", diff)
	}
	o.Scratch, o.Isolated = false, true
	if _, err := push.Run(t.Context(), o); failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("isolated build with release 3: %v", err)
	}
}

func TestRunSkipped(t *testing.T) {
	dir := workspace.Dir(t.TempDir())
	if err := workspace.Write(dir, workspace.Prepare{State: workspace.StateSkipped}); err != nil {
		t.Fatal(err)
	}
	record, err := push.Run(t.Context(), push.Options{Workspace: dir})
	if err != nil || record.Images != nil {
		t.Errorf("record %+v, error %v", record, err)
	}
}

func TestRunIntoSeveralRegistries(t *testing.T) {
	home, away := registrytest.Start(t, registrytest.Options{}), registrytest.StartDebian(t, registrytest.Options{})
	c := client(t, registry.Options{})
	base, err := random.Image(50_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	home.Push(t, "base:1", base)
	b := newBuilt(t, base, home.Host+"/base", 1000, 1)
	record, err := push.Run(t.Context(), b.options(c, home.Host, away.Host))
	if err != nil {
		t.Fatal(err)
	}
	if record.Images[0].Mounted < 100_000 || record.Images[1].Copied < 100_000 || record.Images[1].Mounted != 0 {
		t.Errorf("base layers were not mounted in the first registry and copied to the second: %+v", record.Images)
	}
	for _, host := range []string{home.Host, away.Host} {
		checkImage(t, c, host+"/team/app:1.2-3", record.Digest)
	}
}

// TestNothingPartial fails the second of two registries: no tag may be set anywhere.
func TestNothingPartial(t *testing.T) {
	good, bad := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	proxy := faultproxy.Start(t, bad.URL)
	proxy.Add(faultproxy.Rule{Method: http.MethodPut, Path: "/blobs/uploads/", Fault: faultproxy.Status(http.StatusServiceUnavailable)})
	c := client(t, registry.Options{})
	b := newBuilt(t, nil, "", 1000, 2)
	if _, err := push.Run(t.Context(), b.options(c, good.Host, proxy.Host)); failure.KindOf(err) != failure.Unavailable {
		t.Fatalf("error %v (%s)", err, failure.KindOf(err))
	}
	for _, host := range []string{good.Host, bad.Host} {
		if got := tagsOf(t, c, host+"/team/app"); got != nil {
			t.Errorf("tags in %s: %q", host, got)
		}
	}
	proxy.Clear()
	record, err := push.Run(t.Context(), b.options(c, good.Host, proxy.Host))
	if err != nil {
		t.Fatalf("after the registry has recovered: %v", err)
	}
	if record.Images[0].Uploaded != 0 {
		t.Errorf("blobs were sent again: %+v", record.Images[0])
	}
}

// TestPrimaryTakenMeanwhile: a primary tag that somebody else sets while the image is being sent is not moved.
func TestPrimaryTakenMeanwhile(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	proxy := faultproxy.Start(t, r.URL)
	c := client(t, registry.Options{})
	b := newBuilt(t, nil, "", 1000, 2)
	other, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := other.Digest()
	if err != nil {
		t.Fatal(err)
	}
	proxy.Add(faultproxy.Rule{Method: http.MethodPut, Path: "/manifests/none-", Count: 1, Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		r.Push(t, "team/app:1.2-3", other)
		next.ServeHTTP(w, req)
	}})
	if _, err := push.Run(t.Context(), b.options(c, proxy.Host)); !errors.Is(err, push.ErrPrimaryExists) || failure.KindOf(err) != failure.Conflict {
		t.Errorf("error %v", err)
	}
	checkImage(t, c, r.Host+"/team/app:1.2-3", digest.String())
}

// TestResumeAfterPrimary kills the push after the registry has set the primary tag, before the push knew.
func TestResumeAfterPrimary(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	proxy := faultproxy.Start(t, r.URL)
	c := client(t, registry.Options{})
	b := newBuilt(t, nil, "", 1000, 2)
	ctx, cancel := context.WithCancel(t.Context())
	proxy.Add(faultproxy.Rule{Method: http.MethodPut, Path: "/manifests/1.2-3$", Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		faultproxy.ResetAfter()(w, req, next)
		cancel()
	}})
	if _, err := push.Run(ctx, b.options(c, proxy.Host)); failure.KindOf(err) != failure.Cancelled {
		t.Fatalf("error %v", err)
	}
	proxy.Clear()
	record, err := push.Run(t.Context(), b.options(c, proxy.Host))
	if err != nil {
		t.Fatalf("the next attempt: %v", err)
	}
	if got := tagsOf(t, c, r.Host+"/team/app"); !slices.Equal(got, []string{"1.2-3", record.Images[0].Unique}) {
		t.Errorf("tags = %q, record %+v", got, record)
	}
}

func TestFaults(t *testing.T) {
	for name, rules := range map[string][]faultproxy.Rule{
		"time-out":          {{Method: http.MethodPut, Path: "/blobs/uploads/", Count: 2, Fault: faultproxy.Status(http.StatusRequestTimeout)}},
		"too many requests": {{Method: http.MethodPost, Count: 2, Fault: faultproxy.Status(http.StatusTooManyRequests, "Retry-After", "0")}},
		"bad gateway":       {{Method: http.MethodHead, Count: 2, Fault: faultproxy.Status(http.StatusBadGateway)}},
		"reset in the middle of an upload": {
			{Method: http.MethodPut, Path: "/blobs/uploads/", Count: 2, Fault: faultproxy.ResetRequest(30_000)}},
		"answer of an upload lost": {{Method: http.MethodPut, Path: "/blobs/uploads/", Count: 2, Fault: faultproxy.ResetAfter()}},
		"answer of a manifest lost": {
			{Method: http.MethodPut, Path: "/manifests/", Count: 2, Fault: faultproxy.ResetAfter()}},
		"upload forgotten": {
			{Method: http.MethodPut, Path: "/blobs/uploads/", Count: 1, Fault: faultproxy.Answer(404, "application/json", `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`)}},
		"mount refused": {{Method: http.MethodPost, Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			if req.URL.Query().Get("mount") != "" {
				next = http.NotFoundHandler()
			}
			next.ServeHTTP(w, req)
		}}},
		"everything at once": {
			{Method: http.MethodPost, Count: 1, Fault: faultproxy.Reset()},
			{Method: http.MethodPut, Count: 1, Fault: faultproxy.Status(500)},
			{Method: http.MethodGet, Path: "/v2/$", Count: 1, Fault: faultproxy.Status(503)},
			{Method: http.MethodGet, Path: "/manifests/", Count: 1, Fault: faultproxy.CutResponse(20)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			proxy := faultproxy.Start(t, r.URL)
			for _, rule := range rules {
				proxy.Add(rule)
			}
			c := client(t, registry.Options{})
			base, err := random.Image(1000, 1)
			if err != nil {
				t.Fatal(err)
			}
			r.Push(t, "base:1", base)
			b := newBuilt(t, base, proxy.Host+"/base", 100_000, 3)
			record, err := push.Run(t.Context(), b.options(c, proxy.Host))
			if err != nil {
				t.Fatal(err)
			}
			if proxy.Count("!$") == 0 {
				t.Error("no request met the fault")
			}
			checkImage(t, c, r.Host+"/team/app:1.2-3", record.Digest)
		})
	}
}

func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		rule faultproxy.Rule
		kind failure.Kind
		text string
	}{
		"registry full": {
			faultproxy.Rule{Method: http.MethodPut, Path: "/blobs/uploads/",
				Fault: faultproxy.Answer(500, "application/json", `{"errors":[{"code":"UNKNOWN","message":"write /data: no space left on device"}]}`)},
			failure.Unavailable, "is full"},
		"rubbish":   {faultproxy.Rule{Path: "/v2/team", Fault: faultproxy.Answer(200, "text/html", "<html>welcome</html>")}, failure.Unavailable, "not a manifest"},
		"no access": {faultproxy.Rule{Method: http.MethodPost, Fault: faultproxy.Status(http.StatusForbidden)}, failure.Unauthorized, "refused access"},
		"other content read back": {
			faultproxy.Rule{Method: http.MethodGet, Path: "/manifests/none-", Fault: faultproxy.Corrupt()}, failure.Untrusted, "pushed was"},
		"tag vanishes": {
			faultproxy.Rule{Method: http.MethodGet, Path: "/manifests/none-", Fault: faultproxy.Status(http.StatusNotFound)},
			failure.Untrusted, "does not have it"},
		"upload directed inside": {
			faultproxy.Rule{Method: http.MethodPost, Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.Header().Set("Location", "http://169.254.169.254/latest")
				w.WriteHeader(http.StatusAccepted)
			}}, failure.Untrusted, "inside a private network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			proxy := faultproxy.Start(t, r.URL)
			proxy.Add(tc.rule)
			c := client(t, registry.Options{})
			b := newBuilt(t, nil, "", 1000, 2)
			_, err := push.Run(t.Context(), b.options(c, proxy.Host))
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v (%s), want %s with %q", err, failure.KindOf(err), tc.kind, tc.text)
			}
			if got := tagsOf(t, c, r.Host+"/team/app"); slices.Contains(got, "1.2-3") {
				t.Errorf("tags = %q", got)
			}
		})
	}
}

func TestDamagedImage(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{})
	for name, tc := range map[string]struct {
		damage func(t *testing.T, file string)
		kind   failure.Kind
		text   string
	}{
		"layer gone": {func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, failure.NotFound, "has no blob"},
		"layer cut": {func(t *testing.T, file string) {
			if err := os.Truncate(file, 10); err != nil {
				t.Fatal(err)
			}
		}, failure.Untrusted, "has 10 bytes"},
		"layer changed": {func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}, failure.Untrusted, "differs from its digest"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilt(t, nil, "", 1000, 2)
			layers, err := b.image.Layers()
			if err != nil {
				t.Fatal(err)
			}
			tc.damage(t, b.blob(digestOf(t, layers[1])))
			_, err = push.Run(t.Context(), b.options(c, r.Host))
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v (%s), want %s with %q", err, failure.KindOf(err), tc.kind, tc.text)
			}
		})
	}
	if got := tagsOf(t, c, r.Host+"/team/app"); got != nil {
		t.Errorf("tags = %q", got)
	}
}

func TestUsage(t *testing.T) {
	b := newBuilt(t, nil, "", 100, 1)
	c := client(t, registry.Options{})
	if _, err := push.Run(t.Context(), b.options(c)); failure.KindOf(err) != failure.Usage {
		t.Errorf("without registries: %v", err)
	}
	o := b.options(c, "127.0.0.1:1")
	o.Workspace = workspace.Dir(t.TempDir())
	if _, err := push.Run(t.Context(), o); failure.KindOf(err) != failure.NotFound {
		t.Errorf("without a built image: %v", err)
	}
	if err := os.WriteFile(filepath.Join(string(b.dir), "push-attempt.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := registrytest.Start(t, registrytest.Options{})
	if _, err := push.Run(t.Context(), b.options(c, r.Host)); err != nil {
		t.Errorf("malformed attempt: %v", err)
	}
	if _, err := push.Run(t.Context(), b.options(c, "127.0.0.1:1")); failure.KindOf(err) != failure.Unavailable {
		t.Errorf("registry down: %v", err)
	}
}

func TestIndex(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{})
	var images []push.PlatformImage
	for _, arch := range []string{"s390x", "amd64"} {
		image, err := random.Image(100, 1)
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: rootFS(t, image)}); err != nil {
			t.Fatal(err)
		}
		r.Push(t, "team/app:"+arch, image)
		images = append(images, push.PlatformImage{Digest: digestOf(t, image).String()})
	}
	repo := open(t, c, r.Host+"/team/app")
	m, err := push.Index(t.Context(), repo, images, "1-1", "latest")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := c.ParseReference(r.Host + "/team/app:latest")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(parsed, c.Remote(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, index) != m.Digest {
		t.Errorf("latest has digest %s, want %s", digestOf(t, index), m.Digest)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	slices.Reverse(images)
	again, err := push.Index(t.Context(), repo, images)
	if err != nil || !bytes.Equal(again.Raw, m.Raw) {
		t.Errorf("another order gives %s, error %v, want %s", again.Raw, err, m.Raw)
	}
	var decoded v1.IndexManifest
	if err := json.Unmarshal(m.Raw, &decoded); err != nil || decoded.Manifests[0].Platform.Architecture != "amd64" {
		t.Errorf("index = %s, error %v", m.Raw, err)
	}
	for name, bad := range map[string][]push.PlatformImage{
		"none":               nil,
		"same platform":      {images[0], {Digest: images[1].Digest, Platform: "linux/amd64"}},
		"malformed platform": {{Digest: images[0].Digest, Platform: "a/b/c/d"}},
		"an index":           {{Digest: m.Digest.String()}},
	} {
		if _, err := push.Index(t.Context(), repo, bad, "bad"); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func rootFS(t *testing.T, image v1.Image) v1.RootFS {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.RootFS
}

func open(t *testing.T, c *registry.Client, repository string) *transfer.Repository {
	t.Helper()
	parsed, err := name.NewRepository(repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := transfer.Open(t.Context(), c, step.Env{Retry: fast}, parsed, transfer.Push)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// TestUnchanged pushes an autorebuild of an image with the same layers and another release, into two registries.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	first, second := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{Insecure: []string{first.Host, second.Host}})
	b := newBuilt(t, nil, "", 1000, 2)
	before, err := mutate.Config(b.image, v1.Config{Labels: map[string]string{"name": "team/app", "version": "1.2", "release": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	if b.image, err = mutate.Config(b.image, v1.Config{Labels: labels}); err != nil {
		t.Fatal(err)
	}
	b.record.Digest, b.record.Layers = digestOf(t, b.image).String(), nil
	b.writeLayout(t, nil)
	if err := workspace.Write(b.dir, b.record); err != nil {
		t.Fatal(err)
	}
	published := 0
	run := func(t *testing.T, change func(*push.Options)) workspace.Push {
		t.Helper()
		o := b.options(c, first.Host, second.Host)
		o.Autorebuild, o.EarlyCutoff = true, true
		o.Publish = func(context.Context) error { published++; return nil }
		change(&o)
		record, err := push.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	for _, r := range []*registrytest.Registry{first, second} {
		for _, tag := range []string{"1.2", "latest"} {
			r.Push(t, "team/app:"+tag, before)
		}
	}
	record := run(t, func(*push.Options) {})
	want := workspace.Push{Digest: digestOf(t, before).String(), Unchanged: true, Images: []workspace.PushedImage{
		{Repository: first.Host + "/team/app", Floating: []string{"1.2", "latest"}}, {Repository: second.Host + "/team/app", Floating: []string{"1.2", "latest"}},
	}}
	if diff := cmp.Diff(want, record); diff != "" || published != 0 {
		t.Errorf("published %d times; record (-want +got):\n%s", published, diff)
	}
	if diff := cmp.Diff([]string{"1.2", "latest"}, tagsOf(t, c, first.Host+"/team/app")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	second.Push(t, "team/app:latest", b.image) // one tag of one registry means something else
	if record := run(t, func(*push.Options) {}); record.Unchanged || record.Images[1].Primary != "1.2-3" || published != 1 {
		t.Errorf("record %+v, published %d times", record, published)
	}
	second.Push(t, "team/app:latest", before)
	for name, change := range map[string]func(*push.Options){
		"a user's build": func(o *push.Options) { o.Autorebuild = false }, "switched off": func(o *push.Options) { o.EarlyCutoff = false },
	} {
		if record := run(t, change); record.Unchanged || record.Digest != b.record.Digest {
			t.Errorf("%s: record %+v", name, record)
		}
	}
}
