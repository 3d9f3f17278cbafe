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
	maxFiles   = 2 << 20
	maxDirs    = 1 << 20
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

// Plan is what a tree becomes on disk.
type Plan struct {
	root   string
	dirs   []string // each after its parent
	files  []file
	byHash map[Hash][]int
}

// Submodule is a repository inside of the tree.
type Submodule struct {
	// Path is where it belongs, relative to the root.
	Path string
	// Commit is the commit that belongs there.
	Commit Hash
}

// NewPlan walks the tree with the given name and checks every name in it; get returns the data of a tree. An error of the kind
// InvalidInput names the path that is refused.
func NewPlan(root string, tree Hash, get func(Hash) ([]byte, error)) (*Plan, error) {
	p := &Plan{root: root, byHash: map[Hash][]int{}}
	if err := p.walk(tree, "", 0, get); err != nil {
		return nil, err
	}
	for i := range p.files {
		if f := &p.files[i]; f.mode != modeSubmodule {
			p.byHash[f.hash] = append(p.byHash[f.hash], i)
		}
	}
	return p, nil
}

func (p *Plan) walk(tree Hash, prefix string, depth int, get func(Hash) ([]byte, error)) error {
	data, err := get(tree)
	if err != nil {
		return fmt.Errorf("tree of %q: %w", prefix, err)
	}
	if depth > maxNesting {
		return refuse(prefix, "directories are nested too deeply")
	}
	seen := map[string]bool{}
	for len(data) > 0 {
		mode, name, hash, rest, ok := nextEntry(data)
		if !ok {
			return refuse(prefix, "the tree is malformed")
		}
		data = rest
		full := prefix + name
		if why := badName(name); why != "" {
			return refuse(full, why)
		}
		if seen[name] {
			return refuse(full, "the name is there twice")
		}
		seen[name] = true
		if len(full) > maxPath {
			return refuse(full[:100]+"...", "the path is too long")
		}
		if err := p.add(mode, full, hash, depth, get); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) add(mode uint32, full string, hash Hash, depth int, get func(Hash) ([]byte, error)) error {
	switch mode {
	case modeTree:
		if len(p.dirs) >= maxDirs {
			return refuse(full, "the repository has too many directories")
		}
		p.dirs = append(p.dirs, full)
		return p.walk(hash, full+"/", depth+1, get)
	case modeFileGroup:
		mode = modeFile
	case modeFile, modeExecutable, modeLink:
	case modeSubmodule:
		p.dirs = append(p.dirs, full)
	default:
		return refuse(full, fmt.Sprintf("mode %o is not one of git's", mode))
	}
	if len(p.files) >= maxFiles {
		return refuse(full, "the repository has too many files")
	}
	p.files = append(p.files, file{path: full, mode: mode, hash: hash})
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
	for i := range p.files {
		if f := &p.files[i]; f.mode == modeSubmodule {
			all = append(all, Submodule{f.path, f.hash})
		}
	}
	return all
}

// File is the content's name of a file, not a link, in the tree.
func (p *Plan) File(path string) (Hash, bool) {
	for i := range p.files {
		if f := &p.files[i]; f.path == path && (f.mode == modeFile || f.mode == modeExecutable) {
			return f.hash, true
		}
	}
	return Hash{}, false
}

// Files is the number of files and links.
func (p *Plan) Files() int { return len(p.files) }

// MakeDirs creates all directories. Nothing but .git may be in the root yet.
func (p *Plan) MakeDirs() error {
	for _, dir := range p.dirs {
		if err := os.Mkdir(filepath.Join(p.root, dir), 0o755); err != nil { //nolint:gosec // the mode that git gives; sources are no secret
			return failure.New(failure.Storage, "writing the sources: %w", err)
		}
	}
	return nil
}

// Missing are the objects that have not been written yet, each once, in the order of the tree.
func (p *Plan) Missing() []Hash {
	var missing []Hash
	seen := map[Hash]bool{}
	for i := range p.files {
		f := &p.files[i]
		if f.mode != modeSubmodule && !f.written && f.target == nil && !seen[f.hash] {
			seen[f.hash] = true
			missing = append(missing, f.hash)
		}
	}
	return missing
}
