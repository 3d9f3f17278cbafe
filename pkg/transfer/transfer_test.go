package transfer_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

var env = step.Env{Retry: retry.Policy{Attempts: 3, First: time.Millisecond, Max: 2 * time.Millisecond}}

func open(t *testing.T, host, path string) *transfer.Repository {
	t.Helper()
	c, err := registry.New(registry.Options{Env: env, Insecure: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	name, err := c.ParseRepository(host + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := transfer.Open(t.Context(), c, env, name, transfer.Push)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func pushed(t *testing.T, r *registrytest.Registry, tag string) v1.Hash {
	t.Helper()
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.Push(t, tag, image)
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestTag(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	proxy := faultproxy.Start(t, r.URL)
	older, newer := pushed(t, r, "team/app:1"), pushed(t, r, "team/app:2")
	repo := open(t, proxy.Host, "team/app")
	for i, step := range []struct {
		digest v1.Hash
		moved  bool
	}{{older, true}, {older, false}, {newer, true}, {newer, false}} {
		moved, err := repo.Tag(t.Context(), step.digest, "latest")
		if err != nil || moved != step.moved {
			t.Errorf("step %d: moved %v, %v", i, moved, err)
		}
		if got, found, err := repo.Resolve(t.Context(), "latest"); got != step.digest || !found || err != nil {
			t.Errorf("step %d: latest is %s, %v, %v", i, got, found, err)
		}
	}
	if n := proxy.Count("/blobs/"); n != 0 {
		t.Errorf("%d requests for blobs: a tag is moved without", n)
	}
	if _, err := repo.Tag(t.Context(), v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}, "latest"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("digest that does not exist: %v", err)
	}
	for _, tag := range []string{"", "../x", "a b", "-x", strings.Repeat("x", 129)} {
		if _, err := repo.Tag(t.Context(), newer, tag); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("tag %q: %v", tag, err)
		}
	}
	proxy.Add(faultproxy.Rule{Method: http.MethodGet, Path: "/manifests/latest", Fault: faultproxy.Corrupt()})
	if _, err := repo.Tag(t.Context(), older, "latest"); failure.KindOf(err) != failure.Untrusted {
		t.Errorf("other content read back: %v", err)
	}
}

func TestResolveWithoutHeader(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(mute{w}, req)
		})
	}})
	want := pushed(t, r, "team/app:1")
	got, found, err := open(t, r.Host, "team/app").Resolve(t.Context(), "1")
	if got != want || !found || err != nil {
		t.Errorf("Resolve = %s, %v, %v, want %s", got, found, err, want)
	}
}

// mute is a registry that does not tell digests.
type mute struct{ http.ResponseWriter }

func (m mute) WriteHeader(code int) {
	m.Header().Del("Docker-Content-Digest")
	m.ResponseWriter.WriteHeader(code)
}

func (m mute) Write(p []byte) (int, error) {
	m.Header().Del("Docker-Content-Digest")
	return m.ResponseWriter.Write(p)
}

// TestHostileManifests reads manifests that no registry should have; none may end in a panic, a large allocation or a long walk.
func TestHostileManifests(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	entry := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":1}`, digest)
	const image, index = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
	for name, tc := range map[string]struct {
		mediaType, body string
		kind            failure.Kind
	}{
		"other content":     {image, `{"schemaVersion":2}`, failure.Untrusted},
		"too large":         {image, strings.Repeat(" ", 9<<20), failure.Unavailable},
		"many manifests":    {index, `{"manifests":[` + strings.Repeat(entry+",", 1000) + entry + `]}`, failure.Untrusted},
		"not JSON at all":   {image, "\x00\xff", failure.Untrusted},
		"unknown mediatype": {"application/json", `{}`, failure.Untrusted},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.Start(t, registrytest.Start(t, registrytest.Options{}).URL)
			proxy.Add(faultproxy.Rule{Path: "/manifests/", Fault: faultproxy.Answer(http.StatusOK, tc.mediaType, tc.body)})
			if _, err := transfer.List(t.Context(), open(t, proxy.Host, "x"), digest); failure.KindOf(err) != tc.kind {
				t.Errorf("error %v (%s), want %s", err, failure.KindOf(err), tc.kind)
			}
		})
	}
}

func TestListOfLayout(t *testing.T) {
	layout := &transfer.Layout{Dir: t.TempDir()}
	for digest, want := range map[string]failure.Kind{
		"sha256:" + strings.Repeat("0", 64): failure.NotFound, "../../etc/passwd": failure.InvalidInput, "": failure.InvalidInput,
		"sha256:../../" + strings.Repeat("0", 58): failure.InvalidInput,
	} {
		if _, err := transfer.List(t.Context(), layout, digest); failure.KindOf(err) != want {
			t.Errorf("List(%q): %v (%s), want %s", digest, err, failure.KindOf(err), want)
		}
	}
	var classified *failure.Error
	if _, err := layout.Manifest(t.Context(), ""); !errors.As(err, &classified) {
		t.Errorf("error %v has no kind", err)
	}
}
