// Command build is the build stage: it turns the workspace's Dockerfile into an OCI image layout.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/osbs-tekton/osbs/pkg/build"
	"github.com/osbs-tekton/osbs/pkg/build/engine"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

func main() {
	engine.Main()
	step.Main(step.Spec{
		Name:    "build",
		Summary: "builds the workspace's Dockerfile on the bases that detect-base pinned, and leaves an OCI image layout in the workspace",
		Results: []step.Result{
			{Name: "digest", Description: "the digest of the built image's manifest"},
			{Name: "labels", Description: "the image's labels name, version and release, as JSON"},
		},
		Skippable: true,
		Flags:     flags,
	})
}

func flags(f *step.FlagSet) step.Run {
	var o build.Options
	f.StringVar(&o.Platform, "platform", "", "which of the platforms that detect-base was given; empty means the only one")
	f.StringVar(&o.DockerfileTarget, "dockerfile-target", "", "stage of the Dockerfile to build; empty means what detect-base was given")
	args := f.Positional("build-arg", "NAME=VALUE for an ARG of the Dockerfile")
	secrets := f.List("build-secret", "id=path of a file that RUN --mount=type=secret,id=... sees")
	f.StringVar(&o.Storage, "storage-dir", "", "directory in which layers are kept between builds; empty means one in the workspace")
	f.StringVar(&o.StorageDriver, "storage-driver", "", "overlay or vfs; empty means the best that works")
	f.BoolVar(&o.LayerCache, "layer-cache", true, "take steps that were done before from the storage")
	f.StringVar(&o.Format, "format", build.FormatAuto, "format of the image: oci, docker, or auto: docker only where the Dockerfile needs it")
	f.StringVar(&o.Compression, "compression", build.CompressionGzip, "compression of new layers: gzip, zstd or none")
	f.StringVar(&o.Isolation, "isolation", build.IsolationChroot, "isolation of RUN: chroot")
	f.BoolVar(&o.RemoteAdd, "remote-add", false, "allow ADD of a URL, whose content nothing pins")
	f.StringVar(&o.Component, "component", "", "value of the label com.redhat.component, whatever the Dockerfile says")
	f.StringVar(&o.Release, "release", "", "value of the label release, whatever the Dockerfile says")
	f.StringVar(&o.Architecture, "architecture", "", "value of the label architecture, whatever the Dockerfile says")
	access := registry.RegisterFlags(f, "registries that registry-secret-dir belongs to")
	return func(ctx context.Context, env step.Env, out *step.Results) (err error) {
		if o.Registry, _, err = access.Open(env); err != nil {
			return err
		}
		o.Env, o.Workspace, o.BuildArgs, o.Secrets, o.Output = env, f.Workspace(), *args, *secrets, os.Stderr
		record, err := build.Run(ctx, o)
		if err != nil {
			return err
		}
		return report(record, out)
	}
}

func report(record workspace.Build, out *step.Results) error {
	labels := map[string]string{}
	for _, name := range []string{"name", "version", "release"} {
		labels[name] = record.Labels[name]
	}
	text, err := json.Marshal(labels)
	if err != nil {
		return err
	}
	if err := out.Set("labels", string(text)); err != nil {
		return err
	}
	return out.Set("digest", record.Digest)
}
