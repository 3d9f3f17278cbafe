package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

var labels = map[string]string{"name": "team/app", "version": "1", "release": "2"}

// newWorkspace holds a built image.
func newWorkspace(t *testing.T) workspace.Dir {
	t.Helper()
	dir := workspace.Dir(t.TempDir())
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	path, err := layout.Write(dir.Image(), empty.Index)
	if err == nil {
		err = path.AppendImage(image)
	}
	if err == nil {
		err = os.Mkdir(dir.Source(), 0o750)
	}
	if err == nil {
		err = workspace.Write(dir, workspace.Build{Digest: digest.String(), Labels: labels})
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// execute runs the step, and returns its exit code, its results and its log.
func execute(t *testing.T, dir workspace.Dir, args ...string) (int, map[string]string, string) {
	t.Helper()
	resultsDir := t.TempDir()
	var log bytes.Buffer
	args = append([]string{"--workspace", string(dir), "--results-dir", resultsDir, "--termination-message", filepath.Join(resultsDir, "../none")}, args...)
	code := spec().Execute(t.Context(), args, func(string) string { return "" }, &log)
	got := map[string]string{}
	entries, err := os.ReadDir(resultsDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(resultsDir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(data)
	}
	return code, got, log.String()
}

// TestOtherCredentials: without a registry secret, what Tekton leaves in the home of the step serves, and after it the pull secret.
func TestOtherCredentials(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	config, err := os.ReadFile(filepath.Join(r.SecretDir, ".dockerconfigjson"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(dir ...string) string {
		file := filepath.Join(append(append([]string{t.TempDir()}, dir...), "config.json")...)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, config, 0o600); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(filepath.Dir(file), "/.docker")
	}
	for name, tc := range map[string]struct {
		home, config, pull string
		code               int
		log                string
	}{
		"none":          {t.TempDir(), "", "/nonexistent", 5, "no credentials for the registry"},
		"HOME":          {write(".docker"), "", "/nonexistent", 0, "docker configuration"},
		"DOCKER_CONFIG": {t.TempDir(), write(), "/nonexistent", 0, "docker configuration"},
		"pull secret":   {t.TempDir(), "", r.SecretDir, 0, "pull secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", tc.home)
			t.Setenv("DOCKER_CONFIG", tc.config)
			code, _, log := execute(t, newWorkspace(t), "--registry-uri", r.URL, "--registry-secret-dir", "/nonexistent", "--pull-secret-dir", tc.pull,
				"--registry-ca-file", r.CAFile, "--scratch")
			if code != tc.code || !strings.Contains(log, tc.log) || strings.Contains(log, r.Password) {
				t.Errorf("exit code %d, want %d and %q in the log:\n%s", code, tc.code, tc.log, log)
			}
		})
	}
}

func TestStep(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	dir := newWorkspace(t)
	code, got, log := execute(t, dir, "--registry-uri", r.URL+"/v2", "--registry-secret-dir", r.SecretDir, "--registry-ca-file", r.CAFile, "--target", "rhel-7")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	built, err := workspace.Read[workspace.Build](dir)
	if err != nil {
		t.Fatal(err)
	}
	if got["image-url"] != r.Host+"/team/app:1-2" || got["image-digest"] != built.Digest {
		t.Errorf("results = %v", got)
	}
	if tags := strings.Split(got["tags"], ","); len(tags) != 2 || !strings.HasPrefix(tags[0], "rhel-7-") || tags[1] != "1-2" {
		t.Errorf("tags = %q", got["tags"])
	}
	if strings.Contains(log, r.Password) {
		t.Errorf("the log holds the password: %s", log)
	}
}

func TestStepErrors(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	for name, tc := range map[string]struct {
		args    []string
		code    int
		message string
	}{
		"no registry":       {nil, 2, "-registry-uri is required"},
		"/v1":               {[]string{"--registry-uri", "r/v1"}, 2, "Invalid API version requested in URI"},
		"certificate":       {[]string{"--registry-uri", r.URL, "--registry-secret-dir", r.SecretDir}, 11, "is not trusted"},
		"no credentials":    {[]string{"--registry-uri", r.URL, "--registry-secret-dir", "/nonexistent", "--registry-ca-file", r.CAFile}, 5, "refused access"},
		"unreadable secret": {[]string{"--registry-uri", r.URL, "--registry-secret-dir", "."}, 5, "registry secret . holds none of"},
		"target":            {[]string{"--registry-uri", r.URL, "--target", "a/b"}, 2, "not a valid tag"},
		"isolated":          {[]string{"--registry-uri", r.URL, "--isolated"}, 3, "isolated build"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, log := execute(t, newWorkspace(t), tc.args...)
			if code != tc.code || !strings.Contains(log, tc.message) {
				t.Errorf("exit code %d, want %d with %q: %s", code, tc.code, tc.message, log)
			}
		})
	}
}

// layerSize and maxMemory are the promise: memory does not grow with the size of a layer. Bytes.
const (
	layerSize = 2 << 30
	maxMemory = 150 << 20
)

// TestMemory pushes a 2 GB layer with the real program, and reads from the kernel how much memory it took at most.
func TestMemory(t *testing.T) {
	program := filepath.Join(t.TempDir(), "push")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var received atomic.Int64
	server := httptest.NewServer(sink(&received))
	t.Cleanup(server.Close)
	dir := largeWorkspace(t)
	run := exec.CommandContext(t.Context(), program, "--workspace", string(dir), "--registry-uri", server.URL)
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	usage, ok := run.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("no rusage")
	}
	peak := usage.Maxrss << 10 // Linux counts in KiB
	t.Logf("%d bytes pushed with %d MiB of memory", received.Load(), peak>>20)
	if received.Load() < layerSize || peak > maxMemory {
		t.Errorf("%d bytes arrived, %d bytes of memory were taken, at most %d are allowed", received.Load(), peak, maxMemory)
	}
}

