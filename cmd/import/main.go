// Command import is the import stage: it moves the image's floating tags and imports them into the ImageStream.
package main

import (
	"context"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

func main() { step.Main(spec()) }

func spec() step.Spec {
	return step.Spec{
		Name:    "import",
		Summary: "moves the image's floating tags and imports them into the ImageStream",
		Results: []step.Result{
			{Name: "image-stream", Description: "the ImageStream; empty for scratch and isolated builds"},
			{Name: "tags", Description: "the imported tags, separated by commas"},
		},
		Skippable: true,
		Flags:     flags,
	}
}

func flags(f *step.FlagSet) step.Run {
	o := imageimport.Options{}
	f.StringVar(&o.ImageStream, "imagestream", "", "name of the ImageStream; empty means the one of the image's name")
	f.BoolVar(&o.Autorebuild, "is-autorebuild", false, "an ImageStream change started the build, not a user")
	f.BoolVar(&o.Scratch, "scratch", false, "a scratch build: nothing is imported")
	f.BoolVar(&o.Isolated, "isolated", false, "an isolated build: nothing is imported")
	streams := f.String("imagestream-dir", "", "directory of the ImageStreams")
	configs := f.String("buildconfig-dir", "", "directory of the build configs; empty means that none is told what the build produced")
	access := registry.RegisterFlags(f, "registries that the image was pushed to")
	f.Required("imagestream-dir", "registry-uri")
	return func(ctx context.Context, env step.Env, out *step.Results) (err error) {
		o.Env, o.Workspace = env, f.Workspace()
		if o.Registry, _, err = access.Open(env); err != nil {
			return err
		}
		o.Streams = imageimport.NewFile(*streams, o.Registry)
		if *configs != "" {
			o.BuildConfigs = filestore.New(*configs)
		}
		record, err := imageimport.Run(ctx, o)
		if err != nil {
			return err
		}
		return results(out, record)
	}
}

func results(out *step.Results, record workspace.Import) error {
	tags := make([]string, 0, len(record.Tags))
	for _, tag := range record.Tags {
		tags = append(tags, tag.Tag)
	}
	if err := out.Set("image-stream", record.ImageStream); err != nil {
		return err
	}
	return out.Set("tags", strings.Join(tags, ","))
}
