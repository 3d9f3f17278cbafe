package install

import (
	"bytes"
	"embed"
	"fmt"
	"regexp"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/manifest"
)

// files have the objects as they are applied, but for words such as <name>.
//
//go:embed objects/*.yaml
var files embed.FS

// read is what the objects of a file are with these values.
func read(file string, values map[string]string) ([]*yaml.RNode, error) {
	data, err := files.ReadFile("objects/" + file)
	if err != nil {
		return nil, fmt.Errorf("reading the objects of an installation: %w", err)
	}
	objects, err := manifest.Read(file, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading the objects of an installation: %w", err)
	}
	for _, o := range objects {
		if err := fill(o.YNode(), values); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return objects, nil
}

var word = regexp.MustCompile(`<[a-z-]+>`)

// fill puts values in the places of words, in scalars only: whatever a value holds, it becomes no other node.
func fill(n *yaml.Node, values map[string]string) error {
	if n.Kind == yaml.ScalarNode {
		var err error
		n.Value = word.ReplaceAllStringFunc(n.Value, func(w string) string {
			v, ok := values[w[1:len(w)-1]]
			if !ok || v == "" {
				err = fmt.Errorf("there is no value for %s", w)
			}
			return v
		})
		return err
	}
	for _, child := range n.Content {
		if err := fill(child, values); err != nil {
			return err
		}
	}
	return nil
}

// named is the object of a kind among objects.
func named(objects []*yaml.RNode, kind string) (*yaml.RNode, error) {
	for _, o := range objects {
		if o.GetKind() == kind {
			return o, nil
		}
	}
	return nil, fmt.Errorf("there is no %s among the objects of an installation", kind)
}
