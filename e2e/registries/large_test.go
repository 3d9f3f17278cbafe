//go:build e2e

package registries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

const (
	mebi = int64(1) << 20
	// most is what the pushing process may take of memory, in bytes, however large a layer is.
	most = 100 * mebi
	// part is the size of the parts in which large blobs are sent.
	part = 64 * mebi
)

// TestLargeLayer pushes a layer of 3 GiB with the step binary, over a connection that breaks on the way, and looks at the memory that takes.
func TestLargeLayer(t *testing.T) {
	if testing.Short() {
		t.Skip("a layer of 3 GiB takes minutes")
	}
	push := buildPush(t)
	const size = 3 << 30
	dir := writeImage(t, size)
	proxy := faultproxy.Start(t, registrytest.StartDebian(t, registrytest.Options{}).URL)
	proxy.Add(faultproxy.Rule{Method: "PATCH", Skip: 20, Count: 1, Fault: faultproxy.ResetRequest(20 * mebi)})
	peak, log := measure(t, push, dir, proxy.URL)
	t.Logf("a layer of %d MiB: %d MiB of memory, %d MiB sent, %d parts", size/mebi, peak/mebi, proxy.Received()/mebi, proxy.Count("^PATCH"))
	if peak > most {
		t.Errorf("%d MiB of memory, at most %d are allowed", peak/mebi, most/mebi)
	}
	if got := proxy.Received(); got > size+part {
		t.Errorf("%d MiB were sent for %d:\n%s", got/mebi, size/mebi, log)
	}
	if !strings.Contains(log, "continuing an upload") {
		t.Errorf("nothing was continued:\n%s", log)
	}
}

// TestPartsElsewhere breaks the upload of a layer of several parts at registries of other implementations.
func TestPartsElsewhere(t *testing.T) {
	push := buildPush(t)
	dir := writeImage(t, 3*part)
	for name, start := range map[string]func(t *testing.T) *registrytest.Registry{
		"v3": func(t *testing.T) *registrytest.Registry {
			t.Helper()
			return registrytest.Start(t, registrytest.Options{})
		},
		"zot": func(t *testing.T) *registrytest.Registry {
			t.Helper()
			return registrytest.StartZot(t, buildZot(t), registrytest.Options{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.Start(t, start(t).URL)
			proxy.Add(faultproxy.Rule{Method: "PATCH", Skip: 1, Count: 1, Fault: faultproxy.ResetRequest(20 * mebi)})
			_, log := measure(t, push, dir, proxy.URL)
			if got := proxy.Received(); got > 4*part {
				t.Errorf("%d MiB were sent for %d:\n%s\n%s", got/mebi, 3*part/mebi, log, strings.Join(proxy.Requests(), "\n"))
			}
			// In the registry itself some throw everything away: then all is sent again.
			proxy = faultproxy.Start(t, start(t).URL)
			proxy.Add(faultproxy.Rule{Method: "PATCH", Skip: 1, Count: 1, Fault: faultproxy.CutRequest(20 * mebi)})
			measure(t, push, dir, proxy.URL)
			t.Logf("broken in the registry: %d MiB were sent for %d", proxy.Received()/mebi, 3*part/mebi)
		})
	}
}

// buildPush builds the step binary.
func buildPush(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "push")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/push").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// writeImage makes a workspace with a built image, whose layer is a file of that many zeros. On the disk it takes nothing.
func writeImage(t *testing.T, size int64) workspace.Dir {
	t.Helper()
	dir := workspace.Dir(t.TempDir())
	blobs := filepath.Join(dir.Image(), "blobs", "sha256")
	hash := sha256.New()
	_, err := io.CopyN(hash, zeros{}, size)
	must(t, err)
	layer := v1.Descriptor{MediaType: types.OCIUncompressedLayer, Size: size, Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}}
	must(t, os.MkdirAll(blobs, 0o700))
	must(t, os.WriteFile(filepath.Join(blobs, layer.Digest.Hex), nil, 0o600))
	must(t, os.Truncate(filepath.Join(blobs, layer.Digest.Hex), size))
	config := writeBlob(t, blobs, types.OCIConfigJSON, v1.ConfigFile{
		OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{layer.Digest}},
	})
	manifest := writeBlob(t, blobs, types.OCIManifestSchema1, v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config, Layers: []v1.Descriptor{layer}})
	must(t, os.WriteFile(filepath.Join(dir.Image(), "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{manifest}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir.Image(), "index.json"), index, 0o600))
	must(t, os.Mkdir(dir.Source(), 0o700))
	must(t, workspace.Write(dir, workspace.Build{Digest: manifest.Digest.String(), Labels: map[string]string{"name": "team/app", "version": "1", "release": "2"}}))
	return dir
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func writeBlob(t *testing.T, dir string, mediaType types.MediaType, content any) v1.Descriptor {
	t.Helper()
	data, err := json.Marshal(content)
	must(t, err)
	digest, size, err := v1.SHA256(bytes.NewReader(data))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, digest.Hex), data, 0o600))
	return v1.Descriptor{MediaType: mediaType, Size: size, Digest: digest}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// measure pushes, and returns the most memory that the process has had, in bytes, and its log.
func measure(t *testing.T, program string, dir workspace.Dir, registry string) (peak int64, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	results := t.TempDir()
	cmd := exec.CommandContext(ctx, program, "-workspace", string(dir), "-results-dir", results, "-termination-message", filepath.Join(results, "none"), "-registry-uri", registry)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			return peak, out.String()
		case <-time.After(20 * time.Millisecond): // the kernel keeps the peak: what is read last counts
			peak = max(peak, residentPeak(cmd.Process.Pid))
		}
	}
}

// residentPeak reads the most memory that a process has had; 0 if it has ended. What Wait tells holds the memory of this process too, from
// before the other program was started in its place.
func residentPeak(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kibi, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return kibi << 10
}
