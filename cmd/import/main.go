// Command import is the import stage: it moves the image's floating tags and imports them into the ImageStream.
package main

import (
	"context"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/clusterstore"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
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
	s := stores{
		cluster: cluster.RegisterFlags(f),
		streams: f.String("imagestream-dir", "", "directory of the ImageStreams; empty means that they are the cluster's"),
		configs: f.String("buildconfig-dir", "",
			"directory of the build configs; empty means that they are the cluster's, or with -imagestream-dir that none is told what the build produced"),
	}
	access := registry.RegisterFlags(f, "registries that the image was pushed to")
	f.Required("registry-uri")
	return func(ctx context.Context, env step.Env, out *step.Results) (err error) {
		o.Env, o.Workspace = env, f.Workspace()
		if o.Registry, _, err = access.Open(env); err != nil {
			return err
		}
		if err := s.open(&o); err != nil {
			return err
		}
		record, err := imageimport.Run(ctx, o)
		if err != nil {
			return err
		}
		return results(out, record)
	}
}

// stores are the flags that say where ImageStreams and build configs are kept.
type stores struct {
	cluster          *cluster.Flags
	streams, configs *string
}

// open opens the directories, or what the cluster has in their place.
func (s stores) open(o *imageimport.Options) error {
	if *s.streams != "" {
		o.Streams = imageimport.NewFile(*s.streams, o.Registry)
		if *s.configs != "" {
			o.BuildConfigs = filestore.New(*s.configs)
		}
		return nil
	}
	if *s.configs != "" {
		return failure.New(failure.Usage, "-buildconfig-dir needs -imagestream-dir: ImageStreams and build configs are both files, or both in the cluster")
	}
	client, err := s.cluster.Open(o.Env, "-imagestream-dir")
	if err != nil {
		return err
	}
	o.Streams, o.BuildConfigs = imageimport.NewCluster(client), clusterstore.New(client)
	return nil
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
