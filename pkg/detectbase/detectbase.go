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
	"github.com/osbs-tekton/osbs/pkg/dockerfile/pinned"
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
	// Platform is os/arch[/variant], or several of these, separated by commas; empty means linux on this machine's architecture.
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
	platforms []platform
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
	var err error
	if d.platforms, err = parsePlatforms(d.Platform); err != nil {
		return nil, err
	}
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

// platform is one that the image is built for.
type platform struct {
	// name is as it was asked for.
	name string
	v1.Platform
}

// parsePlatforms reads a list with commas.
func parsePlatforms(list string) ([]platform, error) {
	var all []platform
	for text := range strings.SplitSeq(list, ",") {
		name := strings.TrimSpace(text)
		p, err := parsePlatform(name)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.OS == p.OS && other.Architecture == p.Architecture && variant(other.Platform) == variant(p) {
				return nil, failure.New(failure.Usage, "platform %s is named twice, as %s and %s", p, other.name, name)
			}
		}
		all = append(all, platform{name, p})
	}
	if len(all) > maxPlatforms {
		return nil, failure.New(failure.Usage, "more than %d platforms", maxPlatforms)
	}
	return all, nil
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
	if d.puller, err = remote.NewPuller(d.Registry.Remote(ctx)...); err != nil {
		return workspace.DetectBase{}, failure.New(failure.Internal, "preparing to ask registries: %w", err)
	}
	found := make([]dockerfile.Result, len(d.platforms))
	var wanted []wanted
	for i, p := range d.platforms {
		if found[i], err = parsed.Bases(d.expansion(p)); err != nil {
			return workspace.DetectBase{}, err
		}
		more, err := d.plan(p, found[i].Bases, parsed.StageNames())
		if err != nil {
			return workspace.DetectBase{}, err
		}
		wanted = append(wanted, more...)
	}
	d.warnUnused(wanted)
	bases, err := d.resolve(ctx, wanted)
	if err != nil {
		return workspace.DetectBase{}, err
	}
	record := workspace.DetectBase{Dockerfile: filepath.ToSlash(path), DockerfileTarget: d.DockerfileTarget}
	for i, p := range d.platforms {
		own := bases[:len(found[i].Bases)]
		bases = bases[len(own):]
		if i == 0 {
			record.Platform, record.Scratch, record.Bases = p.name, found[i].Scratch, own
		} else {
			record.Others = append(record.Others, workspace.PlatformBases{Platform: p.name, Scratch: found[i].Scratch, Bases: own})
		}
		for _, b := range own {
			d.Log.Info("base image", "reference", b.Reference, "digest", b.Digest, "imagestreamtag", b.ImageStreamTag, "parent", b.Parent, "platform", p.name)
		}
	}
	if err := pinned.Write(d.Workspace, parsed, record, d.buildArgs); err != nil {
		d.Log.Warn("there is no Dockerfile.pinned, which only other engines than the build stage need", "reason", err)
	}
	return record, nil
}

// expansion is what the Dockerfile is expanded with for a platform.
func (d *detector) expansion(p platform) dockerfile.Options {
	return dockerfile.Options{Target: d.DockerfileTarget, BuildArgs: d.buildArgs, Platform: p.name}
}