// largeWorkspace holds an image whose layer is a hole of 2 GB. Its digest is not the content's: hashing is the registry's work, and
// the registry of this test throws away what it gets.
func largeWorkspace(t *testing.T) workspace.Dir {
	t.Helper()
	dir := workspace.Dir(t.TempDir())
	layer, config := strings.Repeat("a", 64), strings.Repeat("b", 64)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":2},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}`, config, layer, layerSize)
	digest := digestOf(manifest)
	blobs := filepath.Join(dir.Image(), "blobs", "sha256")
	for _, err := range []error{
		os.MkdirAll(blobs, 0o750), os.Mkdir(dir.Source(), 0o750),
		os.WriteFile(filepath.Join(blobs, layer), nil, 0o600), os.Truncate(filepath.Join(blobs, layer), layerSize),
		os.WriteFile(filepath.Join(blobs, config), []byte("{}"), 0o600), os.WriteFile(filepath.Join(blobs, digest), []byte(manifest), 0o600),
		workspace.Write(dir, workspace.Build{Digest: "sha256:" + digest, Labels: labels}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sink is a registry that remembers manifests only.
func sink(received *atomic.Int64) http.Handler {
	var manifest []byte
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		isManifest := strings.Contains(req.URL.Path, "/manifests/")
		switch {
		case req.URL.Path == "/v2/":
		case req.Method == http.MethodPost:
			w.Header().Set("Location", req.URL.Path+"upload")
			w.WriteHeader(http.StatusAccepted)
		case req.Method == http.MethodPut && isManifest:
			manifest, _ = io.ReadAll(req.Body)
			w.WriteHeader(http.StatusCreated)
		case req.Method == http.MethodPut:
			n, _ := io.Copy(io.Discard, req.Body)
			received.Add(n)
			w.WriteHeader(http.StatusCreated)
		case req.Method == http.MethodGet && isManifest:
			_, _ = w.Write(manifest)
		default:
			http.NotFound(w, req)
		}
	})
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
