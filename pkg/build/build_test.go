package build_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/pkg/build"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

const simple = "FROM BASE\nCOPY hello /hello\nRUN cat /hello /etc/base > /both\nLABEL name=app version=1\nCMD [\"cat\", \"/both\"]\n"

func hello() map[string]file { return map[string]file{"hello": {content: "hello\n"}} }

func TestImage(t *testing.T) {
	l := newLab(t)
	b := l.mustBuild(simple, hello())
	if got := b.text["/both"]; got != "hello\nbase\n" {
		t.Errorf("/both = %q", got)
	}
	wantLabels := map[string]string{
		"name": "app", "version": "1", "vendor": "Example", "architecture": b.config.Config.Labels["architecture"],
		"build-date": "2026-03-04T05:06:07Z", "vcs-ref": commit, "vcs-type": "git", "vcs-url": "https://git.example.com/app",
	}
	if diff := cmp.Diff(wantLabels, b.config.Config.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantLabels, b.record.Labels); diff != "" {
		t.Errorf("record's labels (-want +got):\n%s", diff)
	}
	wantAnnotations := map[string]string{
		"org.opencontainers.image.base.name":   l.host + "/base:1",
		"org.opencontainers.image.base.digest": l.parent().Digest, "org.opencontainers.image.created": "2026-03-04T05:06:07Z",
	}
	if diff := cmp.Diff(wantAnnotations, b.manifest.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cat", "/both"}, b.config.Config.Cmd); diff != "" {
		t.Errorf("CMD: %s", diff)
	}
	if !b.config.Created.Equal(commitTime) {
		t.Errorf("created %v", b.config.Created)
	}
	for n, h := range b.files {
		if h.ModTime.After(time.Unix(1_700_000_000, 0)) {
			t.Errorf("%s is dated %v, later than the base", n, h.ModTime)
		}
	}
}

// The base's layers are the base's own, byte for byte, and not in the layout; its history goes on.
func TestBaseLayersAreUntouched(t *testing.T) {
	l := newLab(t)
	ws, record, err := l.build(simple, hello())
	l.do(err)
	b := l.open(ws, record)
	base, err := l.image.Manifest()
	l.do(err)
	config, err := l.image.ConfigFile()
	l.do(err)
	for i, want := range base.Layers {
		got := b.manifest.Layers[i]
		if got.Digest != want.Digest || got.Size != want.Size || !record.Layers[i].Base {
			t.Errorf("layer %d is %v, the base's %v; record %+v", i, got, want, record.Layers[i])
		}
		if b.config.RootFS.DiffIDs[i] != config.RootFS.DiffIDs[i] {
			t.Errorf("diff ID %d differs from the base's", i)
		}
		if _, err := os.Stat(filepath.Join(ws.Image(), "blobs", "sha256", want.Digest.Hex)); !os.IsNotExist(err) {
			t.Errorf("layer %d of the base is in the layout: %v", i, err)
		}
	}
	if diff := cmp.Diff(config.History, b.config.History[:len(config.History)]); diff != "" {
		t.Errorf("history of the base (-want +got):\n%s", diff)
	}
	for _, h := range b.config.History[len(config.History):] {
		if !h.Created.Equal(commitTime) {
			t.Errorf("history: %+v", h)
		}
	}
	var index v1.IndexManifest
	data, err := os.ReadFile(filepath.Join(ws.Image(), "index.json"))
	l.do(err)
	l.do(json.Unmarshal(data, &index))
	if len(index.Manifests) != 1 || index.Manifests[0].Digest.String() != record.Digest {
		t.Errorf("index: %+v", index)
	}
	kept, err := workspace.Read[workspace.Build](ws)
	l.do(err)
	if diff := cmp.Diff(record, kept); diff != "" {
		t.Errorf("record: %s", diff)
	}
}

// Two builds of one commit have one digest: elsewhere, at another time, with or without what an earlier commit left in the storage.
func TestReproducible(t *testing.T) {
	l := newLab(t)
	other := hello()
	other["hello"] = file{content: "another\n"}
	other[".git/index"] = file{content: "one clone"}
	dockerfile := "FROM BASE\nRUN echo $RANDOM > /dev/null; mkdir /d; touch /d/f\nCOPY . /all\n"
	l.mustBuild(dockerfile, other)
	first := l.mustBuild(dockerfile, hello())
	l.storage = filepath.Join(t.TempDir(), "elsewhere")
	files := hello()
	files[".git/index"] = file{content: "another clone"}
	second := l.mustBuild(dockerfile, files, func(o *build.Options) { o.LayerCache = false })
	if first.record.Digest != second.record.Digest {
		t.Errorf("digests differ:\n%s", cmp.Diff(first.config, second.config)+cmp.Diff(first.manifest, second.manifest))
	}
	if _, ok := second.files["/all/.git"]; ok {
		t.Error(".git is in the image")
	}
}

