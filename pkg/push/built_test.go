package push_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/push"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// platforms of the tests here.
var platforms = []string{"linux/amd64", "linux/arm64"}

// newWorkspace has sources and nothing else.
func newWorkspace(t *testing.T) workspace.Dir {
	t.Helper()
	dir := workspace.Dir(t.TempDir())
	if err := os.MkdirAll(dir.Source(), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newPlatforms is a workspace of which detect-base was given two platforms.
func newPlatforms(t *testing.T) workspace.Dir {
	t.Helper()
	dir := newWorkspace(t)
	record := workspace.DetectBase{Platform: platforms[0], Others: []workspace.PlatformBases{{Platform: platforms[1]}}}
	if err := workspace.Write(dir, record); err != nil {
		t.Fatal(err)
	}
	return dir
}

// put leaves what the build of a platform leaves.
func (b built) put(t *testing.T, dir workspace.Dir, platform string, labels map[string]string) {
	t.Helper()
	b.record.Platform, b.record.Labels = platform, labels
	part := dir.Platform(platform)
	if err := os.MkdirAll(filepath.Dir(string(part)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(string(part), os.DirFS(string(b.dir))); err != nil {
		t.Fatal(err)
	}
	if err := workspace.Write(part, b.record); err != nil {
		t.Fatal(err)
	}
}

// checkIndex pulls an index whole, and returns the platforms that it names.
func checkIndex(t *testing.T, c *registry.Client, ref, digest string) []string {
	t.Helper()
	parsed, err := c.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(parsed, c.Remote(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, index).String(); got != digest {
		t.Errorf("%s has digest %s, want %s", ref, got, digest)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range manifest.Manifests {
		names = append(names, d.Platform.String())
	}
	return names
}

// TestSeveralPlatforms: one index is pushed; the layers of each platform's base are taken from where they are.
func TestSeveralPlatforms(t *testing.T) {
	r, bases := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{})
	dir := newPlatforms(t)
	for i, platform := range platforms {
		base := imageFor(t, platform, nil)
		home := []*registrytest.Registry{r, bases}[i]
		home.Push(t, "base:1", base)
		newBuilt(t, base, home.Host+"/base", 10_000, 2).put(t, dir, platform, labels)
	}
	b := built{dir: dir}
	record, err := push.Run(t.Context(), b.options(c, r.Host, bases.Host))
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range record.Images {
		for _, tag := range []string{image.Unique, "1.2-3"} {
			if diff := cmp.Diff(platforms, checkIndex(t, c, image.Repository+":"+tag, record.Digest)); diff != "" {
				t.Errorf("platforms of %s:%s (-want +got):\n%s", image.Repository, tag, diff)
			}
		}
		if image.Mounted == 0 || image.Copied == 0 || image.Uploaded < 40_000 {
			t.Errorf("stats = %+v", image)
		}
	}
	again, err := push.Run(t.Context(), b.options(c, r.Host, bases.Host))
	if err != nil || again.Digest != record.Digest || again.Images[0].Unique != record.Images[0].Unique {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func TestPlatformIsMissing(t *testing.T) {
	c := client(t, registry.Options{})
	dir := newPlatforms(t)
	b := built{dir: dir}
	_, err := push.Run(t.Context(), b.options(c, "127.0.0.1:1"))
	if failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), "nothing has been built for linux/amd64, linux/arm64") {
		t.Errorf("no platform: %v", err)
	}
	newBuilt(t, nil, "", 1000, 1).put(t, dir, platforms[0], labels)
	_, err = push.Run(t.Context(), b.options(c, "127.0.0.1:1"))
	if failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), "nothing has been built for linux/arm64") {
		t.Errorf("one platform: %v", err)
	}
}

func TestPlatformsDisagree(t *testing.T) {
	dir := newPlatforms(t)
	for i, platform := range platforms {
		newBuilt(t, nil, "", 1000, 1).put(t, dir, platform, map[string]string{"name": "team/app", "version": "1", "release": []string{"1", "2"}[i], "architecture": platform})
	}
	b := built{dir: dir}
	_, err := push.Run(t.Context(), b.options(client(t, registry.Options{}), "127.0.0.1:1"))
	want := `the label release is "1" for linux/amd64 and "2" for linux/arm64: the platforms of an image must have one`
	if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// imageFor is an image with a configuration that names its platform and labels.
func imageFor(t *testing.T, platform string, labels map[string]string) v1.Image {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	config.Config.Labels = labels
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// indexFor is an index of images for the platforms, and an attestation as BuildKit makes it.
func indexFor(t *testing.T, platforms []string, labels func(platform string) map[string]string) v1.ImageIndex {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, platform := range platforms {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: imageFor(t, platform, labels(platform)), Descriptor: v1.Descriptor{Platform: p}})
	}
	return mutate.AppendManifests(index, mutate.IndexAddendum{Add: imageFor(t, "unknown/unknown", nil),
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
}

// TestForeignLayout: what another engine has left in the place of the build stage is pushed as it is.
func TestForeignLayout(t *testing.T) {
	same := func(string) map[string]string { return labels }
	image, index := imageFor(t, "linux/amd64", labels), indexFor(t, platforms, same)
	for name, tc := range map[string]struct {
		dir    workspace.Dir
		write  func(p layout.Path) error
		digest string
		isIdx  bool
	}{
		"image":             {newWorkspace(t), func(p layout.Path) error { return p.AppendImage(image) }, digestOf(t, image).String(), false},
		"index":             {newWorkspace(t), func(p layout.Path) error { return p.AppendIndex(index) }, digestOf(t, index).String(), true},
		"several platforms": {newPlatforms(t), func(p layout.Path) error { return p.AppendIndex(index) }, digestOf(t, index).String(), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.Start(t, registrytest.Options{})
			c := client(t, registry.Options{})
			writeLayout(t, tc.dir.Image(), tc.write)
			b := built{dir: tc.dir}
			record, err := push.Run(t.Context(), b.options(c, r.Host))
			if err != nil {
				t.Fatal(err)
			}
			if record.Digest != tc.digest || record.Images[0].Primary != "1.2-3" {
				t.Errorf("record %+v, want %s", record, tc.digest)
			}
			if !tc.isIdx {
				checkImage(t, c, r.Host+"/team/app:1.2-3", tc.digest)
			} else if got := checkIndex(t, c, r.Host+"/team/app:1.2-3", tc.digest); !slices.Contains(got, "linux/arm64") {
				t.Errorf("platforms %v", got)
			}
		})
	}
}

func writeLayout(t *testing.T, dir string, write func(layout.Path) error) {
	t.Helper()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(p); err != nil {
		t.Fatal(err)
	}
}

func TestForeignLayoutErrors(t *testing.T) {
	image := imageFor(t, "linux/amd64", labels)
	disagreeing := indexFor(t, platforms, func(platform string) map[string]string {
		return map[string]string{"name": "team/app", "version": platform}
	})
	for name, tc := range map[string]struct {
		dir   workspace.Dir
		write func(p layout.Path) error
		kind  failure.Kind
		text  string
	}{
		"nothing": {newWorkspace(t), nil, failure.NotFound, "build.json is not in the workspace: the stage that writes it has not run, and image is no OCI image layout"},
		"empty":   {newWorkspace(t), func(layout.Path) error { return nil }, failure.InvalidInput, "the image layout has 0 images"},
		"two": {newWorkspace(t), func(p layout.Path) error {
			return errorsOf(p.AppendImage(image), p.AppendImage(imageFor(t, "linux/arm64", labels)))
		}, failure.InvalidInput, "the image layout has 2 images"},
		"no labels": {newWorkspace(t), func(p layout.Path) error { return p.AppendImage(imageFor(t, "linux/amd64", nil)) }, failure.InvalidInput, "name"},
		"labels":    {newWorkspace(t), func(p layout.Path) error { return p.AppendIndex(disagreeing) }, failure.InvalidInput, "the label version is"},
		"a platform is missing": {newPlatforms(t), func(p layout.Path) error { return p.AppendImage(image) },
			failure.NotFound, "the image layout has no image for linux/arm64, only for linux/amd64"},
		"malformed": {newWorkspace(t), func(p layout.Path) error { return p.WriteFile("index.json", []byte("{"), 0o600) }, failure.InvalidInput, "malformed"},
		"damaged": {newWorkspace(t), func(p layout.Path) error {
			config, err := image.ConfigName()
			return errorsOf(err, p.AppendImage(image), damage(filepath.Join(string(p), "blobs", config.Algorithm, config.Hex)))
		}, failure.Untrusted, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.write != nil {
				writeLayout(t, tc.dir.Image(), tc.write)
			}
			b := built{dir: tc.dir}
			_, err := push.Run(t.Context(), b.options(client(t, registry.Options{}), "127.0.0.1:1"))
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: %v; want %s, %q", failure.KindOf(err), err, tc.kind, tc.text)
			}
		})
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// damage changes one character of a JSON file that keeps its size.
func damage(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	data = []byte(strings.Replace(string(data), "team/app", "evil/app", 1))
	if !json.Valid(data) {
		return os.ErrInvalid
	}
	return os.WriteFile(file, data, 0o600)
}
