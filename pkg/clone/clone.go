// Package clone is the first stage: a branch of a git repository, at its head or at a commit of it, as files in the workspace.
//
// No more history is fetched than is needed to find the commit, and the files are written while the objects arrive.
package clone

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/git"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/repoconfig"
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
	// GitLastCommit is the commit that the last build was made from, for an autorebuild: it is built in place of the branch's head if
	// the head's repo config asks for that. Empty means the head in any case; it does not go together with GitCommit.
	GitLastCommit string
	// RepoConfig is the name of the repo config file; empty means repoconfig.DefaultName.
	RepoConfig string
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
	if err := o.checkCommits(); err != nil {
		return workspace.Clone{}, err
	}
	remote, err := git.Open(o.gitOptions(), url, true)
	if err != nil {
		return workspace.Clone{}, err
	}
	if err := o.clean(); err != nil {
		return workspace.Clone{}, err
	}
	record := workspace.Clone{URL: url.String(), Branch: o.GitBranch}
	f := &fetch{Env: o.Env, remote: remote, dir: o.Workspace.Source(), branch: o.GitBranch, commit: o.GitCommit}
	if err := f.run(ctx); err != nil {
		return workspace.Clone{}, err
	}
	if o.GitLastCommit != "" {
		if f, err = o.lastBuilt(ctx, f, &record); err != nil {
			return workspace.Clone{}, err
		}
	}
	if o.Submodules {
		if err := o.submodules(ctx, f, url, url, 0); err != nil {
			return workspace.Clone{}, err
		}
	}
	record.Commit, record.CommitTime = f.target.String(), f.commits[f.target].Time
	return record, workspace.Write(o.Workspace, record)
}

// commit is what GitCommit may be.
var commit = regexp.MustCompile(`^[0-9a-f]{7,40}$`)

func (o Options) checkCommits() error {
	for name, value := range map[string]string{"git commit": o.GitCommit, "last commit": o.GitLastCommit} {
		if value != "" && !commit.MatchString(value) {
			return failure.New(failure.Usage, "%s %q is not a commit: 40 hex digits, or the first 7 or more of them", name, value)
		}
	}
	if o.GitCommit != "" && o.GitLastCommit != "" {
		return failure.New(failure.Usage, "git commit %s and last commit %s are both given: the one is for a user's build, the other for an autorebuild", o.GitCommit, o.GitLastCommit)
	}
	return nil
}

// lastBuilt is for an autorebuild whose head is cloned. Where the head's repo config asks for it, it clones the commit of the last build
// in place of the head. An autorebuild that is disabled stays at the head: prepare ends it.
func (o Options) lastBuilt(ctx context.Context, head *fetch, record *workspace.Clone) (*fetch, error) {
	if strings.HasPrefix(head.target.String(), o.GitLastCommit) {
		return head, nil
	}
	config, err := repoconfig.Read(o.Workspace.Source(), o.RepoConfig)
	if err != nil || !config.Autorebuild || config.FromLatest {
		return head, err
	}
	for _, warning := range config.Warnings() {
		o.Log.Warn(warning)
	}
	o.Log.Info("building the commit of the last build: "+repoconfig.ContainerName+" does not ask for autorebuilds from_latest",
		"commit", o.GitLastCommit, "branch", o.GitBranch, "head", head.target)
	f := &fetch{Env: o.Env, remote: head.remote, dir: head.dir, branch: head.branch, commit: o.GitLastCommit}
	if err := f.run(ctx); err != nil {
		if f.missing {
			err = failure.WithHint(failure.New(failure.NotFound, "the last build was made from commit %s, which is no longer on branch %q of %s", o.GitLastCommit, o.GitBranch, record.URL),
				"build the branch with osbs build, which autorebuilds then repeat, or set autorebuild.from_latest: true in %s", repoconfig.ContainerName)
		}
		return nil, err
	}
	record.Head, record.AddTimestamp = head.target.String(), config.AddTimestamp
	return f, nil
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
