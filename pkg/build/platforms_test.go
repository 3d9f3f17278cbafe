package build_test

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/osbs-tekton/osbs/pkg/build"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// foreign is an architecture that this machine does not have, and what ELF calls it.
func foreign() (architecture string, machine uint16) {
	if runtime.GOARCH == "arm64" {
		return "amd64", 62
	}
	return "arm64", 183
}

// foreignBase is a base whose shell is a program for the foreign architecture.
func (l *lab) foreignBase() v1.Image {
	l.t.Helper()
	architecture, machine := foreign()
	program := make([]byte, 64)
	copy(program, "\x7fELF\x02\x01\x01")
	for at, value := range map[int]uint16{16: 2, 18: machine, 20: 1, 52: 64} {
		binary.LittleEndian.PutUint16(program[at:], value)
	}
	image := appendLayer(l.t, l.image, tarOf(l.t, map[string]file{"bin/sh": {content: string(program)}}))
	config, err := image.ConfigFile()
	l.do(err)
	config = config.DeepCopy()
	config.Architecture = architecture
	image, err = mutate.ConfigFile(image, config)
	l.do(err)
	return image
}

// platforms is a workspace for two platforms, this machine's and a foreign one.
func (l *lab) platforms(dockerfile string) (ws workspace.Dir, native, other string) {
	l.t.Helper()
	image := l.foreignBase()
	l.publish("foreign:1", image)
	base := l.baseRecord("foreign:1", image, true)
	base.Reference, base.Resolved = l.host+"/base:1", l.host+"/base:1"
	ws = l.workspace(map[string]file{"Dockerfile": {content: dockerfile}, "hello": {content: "hello\n"}}, l.parent())
	l.keep(ws, base)
	record, err := workspace.Read[workspace.DetectBase](ws)
	l.do(err)
	architecture, _ := foreign()
	record.Others = []workspace.PlatformBases{{Platform: "linux/" + architecture, Bases: []workspace.Base{base}}}
	l.do(workspace.Write(ws, record))
	return ws, record.Platform, record.Others[0].Platform
}

// TestPlatforms builds for two platforms in one workspace; what only copies files needs no machine of the other architecture.
func TestPlatforms(t *testing.T) {
	l := newLab(t)
	ws, native, other := l.platforms("FROM BASE\nARG TARGETARCH\nCOPY hello /hello\nLABEL name=app arch=$TARGETARCH\n")
	digests := map[string]bool{}
	for _, platform := range []string{native, other} {
		o := l.options(ws)
		o.Platform = platform
		record, err := build.Run(t.Context(), o)
		l.do(err)
		kept, err := workspace.Read[workspace.Build](ws.Platform(platform))
		l.do(err)
		_, architecture, _ := strings.Cut(platform, "/")
		b := l.open(ws.Platform(platform), record)
		if kept.Digest != record.Digest || record.Platform != platform || b.config.Architecture != architecture || record.Labels["arch"] != architecture || b.text["/hello"] != "hello\n" {
			t.Errorf("%s: record %+v, configuration %+v", platform, record, b.config)
		}
		digests[record.Digest] = true
	}
	if _, err := workspace.Read[workspace.Build](ws); failure.KindOf(err) != failure.NotFound || len(digests) != 2 {
		t.Errorf("record of the whole workspace: %v; digests %v", err, digests)
	}
}

func TestWhichPlatform(t *testing.T) {
	l := newLab(t)
	ws, native, other := l.platforms("FROM BASE\nCOPY hello /hello\n")
	for platform, want := range map[string]string{
		"":            "the image is built for " + native + ", " + other + ": one of them must be named",
		"linux/s390x": `platform "linux/s390x" is none of those that bases were pinned for: ` + native + ", " + other,
	} {
		o := l.options(ws)
		o.Platform = platform
		if _, err := build.Run(t.Context(), o); failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", platform, err, want)
		}
	}
	l.mustBuild(simple, hello(), func(o *build.Options) { o.Platform = "linux/" + runtime.GOARCH })
}

// TestForeignRun: a RUN needs a machine, or an emulation, of the architecture.
func TestForeignRun(t *testing.T) {
	l := newLab(t)
	ws, _, other := l.platforms("FROM BASE\nRUN echo hello\n")
	o := l.options(ws)
	o.Platform = other
	_, err := build.Run(t.Context(), o)
	if failure.KindOf(err) != failure.BuildFailed || !strings.Contains(err.Error(), "RUN echo hello") || !strings.Contains(err.Error(), "a RUN for "+other+" needs") {
		t.Errorf("%v: %v\n%s", failure.KindOf(err), err, l.output)
	}
}
