package keyed

import (
	"slices"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// Equal says whether two nodes mean the same. The order of a mapping's fields, comments and the way in which a value is written do not
// count. A node that is absent equals null.
func Equal(a, b *yaml.Node) bool {
	if null(a) || null(b) {
		return null(a) && null(b)
	}
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	switch a.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(a.Content); i += 2 {
			if j := index(b, a.Content[i].Value); j < 0 || !Equal(a.Content[i+1], b.Content[j+1]) {
				return false
			}
		}
		return true
	case yaml.ScalarNode:
		return scalar(a) == scalar(b)
	default:
		return slices.EqualFunc(a.Content, b.Content, Equal)
	}
}

func null(n *yaml.Node) bool {
	return n == nil || n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == yaml.NodeTagNull
}

// scalar is the type of a scalar and its value in one way of writing it.
func scalar(n *yaml.Node) [2]string {
	tag, value := n.ShortTag(), n.Value
	switch tag {
	case yaml.NodeTagInt:
		if i, err := strconv.ParseInt(value, 0, 64); err == nil {
			value = strconv.FormatInt(i, 10)
		}
	case yaml.NodeTagBool:
		if b, err := strconv.ParseBool(value); err == nil {
			value = strconv.FormatBool(b)
		}
	case yaml.NodeTagFloat:
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			value = strconv.FormatFloat(f, 'g', -1, 64)
		}
	}
	return [2]string{tag, value}
}

// Difference is a place at which two objects differ. Old or New is nil if the place is not there. Moved says that the elements of a
// list are in another order; they may differ besides.
type Difference struct {
	Path     Path
	Old, New *yaml.Node
	Moved    bool
}

// Compare lists the places at which now differs from old, each as deep as both have it.
func Compare(old, now *yaml.Node) []Difference { return compare("", "", old, now) }

func compare(path Path, field string, old, now *yaml.Node) []Difference {
	if Equal(old, now) {
		return nil
	}
	if null(old) || null(now) || old.Kind != now.Kind || old.Kind == yaml.ScalarNode {
		return []Difference{{Path: path, Old: old, New: now}}
	}
	var all []Difference
	if old.Kind == yaml.MappingNode {
		for _, f := range Union(Fields(old), Fields(now)) {
			all = append(all, compare(path.Field(f), f, tree.Get(old, f), tree.Get(now, f))...)
		}
		return all
	}
	key := KeyOf(field, old, now)
	if key == nil {
		return []Difference{{Path: path, Old: old, New: now}}
	}
	was, is := key.IDs(old), key.IDs(now)
	for _, id := range Union(was, is) {
		all = append(all, compare(path.Element(id), "", at(old, key.Find(old, id)), at(now, key.Find(now, id)))...)
	}
	if !slices.Equal(common(was, is), common(is, was)) {
		all = append(all, Difference{Path: path, Old: old, New: now, Moved: true})
	}
	return all
}

func at(list *yaml.Node, i int) *yaml.Node {
	if i < 0 {
		return nil
	}
	return list.Content[i]
}

// common are the elements of a that b has too, in a's order.
func common(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// Union is the first list, with what only the others have each inserted behind what it stands behind there.
func Union(first []string, others ...[]string) []string {
	out := slices.Clone(first)
	for _, other := range others {
		for i, s := range other {
			if slices.Contains(out, s) {
				continue
			}
			place := 0
			if i > 0 {
				place = slices.Index(out, other[i-1]) + 1
			}
			out = slices.Insert(out, place, s)
		}
	}
	return out
}

// SameOrder says whether what two lists have in common is in the same order in both.
func SameOrder(a, b []string) bool { return slices.Equal(common(a, b), common(b, a)) }
