// Package overlay changes what the generator makes: a list of entries, each of which names what it changes.
package overlay

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
)

// Entry is one change that an overlay asks for.
type Entry struct {
	File string
	Line int
}

// Change is what an entry has changed.
type Change struct {
	File string
	Line int
	// Object is what was changed, such as "Pipeline osbs" or "stage push"; Path is where in it; What is what happened there.
	Object, Path, What string
}

// Read reads an overlay.
func Read(file string, data []byte) ([]Entry, error) { return nil, nil }

// ApplyToChain applies the entries that change the chain.
func ApplyToChain(c *chain.Chain, entries []Entry) ([]Change, error) { return nil, nil }

// ApplyToObjects applies the entries that change rendered objects.
func ApplyToObjects(objects []*yaml.RNode, entries []Entry) ([]Change, error) { return nil, nil }
