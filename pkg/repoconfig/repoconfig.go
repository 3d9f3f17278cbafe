// Package repoconfig reads the repo config file: the file in a repository by which its owners say whether it takes part in
// autorebuilds.
//
//	[autorebuild]
//	enabled = false
package repoconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

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
	values, err := parse(text)
	if err != nil {
		return Config{}, failure.New(failure.InvalidInput, "%s is malformed: %w", name, err)
	}
	value, ok := values["autorebuild"]["enabled"]
	if !ok {
		return Config{Autorebuild: true}, nil
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

// parse reads INI as Python's ConfigParser does, as far as such a file needs it: keys are not case-sensitive, sections are, = and :
// part key and value, # and ; begin a comment line, a line that begins with a space goes on with the value before it.
func parse(text []byte) (map[string]map[string]string, error) {
	if len(text) > maxSize {
		return nil, fmt.Errorf("it is larger than %d bytes", maxSize)
	}
	if !utf8.Valid(text) || strings.ContainsRune(string(text), 0) {
		return nil, errors.New("it is not text in UTF-8")
	}
	values, section, key := map[string]map[string]string{}, "", ""
	body := strings.TrimPrefix(string(text), "\ufeff")
	n := 0
	for raw := range strings.SplitSeq(strings.ReplaceAll(body, "\r\n", "\n"), "\n") {
		n++
		line := strings.TrimSpace(raw)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case raw[0] == ' ' || raw[0] == '\t':
			if key == "" {
				return nil, fmt.Errorf("line %d begins with a space, and there is no value that it could go on with", n)
			}
			values[section][key] += "\n" + line
		case line[0] == '[':
			name, err := sectionName(line, n)
			if err != nil {
				return nil, err
			}
			if values[name] != nil {
				return nil, fmt.Errorf("line %d: the section [%.40s] is there twice", n, name)
			}
			section, key, values[name] = name, "", map[string]string{}
		default:
			var value string
			var err error
			if key, value, err = keyValue(line, n, values[section]); err != nil {
				return nil, err
			}
			values[section][key] = value
		}
	}
	return values, nil
}

func sectionName(line string, n int) (string, error) {
	name, rest, ok := strings.Cut(line[1:], "]")
	if !ok || name == "" || strings.TrimSpace(rest) != "" && !strings.ContainsAny(strings.TrimSpace(rest)[:1], "#;") {
		return "", fmt.Errorf("line %d is no section: %.40q", n, line)
	}
	return name, nil
}

func keyValue(line string, n int, section map[string]string) (key, value string, err error) {
	at := strings.IndexAny(line, "=:")
	switch {
	case section == nil:
		return "", "", fmt.Errorf("line %d comes before the first section", n)
	case at <= 0:
		return "", "", fmt.Errorf("line %d is neither a section nor KEY = VALUE: %.40q", n, line)
	}
	key = strings.ToLower(strings.TrimSpace(line[:at]))
	if _, twice := section[key]; twice {
		return "", "", fmt.Errorf("line %d: the key %.40q is there twice", n, key)
	}
	return key, strings.TrimSpace(line[at+1:]), nil
}
