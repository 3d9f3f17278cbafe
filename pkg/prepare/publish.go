package prepare

import (
	"bytes"
	"context"
	"errors"

	"github.com/osbs-tekton/osbs/pkg/clone"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/git"
	"github.com/osbs-tekton/osbs/pkg/git/pack"
	"github.com/osbs-tekton/osbs/pkg/release"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// maxPushes bounds how often a bump is tried on a branch that others push to at the same time.
const maxPushes = 5

// Publish pushes the bump commit that Run made, after the build has succeeded. Without a bump, or when it is on the branch already,
// it does nothing. When the branch has moved since, and nobody else touched the release, the bump is merged into the new head, so
// that the commit that was built is on the branch; else it is a Conflict. A build without the prepare stage has no bump.
func Publish(ctx context.Context, o Options) (workspace.Prepare, error) {
	record, err := workspace.Read[workspace.Prepare](o.Workspace)
	if failure.KindOf(err) == failure.NotFound {
		return record, nil
	}
	if err != nil || record.Bump == nil || record.Bump.Pushed {
		return record, err
	}
	p, err := o.start()
	if err != nil {
		return workspace.Prepare{}, err
	}
	if err := p.publish(ctx, record); err != nil {
		return record, err
	}
	record.Bump.Pushed = true
	return record, workspace.Write(o.Workspace, record)
}

func (p *preparation) publish(ctx context.Context, record workspace.Prepare) error {
	remote, err := p.remote()
	if err != nil {
		return err
	}
	built := git.NewHash(record.Commit)
	if err := p.repo.collect(built, p.bases.Dockerfile); err != nil {
		return err
	}
	old, tip := git.NewHash(p.cloned.Commit), built
	for try := 1; ; try++ {
		err := remote.Push(ctx, git.Push{Branch: p.cloned.Branch, Old: old, New: tip, Pack: p.repo.pack})
		if err == nil {
			p.Log.Info("pushed the bump of the release", "branch", p.cloned.Branch, "commit", tip, "release", record.Bump.NewRelease)
			return nil
		}
		if !errors.Is(err, git.ErrMoved) || try == maxPushes {
			return err
		}
		head, err := p.fetchHead(ctx, remote)
		if err != nil {
			return err
		}
		if p.repo.reaches(head, built) { // pushed by an earlier run whose answer was lost
			return nil
		}
		if tip, err = p.merge(head, built, *record.Bump); err != nil {
			return err
		}
		old = head
		p.Log.Info("the branch has moved; merging the bump of the release into it", "branch", p.cloned.Branch, "head", head)
	}
}

// fetchHead brings the commits that the branch got since it was cloned into the repository.
func (p *preparation) fetchHead(ctx context.Context, remote *git.Remote) (git.Hash, error) {
	var head git.Hash
	err := remote.Fetch(ctx, func(refs git.Refs) (git.Request, error) {
		var err error
		if head, err = refs.Branch(p.cloned.Branch); err != nil {
			return git.Request{}, err
		}
		shallow, err := p.repo.shallow()
		return git.Request{Wants: []git.Hash{head}, Have: []git.Hash{git.NewHash(p.cloned.Commit)}, Shallow: shallow}, err
	}, func(ctx context.Context, answer git.Answer) error {
		received, err := pack.Receive(ctx, answer.Pack, p.repo.packs(), pack.Limits{}, pack.Visitor{})
		if err != nil {
			return err
		}
		return received.Close()
	})
	p.repo.reopen()
	return head, err
}

// merge makes a commit on top of the new head that bumps the release there too. Its second parent is the commit that was built.
func (p *preparation) merge(head, built git.Hash, bump workspace.Bump) (git.Hash, error) {
	text, err := p.repo.dockerfile(head, p.bases.Dockerfile)
	if err != nil {
		return git.Hash{}, err
	}
	o, env := p.expansion()
	result, ok, err := release.Bump(text, o, env)
	if err == nil && (!ok || result.Old != bump.OldRelease) {
		err = failure.WithHint(failure.New(failure.Conflict, "branch %q has moved to %s, whose release is %q: the bump from %s to %s cannot be merged into it",
			p.cloned.Branch, head, result.Old, bump.OldRelease, bump.NewRelease), "nothing was pushed to the branch; a build of its new head will have its own release")
	}
	if err != nil {
		return git.Hash{}, err
	}
	commit, err := p.repo.commit(change{
		parents: []git.Hash{head, built}, path: p.bases.Dockerfile, text: result.Text, signature: p.signature(), message: message,
	})
	return commit.hash, err
}

// bumpAndPush makes the bump commit and pushes it, before the build. When the branch has moved, its new head is cloned and the bump
// computed for it, as long as its Dockerfile is the one whose bases are known.
func (p *preparation) bumpAndPush(ctx context.Context, text []byte, result release.Result, record *workspace.Prepare) ([]byte, error) {
	remote, err := p.remote()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if err := p.commit(result, record); err != nil {
			return nil, err
		}
		old := git.NewHash(p.cloned.Commit)
		err := remote.Push(ctx, git.Push{Branch: p.cloned.Branch, Old: old, New: git.NewHash(record.Commit), Pack: p.repo.pack})
		if err == nil {
			record.Bump.Pushed = true
			return result.Text, nil
		}
		if !errors.Is(err, git.ErrMoved) || try == maxPushes {
			return nil, err
		}
		if !p.config.FromLatest {
			return p.withdraw(text, record)
		}
		if err := p.followBranch(ctx, text); err != nil {
			return nil, err
		}
	}
}

// withdraw takes the bump back when the branch has moved and the repository asks for no build of its new head: what was cloned is built,
// with a timestamp.
func (p *preparation) withdraw(text []byte, record *workspace.Prepare) ([]byte, error) {
	p.Log.Info("the branch has moved, so that the release cannot be bumped: it gets a timestamp", "commit", p.cloned.Commit, "branch", p.cloned.Branch)
	original := made{git.NewHash(p.cloned.Commit), p.cloned.CommitTime}
	if err := p.repo.checkout(p.cloned.Branch, original, p.bases.Dockerfile, text); err != nil {
		return nil, err
	}
	record.Commit, record.CommitTime, record.Bump = p.cloned.Commit, p.cloned.CommitTime, nil
	return p.stamp(text, record)
}

// followBranch clones the new head of the branch in place of the old one.
func (p *preparation) followBranch(ctx context.Context, text []byte) error {
	url := p.GitURL
	if url == "" {
		url = p.cloned.URL
	}
	cloned, err := clone.Run(ctx, clone.Options{
		Env: p.Env, Workspace: p.Workspace, GitURL: url, GitBranch: p.cloned.Branch, GitSecretDir: p.GitSecretDir, CAFile: p.CAFile,
		Home: p.Home, AgentSocket: p.AgentSocket, Submodules: p.Submodules,
	})
	if err != nil {
		return err
	}
	p.cloned = cloned
	p.repo = openRepository(p.Workspace.Source())
	now, err := p.repo.dockerfile(git.NewHash(cloned.Commit), p.bases.Dockerfile)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, text) {
		return failure.WithHint(failure.New(failure.Conflict, "branch %q has moved to %s, which changes %s: its bases are not known",
			cloned.Branch, cloned.Commit, p.bases.Dockerfile), "build again")
	}
	return nil
}
