// Package detectbase is the detect-base stage: it finds every image that a Dockerfile is built on, pins each to the digest that its
// registry has now, or that the event carries which started the build, and names the ImageStreamTag of each.
package detectbase

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Options say what is built, and where bases come from.
type Options struct {
	step.Env
	// Workspace holds the sources; the record, and the bases' manifests and configurations, are written to it.
	Workspace workspace.Dir
	// Registry reaches the registries.
	Registry *registry.Client
	// Dockerfile is its path, relative to the sources; empty means Dockerfile.
	Dockerfile string
	// DockerfileTarget is the stage to build; empty means the last.
	DockerfileTarget string
	// Platform is os/arch[/variant]; empty means linux on this machine's architecture.
	Platform string
	// BuildArgs are NAME=VALUE each.
	BuildArgs []string
	// SourceRegistryURI, if set, is where bases without a registry come from; no other registry may then be named, unless
	// OtherRegistries says so.
	SourceRegistryURI string
	OtherRegistries   bool
	// BaseDigests pin bases to what an event carries, instead of to what their tags mean now. A key is a base's reference, its
	// resolved reference, or its ImageStreamTag.
	BaseDigests map[string]string
	// HomeRegistries are the hosts whose images have ImageStreams without a registry's hash in the name: those of registry_uri.
	HomeRegistries []string
}

// Run detects the bases and writes the record.
func Run(ctx context.Context, o Options) (workspace.DetectBase, error) {
	o.Env = o.WithDefaults()
	d, err := newDetector(o)
	if err != nil {
		return workspace.DetectBase{}, err
	}
	record, err := d.detect(ctx)
	if err != nil {
		return workspace.DetectBase{}, err
	}
	return record, workspace.Write(o.Workspace, record)
}

// detector is one run, its options checked.
type detector struct {
	Options
	platform  v1.Platform
	buildArgs map[string]string
	source    registry.URI
	home      []string
	// puller remembers how each repository wants to be asked.
	puller *remote.Puller
}

func newDetector(o Options) (*detector, error) {
	d := &detector{Options: o, buildArgs: map[string]string{}, home: o.HomeRegistries}
	if d.Platform == "" {
		d.Platform = "linux/" + runtime.GOARCH
	}
	if d.Dockerfile == "" {
		d.Dockerfile = "Dockerfile"
	}
	platform, err := parsePlatform(d.Platform)
	if err != nil {
		return nil, err
	}
	d.platform = platform
	for _, arg := range o.BuildArgs {
		name, value, found := strings.Cut(arg, "=")
		if !found || name == "" {
			return nil, failure.New(failure.Usage, "build argument %q is not NAME=VALUE", name)
		}
		d.buildArgs[name] = value
	}
	if o.SourceRegistryURI != "" {
		if d.source, err = registry.ParseURI(o.SourceRegistryURI); err != nil {
			return nil, err
		}
		d.home = append([]string{d.source.Host}, o.HomeRegistries...)
	}
	for ref, digest := range o.BaseDigests {
		if _, err := v1.NewHash(digest); err != nil {
			return nil, failure.New(failure.Usage, "base digest of %q is malformed: %w", ref, err)
		}
	}
	return d, nil
}

// parsePlatform reads os/arch[/variant].
func parsePlatform(text string) (v1.Platform, error) {
	p, err := v1.ParsePlatform(text)
	if err != nil || p.OS == "" || p.Architecture == "" || p.OSVersion != "" || strings.Count(text, "/") > 2 {
		return v1.Platform{}, failure.WithHint(failure.New(failure.Usage, "platform %q is malformed", text), "the form is os/arch[/variant], such as linux/arm64")
	}
	return *p, nil
}

func (d *detector) detect(ctx context.Context) (workspace.DetectBase, error) {
	parsed, path, err := readDockerfile(d.Workspace.Source(), d.Dockerfile)
	if err != nil {
		return workspace.DetectBase{}, err
	}
	found, err := parsed.Bases(dockerfile.Options{Target: d.DockerfileTarget, BuildArgs: d.buildArgs, Platform: d.Platform})
	if err != nil {
		return workspace.DetectBase{}, err
	}
	if d.puller, err = remote.NewPuller(d.Registry.Remote(ctx)...); err != nil {
		return workspace.DetectBase{}, failure.New(failure.Internal, "preparing to ask registries: %w", err)
	}
	wanted, err := d.plan(found.Bases, parsed.StageNames())
	if err != nil {
		return workspace.DetectBase{}, err
	}
	bases, err := d.resolve(ctx, wanted)
	if err != nil {
		return workspace.DetectBase{}, err
	}
	for _, b := range bases {
		d.Log.Info("base image", "reference", b.Reference, "digest", b.Digest, "imagestreamtag", b.ImageStreamTag, "parent", b.Parent)
	}
	return workspace.DetectBase{
		Dockerfile: filepath.ToSlash(path), DockerfileTarget: d.DockerfileTarget, Platform: d.Platform,
		Scratch: found.Scratch, Bases: bases,
	}, nil
}
