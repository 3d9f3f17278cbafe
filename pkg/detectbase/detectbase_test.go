package detectbase_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/detectbase"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

var quick = step.Env{Retry: retry.Policy{Attempts: 3, First: time.Millisecond, Max: 2 * time.Millisecond}}

// workspaceWith has sources with the given files, name and content in turn.
func workspaceWith(t *testing.T, files ...string) workspace.Dir {
	t.Helper()
	ws := workspace.Dir(t.TempDir())
	if err := os.MkdirAll(ws.Source(), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(files); i += 2 {
		path := filepath.Join(ws.Source(), files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ws
}

func newClient(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	o.Env = quick
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newImage is an image of one layer with a configuration.
func newImage(t *testing.T, arch string, env []string, labels map[string]string) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", arch
	file.Config.Env, file.Config.Labels = env, labels
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	return img
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// newIndex is an index of images by platform, and an attestation.
func newIndex(t *testing.T, images map[string]v1.Image) v1.ImageIndex {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: newImage(t, "unknown", nil, nil),
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	for platform, img := range images {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: p}})
	}
	return index
}

// TestRun pins the bases of a multi-stage Dockerfile at real registries, and leaves the record and the blobs in the workspace.
func TestRun(t *testing.T) {
	for name, start := range map[string]func(testing.TB, registrytest.Options) *registrytest.Registry{"v3": registrytest.Start, "Debian": registrytest.StartDebian} {
		t.Run(name, func(t *testing.T) {
			r := start(t, registrytest.Options{TLS: true, BasicAuth: true})
			amd64 := newImage(t, "amd64", []string{"PATH=/bin", "V=1"}, map[string]string{"name": "base"})
			arm64 := newImage(t, "arm64", nil, nil)
			index := newIndex(t, map[string]v1.Image{"linux/amd64": amd64, "linux/arm64/v8": arm64})
			builder := newImage(t, "amd64", nil, nil)
			r.Push(t, "base:1", index)
			r.Push(t, "tools/go:latest", builder)
			ws := workspaceWith(t, "Dockerfile", "ARG B=base:1\nFROM tools/go AS build\nFROM ${B}\nCOPY --from=build / /\nCOPY --from=tools/go / /\n")
			got, err := detectbase.Run(t.Context(), detectbase.Options{Env: quick, Workspace: ws, Registry: newClient(t, r.Options()),
				Platform: "linux/amd64", SourceRegistryURI: r.URL})
			if err != nil {
				t.Fatal(err)
			}
			want := workspace.DetectBase{Dockerfile: "Dockerfile", Platform: "linux/amd64", Bases: []workspace.Base{
				{Stages: []string{"build", "1"}, Reference: "tools/go", Resolved: r.Host + "/tools/go:latest", Repository: r.Host + "/tools/go",
					Digest: digest(t, builder), ManifestDigest: digest(t, builder), ImageStreamTag: "tools-go:latest"},
				{Stages: []string{"1"}, Reference: "base:1", Resolved: r.Host + "/base:1", Repository: r.Host + "/base",
					Digest: digest(t, index), ManifestDigest: digest(t, amd64), ImageStreamTag: "base:1", Parent: true,
					Env: []string{"PATH=/bin", "V=1"}, Labels: map[string]string{"name": "base"}},
			}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			stored, err := workspace.Read[workspace.DetectBase](ws)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, stored); diff != "" {
				t.Errorf("stored record (-want +got):\n%s", diff)
			}
			config, err := amd64.ConfigName()
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range []string{digest(t, index), digest(t, amd64), digest(t, builder), config.String()} {
				if _, err := os.Stat(ws.Blob(d)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestScratchNeedsNoRegistry(t *testing.T) {
	ws := workspaceWith(t, "Dockerfile", "FROM scratch\nCOPY x /")
	got, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: ws, Registry: newClient(t, registry.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Scratch || len(got.Bases) != 0 || got.Parent() != nil {
		t.Errorf("record %+v", got)
	}
}

// TestEventDigest: a triggered build is FROM the digest that the event carries, though the tag has moved on.
func TestEventDigest(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	old, moved := newImage(t, "amd64", nil, nil), newImage(t, "amd64", nil, nil)
	r.Push(t, "base:1", old)
	r.Push(t, "base:1", moved)
	for name, tc := range map[string]struct {
		from string
		key  string
		want v1.Image
	}{
		"by reference":           {r.Host + "/base:1", r.Host + "/base:1", old},
		"by ImageStreamTag":      {r.Host + "/base:1", "base:1", old},
		"another base":           {r.Host + "/base:1", "other:1", moved},
		"the Dockerfile pins it": {r.Host + "/base:1@" + digest(t, moved), "base:1", moved},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: workspaceWith(t, "Dockerfile", "FROM "+tc.from), Registry: newClient(t, r.Options()),
				HomeRegistries: []string{r.Host}, BaseDigests: map[string]string{tc.key: digest(t, old)}, Platform: "linux/amd64"})
			if err != nil {
				t.Fatal(err)
			}
			if got.Bases[0].Digest != digest(t, tc.want) || got.Bases[0].ImageStreamTag != "base:1" {
				t.Errorf("base %+v", got.Bases[0])
			}
		})
	}
}

func TestPlatforms(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	amd64, armv6, armv7, arm64 := newImage(t, "amd64", nil, nil), newImage(t, "arm", nil, nil), newImage(t, "arm", nil, nil), newImage(t, "arm64", nil, nil)
	r.Push(t, "multi:1", newIndex(t, map[string]v1.Image{"linux/amd64": amd64, "linux/arm/v6": armv6, "linux/arm/v7": armv7, "linux/arm64/v8": arm64}))
	for platform, want := range map[string]v1.Image{"linux/amd64": amd64, "linux/arm": armv7, "linux/arm/v6": armv6, "linux/arm64": arm64, "linux/arm64/v8": arm64} {
		got, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: workspaceWith(t, "Dockerfile", "FROM "+r.Host+"/multi:1"), Registry: newClient(t, r.Options()), Platform: platform})
		if err != nil {
			t.Errorf("%s: %v", platform, err)
		} else if got.Bases[0].ManifestDigest != digest(t, want) {
			t.Errorf("%s: manifest %s, want %s", platform, got.Bases[0].ManifestDigest, digest(t, want))
		}
	}
	got, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: workspaceWith(t, "Dockerfile", "FROM --platform=linux/arm64 "+r.Host+"/multi:1 AS a\nFROM "+r.Host+"/multi:1\nCOPY --from=a / /"),
		Registry: newClient(t, r.Options()), Platform: "linux/amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Bases[0].ManifestDigest != digest(t, arm64) || got.Bases[1].ManifestDigest != digest(t, amd64) || got.Bases[0].Digest != got.Bases[1].Digest {
		t.Errorf("bases %+v", got.Bases)
	}
}

// TestSeveralPlatforms pins the bases of each platform, an index to one digest, and a Dockerfile for engines that know no records.
func TestSeveralPlatforms(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	amd64, arm64 := newImage(t, "amd64", []string{"A=1"}, nil), newImage(t, "arm64", []string{"A=2"}, nil)
	index := newIndex(t, map[string]v1.Image{"linux/amd64": amd64, "linux/arm64": arm64})
	r.Push(t, "multi:1", index)
	ws := workspaceWith(t, "Dockerfile", "FROM "+r.Host+"/multi:1\nCOPY --from="+r.Host+"/multi:1 /x /x\n")
	got, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: ws, Registry: newClient(t, r.Options()), Platform: "linux/arm64, linux/amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"linux/arm64", "linux/amd64"}, got.Platforms()); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	for platform, img := range map[string]v1.Image{"linux/amd64": amd64, "linux/arm64": arm64} {
		one, err := got.For(platform)
		if err != nil {
			t.Fatal(err)
		}
		if b := one.Bases[0]; one.Platform != platform || len(one.Bases) != 1 || b.Digest != digest(t, index) || b.ManifestDigest != digest(t, img) || !b.Parent {
			t.Errorf("%s: %+v", platform, one)
		}
	}
	if all := got.AllBases(); len(all) != 1 {
		t.Errorf("all bases: %+v", all)
	}
	text, err := os.ReadFile(ws.PinnedDockerfile())
	pinned := r.Host + "/multi@" + digest(t, index)
	if want := "FROM " + pinned + "\nCOPY --from=" + pinned + " /x /x\n"; err != nil || string(text) != want {
		t.Errorf("Dockerfile.pinned is %q (%v), want %q", text, err, want)
	}
}

