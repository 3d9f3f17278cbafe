// Package repoconfig reads the files at a repository's top level by which its owners say how it takes part in autorebuilds: whether
// it does, in the repo config file,
//
//	[autorebuild]
//	enabled = false
//
// and from which commit and with which release, in container.yaml, of which it reads that one map:
//
//	autorebuild:
//	  from_latest: true
//	  add_timestamp_to_release: true
//	  ignore_isolated_builds: true
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

// DefaultName is the repo config file's name where no other is configured.
const DefaultName = ".osbs-repo-config"

// maxSize bounds the repo config file, in bytes.
const maxSize = 64 << 10

// Config is what the files say.
type Config struct {
	// Autorebuild says whether a change of the base may start a build. It is true when the repo config file, the section or the key is
	// absent.
	Autorebuild bool
	Container
}

// Read reads the repo config file with the given name, and container.yaml, at the top of a repository. It follows no link out of the
// repository. A file that is malformed is InvalidInput: nobody should be rebuilt, or not be, because of a typing error. What
// container.yaml says does not matter, and is not read, where autorebuilds are disabled.
func Read(repository, name string) (Config, error) {
	if name == "" {
		name = DefaultName
	}
	root, err := os.OpenRoot(repository)
	if err != nil {
		return Config{}, failure.New(failure.Storage, "reading %s: %w", name, err)
	}
	defer root.Close()
	text, err := readFile(root, name, maxSize)
	if err != nil {
		return Config{}, err
	}
	c := Config{Container: Absent()}
	if c.Autorebuild, err = Parse(name, text); err != nil || !c.Autorebuild {
		return c, err
	}
	if text, err = readFile(root, ContainerName, maxContainer); err != nil {
		return Config{}, err
	}
	c.Container, err = ParseContainer(text)
	return c, err
}

// readFile reads one byte more than the limit at most; nothing of a file that does not exist.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "reading %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, failure.New(failure.InvalidInput, "%s is not a file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "reading %s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading %s: %w", name, err)
	}
	return text, nil
}

// Parse reads in the text of the repo config file whether autorebuilds are enabled; name is for messages.
func Parse(name string, text []byte) (enabled bool, err error) {
	if len(text) > maxSize {
		return false, failure.New(failure.InvalidInput, "%s is larger than %d bytes", name, maxSize)
	}
	file, err := configparser.Parse(string(text))
	var at *configparser.Error
	if errors.As(err, &at) {
		return false, failure.New(failure.InvalidInput, "%s is malformed: line %d: %w", name, at.Line, err)
	}
	if err != nil {
		return false, failure.New(failure.InvalidInput, "%s is malformed: %w", name, err)
	}
	section := file.Sections["autorebuild"]
	if section == nil {
		return true, nil
	}
	if _, ok := section.Keys["enabled"]; !ok {
		return true, nil
	}
	value, err := file.Value(section, "enabled")
	if err != nil {
		return false, failure.New(failure.InvalidInput, "%s is malformed: %w", name, err)
	}
	switch strings.ToLower(value) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	default:
		return false, failure.WithHint(failure.New(failure.InvalidInput, "%s: [autorebuild] enabled = %.40q is neither true nor false", name, value),
			"accepted are 1, true, yes, on, 0, false, no and off, in any case")
	}
}
