package tags

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// AdditionalFile is the file at a git repository's top level that names further floating tags, one a line.
const AdditionalFile = "additional-tags"

const (
	maxAdditionalFile = 64 << 10 // bytes
	maxAdditional     = 100      // tags
	maxWarnings       = 10
)

// additional is what a line of the file may be. A `-` is refused: a floating tag must never look like a primary one.
var additional = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.]{0,127}$`)

// ReadAdditional reads the additional-tags file in dir; that there is none is no error. Lines that are no tag are told in warnings
// and left out. A file that cannot be what it should be (no regular file, not text, too large, too many tags) is
// failure.InvalidInput. The file comes from a git repository: a symbolic link is not followed.
func ReadAdditional(dir string) (found, warnings []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, failure.New(failure.Storage, "opening the sources: %w", err)
	}
	defer root.Close()
	info, err := root.Lstat(AdditionalFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, nil, failure.New(failure.Storage, "reading %s: %w", AdditionalFile, err)
	case !info.Mode().IsRegular():
		return nil, nil, failure.New(failure.InvalidInput, "%s is not a regular file", AdditionalFile)
	}
	f, err := root.OpenFile(AdditionalFile, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, failure.New(failure.Storage, "reading %s: %w", AdditionalFile, err)
	}
	defer f.Close()
	return ParseAdditional(f)
}

// ParseAdditional is ReadAdditional for the file's content.
func ParseAdditional(r io.Reader) (found, warnings []string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxAdditionalFile+1))
	switch {
	case err != nil:
		return nil, nil, failure.New(failure.Storage, "reading %s: %w", AdditionalFile, err)
	case len(data) > maxAdditionalFile:
		return nil, nil, failure.New(failure.InvalidInput, "%s is larger than %d bytes", AdditionalFile, maxAdditionalFile)
	case !utf8.Valid(data) || strings.ContainsRune(string(data), 0):
		return nil, nil, failure.WithHint(failure.New(failure.InvalidInput, "%s is not a text file", AdditionalFile), "it holds one tag a line")
	}
	seen, bad := map[string]bool{}, 0
	lines := bufio.NewScanner(strings.NewReader(string(data)))
	lines.Buffer(nil, maxAdditionalFile+1)
	for n := 1; lines.Scan(); n++ {
		tag := strings.TrimSpace(lines.Text())
		switch {
		case tag == "" || seen[tag]:
		case additional.MatchString(tag):
			seen[tag] = true
			found = append(found, tag)
		default:
			if bad++; bad <= maxWarnings {
				warnings = append(warnings, fmt.Sprintf("%s, line %d: %s is ignored: it is not a tag, or has a -", AdditionalFile, n, quote(tag)))
			}
		}
	}
	if bad > maxWarnings {
		warnings = append(warnings, fmt.Sprintf("%s: %d more lines are ignored", AdditionalFile, bad-maxWarnings))
	}
	if len(found) > maxAdditional {
		return nil, warnings, failure.New(failure.InvalidInput, "%s names %d tags, at most %d are accepted", AdditionalFile, len(found), maxAdditional)
	}
	return found, warnings, nil
}
