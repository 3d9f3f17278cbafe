package registry_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/forwardproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// TestProxy reaches registries through a forward proxy, which alone knows their names: with TLS by CONNECT, without as a plain request,
// and not at all where NO_PROXY names the host.
func TestProxy(t *testing.T) {
	if forwardproxy.Behind() {
		behindProxy(t)
		return
	}
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	secured := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	plain := registrytest.Start(t, registrytest.Options{})
	secured.Push(t, "a/b:1", image)
	plain.Push(t, "a/b:1", image)
	proxy := forwardproxy.Start(t, map[string]string{"secured.example.com": secured.Host, "plain.example.com": plain.Host, "direct.invalid": plain.Host})
	out, err := forwardproxy.Rerun(t, "HTTPS_PROXY="+proxy.URL, "HTTP_PROXY="+proxy.URL, "NO_PROXY=.svc,direct.invalid",
		"CA_FILE="+secured.CAFile, "SECRET="+secretFor(t, "secured.example.com", secured))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	asked := proxy.Asked()
	slices.Sort(asked)
	if got := strings.Join(asked, ", "); got != "CONNECT secured.example.com:443, CONNECT unknown.example.com:443, plain plain.example.com" {
		t.Errorf("the proxy was asked for %s", got)
	}
}

func behindProxy(t *testing.T) {
	t.Helper()
	c := client(t, registry.Options{
		CAFile: os.Getenv("CA_FILE"), SecretDirs: []string{os.Getenv("SECRET")}, Registries: []registry.URI{{Host: "plain.example.com", Insecure: true}},
	})
	for _, host := range []string{"secured.example.com", "plain.example.com"} {
		if err := head(t, c, host, "a/b:1"); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := head(t, c, "unknown.example.com", "a/b:1"); err == nil || !strings.Contains(err.Error(), "answered 502 Bad Gateway") || !strings.Contains(err.Error(), "no_proxy") {
		t.Errorf("a host that the proxy does not reach: %v", err)
	}
	if err := head(t, c, "direct.invalid", "a/b:1"); err == nil || !strings.Contains(err.Error(), "has no address") {
		t.Errorf("a host that is reached directly: %v", err)
	}
}
