package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sync/errgroup"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/git"
	"github.com/osbs-tekton/osbs/pkg/git/pack"
	"github.com/osbs-tekton/osbs/pkg/git/worktree"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// fetch is one repository on its way into a directory.
type fetch struct {
	step.Env
	remote *git.Remote
	dir    string // of the files; .git is in it
	branch string // empty for a submodule
	commit string // what was asked for: empty, or the beginning of a commit's name

	head        git.Hash // of the branch
	target      git.Hash // the commit that is checked out
	missing     bool     // the branch does not have the commit
	commits     map[git.Hash]git.Commit
	packs       []*pack.Pack
	shallow     map[git.Hash]bool
	plan        *worktree.Plan
	modulesFile []byte // the content of .gitmodules, if there is one
	lfs         atomic.Int64
}

// run fetches and checks out.
func (f *fetch) run(ctx context.Context) error {
	defer f.close()
	get := f.fetch
	if f.branch == "" {
		get = f.fetchCommit
	}
	err := get(ctx)
	if err == nil {
		err = f.checkout(ctx)
	}
	if err == nil {
		err = f.writeRefs()
	}
	if err != nil {
		_ = removeAll(f.dir) // half of the sources is worse than none
		return err
	}
	var size int64
	for _, p := range f.packs {
		size += p.Size()
	}
	f.Log.Info("cloned", "url", f.remote.URL(), "branch", f.branch, "commit", f.target, "files", f.plan.Files(), "packBytes", size)
	if n := f.lfs.Load(); n > 0 {
		f.Log.Warn("files are kept in Git LFS, which is not fetched: the sources hold pointers to them", "files", n)
	}
	return nil
}

func (f *fetch) close() {
	for _, p := range f.packs {
		_ = p.Close()
	}
}

// reset begins anew, in an empty directory with an empty repository.
func (f *fetch) reset() error {
	f.close()
	f.packs, f.plan = nil, nil
	f.commits, f.shallow = map[git.Hash]git.Commit{}, map[git.Hash]bool{}
	f.lfs.Store(0)
	return f.initialise()
}

// fetch gets the target's files: in one go if it is the branch's head, else after looking for it in the history.
func (f *fetch) fetch(ctx context.Context) error {
	var ability git.Refs
	err := f.remote.Fetch(ctx, func(refs git.Refs) (git.Request, error) {
		ability = refs
		head, err := refs.Branch(f.branch)
		if err != nil {
			return git.Request{}, err
		}
		f.head, f.target = head, git.Hash{}
		if strings.HasPrefix(head.String(), f.commit) {
			f.target = head
			return git.Request{Wants: []git.Hash{head}, Depth: 1}, f.reset()
		}
		return f.look(refs, firstLook), f.reset()
	}, f.receive)
	if err != nil {
		return err
	}
	for depth := firstLook; f.target.IsZero(); depth *= 10 {
		if err := f.find(); err != nil || !f.target.IsZero() {
			if err != nil {
				return err
			}
			break
		}
		if len(f.shallow) == 0 || depth > maxLook { // all of the history is here
			f.missing = true
			return failure.WithHint(failure.New(failure.NotFound, "commit %s is not on branch %q of %s", f.commit, f.branch, f.remote.URL()),
				"the branch's head is %s; a commit must be pushed before it can be built", f.head)
		}
		if err := f.deepen(ctx, depth*10); err != nil {
			return err
		}
	}
	if ability.Filter() && len(f.packs) == 0 {
		return f.single(ctx, f.target)
	}
	return nil
}

// firstLook is how many commits are fetched first when the commit is not the branch's head.
const firstLook = 20

// maxLook is the depth from which all of the history is fetched.
const maxLook = 20000

// look asks for commits of the branch: without their files if the server can do that and will give out the one that is found.
func (f *fetch) look(refs git.Refs, depth int) git.Request {
	if depth >= maxLook {
		depth = git.Unlimited
	}
	q := git.Request{Wants: []git.Hash{f.head}, Depth: depth}
	if refs.Filter() && refs.AnyCommit() {
		q.CommitsOnly = true
		f.shallow = map[git.Hash]bool{} // all of it is asked for again: commits are small
		return q
	}
	if len(f.packs) > 0 {
		q.Have = []git.Hash{f.head}
		for h := range f.shallow {
			q.Shallow = append(q.Shallow, h)
		}
	}
	return q
}

// deepen fetches more of the branch's history. A branch that has moved meanwhile does not matter: its old head is still in it.
func (f *fetch) deepen(ctx context.Context, depth int) error {
	f.Log.Info("looking further back for the commit", "commit", f.commit, "branch", f.branch, "commits", depth)
	return f.remote.Fetch(ctx, func(refs git.Refs) (git.Request, error) {
		head, err := refs.Branch(f.branch)
		if err == nil && head != f.head && !refs.AnyCommit() {
			f.head = head
			return f.look(refs, depth), f.reset()
		}
		return f.look(refs, depth), err
	}, f.receive)
}

