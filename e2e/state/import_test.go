//go:build e2e

package state

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// registryOf is the registry that the cluster imports from; repository is one of its own for the test.
type registryOf struct {
	client     *registry.Client
	repository string
	insecure   bool
}

func (s *space) registry(t *testing.T) *registryOf {
	t.Helper()
	host := os.Getenv("OSBS_E2E_REGISTRY")
	if host == "" {
		t.Skip("OSBS_E2E_REGISTRY names no registry")
	}
	uris, err := registry.ParseURIs(host)
	if err != nil {
		t.Fatal(err)
	}
	o := registry.Options{Registries: uris, CAFile: os.Getenv("OSBS_E2E_CA_FILE")}
	if dir := os.Getenv(dockerConfig); dir != "" {
		o.SecretDirs = []string{s.pullSecret(t, filepath.Join(dir, "config.json"))}
	}
	client, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &registryOf{client: client, repository: uris[0].Host + "/" + s.Name + "/app", insecure: uris[0].Insecure}
}

// dockerConfig is the variable that names a directory with a config.json that has the registry's credentials.
const dockerConfig = "OSBS_E2E_DOCKER_CONFIG"

// pullSecret gives the namespace the registry's credentials, which is all that OpenShift needs to read a private registry, and returns the
// directory as which the Secret is mounted.
func (s *space) pullSecret(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, corev1.DockerConfigJsonKey), data, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "osbs-registry"}, Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: data},
	}
	if _, err := s.Kube.CoreV1().Secrets(s.Name).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// push pushes a new image, or an index of one, and returns its digest.
