// Command detect-base is the detect-base stage: it finds the images that a Dockerfile is built on and pins each to a digest.
package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/detectbase"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

func main() { step.Main(spec()) }

func spec() step.Spec {
	return step.Spec{
		Name:    "detect-base",
		Summary: "finds every image that the Dockerfile is built on, and pins each to a digest",
		Results: []step.Result{
			{Name: "base-images", Description: "JSON list of the bases, each with reference, digest and imageStreamTag; shortened if it does not fit, see detect-base.json"},
			{Name: "parent-image", Description: "the base whose layers are in the image, with registry and tag; empty for FROM scratch"},
			{Name: "parent-digest", Description: "the digest of the parent image; empty for FROM scratch"},
			{Name: "scratch", Description: "true if the image is built FROM scratch"},
		},
		Flags: flags,
	}
}

func flags(f *step.FlagSet) step.Run {
	var o detectbase.Options
	f.StringVar(&o.Dockerfile, "dockerfile", "Dockerfile", "path of the Dockerfile in the repository")
	f.StringVar(&o.DockerfileTarget, "dockerfile-target", "", "stage of the Dockerfile to build; empty means the last")
	f.StringVar(&o.Platform, "platform", "", "os/arch[/variant] of the image, several separated by commas; empty means linux on this machine's architecture")
	f.StringVar(&o.SourceRegistryURI, "source-registry-uri", "", "registry that bases come from; no other may then be named")
	buildArgs := f.Positional("build-arg", "NAME=VALUE for an ARG of the Dockerfile")
	digests := f.Words("base-digest", "REF=DIGEST of a base, from the event that started the build")
	home := f.Words("home-registry", "registry host whose ImageStreams are named without a hash of the registry, besides registry-uri and source-registry-uri")
	access := registry.RegisterFlags(f, "registries that images are pushed into")
	return func(ctx context.Context, env step.Env, out *step.Results) error {
		o.Env, o.Workspace, o.BuildArgs, o.HomeRegistries = env, f.Workspace(), *buildArgs, *home
		if err := connect(&o, access); err != nil {
			return err
		}
		var err error
		if o.BaseDigests, err = parseDigests(*digests); err != nil {
			return err
		}
		record, err := detectbase.Run(ctx, o)
		if err != nil {
			return err
		}
		return results(out, record)
	}
}

// connect makes the registry client of o. The registries of registry-uri are home registries.
func connect(o *detectbase.Options, access *registry.Flags) error {
	var others []registry.URI
	if o.SourceRegistryURI != "" {
		source, err := registry.ParseURI(o.SourceRegistryURI)
		if err != nil {
			return err
		}
		others = append(others, source)
	}
	client, registries, err := access.Open(o.Env, others...)
	if err != nil {
		return err
	}
	o.Registry = client
	for _, u := range registries {
		o.HomeRegistries = append(o.HomeRegistries, u.Host)
	}
	return nil
}

// parseDigests reads REF=DIGEST; a reference holds no =.
func parseDigests(pairs []string) (map[string]string, error) {
	digests := map[string]string{}
	for _, pair := range pairs {
		ref, digest, found := strings.Cut(pair, "=")
		if !found || ref == "" || digest == "" {
			return nil, failure.New(failure.Usage, "base-digest %q is not REF=DIGEST", pair)
		}
		digests[ref] = digest
	}
	return digests, nil
}

type baseImage struct {
	Reference      string `json:"reference"`
	Digest         string `json:"digest"`
	ImageStreamTag string `json:"imageStreamTag,omitempty"`
}

func results(out *step.Results, record workspace.DetectBase) error {
	image, digest := "", ""
	if parent := record.Parent(); parent != nil {
		image, digest = parent.Resolved, parent.Digest
	}
	for _, r := range [][2]string{{"parent-image", image}, {"parent-digest", digest}, {"scratch", strconv.FormatBool(record.Scratch)}} {
		if err := out.Set(r[0], r[1]); err != nil {
			return err
		}
	}
	list, err := baseImages(record, out.Room("base-images"))
	if err != nil {
		return err
	}
	return out.Set("base-images", list)
}

// baseImages is the JSON list of as many bases as fit into limit bytes, as results count them.
func baseImages(record workspace.DetectBase, limit int) (string, error) {
	list := "[]"
	bases := record.AllBases()
	all := make([]baseImage, 0, len(bases))
	for _, b := range bases {
		all = append(all, baseImage{b.Reference, b.Digest, b.ImageStreamTag})
		data, err := json.Marshal(all)
		if err != nil {
			return "", failure.New(failure.Internal, "encoding base-images: %w", err)
		}
		if step.Size(string(data)) > limit {
			break
		}
		list = string(data)
	}
	return list, nil
}
