package overlay

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// ApplyToObjects applies the entries that patch and label rendered objects, in their order; the others are left to ApplyToChain. All
// faults are reported at once, as failure.Usage; objects are not to be used then.
func ApplyToObjects(objects []*yaml.RNode, entries []Entry) ([]Change, error) {
	var all faults
	var changes []Change
	for _, e := range entries {
		if e.changesChain() {
			continue
		}
		for _, o := range selected(objects, e, &all) {
			var made []Change
			if e.verb == patch {
				p := patcher{entry: e, faults: &all}
				made = p.apply(o.YNode())
			} else {
				made = label(e, o.YNode())
			}
			for _, c := range made {
				changes = append(changes, Change{e.File, e.Line, o.GetKind() + " " + o.GetName(), c.Path, c.What})
			}
		}
	}
	return changes, all.err()
}

// selected are the objects that an entry means.
func selected(objects []*yaml.RNode, e Entry, all *faults) []*yaml.RNode {
	if e.on.kind == "" {
		return objects
	}
	var kinds, names []string
	var found []*yaml.RNode
	for _, o := range objects {
		kinds = append(kinds, o.GetKind())
		if o.GetKind() != e.on.kind {
			continue
		}
		names = append(names, o.GetName())
		if e.on.name == "" || e.on.name == o.GetName() {
			found = append(found, o)
		}
	}
	switch {
	case !slices.Contains(kinds, e.on.kind):
		all.add(e.File, e.Line, "there is no object of kind %s%s", e.on.kind, near(e.on.kind, append(kinds, taskKind)))
		return nil
	case len(found) == 0:
		all.add(e.File, e.Line, "there is no %s %s%s", e.on.kind, e.on.name, near(e.on.name, names))
	case e.on.name == "" && len(found) > 1 && e.verb == patch:
		all.add(e.File, e.Line, "there are several objects of kind %s: name one%s", e.on.kind, near("", names))
		return nil
	}
	return found
}

// label adds the entry's labels or annotations to an object.
func label(e Entry, object *yaml.Node) []Change {
	before := tree.Clone(object)
	metadata := mapping(object, "metadata")
	target := mapping(metadata, string(e.verb))
	for _, v := range e.values {
		tree.Set(target, v.name, tree.Clone(v.node))
	}
	return describe(keyed.Compare(before, object))
}

// mapping is the mapping in a field, which is made if there is none.
func mapping(n *yaml.Node, field string) *yaml.Node {
	m := tree.Get(n, field)
	if m == nil || m.Kind != yaml.MappingNode {
		m = tree.Map()
		tree.Set(n, field, m)
	}
	return m
}
