package detectbase

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Bounds of the search for candidates when there is no Dockerfile.
const (
	maxCandidates = 10
	maxEntries    = 20000
	maxDepth      = 4
)

// readDockerfile parses the Dockerfile at path below source. The sources are hostile: nothing outside of them is read, whatever
// links say. The path returned is clean, and relative to source.
func readDockerfile(source, path string) (*dockerfile.File, string, error) {
	clean := filepath.Clean(path)
	if !filepath.IsLocal(clean) {
		return nil, "", failure.New(failure.Usage, "the Dockerfile's path %q leads out of the repository", path)
	}
	root, err := os.OpenRoot(source)
	if err != nil {
		return nil, "", failure.New(failure.NotFound, "the workspace holds no sources: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, "", noDockerfile(root, clean)
	case err != nil:
		return nil, "", failure.New(failure.InvalidInput, "the Dockerfile %q cannot be read: %w", clean, err)
	case info.IsDir():
		return nil, "", failure.WithHint(failure.New(failure.InvalidInput, "%q is a directory, not a Dockerfile", clean),
			"give the file's path, such as %s", filepath.Join(clean, "Dockerfile"))
	case !info.Mode().IsRegular():
		return nil, "", failure.New(failure.InvalidInput, "%q is not a regular file", clean)
	}
	f, err := root.Open(clean)
	if err != nil {
		return nil, "", failure.New(failure.InvalidInput, "the Dockerfile %q cannot be read: %w", clean, err)
	}
	defer f.Close()
	parsed, err := dockerfile.Parse(f)
	return parsed, clean, err
}

// noDockerfile says what was looked for, and what is there instead.
func noDockerfile(root *os.Root, path string) error {
	err := failure.New(failure.InvalidInput, "no Dockerfile: the repository has no file %q", path)
	found := candidates(root)
	if len(found) == 0 {
		return failure.WithHint(err, "add one, or name another file with dockerfile")
	}
	return failure.WithHint(err, "set dockerfile to one of: %s", strings.Join(found, ", "))
}

// candidates looks for files that are named like a Dockerfile, near the top first.
func candidates(root *os.Root) []string {
	var found []string
	entries := 0
	_ = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		entries++
		switch {
		case entries > maxEntries:
			return fs.SkipAll
		case err != nil:
			return fs.SkipDir // only a hint: what cannot be read is no candidate
		case e.IsDir() && (e.Name() == ".git" || strings.Count(path, "/") >= maxDepth):
			return fs.SkipDir
		case !e.IsDir() && looksLikeDockerfile(e.Name()):
			found = append(found, path)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b string) int {
		if d := strings.Count(a, "/") - strings.Count(b, "/"); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if len(found) > maxCandidates {
		found = append(found[:maxCandidates], "...")
	}
	return found
}

func looksLikeDockerfile(name string) bool {
	lower := strings.ToLower(name)
	for _, stem := range []string{"dockerfile", "containerfile"} {
		if lower == stem || strings.HasPrefix(lower, stem+".") || strings.HasSuffix(lower, "."+stem) {
			return true
		}
	}
	return false
}