// TestBasesOfPlatformsDiffer: no one Dockerfile.pinned can serve both, which is no reason to fail.
func TestBasesOfPlatformsDiffer(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	for _, arch := range []string{"amd64", "arm64"} {
		r.Push(t, "base-"+arch+":1", newImage(t, arch, nil, nil))
	}
	ws := workspaceWith(t, "Dockerfile", "FROM "+r.Host+"/base-$TARGETARCH:1\n")
	got, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: ws, Registry: newClient(t, r.Options()), Platform: "linux/amd64,linux/arm64"})
	if err != nil {
		t.Fatal(err)
	}
	if all := got.AllBases(); len(all) != 2 || all[1].Reference != r.Host+"/base-arm64:1" {
		t.Errorf("all bases: %+v", all)
	}
	if _, err := os.Stat(ws.PinnedDockerfile()); !os.IsNotExist(err) {
		t.Errorf("Dockerfile.pinned: %v", err)
	}
}

// TestErrors has the bad inputs, each with its message and kind.
func TestErrors(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	secured := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	r.Push(t, "x:1", newIndex(t, map[string]v1.Image{"linux/s390x": newImage(t, "s390x", nil, nil)}))
	r.Push(t, "only:1", newImage(t, "amd64", nil, nil))
	df := func(text string) []string { return []string{"Dockerfile", text} }
	for name, tc := range map[string]struct {
		files   []string
		options detectbase.Options
		client  registry.Options
		kind    failure.Kind
		want    string
	}{
		"no Dockerfile": {nil, detectbase.Options{}, registry.Options{}, failure.InvalidInput,
			"no Dockerfile: the repository has no file \"Dockerfile\"\nhint: add one, or name another file with dockerfile"},
		"no Dockerfile, candidates": {[]string{"Containerfile", "", "sub/Dockerfile.rhel", "", "x.dockerfile", "", ".git/Dockerfile", "", "Dockerfilex", ""}, detectbase.Options{}, registry.Options{}, failure.InvalidInput,
			"no Dockerfile: the repository has no file \"Dockerfile\"\nhint: set dockerfile to one of: Containerfile, x.dockerfile, sub/Dockerfile.rhel"},
		"a directory":       {[]string{"sub/Dockerfile", ""}, detectbase.Options{Dockerfile: "sub"}, registry.Options{}, failure.InvalidInput, "\"sub\" is a directory, not a Dockerfile\nhint: give the file's path, such as sub/Dockerfile"},
		"path outside":      {nil, detectbase.Options{Dockerfile: "../x"}, registry.Options{}, failure.Usage, `the Dockerfile's path "../x" leads out of the repository`},
		"no FROM":           {df("# nothing"), detectbase.Options{}, registry.Options{}, failure.InvalidInput, "no base image specified in Dockerfile"},
		"undefined ARG":     {df("\nFROM $B"), detectbase.Options{}, registry.Options{}, failure.InvalidInput, "Dockerfile line 2: FROM $B: ARG B has no value"},
		"malformed arg":     {df("FROM x"), detectbase.Options{BuildArgs: []string{"X"}}, registry.Options{}, failure.Usage, `build argument "X" is not NAME=VALUE`},
		"malformed digest":  {df("FROM x"), detectbase.Options{BaseDigests: map[string]string{"x": "latest"}}, registry.Options{}, failure.Usage, `base digest of "x" is malformed`},
		"platform":          {df("FROM x"), detectbase.Options{Platform: "arm64"}, registry.Options{}, failure.Usage, `platform "arm64" is malformed`},
		"/v1 registry":      {df("FROM x"), detectbase.Options{SourceRegistryURI: "r/v1"}, registry.Options{}, failure.Usage, `Invalid API version requested in URI "r/v1"`},
		"another registry":  {df("FROM quay.io/x"), detectbase.Options{SourceRegistryURI: r.URL}, r.Options(), failure.InvalidInput, `Dockerfile line 1: base image "quay.io/x" is from registry quay.io, but bases must come from ` + r.Host},
		"copied from there": {df("FROM scratch\nCOPY --from=quay.io/x / /"), detectbase.Options{SourceRegistryURI: r.URL}, r.Options(), failure.InvalidInput, `Dockerfile line 2: base image "quay.io/x" is from registry quay.io`},
		"does not exist":    {df("FROM " + r.Host + "/none:1"), detectbase.Options{}, r.Options(), failure.NotFound, "base image " + r.Host + "/none:1 (Dockerfile line 1) does not exist: "},
		"mistyped stage":    {df("FROM scratch AS builder\nFROM scratch\nCOPY --from=biulder / /"), detectbase.Options{SourceRegistryURI: r.URL}, r.Options(), failure.NotFound, "base image " + r.Host + "/biulder:latest (Dockerfile line 3) does not exist: "},
		"no such digest":    {df("FROM " + r.Host + "/x:1"), detectbase.Options{BaseDigests: map[string]string{r.Host + "/x:1": "sha256:" + strings.Repeat("a", 64)}}, r.Options(), failure.NotFound, "base image " + r.Host + "/x:1, pinned to sha256:aaaa"},
		"no platform":       {df("FROM " + r.Host + "/x:1"), detectbase.Options{Platform: "linux/amd64"}, r.Options(), failure.NotFound, "base image " + r.Host + "/x:1 (Dockerfile line 1) has no image for platform linux/amd64\nhint: it has linux/s390x"},
		"other platform":    {df("FROM " + r.Host + "/only:1"), detectbase.Options{Platform: "linux/arm64"}, r.Options(), failure.NotFound, "base image " + r.Host + "/only:1 (Dockerfile line 1) has no image for platform linux/arm64\nhint: it has linux/amd64"},
		"needs credentials": {df("FROM " + secured.Host + "/x"), detectbase.Options{}, registry.Options{CAFile: secured.CAFile}, failure.Unauthorized, "base image " + secured.Host + "/x:latest (Dockerfile line 1): registry " + secured.Host + " refused access"},
		"not trusted":       {df("FROM " + secured.Host + "/x"), detectbase.Options{}, registry.Options{}, failure.Untrusted, "base image " + secured.Host + "/x:latest (Dockerfile line 1): the certificate of registry " + secured.Host + " is not trusted"},
		"down":              {df("FROM 127.0.0.1:1/x"), detectbase.Options{}, registry.Options{}, failure.Unavailable, "base image 127.0.0.1:1/x:latest (Dockerfile line 1): registry 127.0.0.1:1 cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := tc.options
			o.Env, o.Workspace, o.Registry = quick, workspaceWith(t, tc.files...), newClient(t, tc.client)
			_, err := detectbase.Run(t.Context(), o)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v\nwant  %s", err, tc.want)
			}
			if got := failure.KindOf(err); got != tc.kind {
				t.Errorf("kind %s, want %s", got, tc.kind)
			}
			if _, err := workspace.Read[workspace.DetectBase](o.Workspace); failure.KindOf(err) != failure.NotFound {
				t.Errorf("a record was left: %v", err)
			}
		})
	}
}