func (r *registryOf) push(t *testing.T, tag string, index bool) string {
	t.Helper()
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := r.client.ParseReference(r.repository + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	var what interface{ Digest() (v1.Hash, error) } = image
	if index {
		list := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.DockerManifestList),
			mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
		what, err = list, remote.WriteIndex(ref, list, r.client.Remote(t.Context())...)
	} else {
		err = remote.Write(ref, image, r.client.Remote(t.Context())...)
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func (r *registryOf) sources(tags ...string) []imageimport.Source {
	out := make([]imageimport.Source, 0, len(tags))
	for _, tag := range tags {
		out = append(out, imageimport.Source{Tag: tag, From: r.repository + ":" + tag, Insecure: r.insecure})
	}
	return out
}

func items(stream *imagev1.ImageStream, tag string) []string {
	var out []string
	for _, list := range stream.Status.Tags {
		for _, item := range list.Items {
			if list.Tag == tag {
				out = append(out, item.Image)
			}
		}
	}
	return out
}

func TestImport(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	r := s.registry(t)
	streams, ctx := imageimport.NewCluster(s.client(t)), t.Context()
	one, index := r.push(t, "1", false), r.push(t, "latest", true)
	tags, err := imageimport.Import(ctx, step.Env{}, streams, "app", r.sources("1", "latest"))
	if err != nil || len(tags) != 2 || tags[0].Digest != one || tags[1].Digest != index || tags[0].OldDigest != "" {
		t.Fatalf("got %+v, %v; want %s and %s", tags, err, one, index)
	}
	before, err := streams.Get(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the same digest again changes nothing", func(t *testing.T) {
		tags, err := imageimport.Import(ctx, step.Env{}, streams, "app", r.sources("1", "latest"))
		if err != nil || len(tags) != 2 || tags[0].OldDigest != one || tags[0].Digest != one {
			t.Errorf("got %+v, %v", tags, err)
		}
		after, err := streams.Get(ctx, "app")
		if err != nil || len(items(after, "latest")) != 1 || after.ResourceVersion != before.ResourceVersion {
			t.Errorf("version %s after %s, %v: %+v", after.ResourceVersion, before.ResourceVersion, err, after.Status)
		}
	})
	t.Run("a tag that does not exist fails alone", func(t *testing.T) {
		tags, err := imageimport.Import(ctx, step.Env{}, streams, "app", r.sources("none", "1"))
		wantKind(t, err, failure.NotFound)
		if len(tags) != 1 || tags[0].Tag != "1" {
			t.Errorf("got %+v", tags)
		}
	})
	t.Run("import-image", func(t *testing.T) {
		moved := r.push(t, "latest", false)
		tags, err := imageimport.ImportImage(ctx, step.Env{}, streams, "app", "latest")
		if err != nil || len(tags) != 1 || tags[0].OldDigest != index || tags[0].Digest != moved {
			t.Errorf("got %+v, %v; want %s", tags, err, moved)
		}
	})
}

func TestSixParallelImportsIntoANewStream(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	r := s.registry(t)
	digest := r.push(t, "latest", false)
	var wg sync.WaitGroup
	for range 6 {
		streams := imageimport.NewCluster(s.client(t))
		wg.Go(func() {
			tags, err := imageimport.Import(t.Context(), step.Env{}, streams, "app", r.sources("latest"))
			if err != nil || len(tags) != 1 || tags[0].Digest != digest {
				t.Errorf("got %+v, %v", tags, err)
			}
		})
	}
	wg.Wait()
	stream, err := imageimport.NewCluster(s.client(t)).Get(t.Context(), "app")
	if err != nil || len(items(stream, "latest")) != 1 {
		t.Errorf("got %+v, %v", stream, err)
	}
}

// Insecure only where it is asked for: the cluster does not read a registry of plain HTTP by itself.
func TestImportIsSecure(t *testing.T) {
	t.Parallel()
	if os.Getenv(testbed.ControlVariable) == "" {
		t.Skip("the cluster may not reach a registry that the test runs")
	}
	s := newSpace(t)
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	from := registrytest.Start(t, registrytest.Options{}).Push(t, "app:latest", image)
	streams, quick := imageimport.NewCluster(s.client(t)), step.Env{Retry: retry.Policy{Attempts: 2, First: 1, Max: 1}}
	_, err = imageimport.Import(t.Context(), quick, streams, "app", []imageimport.Source{{Tag: "latest", From: from}})
	wantKind(t, err, failure.Unavailable)
	if _, err := imageimport.Import(t.Context(), quick, streams, "app", []imageimport.Source{{Tag: "latest", From: from, Insecure: true}}); err != nil {
		t.Error(err)
	}
}

// The image API is down for a while, and for too long. What is before the API server answers as it does when it cannot reach that API.
func TestImportWhileTheAPIIsDown(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	r := s.registry(t)
	digest := r.push(t, "latest", false)
	proxy := faultproxy.Start(t, s.Admin.Host)
	c := s.clientAt(t, proxy.URL)
	proxy.Add(faultproxy.Rule{Path: "image.openshift.io", Count: 4, Fault: faultproxy.Answer(503, "text/plain", "service unavailable\n")})
	tags, err := imageimport.Import(t.Context(), step.Env{}, imageimport.NewCluster(c), "app", r.sources("latest"))
	if err != nil || len(tags) != 1 || tags[0].Digest != digest {
		t.Errorf("got %+v, %v", tags, err)
	}
	proxy.Add(faultproxy.Rule{Path: "image.openshift.io", Fault: faultproxy.Answer(503, "text/plain", "service unavailable\n")})
	_, err = imageimport.Import(t.Context(), step.Env{}, imageimport.NewCluster(c), "app", r.sources("latest"))
	wantKind(t, err, failure.Unavailable)
	if err == nil || !strings.Contains(err.Error(), "after 7 tries") {
		t.Errorf("got %v", err)
	}
}

// The image API's server is stopped, and comes back while the import is tried again. Other tests need it, so it runs alone.
func TestImportWhileTheServerRestarts(t *testing.T) {
	s := newSpace(t)
	r := s.registry(t)
	digest := r.push(t, "latest", false)
	testbed.Kill(t, testbed.ImageAPIServer)
	done := make(chan error, 1)
	go func() {
		tags, err := imageimport.Import(t.Context(), step.Env{}, imageimport.NewCluster(s.client(t)), "app", r.sources("latest"))
		if err == nil && tags[0].Digest != digest {
			err = failure.New(failure.Internal, "imported %+v, want %s", tags, digest)
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("without the server: %v", err)
	case <-time.After(3 * time.Second): // some tries have failed
		testbed.Start(t, testbed.ImageAPIServer)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	if os.Getenv(dockerConfig) == "" {
		t.Skip("the registry asks for no credentials")
	}
	r := s.registry(t)
	r.push(t, "latest", false)
	if err := s.Kube.CoreV1().Secrets(s.Name).Delete(t.Context(), "osbs-registry", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := imageimport.Import(t.Context(), step.Env{}, imageimport.NewCluster(s.client(t)), "app", r.sources("latest"))
	wantKind(t, err, failure.Unauthorized)
}
