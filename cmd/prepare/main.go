// Command prepare is the stage between lock and build: it checks what must be true before a build, and bumps the release for an
// autorebuild. The push stage brings the bump onto the branch.
package main

import (
	"context"
	"errors"
	"os"

	"github.com/osbs-tekton/osbs/pkg/labels"
	"github.com/osbs-tekton/osbs/pkg/prepare"
	"github.com/osbs-tekton/osbs/pkg/repoconfig"
	"github.com/osbs-tekton/osbs/pkg/step"
)

func main() {
	step.Main(step.Spec{
		Name:    "prepare",
		Summary: "decides whether there is something to build, checks labels and commit, bumps the release of an autorebuild",
		Results: []step.Result{
			{Name: "state", Description: "build or skipped"},
			{Name: "commit", Description: "the commit that is built: the clone's, or the bump of the release on top of it"},
			{Name: "release", Description: "the release that is built; empty if the Dockerfile sets none"},
		},
		Flags: flags,
	})
}

func flags(f *step.FlagSet) step.Run {
	o := prepare.Options{Home: os.Getenv("HOME"), AgentSocket: os.Getenv("SSH_AUTH_SOCK")}
	f.BoolVar(&o.Autorebuild, "is-autorebuild", false, "an ImageStream change started the build, not a user")
	f.StringVar(&o.GitURL, "git-url", "", "URL for the push; that of the clone stage if empty")
	f.StringVar(&o.GitCommit, "git-commit", "", "commit that the branch must be at; any if empty")
	f.StringVar(&o.GitSecretDir, "git-secret-dir", "", "mounted secret of the type kubernetes.io/basic-auth or kubernetes.io/ssh-auth")
	f.StringVar(&o.CAFile, "git-ca-file", "", "PEM certificates to trust besides the system's")
	f.BoolVar(&o.Submodules, "submodules", true, "clone submodules too, when the branch has moved")
	f.StringVar(&o.RepoConfig, "repo-config", repoconfig.DefaultName, "name of the repo config file")
	f.StringVar(&o.BumpRelease, "bump-release", prepare.BumpAfterBuild, "when an autorebuild's release bump is pushed: after-build, before-build or never (no bump)")
	f.StringVar(&o.Release, "release", "", "value of the label release, whatever the Dockerfile says")
	f.StringVar(&o.Component, "component", "", "value of the label com.redhat.component, whatever the Dockerfile says")
	buildArgs := f.Positional("build-arg", "NAME=VALUE for an ARG of the Dockerfile")
	f.BoolVar(&o.Scratch, "scratch", false, "scratch build")
	f.BoolVar(&o.Isolated, "isolated", false, "isolated build")
	f.StringVar(&o.CommitterName, "committer-name", "OSBS", "name in the bump commit")
	f.StringVar(&o.CommitterEmail, "committer-email", "osbs@localhost", "email address in the bump commit")
	return func(ctx context.Context, env step.Env, out *step.Results) error {
		o.Env, o.Workspace, o.BuildArgs, o.GitSecretDir = env, f.Workspace(), *buildArgs, env.MountedSecret(o.GitSecretDir)
		record, err := prepare.Run(ctx, o)
		if err != nil {
			return err
		}
		return errors.Join(out.Set("state", record.State), out.Set("commit", record.Commit), out.Set("release", labels.Get(record.Labels, labels.Release)))
	}
}
