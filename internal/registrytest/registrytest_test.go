package registrytest_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/internal/registrytest"
)

// TestRegistries pushes to and pulls from each kind of registry.
func TestRegistries(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *registrytest.Registry{
		"plain": func(t *testing.T) *registrytest.Registry { return registrytest.Start(t, registrytest.Options{}) },
		"TLS basic": func(t *testing.T) *registrytest.Registry {
			return registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
		},
		"token": func(t *testing.T) *registrytest.Registry {
			return registrytest.Start(t, registrytest.Options{TokenServer: true})
		},
		"TLS token": func(t *testing.T) *registrytest.Registry {
			return registrytest.Start(t, registrytest.Options{TLS: true, TokenServer: true})
		},
		"Debian plain": func(t *testing.T) *registrytest.Registry { return registrytest.StartDebian(t, registrytest.Options{}) },
		"Debian TLS basic": func(t *testing.T) *registrytest.Registry {
			return registrytest.StartDebian(t, registrytest.Options{TLS: true, BasicAuth: true})
		},
		"Debian token": func(t *testing.T) *registrytest.Registry {
			return registrytest.StartDebian(t, registrytest.Options{TokenServer: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			img, err := random.Image(1024, 2)
			if err != nil {
				t.Fatal(err)
			}
			ref := r.Push(t, "some/image:1", img)
			c := r.Client(t)
			parsed, err := c.ParseReference(ref)
			if err != nil {
				t.Fatal(err)
			}
			got, err := remote.Head(parsed, c.Remote(t.Context())...)
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := img.Digest(); got.Digest != want {
				t.Errorf("digest %s, want %s", got.Digest, want)
			}
		})
	}
}
