// Command push is the push stage: it pushes the built image under its unique and primary tags.
package main

import (
	"context"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/push"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

func main() { step.Main(spec()) }

func spec() step.Spec {
	return step.Spec{
		Name:    "push",
		Summary: "pushes the built image into the registries under its unique and primary tags, and reads the digest back",
		Results: []step.Result{
			{Name: "image-url", Description: "the image in the first registry, with its primary tag, or its unique one if it has no primary"},
			{Name: "image-digest", Description: "the digest that the registries have"},
			{Name: "tags", Description: "the tags that were set, separated by commas, unique first"},
		},
		Flags: flags,
	}
}

func flags(f *step.FlagSet) step.Run {
	uris := f.String("registry-uri", "", "registries to push into, separated by commas")
	secrets := f.List("registry-secret-dir", "directory with a mounted registry secret, paired with registry-uri by position")
	ca := f.String("registry-ca-file", "", "file with CA certificates to trust besides the system's")
	insecure := f.List("registry-insecure", "registry host that may be spoken to without TLS or with any certificate")
	target := f.String("target", "", "build target, a part of the unique tag")
	scratch := f.Bool("scratch", false, "scratch build: unique tag only")
	isolated := f.Bool("isolated", false, "isolated build: unique and primary tag only")
	jobs := f.Int("jobs", 0, "blobs to send at once; 0 means the default")
	f.Required("registry-uri")
	return func(ctx context.Context, env step.Env, out *step.Results) error {
		registries, err := registry.ParseURIs(*uris)
		if err != nil {
			return err
		}
		client, err := registry.New(registry.Options{Env: env, Registries: registries, SecretDirs: *secrets, CAFile: *ca, Insecure: *insecure})
		if err != nil {
			return err
		}
		record, err := push.Run(ctx, push.Options{Env: env, Workspace: f.Workspace(), Registry: client, Registries: registries,
			Target: *target, Scratch: *scratch, Isolated: *isolated, Jobs: *jobs})
		if err != nil || len(record.Images) == 0 {
			return err
		}
		return results(out, record)
	}
}

func results(out *step.Results, record workspace.Push) error {
	image := record.Images[0]
	set := []string{image.Unique}
	if image.Primary != "" {
		set = append(set, image.Primary)
	}
	values := [][2]string{
		{"image-url", image.Repository + ":" + set[len(set)-1]}, {"image-digest", record.Digest}, {"tags", strings.Join(set, ",")},
	}
	for _, v := range values {
		if err := out.Set(v[0], v[1]); err != nil {
			return err
		}
	}
	return nil
}
