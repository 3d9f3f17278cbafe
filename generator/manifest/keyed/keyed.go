// Package keyed compares objects by the names of their parts. It knows which lists of an object are sets of named parts (steps, params,
// volumes), so that a part is found wherever it stands, and says where something is in words: spec.steps[push].env[HOME].value.
//
// It stands in the place of kyaml's merge2 and merge3, which add what they do not find and take one side where two differ, without a
// word, and which take two mounts of one volume for one.
package keyed

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// Key are the fields that tell the elements of a list apart; nil if nothing does, so that the list is one value.
type Key []string

// keys are what tells elements apart in lists for which it is not the name, by the field that has the list: the first alternative that
// all elements have, each with another value.
func keys(field string) []Key {
	switch field {
	case "volumeMounts":
		return []Key{{"mountPath"}}
	case "subjects":
		return []Key{{"kind", "name"}, {"kind", "namespace", "name"}}
	case "ports":
		return []Key{{"containerPort"}, {"port"}, {"name"}}
	case "taskRunSpecs":
		return []Key{{"pipelineTaskName"}}
	case "resourcetemplates":
		return []Key{{"kind"}}
	case "bindings":
		return []Key{{"ref"}, {"name"}}
	default:
		return []Key{{"name"}}
	}
}

// KeyOf is the key of the lists that stand in field, which may be nil. All of them must have it.
func KeyOf(field string, lists ...*yaml.Node) Key {
	empty := true
	for _, l := range lists {
		if l != nil && l.Kind != yaml.SequenceNode {
			return nil
		}
		empty = empty && (l == nil || len(l.Content) == 0)
	}
	if empty {
		return nil
	}
	for _, key := range keys(field) {
		if !slices.ContainsFunc(lists, func(l *yaml.Node) bool { return l != nil && !key.fits(l) }) {
			return key
		}
	}
	return nil
}

// fits says whether all elements of list have the key, each with another value.
func (k Key) fits(list *yaml.Node) bool {
	seen := map[string]bool{}
	for _, element := range list.Content {
		id := k.Of(element)
		if id == "" || seen[id] {
			return false
		}
		seen[id] = true
	}
	return true
}

// Of is what tells element apart, empty if it has no key.
func (k Key) Of(element *yaml.Node) string {
	if element.Kind != yaml.MappingNode {
		return ""
	}
	values := make([]string, 0, len(k))
	for _, field := range k {
		v := tree.Get(element, field)
		if v == nil || v.Kind != yaml.ScalarNode || v.Value == "" {
			return ""
		}
		values = append(values, v.Value)
	}
	return strings.Join(values, "/")
}

// Find is the index of the element of list that id tells apart, -1 if there is none.
func (k Key) Find(list *yaml.Node, id string) int {
	if list == nil {
		return -1
	}
	return slices.IndexFunc(list.Content, func(e *yaml.Node) bool { return k.Of(e) == id })
}

// IDs are what tells the elements of list apart, in their order.
func (k Key) IDs(list *yaml.Node) []string {
	if list == nil {
		return nil
	}
	ids := make([]string, 0, len(list.Content))
	for _, e := range list.Content {
		ids = append(ids, k.Of(e))
	}
	return ids
}

// Entry is the key node of a mapping's field, which has the comments above it, and its value. Both are nil if there is no such field.
func Entry(mapping *yaml.Node, field string) (key, value *yaml.Node) {
	if i := index(mapping, field); i >= 0 {
		return mapping.Content[i], mapping.Content[i+1]
	}
	return nil, nil
}

// Fields are the names of a mapping's fields, in their order.
func Fields(mapping *yaml.Node) []string {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	names := make([]string, 0, len(mapping.Content)/2)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		names = append(names, mapping.Content[i].Value)
	}
	return names
}

func index(mapping *yaml.Node, field string) int {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == field {
			return i
		}
	}
	return -1
}

// Path says where something is in an object.
type Path string

// Field is the place of a field of the mapping at p.
func (p Path) Field(name string) Path {
	switch {
	case strings.ContainsAny(name, "./[] "):
		return p + Path("["+name+"]")
	case p == "":
		return Path(name)
	default:
		return p + Path("."+name)
	}
}

// Element is the place of an element of the list at p.
func (p Path) Element(id string) Path { return p + Path("["+id+"]") }
