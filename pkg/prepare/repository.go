package prepare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/git"
	"github.com/osbs-tekton/osbs/pkg/git/worktree"
)

// repository is the clone in the workspace.
type repository struct {
	dir   string
	store *filesystem.Storage
	made  map[git.Hash]bool // the objects that a push sends
}

func openRepository(dir string) *repository {
	r := &repository{dir: dir, made: map[git.Hash]bool{}}
	r.reopen()
	return r
}

// reopen makes packs visible that came since.
func (r *repository) reopen() {
	r.store = filesystem.NewStorage(osfs.New(filepath.Join(r.dir, ".git"), osfs.WithBoundOS()), cache.NewObjectLRU(8*cache.MiByte))
}

func (r *repository) packs() string { return filepath.Join(r.dir, ".git", "objects", "pack") }

// maxObject bounds what is read of one object, in bytes.
const maxObject = 64 << 20

func (r *repository) object(t plumbing.ObjectType, h git.Hash) ([]byte, error) {
	o, err := r.store.EncodedObject(t, h)
	if err != nil {
		return nil, failure.New(failure.Storage, "the clone in the workspace is damaged: object %s: %w", h, err)
	}
	if o.Size() > maxObject {
		return nil, failure.New(failure.InvalidInput, "object %s is larger than %d bytes", h, maxObject)
	}
	in, err := o.Reader()
	if err != nil {
		return nil, failure.New(failure.Storage, "reading object %s: %w", h, err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxObject))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading object %s: %w", h, err)
	}
	return data, nil
}

func (r *repository) read(h git.Hash) (git.Commit, error) {
	data, err := r.object(plumbing.CommitObject, h)
	if err != nil {
		return git.Commit{}, err
	}
	return git.ParseCommit(h, data)
}

// dockerfile reads the Dockerfile as it is in a commit.
func (r *repository) dockerfile(commit git.Hash, name string) ([]byte, error) {
	c, err := r.read(commit)
	if err != nil {
		return nil, err
	}
	actual, entry, err := r.resolve(c.Tree, name)
	if err != nil {
		return nil, err
	}
	data, err := r.object(plumbing.BlobObject, entry.Hash)
	if err == nil && len(data) > dockerfile.MaxSize {
		err = failure.New(failure.InvalidInput, "%s is larger than %d bytes", actual, dockerfile.MaxSize)
	}
	return data, err
}

// maxLinks bounds how many links lead to a file, as Linux does.
const maxLinks = 40

// resolve finds a file in a tree, through links inside of the tree.
func (r *repository) resolve(tree git.Hash, name string) (string, worktree.Entry, error) {
	todo, at := strings.Split(path.Clean(filepath.ToSlash(name)), "/"), ""
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		if part == ".." {
			if at == "" {
				return "", worktree.Entry{}, failure.New(failure.InvalidInput, "%s leads out of the repository", name)
			}
			at = path.Dir("/" + at)[1:]
			continue
		}
		if part == "." || part == "" {
			continue
		}
		entry, err := r.entry(tree, path.Join(at, part))
		if err != nil {
			return "", entry, err
		}
		if entry.Link() {
			target, err := r.object(plumbing.BlobObject, entry.Hash)
			if err != nil {
				return "", entry, err
			}
			if links++; links > maxLinks || path.IsAbs(string(target)) {
				return "", entry, failure.New(failure.InvalidInput, "%s is a link that leads out of the repository, or in a circle", name)
			}
			todo = append(strings.Split(string(target), "/"), todo...)
			continue
		}
		at = path.Join(at, part)
		if len(todo) == 0 {
			if !entry.File() {
				return "", entry, failure.New(failure.InvalidInput, "%s is not a file", name)
			}
			return at, entry, nil
		}
	}
	return "", worktree.Entry{}, failure.New(failure.InvalidInput, "%s is not a file", name)
}

// entry finds a path in a tree, following no link.
func (r *repository) entry(tree git.Hash, name string) (worktree.Entry, error) {
	entry := worktree.Entry{Hash: tree}
	for part := range strings.SplitSeq(name, "/") {
		data, err := r.object(plumbing.TreeObject, entry.Hash)
		if err != nil {
			return entry, err
		}
		found, ok := worktree.Find(data, part)
		if !ok {
			return entry, failure.New(failure.NotFound, "%s does not exist in the repository", name)
		}
		entry = found
	}
	return entry, nil
}

// change is a commit that changes one file.
type change struct {
	parents   []git.Hash // the tree is that of the first
	path      string
	text      []byte
	signature string
	message   string
}

// made is a commit that was made.
type made struct {
	hash git.Hash
	time time.Time
}

