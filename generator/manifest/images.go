package manifest

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// koPrefix begins the reference of an image that ko builds: ko://PACKAGE.
const koPrefix = "ko://"

// ReadImages reads an images file: a YAML mapping of references to images by digest, such as
//
//	ko://github.com/osbs-tekton/osbs/cmd/clone: registry.example.com/osbs/clone@sha256:...
//
// A key that is not ko://... is the whole text of another image, such as that of a task which an overlay inserts. All faults are
// reported at once, each with its line, as failure.Usage.
func ReadImages(file string, r io.Reader) (map[string]string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading %s: %w", file, err)
	}
	if len(data) > maxSize {
		return nil, failure.New(failure.Usage, "%s is larger than %d bytes", file, maxSize)
	}
	root, faults := keyed.Parse(string(data), 1)
	if len(faults) == 0 && (root == nil || root.Kind != yaml.MappingNode) {
		faults = []keyed.TextError{{Line: 1, Text: "this is no mapping of ko://PACKAGE to IMAGE@DIGEST"}}
	}
	images := map[string]string{}
	for i := 0; len(faults) == 0 && i+1 < len(root.Content); i += 2 {
		images[root.Content[i].Value] = root.Content[i+1].Value
	}
	for i := 0; root != nil && i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if _, err := name.NewDigest(value.Value); err != nil || value.Kind != yaml.ScalarNode {
			faults = append(faults, keyed.TextError{Line: value.Line, Text: fmt.Sprintf("%.200s: %.200q is no IMAGE@sha256:DIGEST", key.Value, value.Value)})
		}
	}
	var all []error
	for _, f := range faults {
		all = append(all, fmt.Errorf("%s:%w", file, f))
	}
	if len(all) > 0 {
		return nil, failure.New(failure.Usage, "%w", errors.Join(all...))
	}
	return images, nil
}

// Resolve replaces the references ko://PACKAGE in objects. An entry of images gives the image; without one it is REGISTRY/NAME:VERSION,
// where NAME is the last part of PACKAGE. With both, the image is REGISTRY/NAME with the digest of images, as a mirror has it. With
// neither images nor registry nothing is replaced. A reference that nothing resolves is failure.Usage.
//
// The field `image` of any container whose whole text is a key of images is replaced too.
func Resolve(objects []*yaml.RNode, images map[string]string, registry, version string) error {
	if len(images) == 0 && registry == "" {
		return nil
	}
	r := resolver{images: images, registry: strings.TrimSuffix(registry, "/"), version: version}
	if registry != "" {
		_, err := name.NewRepository(r.registry + "/x")
		if err == nil && strings.Contains(registry, "://") {
			err = errors.New("it has a scheme")
		}
		if err != nil {
			return failure.New(failure.Usage, "--registry %q is no place for images: %w", registry, err)
		}
	}
	for _, o := range objects {
		if !o.IsNil() {
			r.visit(o.YNode(), "")
		}
	}
	if len(r.faults) > 0 {
		slices.Sort(r.faults)
		return failure.New(failure.Usage, "images: %s", strings.Join(slices.Compact(r.faults), "\nimages: "))
	}
	return nil
}

type resolver struct {
	images            map[string]string
	registry, version string
	faults            []string
}

func (r *resolver) visit(n *yaml.Node, field string) {
	for i, child := range n.Content {
		switch {
		case n.Kind != yaml.MappingNode:
			r.visit(child, field)
		case i%2 == 1:
			r.visit(child, n.Content[i-1].Value)
		}
	}
	if n.Kind != yaml.ScalarNode {
		return
	}
	image, known := r.images[n.Value]
	switch {
	case strings.HasPrefix(n.Value, koPrefix):
		image = r.resolve(n.Value, image)
	case !known || field != "image":
		return
	}
	n.Value, n.Tag = image, yaml.NodeTagString
}

// resolve is the image of ref, for which the images file has image or nothing.
func (r *resolver) resolve(ref, image string) string {
	short := path.Base(strings.TrimPrefix(ref, koPrefix))
	digest, err := name.NewDigest(image)
	switch {
	case image != "" && err != nil:
		return r.fault("%s: %q is no IMAGE@sha256:DIGEST", ref, image)
	case image != "" && r.registry == "":
		return image
	case image != "":
		return r.valid(ref, r.registry+"/"+short+"@"+digest.DigestStr())
	case r.registry == "":
		return r.fault("there is none for %s", ref)
	case r.version == "":
		return r.fault("there is none for %s, and no version for a tag in %s", ref, r.registry)
	default:
		return r.valid(ref, r.registry+"/"+short+":"+r.version)
	}
}

func (r *resolver) valid(ref, image string) string {
	if _, err := name.ParseReference(image); err != nil {
		return r.fault("%s: %q is no image: %v", ref, image, err)
	}
	return image
}

func (r *resolver) fault(format string, args ...any) string {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
	return ""
}