func TestRebuild(t *testing.T) {
	l := newLab(t)
	dockerfile := "FROM BASE\nCOPY big /big\nCOPY small /small\n"
	files := func(small string) map[string]file {
		return map[string]file{"big": {content: strings.Repeat("big", 1000)}, "small": {content: small}}
	}
	first := l.mustBuild(dockerfile, files("1"))
	if strings.Contains(l.output.String(), "nothing has changed") {
		t.Error("the first build claims to be a repetition")
	}
	again := l.mustBuild(dockerfile, files("1"))
	if !strings.Contains(l.output.String(), "nothing has changed") || again.record.Digest != first.record.Digest {
		t.Errorf("the second build did not recognise the first:\n%s", l.output)
	}
	changed := l.mustBuild(dockerfile, files("2"))
	if !strings.Contains(l.output.String(), "Using cache") {
		t.Errorf("the layer cache was not used:\n%s", l.output)
	}
	n := len(first.record.Layers)
	if changed.record.Layers[n-2] != first.record.Layers[n-2] || changed.record.Layers[n-1] == first.record.Layers[n-1] {
		t.Errorf("layers: %+v\nbefore: %+v", changed.record.Layers, first.record.Layers)
	}
	if changed.text["/small"] != "2" {
		t.Errorf("/small = %q", changed.text["/small"])
	}
	l.mustBuild(dockerfile, files("2"), func(o *build.Options) { o.LayerCache = false })
	if out := l.output.String(); strings.Contains(out, "Using cache") || strings.Contains(out, "nothing has changed") {
		t.Errorf("without layer cache:\n%s", out)
	}
}

// A result whose compressed layer was lost or damaged is built again.
func TestDamagedCache(t *testing.T) {
	l := newLab(t)
	first := l.mustBuild(simple, hello())
	blobs, err := filepath.Glob(filepath.Join(l.storage, "blobs", "*.gzip"))
	l.do(err)
	for i, b := range blobs {
		l.do(os.Remove(b)) // it is linked into a layout
		if i == 0 {
			l.do(os.WriteFile(b, []byte("x"), 0o600))
		}
	}
	if again := l.mustBuild(simple, hello()); again.record.Digest != first.record.Digest || len(blobs) == 0 {
		t.Errorf("digest %s, was %s, %d blobs", again.record.Digest, first.record.Digest, len(blobs))
	}
}

func TestDockerfileFeatures(t *testing.T) {
	l := newLab(t)
	for name, tc := range map[string]struct {
		dockerfile string
		files      map[string]file
		change     func(*build.Options)
		text       map[string]string
		absent     []string
	}{
		"build args": {
			dockerfile: "ARG TAG=none\nFROM BASE\nARG TAG\nARG SOURCE_DATE_EPOCH\nRUN echo $TAG $SOURCE_DATE_EPOCH > /o\n",
			change:     func(o *build.Options) { o.BuildArgs = []string{"TAG=v1"} },
			text:       map[string]string{"/o": "v1 1772600767\n"},
		},
		"target": {
			dockerfile: "FROM BASE AS one\nRUN echo one > /o\nFROM one AS two\nRUN echo two > /p\n",
			change:     func(o *build.Options) { o.DockerfileTarget = "one" },
			text:       map[string]string{"/o": "one\n"}, absent: []string{"/p"},
		},
		"stages": {
			dockerfile: "FROM BASE AS make\nRUN echo made > /made\nFROM BASE\nCOPY --from=make /made /from\nCOPY --from=0 --chown=1000:1000 --chmod=0640 /made /owned\n",
			text:       map[string]string{"/from": "made\n", "/owned": "made\n"}, absent: []string{"/made"},
		},
		"heredocs": {
			dockerfile: "FROM BASE\nRUN <<EOF\necho a > /a\necho b > /b\nEOF\nCOPY <<FILE /c\nFROM evil\nFILE\n",
			text:       map[string]string{"/a": "a\n", "/b": "b\n", "/c": "FROM evil\n"},
		},
		"ignore file": {
			dockerfile: "FROM BASE\nCOPY . /s\n",
			files:      map[string]file{".dockerignore": {content: "*.log\n!keep.log\nd/\n"}, "a.log": {}, "keep.log": {content: "k"}, "d/e": {}},
			text:       map[string]string{"/s/keep.log": "k"}, absent: []string{"/s/a.log", "/s/d", "/s/d/e"},
		},
		"own ignore file": {
			dockerfile: "FROM BASE\nCOPY . /s\n",
			files:      map[string]file{".dockerignore": {content: "b"}, "Dockerfile.dockerignore": {content: "a"}, "a": {}, "b": {content: "b"}},
			text:       map[string]string{"/s/b": "b"}, absent: []string{"/s/a"},
		},
		"bind mount": {
			dockerfile: "FROM BASE\nRUN --mount=type=bind,target=/m cat /m/in > /o\n",
			files:      map[string]file{"in": {content: "in"}}, text: map[string]string{"/o": "in"}, absent: []string{"/m/in"},
		},
		"tmpfs and user": {
			dockerfile: "FROM BASE\nRUN --mount=type=tmpfs,target=/t touch /t/x && chmod 1777 /tmp\nUSER user\nRUN id -u > /tmp/id\n",
			text:       map[string]string{"/tmp/id": "1000\n"}, absent: []string{"/t/x"},
		},
		"base's environment": {
			dockerfile: "FROM BASE\nRUN echo $PARENT_SAYS > /o\n", text: map[string]string{"/o": "yes\n"},
		},
		"local tar": {
			dockerfile: "FROM BASE\nADD a.tar /x\n",
			files:      map[string]file{"a.tar": {content: string(tarOf(t, map[string]file{"in/tar": {content: "t"}}))}},
			text:       map[string]string{"/x/in/tar": "t"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := *l
			l.t = t
			if tc.change == nil {
				tc.change = func(*build.Options) {}
			}
			b := l.mustBuild(tc.dockerfile, tc.files, tc.change)
			for path, want := range tc.text {
				if got := b.text[path]; got != want {
					t.Errorf("%s = %q, want %q", path, got, want)
				}
			}
			for _, path := range tc.absent {
				if h := b.files[path]; h != nil {
					t.Errorf("%s is in the image: %+v", path, h)
				}
			}
		})
	}
}

