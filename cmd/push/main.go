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
		Skippable: true,
		Flags:     flags,
	}
}

func flags(f *step.FlagSet) step.Run {
	access := registry.RegisterFlags(f, "registries to push into")
	target := f.String("target", "", "build target, a part of the unique tag")
	scratch := f.Bool("scratch", false, "scratch build: unique tag only")
	isolated := f.Bool("isolated", false, "isolated build: unique and primary tag only")
	jobs := f.Int("jobs", 0, "blobs to send at once; 0 means the default")
	f.Required("registry-uri")
	return func(ctx context.Context, env step.Env, out *step.Results) error {
		client, registries, err := access.Open(env)
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
