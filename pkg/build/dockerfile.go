package build

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// dockerfile is what this package needs to know of a Dockerfile before the engine reads it.
type dockerfile struct {
	text []byte
	// ignore are the patterns of .dockerignore.
	ignore []string
	// dockerOnly are the instructions that only Docker's format can keep.
	dockerOnly []string
	// remote are the URLs that ADD names.
	remote []string
	// id is an image's id where an image's name should be.
	id string
}

// maxDockerfile bounds a Dockerfile, in bytes.
const maxDockerfile = 4 << 20

// readDockerfile finds the file inside of source: a link that leads out of it is refused.
func readDockerfile(source, name string) (dockerfile, error) {
	root, err := os.OpenRoot(source)
	if err != nil {
		return dockerfile{}, failure.New(failure.Storage, "opening the sources: %w", err)
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return dockerfile{}, failure.New(failure.InvalidInput, "no usable Dockerfile in the repository: %w", err)
	}
	defer f.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(&limited{f, maxDockerfile}); err != nil {
		return dockerfile{}, failure.New(failure.InvalidInput, "reading %s: %w", name, err)
	}
	d := dockerfile{text: bytes.Clone(text.Bytes())}
	if d.ignore, err = readIgnore(root, name); err != nil {
		return dockerfile{}, err
	}
	parsed, err := parser.Parse(&text)
	if err != nil {
		return dockerfile{}, failure.New(failure.InvalidInput, "%s: %w", name, err)
	}
	for _, node := range parsed.AST.Children {
		d.note(node)
	}
	if d.id != "" {
		return d, failure.New(failure.InvalidInput, "%s: %s is the id of an image in somebody's storage, not the name of one in a registry", name, d.id)
	}
	return d, nil
}

// gitData is not part of the context: it differs between clones of one commit. A pattern of .dockerignore can bring it back.
const gitData = "**/.git"

// readIgnore reads the Dockerfile's own ignore file, or the context's.
func readIgnore(root *os.Root, name string) ([]string, error) {
	patterns := []string{gitData}
	for _, file := range []string{name + ".dockerignore", name + ".containerignore", ".containerignore", ".dockerignore"} {
		f, err := root.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, failure.New(failure.InvalidInput, "%s: %w", file, err)
		}
		defer f.Close()
		more, err := ignorefile.ReadAll(&limited{f, maxDockerfile})
		if err != nil {
			return nil, failure.New(failure.InvalidInput, "%s: %w", file, err)
		}
		patterns = append(patterns, more...)
		break
	}
	if _, err := patternmatcher.New(patterns); err != nil {
		return nil, failure.New(failure.InvalidInput, "a pattern of the ignore file is malformed: %w", err)
	}
	return patterns, nil
}

func (d *dockerfile) note(node *parser.Node) {
	switch strings.ToUpper(node.Value) {
	case "HEALTHCHECK", "ONBUILD":
		d.dockerOnly = append(d.dockerOnly, strings.ToUpper(node.Value))
	case "FROM":
		if node.Next != nil {
			d.noteID(node.Next.Value)
		}
	case "COPY", "RUN":
		for _, flag := range node.Flags {
			for part := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(flag, "--mount="), "--"), ",") {
				d.noteID(strings.TrimPrefix(part, "from="))
			}
		}
	case "ADD":
		for word := node.Next; word != nil && word.Next != nil; word = word.Next {
			if isRemote(word.Value) {
				d.remote = append(d.remote, word.Value)
			}
		}
	}
}

// imageID is what the storage calls images.
var imageID = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (d *dockerfile) noteID(name string) {
	if imageID.MatchString(name) {
		d.id = name
	}
}

// isRemote says whether ADD would fetch the source.
func isRemote(source string) bool {
	for _, prefix := range []string{"http://", "https://", "git://", "git@", "ssh://"} {
		if strings.HasPrefix(strings.ToLower(source), prefix) {
			return true
		}
	}
	return false
}

// isDocker decides the format.
func (o Options) isDocker(d dockerfile) (bool, error) {
	if len(d.dockerOnly) == 0 || o.Format == FormatDocker {
		return o.Format == FormatDocker, nil
	}
	if o.Format == FormatOCI {
		o.Log.Warn("OCI's format has no field for it, so it is not in the image", "instruction", d.dockerOnly[0])
		return false, nil
	}
	if o.Compression == CompressionZstd {
		return false, failure.New(failure.Usage, "%s needs Docker's format, which has no zstd layers: use compression gzip, or format oci to go without it", d.dockerOnly[0])
	}
	o.Log.Info("Docker's format is used, because OCI's has no field for the instruction", "instruction", d.dockerOnly[0])
	return true, nil
}

// checkRemoteAdd refuses ADD of a URL: what it fetches is pinned by nothing, so that two builds of one commit could differ, and it
// needs a network that a build need not have.
func (o Options) checkRemoteAdd(d dockerfile) error {
	if o.RemoteAdd || len(d.remote) == 0 {
		return nil
	}
	return failure.WithHint(failure.New(failure.InvalidInput, "ADD %s: a URL is not part of the commit, so the build could not be repeated", o.Redact.String(d.remote[0])),
		"commit the file, or fetch it in a RUN that checks its checksum; the build step's flag remote-add allows it")
}

// limited is a reader that fails, rather than ends, at its limit.
type limited struct {
	f    interface{ Read([]byte) (int, error) }
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.f.Read(p)
	if l.left -= n; l.left < 0 {
		return n, failure.New(failure.InvalidInput, "it is too large")
	}
	return n, err
}
