// Command push is the push stage: it pushes the built image under its unique and primary tags, and before that the bump of the release of
// an autorebuild onto the branch. An autorebuild that has changed nothing ends here.
package main

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/prepare"
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
			{Name: "image-url", Description: "the image in the first registry, with its primary tag, or its unique one if it has no primary; empty if nothing was pushed"},
			{Name: "image-digest", Description: "the digest that the registries have; empty if nothing was pushed"},
			{Name: "tags", Description: "the tags that were set, separated by commas, unique first"},
			{Name: "unchanged", Description: "true if an autorebuild made the content of the image before it, so that nothing was pushed; else false"},
		},
		Skippable: true,
		Flags:     flags,
	}
}

func flags(f *step.FlagSet) step.Run {
	o := push.Options{}
	access := registry.RegisterFlags(f, "registries to push into")
	f.StringVar(&o.Target, "target", "", "build target, a part of the unique tag")
	f.BoolVar(&o.Scratch, "scratch", false, "scratch build: unique tag only")
	f.BoolVar(&o.Isolated, "isolated", false, "isolated build: unique and primary tag only")
	f.BoolVar(&o.Autorebuild, "is-autorebuild", false, "an ImageStream change started the build, not a user")
	f.BoolVar(&o.EarlyCutoff, "early-cutoff", true, "push nothing if an autorebuild has made the content of the image before it")
	f.IntVar(&o.Jobs, "jobs", 0, "blobs to send at once; 0 means the default")
	publish := publishing(f)
	f.Required("registry-uri")
	return func(ctx context.Context, env step.Env, out *step.Results) (err error) {
		o.Env, o.Workspace = env, f.Workspace()
		if o.Registry, o.Registries, err = access.Open(env); err != nil {
			return err
		}
		o.Publish = publish(env)
		record, err := push.Run(ctx, o)
		if err != nil || len(record.Images) == 0 {
			return err
		}
		return results(out, record)
	}
}

// publishing are the flags for bringing the bump of the release onto the branch.
func publishing(f *step.FlagSet) func(step.Env) func(context.Context) error {
	o := prepare.Options{Home: os.Getenv("HOME"), AgentSocket: os.Getenv("SSH_AUTH_SOCK")}
	f.StringVar(&o.GitURL, "git-url", "", "URL for the push of a bumped release; that of the clone stage if empty")
	f.StringVar(&o.GitSecretDir, "git-secret-dir", "", "mounted secret of the type kubernetes.io/basic-auth or kubernetes.io/ssh-auth")
	f.StringVar(&o.CAFile, "git-ca-file", "", "PEM certificates to trust besides the system's")
	buildArgs := f.Positional("build-arg", "NAME=VALUE for an ARG of the Dockerfile")
	f.StringVar(&o.CommitterName, "committer-name", "OSBS", "name in the bump commit")
	f.StringVar(&o.CommitterEmail, "committer-email", "osbs@localhost", "email address in the bump commit")
	return func(env step.Env) func(context.Context) error {
		o.Env, o.Workspace, o.BuildArgs, o.GitSecretDir = env, f.Workspace(), *buildArgs, env.MountedSecret(o.GitSecretDir)
		return func(ctx context.Context) error {
			_, err := prepare.Publish(ctx, o)
			return err
		}
	}
}

func results(out *step.Results, record workspace.Push) error {
	values := [][2]string{{"unchanged", strconv.FormatBool(record.Unchanged)}}
	if !record.Unchanged {
		image := record.Images[0]
		set := []string{image.Unique}
		if image.Primary != "" {
			set = append(set, image.Primary)
		}
		values = append(values, [2]string{"image-url", image.Repository + ":" + set[len(set)-1]}, [2]string{"image-digest", record.Digest},
			[2]string{"tags", strings.Join(set, ",")})
	}
	for _, v := range values {
		if err := out.Set(v[0], v[1]); err != nil {
			return err
		}
	}
	return nil
}
