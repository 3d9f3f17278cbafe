// Package worktree writes the files of a git tree into a directory, and git's index of them. The tree comes from outside and is not
// trusted: a name that git itself would refuse is refused before anything is written, no file is written through a link, and links
// are made last.
package worktree

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Hash is the name of an object.
type Hash = plumbing.Hash

// Modes of a tree's entries, as git stores them.
const (
	modeTree       = 0o040000
	modeFile       = 0o100644
	modeFileGroup  = 0o100664 // written by very old versions of git
	modeExecutable = 0o100755
	modeLink       = 0o120000
	modeSubmodule  = 0o160000
)

// Limits on a tree. A path longer than this cannot be created on Linux, and no repository that people work with has more files.
const (
	maxFiles   = 1 << 20
	maxDirs    = 1 << 18
	maxPath    = 4000
	maxName    = 255
	maxLink    = 4095
	maxNesting = 500
)

// file is one file, link or submodule of a tree.
type file struct {
	path string // relative, with /
	mode uint32
	hash Hash

	written bool
	stat    unix.Stat_t
	target  []byte // of a link
}

// Plan is what a tree becomes on disk. It grows while the trees arrive, in any order; files can be written as soon as the trees
// above them are known. Its methods are safe for concurrent use, but for Finish.
type Plan struct {
	root string

	mu     sync.Mutex
	files  []*file
	byHash map[Hash][]*file
	dirs   int
	trees  map[Hash][]byte   // all trees that have arrived
	wanted map[Hash][]string // trees that have not, with the paths of the directories that they are, which end with /
}

// Submodule is a repository inside of the tree.
type Submodule struct {
	// Path is where it belongs, relative to the root.
	Path string
	// Commit is the commit that belongs there.
	Commit Hash
}

// NewPlan is the plan for the tree with the given name, in the directory root.
func NewPlan(root string, tree Hash) *Plan {
	return &Plan{root: root, byHash: map[Hash][]*file{}, trees: map[Hash][]byte{}, wanted: map[Hash][]string{tree: {""}}}
}

// dir is a tree at a place.
type dir struct {
	tree   Hash
	prefix string
}

// Tree tells the plan of a tree, whether it belongs to the plan or not, and creates the directories in it. The plan keeps data. An
// error of the kind InvalidInput names a path that is refused.
func (p *Plan) Tree(h Hash, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trees[h] = data
	var todo []dir
	for _, prefix := range p.wanted[h] {
		todo = append(todo, dir{h, prefix})
	}
	delete(p.wanted, h)
	for len(todo) > 0 {
		last := todo[len(todo)-1]
		more, err := p.enter(last, todo[:len(todo)-1])
		if err != nil {
			return err
		}
		todo = more
	}
	return nil
}

// Wanted is a tree that the plan still lacks; ok is false if it is complete.
func (p *Plan) Wanted() (h Hash, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for h := range p.wanted {
		return h, true
	}
	return Hash{}, false
}

// enter adds the entries of one directory. Directories whose trees are here are put on the list of those to be entered.
func (p *Plan) enter(d dir, todo []dir) ([]dir, error) {
	if strings.Count(d.prefix, "/") > maxNesting {
		return nil, refuse(d.prefix, "directories are nested too deeply")
	}
	if d.prefix != "" {
		if p.dirs++; p.dirs > maxDirs {
			return nil, refuse(d.prefix, "the repository has too many directories")
		}
		if err := makeDir(p.root, d.prefix); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for data := p.trees[d.tree]; len(data) > 0; {
		mode, name, hash, rest, ok := nextEntry(data)
		if !ok {
			return nil, refuse(d.prefix, "the tree is malformed")
		}
		data = rest
		full := d.prefix + name
		if why := badName(name); why != "" {
			return nil, refuse(full, why)
		}
		if seen[name] {
			return nil, refuse(full, "the name is there twice")
		}
		seen[name] = true
		if len(full) > maxPath {
			return nil, refuse(full[:100]+"...", "the path is too long")
		}
		if mode == modeTree {
			todo = p.addDir(dir{hash, full + "/"}, todo)
			continue
		}
		if err := p.addFile(mode, full, hash); err != nil {
			return nil, err
		}
	}
	return todo, nil
}

func (p *Plan) addDir(d dir, todo []dir) []dir {
	if _, here := p.trees[d.tree]; here {
		return append(todo, d)
	}
	p.wanted[d.tree] = append(p.wanted[d.tree], d.prefix)
	return todo
}

func (p *Plan) addFile(mode uint32, full string, hash Hash) error {
	f := &file{path: full, mode: mode, hash: hash}
	switch mode {
	case modeFileGroup:
		f.mode = modeFile
	case modeFile, modeExecutable, modeLink:
	case modeSubmodule:
		if err := makeDir(p.root, full); err != nil {
			return err
		}
	default:
		return refuse(full, fmt.Sprintf("mode %o is not one of git's", mode))
	}
	if len(p.files) >= maxFiles {
		return refuse(full, "the repository has too many files")
	}
	p.files = append(p.files, f)
	if f.mode != modeSubmodule {
		p.byHash[hash] = append(p.byHash[hash], f)
	}
	return nil
}

func makeDir(root, name string) error {
	if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
		return failure.New(failure.Storage, "writing the sources: %w", err)
	}
	return nil
}

