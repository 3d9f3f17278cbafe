package chain

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// UniteParams is the declaration of a param that two links have in common. It is required if one of them requires it; apart from that
// they must have the same type and the same default.
func UniteParams(a *yaml.Node, of *Link, b *yaml.Node, and *Link) (*yaml.Node, error) {
	name := tree.Text(a, "name")
	if kind(a) != kind(b) || !tree.Equal(tree.Get(a, "properties"), tree.Get(b, "properties")) {
		return nil, failure.New(failure.Usage, "the param %s is a %s for %s, but a %s for %s: give one of them a value of its own, or another name",
			name, kind(a), of, kind(b), and)
	}
	x, y := tree.Get(a, "default"), tree.Get(b, "default")
	united := tree.Clone(a)
	switch {
	case x == nil || y == nil:
		tree.Delete(united, "default")
	case !tree.Equal(x, y):
		return nil, failure.New(failure.Usage, "the param %s has the default %s for %s, but %s for %s: give one of them a value of its own, or another name",
			name, tree.Canonical(x), of, tree.Canonical(y), and)
	}
	if tree.Text(united, "description") == "" && tree.Text(b, "description") != "" {
		tree.Set(united, "description", tree.String(tree.Text(b, "description")))
	}
	return united, nil
}

func kind(declaration *yaml.Node) string { return firstOf(tree.Text(declaration, "type"), "string") }
