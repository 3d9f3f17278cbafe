package imagesync_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// withReferrers runs a registry that keeps an index of referrers itself, as the OCI distribution specification 1.1 has it.
func withReferrers(t *testing.T) *registrytest.Registry {
	t.Helper()
	server := httptest.NewServer(ggcrregistry.New(ggcrregistry.WithReferrersSupport(true), ggcrregistry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
	t.Cleanup(server.Close)
	return &registrytest.Registry{URL: server.URL, Host: strings.TrimPrefix(server.URL, "http://")}
}

// referTo pushes a manifest that names its subject, by its digest. A registry without an index of referrers gets the tag that stands in for it.
func referTo(t *testing.T, home *registrytest.Registry, repository string, subject v1.Descriptor) v1.Hash {
	t.Helper()
	image, ok := mutate.Subject(mutate.MediaType(newImage(t, 100, 1), types.OCIManifestSchema1), subject).(v1.Image)
	if !ok {
		t.Fatal("not an image")
	}
	home.Push(t, repository+"@"+digestOf(t, image), image)
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func descriptorOf(t *testing.T, client *registry.Client, text string) v1.Descriptor {
	t.Helper()
	ref, err := client.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Head(ref, client.Remote(t.Context())...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return *found
}

// TestAttached brings signatures along: those under tags made of the digest, and those that name the image as their subject, between
// registries that keep an index of the latter and such as do not.
func TestAttached(t *testing.T) {
	starts := map[string]func(*testing.T) *registrytest.Registry{
		"no index":     func(t *testing.T) *registrytest.Registry { return registrytest.StartDebian(t, registrytest.Options{}) },
		"distribution": func(t *testing.T) *registrytest.Registry { return registrytest.Start(t, registrytest.Options{}) },
		"index":        withReferrers,
	}
	for homeName, startHome := range starts {
		for mirrorName, startMirror := range starts {
			t.Run(homeName+" to "+mirrorName, func(t *testing.T) {
				home, mirror := startHome(t), startMirror(t)
				platform := mutate.MediaType(newImage(t, 1000, 2), types.OCIManifestSchema1)
				index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: platform})
				p := push(t, home, index)
				tags := []string{}
				for subject, suffixes := range map[string][]string{p.digest: {".sig", ".att", ".sbom"}, digestOf(t, platform): {".sig"}} {
					for _, suffix := range suffixes {
						tag := strings.Replace(subject, ":", "-", 1) + suffix
						home.Push(t, "team/app:"+tag, newImage(t, 50, 1))
						tags = append(tags, tag)
					}
				}
				signature := referTo(t, home, "team/app", descriptorOf(t, p.client, home.Host+"/team/app:1-1"))
				counter := referTo(t, home, "team/app", descriptorOf(t, p.client, home.Host+"/team/app@"+signature.String()))

				target := &imagesync.Registry{Client: p.client, URI: registry.URI{Host: mirror.Host}}
				for range 2 {
					if _, err := p.sync(t.Context(), target); err != nil {
						t.Fatal(err)
					}
				}
				for _, tag := range tags {
					want := descriptorOf(t, p.client, home.Host+"/team/app:"+tag).Digest
					if got := descriptorOf(t, p.client, mirror.Host+"/team/app:"+tag).Digest; got != want {
						t.Errorf("%s is %s, want %s", tag, got, want)
					}
				}
				checkReferrers(t, p.client, mirror.Host+"/team/app@"+p.digest, signature)
				checkReferrers(t, p.client, mirror.Host+"/team/app@"+signature.String(), counter)
			})
		}
	}
}

// checkReferrers asks as any client would who refers to an image.
func checkReferrers(t *testing.T, client *registry.Client, text string, want v1.Hash) {
	t.Helper()
	ref, err := client.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(ref.Context().Digest(ref.Identifier()), client.Remote(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != want {
		t.Errorf("%s: referrers %+v, %v, want %s", text, manifest, err, want)
	}
	if _, err := remote.Get(ref.Context().Digest(want.String()), client.Remote(t.Context())...); err != nil {
		t.Errorf("%s: %v", want, err)
	}
}

// TestTargetFails has one of two mirrors fail: the other gets the image, the failure is told, and no floating tag moves anywhere. The next
// run does what was missing.
func TestTargetFails(t *testing.T) {
	home, good := registrytest.Start(t, registrytest.Options{}), registrytest.StartDebian(t, registrytest.Options{})
	p := push(t, home, newImage(t, 1000, 2))
	bad := &imagesync.Registry{Client: p.client, URI: registry.URI{Host: "127.0.0.1:1"}}
	fine := &imagesync.Registry{Client: p.client, URI: registry.URI{Host: good.Host}}
	_, err := p.sync(t.Context(), bad, fine)
	if failure.KindOf(err) != failure.Unavailable || !strings.Contains(err.Error(), "syncing to registry 127.0.0.1:1") || strings.Contains(err.Error(), good.Host) {
		t.Errorf("error %v", err)
	}
	if got := tagsOf(t, p.client, good.Host+"/team/app"); len(got) != 2 {
		t.Errorf("tags after the failure: %q", got)
	}
	record, err := workspace.Read[workspace.Sync](p.dir)
	if err != nil || len(record.Targets) != 1 || record.Targets[0].Location != good.Host+"/team/app:1-1" {
		t.Errorf("the record after the failure: %+v, %v", record, err)
	}
	_, err = p.sync(t.Context(), bad, &imagesync.Directory{Path: "/nonexistent"}, fine)
	if err == nil || !strings.Contains(err.Error(), "2 of 3 targets failed") || !strings.Contains(err.Error(), "/nonexistent is not a directory") {
		t.Errorf("two failures: %v", err)
	}
	bad.URI.Host = registrytest.StartDebian(t, registrytest.Options{}).Host
	record, err = p.sync(t.Context(), bad, fine)
	if err != nil || record.Targets[0].Existed || !record.Targets[1].Existed {
		t.Errorf("the next run: %+v, %v", record, err)
	}
	for _, host := range []string{bad.URI.Host, good.Host} {
		if got := tagsOf(t, p.client, host+"/team/app"); len(got) != 4 {
			t.Errorf("tags of %s: %q", host, got)
		}
	}
}