// commit makes a commit. Its time is that of the latest of its parents, not the time of day: the same change to the same commit is the
// same commit, whenever and however often it is made; and files in layers have the commit's time, which a bump is no reason to change.
func (r *repository) commit(c change) (made, error) {
	var latest time.Time
	var tree git.Hash
	for i, parent := range c.parents {
		p, err := r.read(parent)
		if err != nil {
			return made{}, err
		}
		if i == 0 {
			tree = p.Tree
		}
		if p.Time.After(latest) {
			latest = p.Time
		}
	}
	name, _, err := r.resolve(tree, c.path)
	if err != nil {
		return made{}, err
	}
	blob, err := r.write(plumbing.BlobObject, c.text)
	if err != nil {
		return made{}, err
	}
	if tree, err = r.replace(tree, strings.Split(name, "/"), blob); err != nil {
		return made{}, err
	}
	when := latest
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, parent := range c.parents {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	fmt.Fprintf(&b, "author %s %d +0000\ncommitter %s %d +0000\n\n%s\n", c.signature, when.Unix(), c.signature, when.Unix(), c.message)
	h, err := r.write(plumbing.CommitObject, b.Bytes())
	return made{h, when}, err
}

// replace writes a tree that differs from the given one in one file.
func (r *repository) replace(tree git.Hash, name []string, blob git.Hash) (git.Hash, error) {
	data, err := r.object(plumbing.TreeObject, tree)
	if err != nil {
		return tree, err
	}
	if len(name) > 1 {
		sub, ok := worktree.Find(data, name[0])
		if !ok {
			return tree, failure.New(failure.NotFound, "%s does not exist in the repository", name[0])
		}
		if blob, err = r.replace(sub.Hash, name[1:], blob); err != nil {
			return tree, err
		}
	}
	return r.write(plumbing.TreeObject, worktree.Replace(data, name[0], blob))
}

func (r *repository) write(t plumbing.ObjectType, data []byte) (git.Hash, error) {
	o := r.store.NewEncodedObject()
	o.SetType(t)
	w, err := o.Writer()
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	h := o.Hash()
	if err == nil && r.store.HasEncodedObject(h) != nil {
		_, err = r.store.SetEncodedObject(o)
	}
	if err != nil {
		return h, failure.New(failure.Storage, "writing to the clone in the workspace: %w", err)
	}
	r.made[h] = true
	return h, nil
}

// checkout makes the branch, the file and git's index those of a commit that changed one file.
func (r *repository) checkout(branch string, commit made, name string, text []byte) error {
	if err := r.writeSource(name, text); err != nil {
		return err
	}
	ref := filepath.Join(r.dir, ".git", "refs", "heads", filepath.FromSlash(branch))
	if err := renameio.WriteFile(ref, []byte(commit.hash.String()+"\n"), 0o644); err != nil {
		return failure.New(failure.Storage, "writing to the clone in the workspace: %w", err)
	}
	return r.refreshIndex(commit.hash, name)
}

// writeSource replaces a file of the sources; links are followed inside of them only.
func (r *repository) writeSource(name string, text []byte) error {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return failure.New(failure.Storage, "writing %s: %w", name, err)
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return failure.New(failure.Storage, "writing %s: %w", name, err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return failure.New(failure.Storage, "writing %s: %w", name, err)
	}
	return nil
}

// refreshIndex tells git's index of the changed file, so that git status shows none.
func (r *repository) refreshIndex(commit git.Hash, name string) error {
	c, err := r.read(commit)
	if err != nil {
		return err
	}
	actual, entry, err := r.resolve(c.Tree, name)
	if err != nil {
		return err
	}
	index, err := r.store.Index()
	if err != nil {
		return failure.New(failure.Storage, "reading git's index: %w", err)
	}
	e, err := index.Entry(actual)
	if err != nil {
		return failure.New(failure.Storage, "reading git's index: %w", err)
	}
	info, err := os.Lstat(filepath.Join(r.dir, filepath.FromSlash(actual)))
	if err != nil {
		return failure.New(failure.Storage, "reading %s: %w", actual, err)
	}
	e.Hash, e.ModifiedAt, e.Size = entry.Hash, info.ModTime(), uint32(info.Size())
	if err := r.store.SetIndex(index); err != nil {
		return failure.New(failure.Storage, "writing git's index: %w", err)
	}
	return nil
}

// shallow reads which commits' parents are not here.
func (r *repository) shallow() ([]git.Hash, error) {
	h, err := r.store.Shallow()
	if err != nil {
		return nil, failure.New(failure.Storage, "reading the clone in the workspace: %w", err)
	}
	return h, nil
}

// reaches says whether a commit is in the history of another, as far as that is here.
func (r *repository) reaches(from, to git.Hash) bool {
	seen := map[git.Hash]bool{from: true}
	for queue := []git.Hash{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			return true
		}
		if r.store.HasEncodedObject(queue[0]) != nil {
			continue
		}
		c, err := r.read(queue[0])
		if err != nil {
			continue
		}
		for _, parent := range c.Parents {
			if !seen[parent] {
				seen[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return false
}

// collect adds the objects of a commit that changed one file, made by an earlier run, to those that pack packs.
func (r *repository) collect(commit git.Hash, name string) error {
	c, err := r.read(commit)
	if err != nil {
		return err
	}
	actual, entry, err := r.resolve(c.Tree, name)
	if err != nil {
		return err
	}
	r.made[commit], r.made[c.Tree], r.made[entry.Hash] = true, true, true
	for dir := path.Dir(actual); dir != "."; dir = path.Dir(dir) {
		sub, err := r.entry(c.Tree, dir)
		if err != nil {
			return err
		}
		r.made[sub.Hash] = true
	}
	return nil
}

// pack packs what was made on top of what the server has.
func (r *repository) pack() (io.ReadCloser, error) {
	hashes := make([]git.Hash, 0, len(r.made))
	for h := range r.made {
		hashes = append(hashes, h)
	}
	var b bytes.Buffer
	if _, err := packfile.NewEncoder(&b, r.store, false).Encode(hashes, 0); err != nil {
		return nil, failure.New(failure.Storage, "packing the bump: %w", err)
	}
	return io.NopCloser(&b), nil
}
