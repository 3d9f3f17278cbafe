//go:build e2e

package sync_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// TestSync syncs images of every kind, twice, and a second build of the same image beside the first.
func TestSync(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	docker := newImage(t)
	index, err := random.Index(2000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for kind, what := range map[string]remote.Taggable{
		"docker": docker, "index": index, "oci": mutate.ConfigMediaType(mutate.MediaType(newImage(t), types.OCIManifestSchema1), types.OCIConfigJSON),
	} {
		t.Run(kind, func(t *testing.T) {
			image := "team/" + kind
			first, digest := from.built(t, image, "none-abcde-1", "1-1", what, "latest", "1")
			got := s.must(t, first)
			if want := (workspace.SyncedTarget{Kind: "pulp", Location: server.Host + "/" + image + ":1-1", Digest: digest}); got != want {
				t.Errorf("record: got %+v, want %+v", got, want)
			}
			for _, tag := range []string{"none-abcde-1", "1-1", "latest", "1"} {
				if got := s.digest(t, server.Host+"/"+image+":"+tag); got != digest {
					t.Errorf("%s is %s, want %s", tag, got, digest)
				}
			}
			if again := s.must(t, first); !again.Existed {
				t.Errorf("the second sync has copied: %+v", again)
			}
			second, newer := from.built(t, image, "none-abcde-2", "1-2", newImage(t), "latest", "1")
			s.must(t, second)
			for tag, want := range map[string]string{"1-1": digest, "1-2": newer, "latest": newer} {
				if got := s.digest(t, server.Host+"/"+image+":"+tag); got != want {
					t.Errorf("after a second build %s is %s, want %s", tag, got, want)
				}
			}
		})
	}
}

// TestConcurrentSyncs has several builds of one image sync at once, as those of several branches may.
func TestConcurrentSyncs(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	const builds = 5
	var wait sync.WaitGroup
	for i := range builds {
		dir, digest := from.built(t, "team/busy", fmt.Sprintf("none-abcde-%d", i), fmt.Sprintf("%d-1", i), newImage(t))
		s := newStage(t, server, from)
		wait.Go(func() {
			record, err := s.run(t.Context(), dir)
			if err != nil || record.Targets[0].Digest != digest {
				t.Errorf("build %d: %+v, %v", i, record, err)
			}
		})
	}
	wait.Wait()
}

// TestSettings corrects what an administrator has changed, as far as it is ours, and leaves the rest.
func TestSettings(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	s.target.RetainVersions = 2
	dir, _ := from.built(t, "team/settings", "none-abcde-0", "1-0", newImage(t))
	s.must(t, dir)
	repository, remote, distribution := object(t, "repositories"), object(t, "remotes"), object(t, "distributions")
	change(t, remote["pulp_href"], map[string]any{"url": "https://elsewhere.example.com", "upstream_name": "else/where", "download_concurrency": 3})
	change(t, repository["pulp_href"], map[string]any{"retain_repo_versions": 7})
	change(t, distribution["pulp_href"], map[string]any{"repository": nil, "repository_version": repository["latest_version_href"]})
	for i := range 3 {
		dir, _ := from.built(t, "team/settings", fmt.Sprintf("none-abcde-%d", i+1), fmt.Sprintf("1-%d", i+1), newImage(t))
		s.must(t, dir)
	}
	if now := object(t, "remotes"); now["url"] != "https://"+from.Host || now["upstream_name"] != "team/settings" || now["download_concurrency"] != 3.0 {
		t.Errorf("the remote is %v", now)
	}
	if now := object(t, "repositories"); now["retain_repo_versions"] != 2.0 {
		t.Errorf("the repository is %v", now)
	}
	var versions struct {
		Count int `json:"count"`
	}
	if err := server.Do(t.Context(), http.MethodGet, fmt.Sprint(repository["versions_href"]), nil, &versions); err != nil || versions.Count > 3 { // 2, and the one that is served
		t.Errorf("%d versions, %v", versions.Count, err)
	}
	for i := range 4 {
		s.digest(t, fmt.Sprintf("%s/team/settings:1-%d", server.Host, i))
	}
}

// object is the one resource of TestSettings in a collection.
func object(t *testing.T, collection string) map[string]any {
	t.Helper()
	var page struct {
		Results []map[string]any `json:"results"`
	}
	if err := newPulp(t).Do(t.Context(), http.MethodGet, collection+"/container/container/?name=site-team-settings", nil, &page); err != nil || len(page.Results) != 1 {
		t.Fatalf("%s: %v, %v", collection, page, err)
	}
	return page.Results[0]
}

func change(t *testing.T, href any, fields map[string]any) {
	t.Helper()
	if err := newPulp(t).Change(t.Context(), http.MethodPatch, fmt.Sprint(href), fields); err != nil {
		t.Fatal(err)
	}
}

// attach pushes what cosign and others attach to an image: signatures under tags of its own, and a manifest that names its subject.
func attach(t *testing.T, from source, repository, digest string) (tags []string) {
	t.Helper()
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".sig", ".att"} {
		tag := hash.Algorithm + "-" + hash.Hex + suffix
		from.Push(t, repository+":"+tag, newImage(t))
		tags = append(tags, tag)
	}
	subject, err := remote.Head(reference(t, from.Host+"/"+repository+"@"+digest), from.Client(t).Remote(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	signature := mutate.Subject(mutate.MediaType(newImage(t), types.OCIManifestSchema1), *subject).(v1.Image)
	from.Push(t, repository+":temporary", signature) // docker-registry keeps no index of referrers: go-containerregistry writes its tag
	return append(tags, hash.Algorithm+"-"+hash.Hex)
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// TestSignatures brings along what is attached to an image.
func TestSignatures(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	dir, digest := from.built(t, "team/signed", "none-abcde-1", "1-1", newImage(t))
	tags := attach(t, from, "team/signed", digest)
	s.must(t, dir)
	for _, tag := range tags {
		want, err := remote.Head(reference(t, from.Host+"/team/signed:"+tag), from.Client(t).Remote(t.Context())...)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.digest(t, server.Host+"/team/signed:"+tag); got != want.Digest.String() {
			t.Errorf("%s is %s, want %s", tag, got, want.Digest)
		}
	}
}

// TestSourceWantsCertificate hands the client certificate of a registry secret to Pulp.
func TestSourceWantsCertificate(t *testing.T) {
	server := newPulp(t)
	from := source{registrytest.StartDebian(t, registrytest.Options{TLS: true, ClientCertificate: true})}
	s := newStage(t, server, from)
	dir, digest := from.built(t, "team/certificate", "none-abcde-1", "1-1", newImage(t))
	if got := s.must(t, dir); got.Digest != digest {
		t.Errorf("%+v", got)
	}
}

// TestPushTarget uses Pulp's registry as any other: without the API, by pushing.
func TestPushTarget(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: newImage(t)}, mutate.IndexAddendum{Add: newImage(t)})
	client, err := registry.New(registry.Options{
		Env: s.options.Env, Registries: []registry.URI{{Host: from.Host}, {Host: server.Host}}, CAFile: both(t, from.CAFile, server.CAFile),
		SecretDirs: []string{from.SecretDir, pulpSecret(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for image, what := range map[string]remote.Taggable{"pushed/image": newImage(t), "pushed/index": index} {
		dir, digest := from.built(t, image, "none-abcde-1", "1-1", what, "latest")
		tags := append(attach(t, from, image, digest), "none-abcde-1", "1-1", "latest")
		o := imagesync.Options{Env: s.options.Env, Workspace: dir, Registry: client, Targets: []imagesync.Target{&imagesync.Registry{Client: client, URI: registry.URI{Host: server.Host}}}}
		for range 2 {
			if _, err := imagesync.Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		for _, tag := range tags[len(tags)-3:] {
			if got := s.digest(t, server.Host+"/"+image+":"+tag); got != digest {
				t.Errorf("%s:%s is %s, want %s", image, tag, got, digest)
			}
		}
		for _, tag := range tags[:len(tags)-3] {
			s.digest(t, server.Host+"/"+image+":"+tag)
		}
	}
}

// both is a file with the certificates of several.
func both(t *testing.T, files ...string) string {
	t.Helper()
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
