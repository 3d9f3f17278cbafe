package local

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func startTest(t *testing.T, o registryOptions) *embeddedRegistry {
	t.Helper()
	o.log = slog.New(slog.DiscardHandler)
	o.address = "127.0.0.1:0"
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	r, err := startRegistry(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func status(t *testing.T, method, url, password string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	if password != "" {
		req.SetBasicAuth(registryUser, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestEmbeddedRegistryIsForThisProcess(t *testing.T) {
	r := startTest(t, registryOptions{})
	url := "http://" + r.addr + "/v2/"
	for password, want := range map[string]int{"": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, r.password: http.StatusOK} {
		if got, _ := status(t, http.MethodGet, url, password); got != want {
			t.Errorf("with %q: %d, want %d", password, got, want)
		}
	}
}

// TestSecretBesideTheEmbeddedRegistry: bases may come from a registry that needs credentials, though images stay in the embedded one.
func TestSecretBesideTheEmbeddedRegistry(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".dockerconfigjson"), []byte(`{"auths":{"quay.io":{"username":"me","password":"hunter2"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	i := open(t, Config{RegistrySecretDirs: []string{dir}})
	c, err := i.client(t.Context(), i.env())
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"quay.io": "me", RegistryHost: registryUser} {
		repo, err := c.ParseRepository(host + "/x")
		if err != nil {
			t.Fatal(err)
		}
		found, err := authn.Resolve(t.Context(), c.Keychain(), repo)
		if err != nil {
			t.Fatal(err)
		}
		account, err := authn.Authorization(t.Context(), found)
		if err != nil {
			t.Fatal(err)
		}
		if account.Username != want {
			t.Errorf("%s: user %q, want %q", host, account.Username, want)
		}
	}
}

func TestServeIsForPullingOnly(t *testing.T) {
	i := open(t, Config{})
	b := mustBuild(t, i, baseRepo(t, "base", "one").request())
	ctx, stop := context.WithCancel(t.Context())
	address, served := make(chan string, 1), make(chan error, 1)
	go func() { served <- i.Serve(ctx, "127.0.0.1:0", func(a string) { address <- a }) }()
	url := "http://" + <-address + "/v2/base/manifests/latest"
	if code, body := status(t, http.MethodGet, url, ""); code != http.StatusOK || !strings.Contains(body, "schemaVersion") {
		t.Errorf("pull of %s: %d %s", b.Name, code, body)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodPatch} {
		if code, _ := status(t, method, url, ""); code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, code)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeStaysOnThisMachine(t *testing.T) {
	i := open(t, Config{})
	for _, address := range []string{"0.0.0.0:0", ":5000", "192.0.2.1:5000", "example.com:80", "x"} {
		if err := i.Serve(t.Context(), address, nil); failure.KindOf(err) != failure.Usage {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOldUploadsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	uploads := filepath.Join(dir, "docker", "registry", "v2", "repositories", "app", "_uploads")
	for name, age := range map[string]time.Duration{"7f5e1e1c-0000-4000-8000-000000000001": 2 * uploadAge, "7f5e1e1c-0000-4000-8000-000000000002": 0} {
		if err := os.MkdirAll(filepath.Join(uploads, name), 0o700); err != nil {
			t.Fatal(err)
		}
		started := time.Now().Add(-age).UTC().Format(time.RFC3339)
		for file, content := range map[string]string{"startedat": started, "data": "half"} {
			if err := os.WriteFile(filepath.Join(uploads, name, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := startTest(t, registryOptions{dir: dir})
	<-r.purged
	left, err := os.ReadDir(uploads)
	if err != nil || len(left) != 1 || !strings.HasSuffix(left[0].Name(), "2") {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "purged")); err != nil {
		t.Error(err)
	}
}
