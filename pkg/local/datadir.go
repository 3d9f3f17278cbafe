package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// layoutVersion is the layout of the data directory that this program reads and writes. A later one can tell from the file `version`
// what it finds, and migrate it.
const layoutVersion = 1

// VariableDataDir is the environment variable that names the data directory.
const VariableDataDir = "OSBS_DATA_DIR"

// dataDir is the directory that holds all state of a local instance.
type dataDir string

// DefaultDataDir is $OSBS_DATA_DIR, else osbs in $XDG_DATA_HOME, else in ~/.local/share. getenv is os.Getenv outside tests.
func DefaultDataDir(getenv func(string) string) (string, error) {
	if dir := getenv(VariableDataDir); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "osbs"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", failure.WithHint(failure.New(failure.Usage, "there is no directory for builds and images: HOME is not set"),
			"set %s to a directory", VariableDataDir)
	}
	return filepath.Join(home, ".local", "share", "osbs"), nil
}

func (d dataDir) join(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

func (d dataDir) registry() string     { return d.join("registry") }
func (d dataDir) imageStreams() string { return d.join("imagestreams") }
func (d dataDir) buildConfigs() string { return d.join("buildconfigs") }
func (d dataDir) locks() string        { return d.join("locks") }
func (d dataDir) builds() string       { return d.join("builds") }
func (d dataDir) storage() string      { return d.join("storage") }
func (d dataDir) temporary() string    { return d.join("tmp") }
func (d dataDir) versionFile() string  { return d.join("version") }

// build is the directory of one build's record, log and workspace.
func (d dataDir) build(name string) string { return d.join("builds", name) }

// open makes the directory if need be and checks its layout.
func (d dataDir) open() error {
	for _, dir := range []string{string(d), d.registry(), d.imageStreams(), d.buildConfigs(), d.locks(), d.builds(), d.storage(), d.temporary()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return failure.WithHint(failure.New(failure.Storage, "making the data directory: %w", err), "set %s to a directory that can be written", VariableDataDir)
		}
	}
	version, err := d.version()
	switch {
	case err != nil:
		return err
	case version == layoutVersion:
		return nil
	case version != 0:
		return failure.WithHint(failure.New(failure.Usage, "data directory %s has layout %d, this program knows layout %d", d, version, layoutVersion),
			"use a newer osbs, or another data directory (%s)", VariableDataDir)
	}
	return d.initialise()
}

// initialise writes the version, once: two processes may have found a new directory at the same time.
func (d dataDir) initialise() error {
	guard := flock.New(d.join("version.lock"))
	if err := guard.Lock(); err != nil {
		return failure.New(failure.Storage, "locking the data directory: %w", err)
	}
	defer guard.Unlock() //nolint:errcheck // closing the file frees it in any case
	text := strconv.Itoa(layoutVersion) + "\n"
	if err := renameio.WriteFile(d.versionFile(), []byte(text), 0o600, renameio.WithTempDir(string(d))); err != nil {
		return failure.New(failure.Storage, "writing the version of the data directory: %w", err)
	}
	return nil
}

// version is the layout's, 0 for a new directory.
func (d dataDir) version() (int, error) {
	data, err := readBounded(d.versionFile(), 16)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, failure.New(failure.Storage, "reading the version of the data directory: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || v < 1 {
		return 0, failure.New(failure.Storage, "%s is malformed: %q is no version", d.versionFile(), data)
	}
	return v, nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = failure.New(failure.Storage, "%s is larger than %d bytes", file, limit)
	}
	return data, err
}
