package clone

import (
	"context"
	"path"

	"github.com/go-git/go-git/v5/config"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/git"
	"github.com/osbs-tekton/osbs/pkg/git/worktree"
	"github.com/osbs-tekton/osbs/pkg/giturl"
)

// maxDepth bounds submodules inside of submodules, maxSubmodules how many one repository may have.
const (
	maxDepth      = 8
	maxSubmodules = 500
)

// maxModules bounds the file .gitmodules, in bytes.
const maxModules = 1 << 20

// submodules clones the repositories inside of a repository that is cloned. They are given the credentials only if they are on the
// same server.
func (o Options) submodules(ctx context.Context, f *fetch, main giturl.URL, url giturl.URL, depth int) error {
	all := f.plan.Submodules()
	if len(all) == 0 {
		return nil
	}
	if depth >= maxDepth || len(all) > maxSubmodules {
		return failure.New(failure.InvalidInput, "%s has too many submodules, or they are nested too deeply", url)
	}
	urls, err := f.modules()
	if err != nil {
		return err
	}
	for _, sub := range all {
		text, ok := urls[sub.Path]
		if !ok {
			f.Log.Warn("a submodule has no URL in .gitmodules and stays empty", "path", sub.Path)
			continue
		}
		if err := o.submodule(ctx, sub, text, f.dir, main, url, depth); err != nil {
			return failure.New(failure.KindOf(err), "submodule %q: %w", sub.Path, err)
		}
	}
	return nil
}

func (o Options) submodule(ctx context.Context, sub worktree.Submodule, text, dir string, main, parent giturl.URL, depth int) error {
	url, err := parent.Resolve(text)
	if err != nil {
		return err
	}
	if url.Scheme == giturl.File && parent.Scheme != giturl.File {
		return failure.WithHint(failure.New(failure.InvalidInput, "%s would be read from this machine, and is named by a repository on another", url),
			"use a URL relative to the repository's, such as ../lib.git")
	}
	if url.Scheme == giturl.HTTPS && url.Password == "" && main.SameServer(url) {
		url.User, url.Password = main.User, main.Password
	}
	o.Redact.Add(url.Password)
	remote, err := git.Open(o.gitOptions(), url, main.SameServer(url))
	if err != nil {
		return err
	}
	f := &fetch{Env: o.Env, remote: remote, dir: dir + "/" + sub.Path, commit: sub.Commit.String()}
	if err := f.run(ctx); err != nil {
		return err
	}
	return o.submodules(ctx, f, main, url, depth+1)
}

// modules reads .gitmodules: the URL of each path. Names in it are not used: they have been used to write elsewhere.
func (f *fetch) modules() (map[string]string, error) {
	m := config.NewModules()
	if err := m.Unmarshal(f.modulesFile); err != nil {
		return nil, failure.New(failure.InvalidInput, ".gitmodules is malformed: %w", err)
	}
	urls := map[string]string{}
	for _, sub := range m.Submodules {
		urls[path.Clean(sub.Path)] = sub.URL
	}
	return urls, nil
}

// fetchCommit gets one commit of a repository, of whatever branch.
func (f *fetch) fetchCommit(ctx context.Context) error {
	f.target = git.NewHash(f.commit)
	err := f.remote.Fetch(ctx, func(refs git.Refs) (git.Request, error) {
		heads := refs.Heads()
		f.head = f.target
		if err := f.reset(); err != nil {
			return git.Request{}, err
		}
		for _, h := range heads {
			if h == f.target {
				return git.Request{Wants: []git.Hash{h}, Depth: 1}, nil
			}
		}
		if refs.AnyCommit() {
			return git.Request{Wants: []git.Hash{f.target}, Depth: 1}, nil
		}
		return git.Request{Wants: heads}, nil
	}, f.receive)
	if err != nil {
		return err
	}
	if _, ok := f.commits[f.target]; !ok {
		return failure.New(failure.NotFound, "commit %s is on no branch of %s", f.commit, f.remote.URL())
	}
	return nil
}
