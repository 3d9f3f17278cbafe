package manifest

import (
	"io"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Read reads the objects of r, which file names in messages.
func Read(file string, r io.Reader) ([]*yaml.RNode, error) { return nil, nil }

// Write writes objects as the documents of one file.
func Write(w io.Writer, objects []*yaml.RNode) error { return nil }

// WriteDir writes each object to a file of its own in dir.
func WriteDir(dir string, objects []*yaml.RNode) error { return nil }

// Resolve replaces the references ko://... in objects.
func Resolve(objects []*yaml.RNode, images map[string]string, registry, version string) error { return nil }

// ReadImages reads an images file.
func ReadImages(file string, r io.Reader) (map[string]string, error) { return nil, nil }
