package overlay

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// directive is the key by which a patch says that something is removed or replaced as a whole.
const directive = "$patch"

// patcher merges the patch of an entry into an object: mappings by their keys, lists by the names of their elements, and anything else
// as a whole.
type patcher struct {
	entry  Entry
	faults *faults
	// added is how many elements of lists were added.
	added int
}

func (p *patcher) fault(n *yaml.Node, format string, args ...any) {
	p.faults.add(p.entry.File, n.Line, format, args...)
}

// apply changes object, and says what has changed.
func (p *patcher) apply(object *yaml.Node) []Change {
	before, known := tree.Clone(object), len(*p.faults)
	p.mapping(object, p.entry.merge, "")
	if len(*p.faults) > known {
		return nil
	}
	changes := describe(keyed.Compare(before, object))
	switch {
	case len(changes) == 0:
		p.fault(p.entry.merge, "the patch changes nothing: all of it is so already")
	case p.entry.add && p.added == 0:
		p.fault(p.entry.merge, "the patch says add: true, but all that it names is there already: leave add out")
	}
	return changes
}

func (p *patcher) mapping(target, patch *yaml.Node, path keyed.Path) {
	for i := 0; i+1 < len(patch.Content); i += 2 {
		key, value := patch.Content[i], patch.Content[i+1]
		if key.Value == directive {
			p.fault(key, "%s stands in an element of a list, or in a mapping below the top of the object", directive)
			continue
		}
		p.field(target, key, value, path.Field(key.Value))
	}
}

// field merges value into the field of target that key names.
func (p *patcher) field(target, key, value *yaml.Node, path keyed.Path) {
	old := tree.Get(target, key.Value)
	what := tree.Text(value, directive)
	switch {
	case isNull(value) || what == "delete":
		if old == nil {
			p.fault(key, "there is no %s to remove%s", path, near(key.Value, keyed.Fields(target)))
			return
		}
		tree.Delete(target, key.Value)
	case what == "replace":
		fresh := tree.Clone(value)
		tree.Delete(fresh, directive)
		p.put(target, key, fresh, path)
	case what != "":
		p.fault(value, "%s is delete or replace, not %.100q", directive, what)
	case old == nil || isNull(old):
		p.additions(value, key.Value, path)
		p.put(target, key, tree.Clone(value), path)
	case old.Kind != value.Kind:
		p.fault(value, "%s is a %s, and here is a %s", path, kindOf(old), kindOf(value))
	case value.Kind == yaml.MappingNode:
		p.mapping(old, value, path)
	case value.Kind == yaml.SequenceNode:
		p.list(target, key, old, value, path)
	default:
		fresh := tree.Clone(value)
		if fresh.LineComment == "" {
			fresh.LineComment = old.LineComment
		}
		p.put(target, key, fresh, path)
	}
}

// put sets a field, with the comments that the patch has on it.
func (p *patcher) put(target, key, value *yaml.Node, path keyed.Path) {
	p.directives(value, path)
	tree.Set(target, key.Value, value)
	at, _ := keyed.Entry(target, key.Value)
	if key.HeadComment != "" {
		at.HeadComment = key.HeadComment
	}
	if key.FootComment != "" {
		at.FootComment = key.FootComment
	}
	if key.LineComment != "" {
		at.LineComment = key.LineComment
	}
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	default:
		return "text"
	}
}

// list merges the list in a field.
func (p *patcher) list(target, key, old, patch *yaml.Node, path keyed.Path) {
	if len(patch.Content) > 0 && len(patch.Content[0].Content) == 2 && tree.Text(patch.Content[0], directive) == "replace" {
		fresh := tree.Clone(patch)
		fresh.Content = fresh.Content[1:]
		p.put(target, key, fresh, path)
		return
	}
	by := keyed.KeyOf(key.Value, old, patch)
	switch {
	case by != nil:
	case keyed.KeyOf(key.Value, old) != nil && len(patch.Content) > 0:
		p.fault(patch, "the elements of %s are told apart by %s: each must have it, and none twice", path, join(keyed.KeyOf(key.Value, old)))
		return
	default:
		p.put(target, key, tree.Clone(patch), path)
		return
	}
	for _, element := range patch.Content {
		p.element(old, element, by, path)
	}
	if len(old.Content) == 0 {
		tree.Delete(target, key.Value)
	}
}

// element merges an element of a list whose elements have names.
func (p *patcher) element(list, patch *yaml.Node, by keyed.Key, path keyed.Path) {
	id := by.Of(patch)
	at, i := path.Element(id), by.Find(list, id)
	what := tree.Text(patch, directive)
	switch {
	case what != "" && what != "delete" && what != "replace":
		p.fault(patch, "%s is delete or replace, not %.100q", directive, what)
	case i < 0 && (what != "" || !p.entry.add):
		hint := near(id, by.IDs(list))
		if what == "" {
			hint += " An element is added by a patch with add: true"
		}
		p.fault(patch, "there is no %s%s", at, hint)
	case i < 0:
		p.added++
		fresh := tree.Clone(patch)
		p.directives(fresh, at)
		list.Content = append(list.Content, fresh)
	case what == "delete":
		list.Content = slices.Delete(list.Content, i, i+1)
	case what == "replace":
		fresh := tree.Clone(patch)
		tree.Delete(fresh, directive)
		p.directives(fresh, at)
		list.Content[i] = fresh
	default:
		p.mapping(list.Content[i], patch, at)
		if patch.HeadComment != "" {
			list.Content[i].HeadComment = patch.HeadComment
		}
	}
}

// additions counts the elements with names that a new field brings. They need add: true as those of a list that is there do: whether a
// patch is right must not depend on whether a stage has such a list already.
func (p *patcher) additions(value *yaml.Node, field string, path keyed.Path) {
	switch value.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(value.Content); i += 2 {
			name := value.Content[i].Value
			p.additions(value.Content[i+1], name, path.Field(name))
		}
	case yaml.SequenceNode:
		by := keyed.KeyOf(field, value)
		if by == nil {
			return
		}
		if !p.entry.add {
			p.fault(value, "there is no %s. An element is added by a patch with add: true", path.Element(by.Of(value.Content[0])))
			return
		}
		p.added += len(value.Content)
	}
}

// directives refuses those that stand in something new.
func (p *patcher) directives(n *yaml.Node, path keyed.Path) {
	if tree.Get(n, directive) != nil {
		p.fault(n, "%s stands in something that is new: there is nothing at %s that it could be about", directive, path)
		return
	}
	for _, child := range n.Content {
		p.directives(child, path)
	}
}

// describe says what the differences are.
func describe(differences []keyed.Difference) []Change {
	var changes []Change
	for _, d := range differences {
		c := Change{Path: string(d.Path)}
		switch {
		case d.Moved:
			c.What = "in another order"
		case d.Old == nil && d.New.Kind == yaml.ScalarNode:
			c.What = "is " + quoted(d.New)
		case d.Old == nil:
			c.What = "added: " + keyed.Show(d.New)
		case d.New == nil:
			c.What = "removed"
		default:
			c.What = "is " + quoted(d.New) + ", was " + quoted(d.Old)
		}
		changes = append(changes, c)
	}
	return changes
}
