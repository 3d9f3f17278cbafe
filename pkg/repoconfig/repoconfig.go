// Package repoconfig reads the repo config file: the file in a repository by which its owners say whether it takes part in
// autorebuilds.
//
//	[autorebuild]
//	enabled = false
package repoconfig

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/configparser"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// DefaultName is the file's name where no other is configured.
const DefaultName = ".osbs-repo-config"

// maxSize bounds the file, in bytes.
const maxSize = 64 << 10

// Config is what the file says.
type Config struct {
	// Autorebuild says whether a change of the base may start a build. It is true when the file, the section or the key is absent.
	Autorebuild bool
}

// Read reads the file with the given name at the top of a repository. It does not follow a link out of the repository. A file that
// is malformed is InvalidInput: nobody should be rebuilt, or not be, because of a typing error.
func Read(repository, name string) (Config, error) {
	root, err := os.OpenRoot(repository)
	if err != nil {
		return Config{}, failure.New(failure.Storage, "reading %s: %w", name, err)
	}
	defer root.Close()
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{Autorebuild: true}, nil
	}
	if err != nil {
		return Config{}, failure.New(failure.InvalidInput, "reading %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return Config{}, failure.New(failure.InvalidInput, "%s is not a file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return Config{}, failure.New(failure.InvalidInput, "reading %s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return Config{}, failure.New(failure.Storage, "reading %s: %w", name, err)
	}
	return Parse(name, text)
}

// Parse reads the text of the file; name is for messages.
func Parse(name string, text []byte) (Config, error) {
	if len(text) > maxSize {
		return Config{}, failure.New(failure.InvalidInput, "%s is larger than %d bytes", name, maxSize)
	}
	file, err := configparser.Parse(string(text))
	var at *configparser.Error
	if errors.As(err, &at) {
		return Config{}, failure.New(failure.InvalidInput, "%s is malformed: line %d: %w", name, at.Line, err)
	}
	if err != nil {
		return Config{}, failure.New(failure.InvalidInput, "%s is malformed: %w", name, err)
	}
	section := file.Sections["autorebuild"]
	if section == nil {
		return Config{Autorebuild: true}, nil
	}
	if _, ok := section.Keys["enabled"]; !ok {
		return Config{Autorebuild: true}, nil
	}
	value, err := file.Value(section, "enabled")
	if err != nil {
		return Config{}, failure.New(failure.InvalidInput, "%s is malformed: %w", name, err)
	}
	switch strings.ToLower(value) {
	case "1", "true", "yes", "on":
		return Config{Autorebuild: true}, nil
	case "0", "false", "no", "off":
		return Config{Autorebuild: false}, nil
	default:
		return Config{}, failure.WithHint(failure.New(failure.InvalidInput, "%s: [autorebuild] enabled = %.40q is neither true nor false", name, value),
			"accepted are 1, true, yes, on, 0, false, no and off, in any case")
	}
}
