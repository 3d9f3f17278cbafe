// Package clone is the first stage: a branch of a git repository, at its head or at a commit of it, as files in the workspace.
//
// No more history is fetched than is needed to find the commit, and the files are written while the objects arrive.
package clone

import (
	"context"
	"os"
	"path/filepath"
	"regexp"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/git"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Options say what to clone.
type Options struct {
	step.Env
	Workspace workspace.Dir
	// GitURL is the repository's address, see giturl.
	GitURL string
	// GitBranch is required.
	GitBranch string
	// GitCommit is a commit of the branch, in 7 to 40 hex digits; empty means the branch's head.
	GitCommit string
	// GitSecretDir, CAFile, Home and AgentSocket are those of git.Options.
	GitSecretDir, CAFile, Home, AgentSocket string
	// Submodules says whether the repositories inside of the repository are cloned too.
	Submodules bool
}

// Run clones into the workspace's source directory, whatever was there before, and leaves the record of the stage.
//
// Kinds of errors: Usage for a malformed URL, branch or commit; NotFound for a repository, branch or commit that does not exist;
// Unauthorized, Untrusted and Unavailable for what git.Remote meets; InvalidInput for a tree with unsafe names.
func Run(ctx context.Context, o Options) (workspace.Clone, error) {
	o.Env = o.WithDefaults()
	url, err := giturl.Parse(o.GitURL)
	if err != nil {
		return workspace.Clone{}, err
	}
	o.Redact.Add(url.Password)
	if err := git.CheckBranch(o.GitBranch); err != nil {
		return workspace.Clone{}, err
	}
	if o.GitCommit != "" && !regexp.MustCompile(`^[0-9a-f]{7,40}$`).MatchString(o.GitCommit) {
		return workspace.Clone{}, failure.New(failure.Usage, "git commit %q is not a commit: 40 hex digits, or the first 7 or more of them", o.GitCommit)
	}
	remote, err := git.Open(o.gitOptions(), url, true)
	if err != nil {
		return workspace.Clone{}, err
	}
	if err := o.clean(); err != nil {
		return workspace.Clone{}, err
	}
	f := &fetch{Env: o.Env, remote: remote, dir: o.Workspace.Source(), branch: o.GitBranch, commit: o.GitCommit}
	if err := f.run(ctx); err != nil {
		return workspace.Clone{}, err
	}
	if o.Submodules {
		if err := o.submodules(ctx, f, url, url, 0); err != nil {
			return workspace.Clone{}, err
		}
	}
	record := workspace.Clone{URL: url.String(), Branch: o.GitBranch, Commit: f.target.String(), CommitTime: f.commits[f.target].Time}
	return record, workspace.Write(o.Workspace, record)
}

func (o Options) gitOptions() git.Options {
	return git.Options{Env: o.Env, SecretDir: o.GitSecretDir, CAFile: o.CAFile, Home: o.Home, AgentSocket: o.AgentSocket}
}

// clean removes what an earlier run left, its record first: sources are complete when the record is there.
func (o Options) clean() error {
	if err := os.RemoveAll(filepath.Join(string(o.Workspace), "clone.json")); err != nil {
		return failure.New(failure.Storage, "cleaning the workspace: %w", err)
	}
	return nil
}
