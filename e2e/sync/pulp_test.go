//go:build e2e

package sync_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/e2e/pulpserver"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// source is the registry that images are pushed into: docker-registry, with TLS and credentials.
type source struct {
	*registrytest.Registry
	t *testing.T
}

func newSource(t *testing.T) source {
	t.Helper()
	return source{registrytest.StartDebian(t, registrytest.Options{TLS: true, BasicAuth: true}), t}
}

// built is the workspace of a build whose image is in the registry.
func (s source) built(name, unique, primary string, image v1.Image) (dir workspace.Dir, digest string) {
	s.t.Helper()
	hash, err := image.Digest()
	if err != nil {
		s.t.Fatal(err)
	}
	s.Push(s.t, name+":"+unique, image)
	if primary != "" {
		s.Push(s.t, name+":"+primary, image)
	}
	dir = workspace.Dir(s.t.TempDir())
	err = workspace.Write(dir, workspace.Push{Digest: hash.String(), Images: []workspace.PushedImage{{Repository: s.Host + "/" + name, Unique: unique, Primary: primary}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return dir, hash.String()
}

func randomImage(t *testing.T) v1.Image {
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
	source  source
	log     *bytes.Buffer
}

// newStage makes a stage whose credentials are the administrator's.
func newStage(t *testing.T, server *pulpserver.Server, from source) *stage {
	t.Helper()
	s := &stage{source: from, log: &bytes.Buffer{}}
	env := step.Env{Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Redact: &redact.Set{}}
	secret := t.TempDir()
	for file, content := range map[string]string{"username": pulpserver.Username, "password": server.Password} {
		if err := os.WriteFile(filepath.Join(secret, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.options = pulp.Options{Env: env, URL: server.URL, CAFile: server.CAFile, SecretDir: secret, Timeout: 2 * time.Minute, Poll: 200 * time.Millisecond}
	client, err := registry.New(registry.Options{Env: env, Registries: []registry.URI{{Host: from.Host}}, SecretDirs: []string{from.SecretDir}, CAFile: from.CAFile})
	if err != nil {
		t.Fatal(err)
	}
	served, err := registry.New(registry.Options{Env: env, CAFile: server.CAFile, SecretDirs: []string{servedSecret(t, server)}})
	if err != nil {
		t.Fatal(err)
	}
	s.target = imagesync.Pulp{Source: client, SourceCAFile: from.CAFile, Served: served, Lag: time.Minute, Poll: 100 * time.Millisecond}
	return s
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

func servedSecret(t *testing.T, server *pulpserver.Server) string {
	t.Helper()
	return registrytest.WriteSecret(t, registrytest.Dockercfg(t, server.Host, pulpserver.Username, server.Password))
}

func TestSync(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	dir, digest := from.built("team/app", "none-abcde-1", "1-2", randomImage(t))
	s := newStage(t, server, from)
	record, err := s.run(t.Context(), dir)
	t.Log(s.log.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(record, digest)
}
