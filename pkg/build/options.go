package build

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// The formats of an image. FormatAuto is OCI, unless the Dockerfile has an instruction that OCI has no field for.
const (
	FormatAuto   = "auto"
	FormatOCI    = "oci"
	FormatDocker = "docker"
)

// The compressions of new layers.
const (
	CompressionGzip = "gzip"
	CompressionZstd = "zstd"
	CompressionNone = "none"
)

// IsolationChroot is the only isolation so far: a RUN has the file system of the image and shares the network and the user of the build.
const IsolationChroot = "chroot"

// Options say what is built, and how. Everything about the repository and its bases comes from the records of the earlier stages.
type Options struct {
	step.Env
	// Workspace has the records of clone, detect-base and prepare, the sources, and receives the image.
	Workspace workspace.Dir
	// Registry fetches the layers of bases. It may be nil if all of them are in the storage already, or there are none.
	Registry *registry.Client
	// Engine is the program that builds: one that calls engine.Main first. Empty means this program.
	Engine string
	// Storage is the directory in which layers are kept between builds, and may be used by several builds at once. Empty means a
	// directory in the workspace, which is one build's own.
	Storage string
	// StorageDriver is overlay or vfs; empty means the best that works.
	StorageDriver string
	// Platform is one of those that detect-base was given. Empty means the only one. Of several, each is a build of its own, whose record
	// and layout are in Workspace.Platform.
	Platform string
	// DockerfileTarget is the stage to build; empty means what detect-base was asked for.
	DockerfileTarget string
	// BuildArgs are NAME=value, or NAME for the value in this process's environment.
	BuildArgs []string
	// Secrets are id=path of files that `RUN --mount=type=secret,id=...` sees. Their contents are masked in the output.
	Secrets []string
	// LayerCache lets a step that was done before on the same layers, with the same files, be taken from the storage.
	LayerCache bool
	// Format, Compression and Isolation are constants of this package; empty means FormatAuto, CompressionGzip, IsolationChroot.
	Format      string
	Compression string
	Isolation   string
	// Component, Release and Architecture, if not empty, are the labels com.redhat.component, release and architecture, whatever
	// the Dockerfile says.
	Component    string
	Release      string
	Architecture string
	// RemoteAdd allows ADD of a URL, whose content nothing pins.
	RemoteAdd bool
	// Output receives what the build prints, secrets masked. nil discards it.
	Output io.Writer
}

// namePattern is what an argument's or a secret's name may be.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// withDefaults fills what is missing and refuses what has no meaning.
func (o Options) withDefaults() (Options, error) {
	o.Env = o.WithDefaults()
	o.Format = either(o.Format, FormatAuto)
	o.Compression = either(o.Compression, CompressionGzip)
	o.Isolation = either(o.Isolation, IsolationChroot)
	if o.Workspace == "" {
		o.Workspace = "."
	}
	o.Engine = either(o.Engine, "/proc/self/exe")
	if o.Storage == "" {
		o.Storage = filepath.Join(string(o.Workspace), "storage")
	}
	if o.Output == nil {
		o.Output = io.Discard
	}
	for _, choice := range []struct{ name, value, of string }{
		{"format", o.Format, "auto oci docker"},
		{"compression", o.Compression, "gzip zstd none"},
		{"isolation", o.Isolation, "chroot"},
		{"storage-driver", o.StorageDriver, " overlay vfs"},
	} {
		if !oneOf(choice.value, choice.of) {
			return o, failure.New(failure.Usage, "%s %q is none of: %s", choice.name, choice.value, strings.TrimSpace(choice.of))
		}
	}
	if strings.ContainsAny(o.Storage, ",:") {
		return o, failure.New(failure.Usage, "storage-dir %q: a file system cannot be mounted from a path with a comma or a colon", o.Storage)
	}
	if o.Format == FormatDocker && o.Compression == CompressionZstd {
		return o, failure.New(failure.Usage, "Docker's format has no zstd layers: use format oci, or compression gzip")
	}
	return o, nil
}

func either(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func oneOf(value, of string) bool {
	for word := range strings.SplitSeq(of, " ") {
		if value == word {
			return true
		}
	}
	return false
}

// buildArgs reads NAME=value and NAME.
func buildArgs(list []string) (map[string]string, error) {
	args := map[string]string{}
	for _, arg := range list {
		name, value, given := strings.Cut(arg, "=")
		if !namePattern.MatchString(name) {
			return nil, failure.New(failure.Usage, "build-arg %q is not NAME=value", name)
		}
		if !given {
			if value, given = os.LookupEnv(name); !given {
				continue
			}
		}
		args[name] = value
	}
	return args, nil
}

// maxSecret bounds a secret, in bytes.
const maxSecret = 1 << 20

// secrets reads id=path, checks the files, and masks their contents from now on.
func (o Options) secrets() (map[string]string, error) {
	files := map[string]string{}
	for _, s := range o.Secrets {
		id, path, _ := strings.Cut(s, "=")
		if !namePattern.MatchString(id) || path == "" {
			return nil, failure.New(failure.Usage, "build-secret %q is not id=path", id)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, failure.New(failure.Usage, "build-secret %s: %w", id, err)
		}
		content, err := readBounded(path, maxSecret)
		if err != nil {
			return nil, failure.New(failure.Unauthorized, "build-secret %s is unreadable: %w", id, err)
		}
		o.Redact.Add(string(content))
		files[id] = path
	}
	return files, nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, failure.New(failure.InvalidInput, "%s is larger than %d bytes", path, limit)
	}
	return data, err
}
