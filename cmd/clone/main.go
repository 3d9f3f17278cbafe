// Command clone is the first stage of a build: it clones a branch of a git repository into the workspace.
package main

import (
	"context"
	"errors"
	"os"

	"github.com/osbs-tekton/osbs/pkg/clone"
	"github.com/osbs-tekton/osbs/pkg/repoconfig"
	"github.com/osbs-tekton/osbs/pkg/step"
)

func main() {
	step.Main(step.Spec{
		Name:    "clone",
		Summary: "clones a branch of a git repository, at its head or at a commit of it",
		Results: []step.Result{
			{Name: "commit", Description: "the commit that was checked out, 40 hex digits"},
			{Name: "url", Description: "the git URL, without credentials"},
		},
		Flags: flags,
	})
}

func flags(f *step.FlagSet) step.Run {
	o := clone.Options{Home: os.Getenv("HOME"), AgentSocket: os.Getenv("SSH_AUTH_SOCK")}
	f.StringVar(&o.GitURL, "git-url", "", "https, ssh or file URL of the repository")
	f.StringVar(&o.GitBranch, "git-branch", "", "branch")
	f.StringVar(&o.GitCommit, "git-commit", "", "commit of the branch; its head if empty")
	f.StringVar(&o.GitLastCommit, "git-last-commit", "", "commit that the last build was made from, which an autorebuild repeats if container.yaml asks for it")
	f.StringVar(&o.RepoConfig, "repo-config", repoconfig.DefaultName, "name of the repo config file")
	f.StringVar(&o.GitSecretDir, "git-secret-dir", "", "mounted secret of the type kubernetes.io/basic-auth or kubernetes.io/ssh-auth")
	f.StringVar(&o.CAFile, "git-ca-file", "", "PEM certificates to trust besides the system's")
	f.BoolVar(&o.Submodules, "submodules", true, "clone submodules too")
	f.Required("git-url", "git-branch")
	return func(ctx context.Context, env step.Env, out *step.Results) error {
		o.Env, o.Workspace, o.GitSecretDir = env, f.Workspace(), env.MountedSecret(o.GitSecretDir)
		record, err := clone.Run(ctx, o)
		if err != nil {
			return err
		}
		return errors.Join(out.Set("commit", record.Commit), out.Set("url", record.URL))
	}
}