// What a cache mount holds outlives the build, and is in no layer.
func TestCacheMount(t *testing.T) {
	l := newLab(t)
	step := "RUN --mount=type=cache,id=c,target=/c echo x >> /c/f && cat /c/f > /seen"
	l.mustBuild("FROM BASE\n"+step+"\n", nil)
	b := l.mustBuild("FROM BASE\n"+step+" # again\n", nil)
	if got := b.text["/seen"]; got != "x\nx\n" || b.files["/c/f"] != nil {
		t.Errorf("/seen = %q, files %v", got, b.files)
	}
}

func TestSecretIsNowhere(t *testing.T) {
	l := newLab(t)
	const secret = "correct-horse-battery-staple"
	path := filepath.Join(t.TempDir(), "odd, name=x")
	l.do(os.WriteFile(path, []byte(secret+"\n"), 0o600))
	b := l.mustBuild("FROM BASE\nRUN --mount=type=secret,id=token cat /run/secrets/token && head -c 7 /run/secrets/token > /o && echo $(env)\n", nil,
		func(o *build.Options) { o.Secrets = []string{"token=" + path} })
	if got := b.text["/o"]; got != "correct" {
		t.Errorf("the secret was not there: %q", got)
	}
	if out := l.output.String(); strings.Contains(out, secret) || !strings.Contains(out, "[redacted]") {
		t.Errorf("output:\n%s", out)
	}
	assertNowhere(t, secret, l.storage)
}