// nextEntry splits the first entry from a tree: mode in octal, space, name, NUL, hash.
func nextEntry(data []byte) (mode uint32, name string, hash Hash, rest []byte, ok bool) {
	space := bytes.IndexByte(data, ' ')
	end := bytes.IndexByte(data, 0)
	if space < 1 || space > 7 || end <= space+1 || len(data) < end+1+len(hash) {
		return 0, "", hash, nil, false
	}
	for _, c := range data[:space] {
		if c < '0' || c > '7' {
			return 0, "", hash, nil, false
		}
		mode = mode<<3 | uint32(c-'0')
	}
	copy(hash[:], data[end+1:])
	return mode, string(data[space+1 : end]), hash, data[end+1+len(hash):], true
}

// badName says why a file may not have the name, or nothing. These are the names that git refuses, on the file systems that fold
// case or drop characters too: a workspace may be on one.
func badName(name string) string {
	folded := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // HFS+ ignores them
			return -1
		}
		return r
	}, name))
	switch {
	case name == "." || name == "..":
		return "it leads out of its directory"
	case strings.Contains(name, "/"):
		return "the name holds a /"
	case len(name) > maxName:
		return "the name is too long"
	case strings.TrimRight(folded, ". ") == ".git" || strings.HasPrefix(folded, ".git:") || strings.TrimRight(folded, ". ") == "git~1":
		return "the name is git's own"
	case strings.HasPrefix(folded, ".git\\") || strings.HasPrefix(name, "..\\"):
		return "the name leads elsewhere on some systems"
	default:
		return ""
	}
}

func refuse(path, why string) error {
	return failure.WithHint(failure.New(failure.InvalidInput, "the repository holds the path %q, which is refused: %s", path, why),
		"git fsck in a clone of the repository shows such entries")
}

// Submodules are the repositories inside of the tree.
func (p *Plan) Submodules() []Submodule {
	var all []Submodule
	for _, f := range p.files {
		if f.mode == modeSubmodule {
			all = append(all, Submodule{f.path, f.hash})
		}
	}
	return all
}

// File is the content's name of a file, not a link, in the tree.
func (p *Plan) File(path string) (Hash, bool) {
	for _, f := range p.files {
		if f.path == path && (f.mode == modeFile || f.mode == modeExecutable) {
			return f.hash, true
		}
	}
	return Hash{}, false
}

// Files is the number of files and links.
func (p *Plan) Files() int { return len(p.files) }

// Missing are the objects of which a file has not been written yet, each once.
func (p *Plan) Missing() []Hash {
	p.mu.Lock()
	defer p.mu.Unlock()
	var missing []Hash
	for h, files := range p.byHash {
		if len(files) > 0 {
			missing = append(missing, h)
		}
	}
	return missing
}

// take gives out the files with a content that nobody has written yet.
func (p *Plan) take(h Hash) []*file {
	p.mu.Lock()
	defer p.mu.Unlock()
	files := p.byHash[h]
	delete(p.byHash, h)
	return files
}
