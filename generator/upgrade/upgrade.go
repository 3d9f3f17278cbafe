// Package upgrade compares what is in use with what is generated, and merges both, so that what a site has changed in its objects
// survives a new version of them.
//
// The merge has three sides: base, what the old version has generated; mine, what the site made of that; theirs, what this version
// generates. Parts are found by their names, as package keyed knows them. What both have changed, each in its own way, is a conflict.
// base comes from a ConfigMap among the objects (see Stamp), so that nobody has to keep the old version.
package upgrade

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// set is the objects of one side by what they are called.
type set struct {
	ids []string
	of  map[string]*yaml.Node
}

// node is the object with an id, nil if there is none.
func (s set) node(id string) *yaml.Node { return s.of[id] }

// sets finds the objects of all sides by kind and name: in any namespace, so that what a cluster says of it does not count, unless one
// side has objects of the same kind and name in several.
func sets(sides ...[]*yaml.RNode) ([]set, error) {
	several := map[string]bool{}
	for _, side := range sides {
		seen := map[string]bool{}
		for _, o := range side {
			id := identity(o, false)
			several[id] = several[id] || seen[id]
			seen[id] = true
		}
	}
	all := make([]set, 0, len(sides))
	for _, side := range sides {
		s := set{of: map[string]*yaml.Node{}}
		for _, o := range side {
			if isRecord(o) {
				continue
			}
			id := identity(o, several[identity(o, false)])
			if s.of[id] != nil {
				return nil, failure.New(failure.InvalidInput, "there are two objects %s", id)
			}
			s.ids = append(s.ids, id)
			s.of[id] = o.YNode()
		}
		all = append(all, s)
	}
	return all, nil
}

// identity is what messages call an object.
func identity(o *yaml.RNode, namespace bool) string {
	name := tree.Text(o.YNode(), "metadata", "name")
	if name == "" {
		name = tree.Text(o.YNode(), "metadata", "generateName") + "*"
	}
	id := fmt.Sprintf("%s %s", o.GetKind(), name)
	if ns := o.GetNamespace(); namespace && ns != "" {
		id += " in " + ns
	}
	return id
}

// without is objects without what the API server adds to each.
func without(objects []*yaml.RNode) []*yaml.RNode {
	out := make([]*yaml.RNode, 0, len(objects))
	for _, o := range objects {
		n := tree.Clone(o.YNode())
		strip(n)
		out = append(out, yaml.NewRNode(n))
	}
	return out
}

// strip removes what only the API server, or kubectl, writes into an object.
func strip(object *yaml.Node) {
	tree.Delete(object, "status")
	metadata := tree.Get(object, "metadata")
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink", "finalizers"} {
		tree.Delete(metadata, field)
	}
	annotations := tree.Get(metadata, "annotations")
	if annotations == nil || annotations.Kind != yaml.MappingNode {
		return
	}
	had := len(annotations.Content)
	for _, name := range []string{
		"kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision", "openshift.io/internal-registry-pull-secret-ref",
	} {
		tree.Delete(annotations, name)
	}
	if len(annotations.Content) == 0 && had > 0 {
		tree.Delete(metadata, "annotations")
	}
}

// record is the one among objects that Stamp has made, nil if there is none.
func record(objects []*yaml.RNode) *yaml.RNode {
	if i := slices.IndexFunc(objects, isRecord); i >= 0 {
		return objects[i]
	}
	return nil
}