// assertNowhere fails if any file under dir holds text.
func assertNowhere(t *testing.T, text, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), text) {
			t.Errorf("%s holds it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestScratch(t *testing.T) {
	l := newLab(t)
	ws := l.workspace(map[string]file{"Dockerfile": {content: "FROM scratch\nCOPY hello /hello\n"}, "hello": {content: "hi"}})
	record, err := build.Run(t.Context(), l.options(ws))
	l.do(err)
	b := l.open(ws, record)
	if len(record.Layers) != 1 || b.text["/hello"] != "hi" || record.BaseName != "" || record.BaseDigest != "" {
		t.Errorf("record %+v, files %v", record, b.text)
	}
	if year := b.files["/hello"].ModTime.UTC().Year(); year != 1980 {
		t.Errorf("dated %d", year)
	}
}

func TestSeveralBases(t *testing.T) {
	l := newLab(t)
	tools := appendLayer(t, l.image, tarOf(t, map[string]file{"tool": {content: "tool"}}))
	l.publish("tools:1", tools)
	ws := l.workspace(map[string]file{"Dockerfile": {content: "FROM BASE\nCOPY --from=" + l.host + "/tools:1 /tool /a\nRUN --mount=from=" + l.host + "/tools:1,target=/m cat /m/tool > /b\n"}},
		l.parent(), l.baseRecord("tools:1", tools, false))
	record, err := build.Run(t.Context(), l.options(ws))
	l.do(err)
	if b := l.open(ws, record); b.text["/a"] != "tool" || b.text["/b"] != "tool" {
		t.Errorf("files: %v", b.text)
	}
}

func TestFormats(t *testing.T) {
	l := newLab(t)
	const healthy = "FROM BASE\nHEALTHCHECK CMD true\nONBUILD RUN true\nRUN echo a > /a\n"
	for name, tc := range map[string]struct {
		dockerfile, format, compression string
		manifest, layer                 string
	}{
		"auto is OCI":        {simple, "auto", "gzip", "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"},
		"auto is Docker":     {healthy, "auto", "gzip", "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"},
		"OCI asked for":      {healthy, "oci", "gzip", "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"},
		"zstd":               {simple, "oci", "zstd", "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.layer.v1.tar+zstd"},
		"none":               {simple, "docker", "none", "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.image.rootfs.diff.tar"},
		"Docker, asked for":  {simple, "docker", "gzip", "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"},
		"uncompressed, auto": {simple, "", "none", "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.layer.v1.tar"},
	} {
		t.Run(name, func(t *testing.T) {
			l := *l
			l.t = t
			b := l.mustBuild(tc.dockerfile, hello(), func(o *build.Options) { o.Format, o.Compression = tc.format, tc.compression })
			last := b.manifest.Layers[len(b.manifest.Layers)-1]
			if string(b.manifest.MediaType) != tc.manifest || string(last.MediaType) != tc.layer {
				t.Errorf("manifest %s, layer %s", b.manifest.MediaType, last.MediaType)
			}
			docker := strings.Contains(tc.manifest, "docker")
			for i, base := range b.manifest.Layers[:2] {
				if strings.Contains(string(base.MediaType), "docker") != docker {
					t.Errorf("layer %d of the base is %s", i, base.MediaType)
				}
			}
			if has := b.config.Config.Healthcheck != nil && len(b.config.Config.OnBuild) == 1; has != (docker && tc.dockerfile == healthy) {
				t.Errorf("config: %+v", b.config.Config)
			}
		})
	}
}

func TestTwoBuildsAtOnce(t *testing.T) {
	l := newLab(t)
	var wg sync.WaitGroup
	for i := range 3 {
		files := hello()
		files["Dockerfile"] = file{content: "FROM BASE\nCOPY hello /h\nRUN echo " + strings.Repeat("x", i) + " > /o\n"}
		ws := l.workspace(files, l.parent())
		wg.Go(func() {
			if _, err := build.Run(context.WithoutCancel(t.Context()), l.options(ws)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestHostile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("from outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	escaping := map[string]file{
		"../../../../../.." + outside: {content: "overwritten"}, "/abs": {content: "abs"}, "sym": {kind: tar.TypeSymlink, link: filepath.Dir(outside)},
		"sym/outside": {content: "overwritten"}, "fine": {content: "fine"},
	}
	for name, tc := range map[string]struct {
		dockerfile string
		files      map[string]file
	}{
		"link to a file outside":      {"FROM BASE\nCOPY l /l\n", map[string]file{"l": {kind: tar.TypeSymlink, link: outside}}},
		"link to a directory outside": {"FROM BASE\nCOPY l/outside /l\n", map[string]file{"l": {kind: tar.TypeSymlink, link: filepath.Dir(outside)}}},
		"path outside":                {"FROM BASE\nCOPY ../../../../../../.." + outside + " /l\n", nil},
		"tar with paths outside":      {"FROM BASE\nADD t.tar /t/\n", map[string]file{"t.tar": {content: string(tarOf(t, escaping))}}},
		"destination through a link":  {"FROM BASE\nRUN ln -s " + filepath.Dir(outside) + " /d\nCOPY hello /d/outside\n", hello()},
		"bind mount of the outside":   {"FROM BASE\nRUN --mount=type=bind,source=l,target=/m cat /m > /l\n", map[string]file{"l": {kind: tar.TypeSymlink, link: outside}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := *l
			l.t = t
			ws, record, err := l.build(tc.dockerfile, tc.files)
			if data, rerr := os.ReadFile(outside); rerr != nil || string(data) != "from outside" {
				t.Errorf("outside is %q: %v", data, rerr)
			}
			if err != nil {
				t.Logf("refused: %v", err)
				return
			}
			for path, text := range l.open(ws, record).text {
				if strings.Contains(text, "from outside") {
					t.Errorf("%s in the image holds what is outside", path)
				}
			}
		})
	}
}

// A device node in a tar becomes, at most, a device node in a layer: it is never opened.
func TestDeviceNode(t *testing.T) {
	l := newLab(t)
	node := string(tarOf(t, map[string]file{"dev0": {kind: tar.TypeChar}, "pipe": {kind: tar.TypeFifo}, "f": {content: "f"}}))
	b, record, err := l.build("FROM BASE\nADD t.tar /t/\n", map[string]file{"t.tar": {content: node}})
	if err != nil {
		t.Logf("refused: %v", err)
		return
	}
	if got := l.open(b, record).text["/t/f"]; got != "f" {
		t.Errorf("/t/f = %q", got)
	}
}

func TestRefusals(t *testing.T) {
	l := newLab(t)
	id := strings.Repeat("ab", 32)
	for name, tc := range map[string]struct {
		dockerfile string
		change     func(*build.Options)
		kind       failure.Kind
		text       string
	}{
		"an image that was not pinned": {"FROM BASE\nCOPY --from=example.com/x:1 /a /a\n", nil, failure.InvalidInput, "example.com/x:1"},
		"another base":                 {"FROM example.com/x:1\n", nil, failure.InvalidInput, "example.com/x:1"},
		"an image's id":                {"FROM " + id + "\n", nil, failure.InvalidInput, id},
		"an image's id, copied from":   {"FROM BASE\nCOPY --from=" + id + " /a /a\n", nil, failure.InvalidInput, id},
		"an image's id, mounted":       {"FROM BASE\nRUN --mount=type=bind,from=" + id + ",target=/m true\n", nil, failure.InvalidInput, id},
		"another transport":            {"FROM docker-archive:/etc/passwd\n", nil, failure.InvalidInput, ""},
		"ADD of a URL":                 {"FROM BASE\nADD https://example.com/x /x\n", nil, failure.InvalidInput, "not part of the commit"},
		"no such stage":                {"FROM BASE\n", func(o *build.Options) { o.DockerfileTarget = "nope" }, failure.InvalidInput, "nope"},
		"no such file":                 {"FROM BASE\nCOPY nope /\n", nil, failure.BuildFailed, `COPY nope /: there is no "/nope" in what it copies from`},
		"unknown instruction":          {"FROM BASE\nFROB x\n", nil, failure.InvalidInput, "FROB"},
		"format":                       {simple, func(o *build.Options) { o.Format = "x" }, failure.Usage, `format "x"`},
		"compression":                  {simple, func(o *build.Options) { o.Compression = "x" }, failure.Usage, `compression "x"`},
		"isolation":                    {simple, func(o *build.Options) { o.Isolation = "none" }, failure.Usage, `isolation "none"`},
		"storage driver":               {simple, func(o *build.Options) { o.StorageDriver = "x" }, failure.Usage, `storage-driver "x"`},
		"Docker and zstd":              {simple, func(o *build.Options) { o.Format, o.Compression = "docker", "zstd" }, failure.Usage, "zstd"},
		"build argument":               {simple, func(o *build.Options) { o.BuildArgs = []string{"=x"} }, failure.Usage, "NAME=value"},
		"secret without path":          {simple, func(o *build.Options) { o.Secrets = []string{"id"} }, failure.Usage, "id=path"},
		"secret that is not there":     {simple, func(o *build.Options) { o.Secrets = []string{"id=/nonexistent"} }, failure.Unauthorized, "unreadable"},
		"no engine":                    {simple, func(o *build.Options) { o.Engine = "/nonexistent" }, failure.Internal, "engine"},
		"not an engine":                {simple, func(o *build.Options) { o.Engine = "/bin/true" }, failure.Internal, "without an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			l := *l
			l.t = t
			if tc.change == nil {
				tc.change = func(*build.Options) {}
			}
			_, _, err := l.build(tc.dockerfile, hello(), tc.change)
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: %v; want %s: %s", failure.KindOf(err), err, tc.kind, tc.text)
			}
			if strings.Contains(err.Error(), l.storage) {
				t.Errorf("the error tells internal paths: %v", err)
			}
		})
	}
}

func TestFailingRun(t *testing.T) {
	l := newLab(t)
	_, _, err := l.build("FROM BASE\nRUN echo first\nRUN echo the reason >&2; exit 7\n", nil)
	if failure.KindOf(err) != failure.BuildFailed {
		t.Fatalf("%s: %v", failure.KindOf(err), err)
	}
	for _, want := range []string{"RUN echo the reason", "exit status 7", "\nthe reason"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error has no %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "first") {
		t.Errorf("error quotes another step: %v", err)
	}
	l.mustBuild(simple, hello())
}
