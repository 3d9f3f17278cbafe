//go:build e2e

package sync_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/e2e/pulpserver"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/internal/sharedbuffer"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// source is the registry that images are pushed into.
type source struct{ *registrytest.Registry }

// newSource runs docker-registry, with TLS and credentials.
func newSource(t *testing.T) source {
	t.Helper()
	return source{registrytest.StartDebian(t, registrytest.Options{TLS: true, BasicAuth: true})}
}

// built is the workspace of a build that has pushed an image.
func (s source) built(t *testing.T, name, unique, primary string, image remote.Taggable, floating ...string) (dir workspace.Dir, digest string) {
	t.Helper()
	hash, err := image.(interface{ Digest() (v1.Hash, error) }).Digest()
	if err != nil {
		t.Fatal(err)
	}
	digest = hash.String()
	s.Push(t, name+":"+unique, image)
	if primary != "" {
		s.Push(t, name+":"+primary, image)
	}
	dir = workspace.Dir(t.TempDir())
	err = workspace.Write(dir, workspace.Push{Digest: digest, Images: []workspace.PushedImage{
		{Repository: s.Host + "/" + name, Unique: unique, Primary: primary, Floating: floating},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return dir, digest
}

func newImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(2000, 3)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// stage is the sync stage with one Pulp.
type stage struct {
	options pulp.Options
	target  imagesync.Pulp
	log     *sharedbuffer.Buffer
}

// newStage makes a stage whose credentials are the administrator's.
func newStage(t *testing.T, server *pulpserver.Server, from source) *stage {
	t.Helper()
	s := &stage{log: &sharedbuffer.Buffer{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String(), server.Logs(2000))
		}
	})
	secrets := &redact.Set{}
	env := step.Env{
		Log: slog.New(secrets.Handler(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))), Redact: secrets,
		Retry: retry.Policy{Attempts: 6, First: 200 * time.Millisecond, Max: 2 * time.Second},
	}
	s.options = pulp.Options{Env: env, URL: server.URL, CAFile: server.CAFile, SecretDir: login(t, server.Password), Timeout: 2 * time.Minute, Poll: 200 * time.Millisecond}
	client, err := registry.New(registry.Options{
		Env: env, Registries: []registry.URI{{Host: from.Host}}, SecretDirs: []string{from.SecretDir}, CAFile: from.CAFile, Insecure: plainHosts(from),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.target = imagesync.Pulp{Prefix: "site-", Source: client, SourceCAFile: from.CAFile, Served: served(t, server, env), Lag: time.Minute, Poll: 100 * time.Millisecond}
	return s
}

func plainHosts(from source) []string {
	if from.CAFile == "" {
		return []string{from.Host}
	}
	return nil
}

// login is a mounted secret with the administrator's name.
func login(t *testing.T, password string) string {
	t.Helper()
	dir := t.TempDir()
	for file, content := range map[string]string{"username": pulpserver.Username, "password": password} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pulpSecret is a registry secret for the registry that Pulp serves.
func pulpSecret(t *testing.T) string {
	t.Helper()
	server := newPulp(t)
	return registrytest.WriteSecret(t, registrytest.Dockercfg(t, server.Host, pulpserver.Username, server.Password))
}

// served reaches the registry that Pulp serves.
func served(t *testing.T, server *pulpserver.Server, env step.Env) *registry.Client {
	t.Helper()
	client, err := registry.New(registry.Options{Env: env, CAFile: server.CAFile, SecretDirs: []string{pulpSecret(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *stage) run(ctx context.Context, dir workspace.Dir) (workspace.Sync, error) {
	client, err := pulp.New(s.options)
	if err != nil {
		return workspace.Sync{}, err
	}
	target := s.target
	target.Client = client
	return imagesync.Run(ctx, imagesync.Options{Env: s.options.Env, Workspace: dir, Registry: target.Source, Targets: []imagesync.Target{&target}})
}

// must is run without an error.
func (s *stage) must(t *testing.T, dir workspace.Dir) workspace.SyncedTarget {
	t.Helper()
	record, err := s.run(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return record.Targets[0]
}

// digest is what Pulp's registry has under a reference, all of which it reads: layers too.
func (s *stage) digest(t *testing.T, reference string) string {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Get(ref, s.target.Served.Remote(t.Context())...)
	if err != nil {
		t.Fatalf("%s: %v", reference, err)
	}
	check := func(image v1.Image, err error) {
		if err != nil {
			t.Fatal(err)
		}
		layers, err := image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range layers {
			content, err := layer.Uncompressed() // which verifies the digest
			if err == nil {
				_, err = bytes.NewBuffer(nil).ReadFrom(content)
			}
			if err != nil {
				t.Errorf("%s: a layer: %v", reference, err)
			}
		}
	}
	if !found.MediaType.IsIndex() {
		check(found.Image())
		return found.Digest.String()
	}
	index, err := found.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		check(index.Image(m.Digest))
	}
	return found.Digest.String()
}

// after is a handler that answers the first n requests with a status.
func after(n int, status int) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n--; n < 0 {
			return false
		}
		w.WriteHeader(status)
		return true
	}
}