// find looks for the commit among those that the head reaches.
func (f *fetch) find() error {
	seen := map[git.Hash]bool{f.head: true}
	for queue := []git.Hash{f.head}; len(queue) > 0; queue = queue[1:] {
		h := queue[0]
		c, here := f.commits[h]
		if !here {
			continue
		}
		if strings.HasPrefix(h.String(), f.commit) {
			if !f.target.IsZero() {
				return failure.New(failure.Usage, "git commit %q is ambiguous: it may be %s or %s", f.commit, f.target, h)
			}
			f.target = h
		}
		for _, parent := range c.Parents {
			if !seen[parent] {
				seen[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return nil
}

// single fetches one commit with its files and nothing else.
func (f *fetch) single(ctx context.Context, h git.Hash) error {
	known := f.commits
	return f.remote.Fetch(ctx, func(git.Refs) (git.Request, error) {
		err := f.reset()
		f.commits = known
		return git.Request{Wants: []git.Hash{h}, Depth: 1}, err
	}, f.receive)
}

// receive takes what the server sends. Commits without files are read and not kept.
func (f *fetch) receive(ctx context.Context, answer git.Answer) error {
	keep := !f.target.IsZero()
	dir := f.git("objects", "pack")
	p, err := pack.Receive(ctx, answer.Pack, dir, pack.Limits{}, pack.Visitor{
		Structure: func(t pack.Type, h git.Hash, data []byte) error { return f.structure(t, h, data, keep) },
		Blobs:     func() (bool, error) { return f.plan != nil, nil },
		Blob:      f.write,
	})
	if err != nil {
		return err
	}
	for _, h := range answer.Unshallow {
		delete(f.shallow, h)
	}
	for _, h := range answer.Shallow {
		f.shallow[h] = true
	}
	if f.commitsOnly(p) {
		return p.Discard()
	}
	f.packs = append(f.packs, p)
	return nil
}

// commitsOnly says whether the pack came without trees: its head's tree is not in it.
func (f *fetch) commitsOnly(p *pack.Pack) bool {
	c, ok := f.commits[f.head]
	return ok && f.target.IsZero() && len(f.packs) == 0 && !p.Has(c.Tree)
}

func (f *fetch) structure(t pack.Type, h git.Hash, data []byte, keep bool) error {
	switch {
	case t == plumbing.CommitObject:
		c, err := git.ParseCommit(h, data)
		if err != nil {
			return err
		}
		f.commits[h] = c
		if keep && h == f.target {
			f.plan = worktree.NewPlan(f.dir, c.Tree)
		}
	case t == plumbing.TreeObject && f.plan != nil:
		return f.plan.Tree(h, data)
	}
	return nil
}

// write creates the files that have a content.
func (f *fetch) write(h git.Hash, data []byte) error {
	const pointer = "version https://git-lfs.github.com/spec/"
	if len(data) < 1024 && strings.HasPrefix(string(data), pointer) {
		f.lfs.Add(1)
	}
	return f.plan.Write(h, data)
}

// checkout writes what was not written on arrival.
func (f *fetch) checkout(ctx context.Context) error {
	if f.plan == nil {
		f.plan = worktree.NewPlan(f.dir, f.commits[f.target].Tree)
	}
	for h, ok := f.plan.Wanted(); ok; h, ok = f.plan.Wanted() {
		data, err := f.tree(h)
		if err != nil {
			return err
		}
		if err := f.plan.Tree(h, data); err != nil {
			return err
		}
	}
	const parallel = 4
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, h := range f.plan.Missing() {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error { return f.writeMissing(h) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.plan.Finish(f.git("index")); err != nil {
		return err
	}
	return f.readModules()
}

// large is the size from which a file is not held in memory.
const large = 8 << 20

func (f *fetch) writeMissing(h git.Hash) error {
	for _, p := range f.packs {
		size, ok := p.Streamable(h)
		switch {
		case !ok:
		case size > large:
			return f.plan.WriteFrom(h, func(w io.Writer) error { return p.WriteTo(w, h) })
		default:
			_, data, err := p.Object(h)
			if err != nil {
				return err
			}
			return f.write(h, data)
		}
	}
	return failure.New(failure.Unavailable, "git server %s did not send the object %s", f.remote.URL().HostPort(), h)
}

// tree reads a tree from what was received.
func (f *fetch) tree(h git.Hash) ([]byte, error) {
	for _, p := range f.packs {
		if !p.Has(h) {
			continue
		}
		t, data, err := p.Object(h)
		if err == nil && t != plumbing.TreeObject {
			err = failure.New(failure.InvalidInput, "object %s is a %s where a tree belongs", h, t)
		}
		return data, err
	}
	return nil, failure.New(failure.Unavailable, "git server %s did not send the object %s", f.remote.URL().HostPort(), h)
}

// readModules keeps .gitmodules of a repository that has submodules, from the objects: the file might be a link.
func (f *fetch) readModules() error {
	h, ok := f.plan.File(".gitmodules")
	if !ok || len(f.plan.Submodules()) == 0 {
		return nil
	}
	for _, p := range f.packs {
		if !p.Has(h) {
			continue
		}
		_, data, err := p.Object(h)
		if err == nil && len(data) > maxModules {
			err = failure.New(failure.InvalidInput, ".gitmodules is larger than %d bytes", maxModules)
		}
		f.modulesFile = data
		return err
	}
	return nil
}

// removeAll empties a directory that may be a mount point.
func removeAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cleaning the workspace: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(dir + "/" + e.Name()); err != nil {
			return fmt.Errorf("cleaning the workspace: %w", err)
		}
	}
	return nil
}