// TestMistypedStageHint: the hint lists the stages.
func TestMistypedStageHint(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	_, err := detectbase.Run(t.Context(), detectbase.Options{Env: quick, Registry: newClient(t, r.Options()), SourceRegistryURI: r.URL,
		Workspace: workspaceWith(t, "Dockerfile", "FROM scratch AS builder\nFROM scratch\nCOPY --from=biulder / /")})
	if err == nil || !strings.HasSuffix(err.Error(), `hint: no stage is named "biulder" either; the stages are builder, 1`) {
		t.Errorf("error %v", err)
	}
}

// TestRubbish has registries that answer, but not with an image.
func TestRubbish(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	r.Push(t, "x:1", newImage(t, "amd64", nil, nil))
	answer := func(body string) faultproxy.Rule {
		return faultproxy.Rule{Path: "/manifests/", Fault: faultproxy.Answer(200, "application/vnd.oci.image.manifest.v1+json", body)}
	}
	config := func(size string) string {
		return `{"schemaVersion":2,"config":{"mediaType":"x","size":` + size + `,"digest":"sha256:` + strings.Repeat("a", 64) + `"},"layers":[]}`
	}
	for name, tc := range map[string]struct {
		rule faultproxy.Rule
		kind failure.Kind
		want string
	}{
		"a web page":      {answer("<html>"), failure.Unavailable, "answered something that is not an image"},
		"empty":           {answer(""), failure.Unavailable, "answered something that is not an image"},
		"another JSON":    {answer(`{"a":1}`), failure.Unavailable, "it is neither an image nor an index"},
		"both":            {answer(`{"manifests":[],"config":{}}`), failure.Unavailable, "it is neither an image nor an index"},
		"schema 1":        {answer(`{"schemaVersion":1}`), failure.Unavailable, "no longer supported"},
		"deep":            {answer(strings.Repeat(`{"a":`, 100)), failure.Unavailable, "nested deeper than 64 levels"},
		"large":           {answer(strings.Repeat(" ", 5<<20)), failure.Unavailable, "more than 4194304 bytes"},
		"huge config":     {answer(config("9999999999")), failure.Unavailable, "its configuration has 9999999999 bytes"},
		"negative config": {answer(config("-1")), failure.Unavailable, "its configuration has -1 bytes"},
		"absent config":   {answer(config("5")), failure.NotFound, "does not exist"},
		"index of itself": {answer(`{"schemaVersion":2,"manifests":[{"digest":"sha256:` + strings.Repeat("a", 64) + `","size":1,"mediaType":"x","platform":{"os":"linux","architecture":"amd64"}}]}`), failure.Untrusted, "differs from its digest"},
		"corrupt config":  {faultproxy.Rule{Path: "/blobs/", Fault: faultproxy.Corrupt()}, failure.Untrusted, "differs from its digest"},
		"broken for ever": {faultproxy.Rule{Path: "/blobs/", Fault: faultproxy.CutResponse(3)}, failure.Unavailable, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.Start(t, r.URL)
			proxy.Add(tc.rule)
			_, err := detectbase.Run(t.Context(), detectbase.Options{Env: quick, Workspace: workspaceWith(t, "Dockerfile", "FROM "+proxy.Host+"/x:1"),
				Registry: newClient(t, registry.Options{Insecure: []string{proxy.Host}}), Platform: "linux/amd64"})
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v\nwant %s: ...%s...", failure.KindOf(err), err, tc.kind, tc.want)
			}
		})
	}
}

// TestSourcesCannotLeadOut: a link in the repository to a file of the machine is not followed.
func TestSourcesCannotLeadOut(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("FROM scratch"), 0o600); err != nil {
		t.Fatal(err)
	}
	ws := workspaceWith(t)
	if err := os.Symlink(outside, filepath.Join(ws.Source(), "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	_, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: ws, Registry: newClient(t, registry.Options{})})
	if failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("error %v", err)
	}
	if err := os.Symlink("real", filepath.Join(ws.Source(), "Link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ws.Source(), "real"), []byte("FROM scratch"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := detectbase.Run(t.Context(), detectbase.Options{Workspace: ws, Dockerfile: "Link", Registry: newClient(t, registry.Options{})}); err != nil {
		t.Errorf("a link inside the sources: %v", err)
	}
}
