package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/validate"
	"github.com/osbs-tekton/osbs/internal/registrytest"
)

const root = "../.."

// koProgram is where `make` puts ko, or the one on the PATH.
func koProgram(t *testing.T) string {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(makefile), "/tools/ko-")
	version, _, _ := strings.Cut(rest, "\n")
	if made, err := filepath.Abs(filepath.Join(root, ".cache/tools/ko-"+version)); err == nil {
		if _, err := os.Stat(made); err == nil {
			return made
		}
	}
	path, err := exec.LookPath("ko")
	if err != nil {
		t.Skip("ko is needed: make release and make test build it")
	}
	return path
}

// TestRelease makes a release into a registry on loopback, with nothing else to reach, and looks at all of it.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds all programs")
	}
	ko := koProgram(t)
	registry := registrytest.Start(t, registrytest.Options{})
	certificates := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(certificates, []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := func() string {
		var log bytes.Buffer
		r := &release{
			version: "v0.0.1-test", registry: registry.Host + "/osbs", base: madeBase, ca: certificates, root: root, ko: ko, log: &log,
			platforms: []string{"linux/" + runtime.GOARCH}, out: filepath.Join(t.TempDir(), "osbs"),
		}
		out := r.out
		if err := r.run(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		return out
	}
	dir := build()
	images := readImages(t, filepath.Join(dir, imagesFile))
	t.Run("images are in the registry", func(t *testing.T) { checkImages(t, images) })
	t.Run("release.yaml", func(t *testing.T) { checkObjects(t, filepath.Join(dir, "release.yaml"), images) })
	t.Run("tasks.yaml", func(t *testing.T) { checkObjects(t, filepath.Join(dir, "tasks.yaml"), images) })
	t.Run("SBOMs", func(t *testing.T) { checkSBOMs(t, filepath.Join(dir, sbomDir), images) })
	t.Run("checksums", func(t *testing.T) { checkSums(t, dir) })
	t.Run("program", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, program("linux", runtime.GOARCH)), "version").Output()
		if err != nil || !strings.HasPrefix(string(out), "osbs v0.0.1-test (") {
			t.Errorf("%s %v", out, err)
		}
	})
	t.Run("once more is the same", func(t *testing.T) {
		first, second := read(t, filepath.Join(dir, "SHA256SUMS")), read(t, filepath.Join(build(), "SHA256SUMS"))
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func readImages(t *testing.T, file string) map[string]string {
	t.Helper()
	images, err := manifest.ReadImages(file, strings.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func checkImages(t *testing.T, images map[string]string) {
	if len(images) < 9 {
		t.Errorf("only %d images: %v", len(images), images)
	}
	for ko, image := range images {
		ref, err := name.NewDigest(image)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Get(ref, remote.WithContext(t.Context()))
		if err != nil {
			t.Errorf("%s: %v", ko, err)
			continue
		}
		one, err := got.Image()
		if err != nil {
			t.Errorf("%s: %v", ko, err)
			continue
		}
		config, err := one.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.User != "65532:65532" || len(config.Config.Entrypoint) != 1 || !strings.HasPrefix(config.Config.Entrypoint[0], "/ko-app/") {
			t.Errorf("%s: user %q, entrypoint %q", ko, config.Config.User, config.Config.Entrypoint)
		}
	}
}

// checkObjects: each image is one of the release's, by digest, and Tekton's code finds nothing wrong.
func checkObjects(t *testing.T, file string, images map[string]string) {
	objects, err := manifest.ReadPath(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Objects(objects); err != nil {
		t.Error(err)
	}
	var known []string
	for _, image := range images {
		known = append(known, image)
	}
	seen := 0
	for _, o := range objects {
		tree.Texts(o.YNode(), func(text string) {
			if strings.Contains(text, "ko://") {
				t.Errorf("%s %s has %s", o.GetKind(), o.GetName(), text)
			}
			if slices.Contains(known, text) {
				seen++
			}
		})
	}
	if seen < 8 {
		t.Errorf("only %d images of the release are used", seen)
	}
}

func checkSBOMs(t *testing.T, dir string, images map[string]string) {
	for ko := range images {
		base := ko[strings.LastIndex(ko, "/")+1:]
		files, err := filepath.Glob(filepath.Join(dir, base+"*.json"))
		if err != nil || len(files) == 0 {
			t.Errorf("there is no SBOM of %s", base)
			continue
		}
		var document struct {
			SPDXVersion string `json:"spdxVersion"`
			Packages    []struct {
				Name string `json:"name"`
			} `json:"packages"`
		}
		if err := json.Unmarshal([]byte(read(t, files[0])), &document); err != nil {
			t.Errorf("%s: %v", files[0], err)
		}
		if !strings.HasPrefix(document.SPDXVersion, "SPDX-") || len(document.Packages) < 2 {
			t.Errorf("%s: version %q, %d packages", files[0], document.SPDXVersion, len(document.Packages))
		}
	}
}

// checkSums: SHA256SUMS has every file, with its checksum.
func checkSums(t *testing.T, dir string) {
	var want strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "SHA256SUMS" {
			return err
		}
		name, err := filepath.Rel(dir, path)
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256([]byte(read(t, path))), name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), read(t, filepath.Join(dir, "SHA256SUMS"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReleaseSaysWhatIsMissing(t *testing.T) {
	for _, tc := range []struct{ version, registry, want string }{
		{"", "r.example.com/osbs", "a version is needed"},
		{"a/b", "r.example.com/osbs", "a version is needed"},
		{"v1", "", "a registry is needed"},
		{"v1", "r.example.com", "a registry is needed"},
	} {
		r := &release{version: tc.version, registry: tc.registry, out: t.TempDir()}
		if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("version %q, registry %q: %v", tc.version, tc.registry, err)
		}
	}
}
