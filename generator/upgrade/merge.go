package upgrade

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// Conflict is a place that both the site and this version have changed, each in its own way.
type Conflict struct {
	// Object is what it is in, such as "Pipeline osbs"; Path is where, empty for the whole object.
	Object, Path string
	// Base, Mine and Theirs are short texts of the three values, empty for one that is not there.
	Base, Mine, Theirs string
}

func (c Conflict) String() string {
	value := func(text string) string {
		if text == "" {
			return "nothing"
		}
		return fmt.Sprintf("%q", text)
	}
	where := c.Object
	if c.Path != "" {
		where += ": " + c.Path
	}
	return fmt.Sprintf("%s: was %s, is %s here, and becomes %s", where, value(c.Base), value(c.Mine), value(c.Theirs))
}

// Merge brings what theirs has changed against base into mine. In a conflict the merged object has what mine has, so that nothing of
// the site is lost; whoever calls must not take merged for complete then. Comments of mine survive. What an API server adds to objects
// is left out. None of the arguments is changed; the record of theirs, if it has one, is among merged.
func Merge(base, mine, theirs []*yaml.RNode) (merged []*yaml.RNode, conflicts []Conflict, err error) {
	sides, err := sets(base, without(mine), theirs)
	if err != nil {
		return nil, nil, err
	}
	b, m, t := sides[0], sides[1], sides[2]
	for _, id := range order(b.ids, m.ids, t.ids) {
		g := merger{object: id}
		if n := g.merge("", "", b.node(id), m.node(id), t.node(id)); n != nil {
			merged = append(merged, yaml.NewRNode(tree.Clone(n)))
		}
		conflicts = append(conflicts, g.conflicts...)
	}
	if r := record(theirs); r != nil {
		merged = append(merged, r.Copy())
	}
	return merged, conflicts, nil
}

// merger merges one object.
type merger struct {
	object    string
	conflicts []Conflict
}

// merge is what becomes of a place whose values are base, mine and theirs: nil if it is gone.
func (g *merger) merge(path keyed.Path, field string, base, mine, theirs *yaml.Node) *yaml.Node {
	if mine != nil && theirs != nil && mine.Kind == theirs.Kind {
		switch mine.Kind {
		case yaml.MappingNode:
			return g.mapping(path, base, mine, theirs)
		case yaml.SequenceNode:
			if key := keyed.KeyOf(field, ofKind(base, yaml.SequenceNode), mine, theirs); key != nil {
				return g.list(path, key, base, mine, theirs)
			}
		}
	}
	switch {
	case keyed.Equal(mine, theirs), keyed.Equal(base, theirs):
		return commented(mine, base, mine, theirs)
	case keyed.Equal(base, mine):
		return commented(theirs, base, mine, theirs)
	case isDocument(mine) && isDocument(theirs):
		return g.document(path, base, mine, theirs)
	default:
		g.conflicts = append(g.conflicts, Conflict{g.object, string(path), keyed.Show(base), keyed.Show(mine), keyed.Show(theirs)})
		return mine
	}
}

// document merges texts that are YAML themselves, such as the template of builds in its ConfigMap.
func (g *merger) document(path keyed.Path, base, mine, theirs *yaml.Node) *yaml.Node {
	merged := g.merge(path, "", parsed(base), parsed(mine), parsed(theirs))
	text, err := yaml.String(merged)
	if err != nil {
		g.conflicts = append(g.conflicts, Conflict{g.object, string(path), keyed.Show(base), keyed.Show(mine), keyed.Show(theirs)})
		return mine
	}
	out := commented(mine, base, mine, theirs)
	out.Value = text
	return out
}

func isDocument(n *yaml.Node) bool { return parsed(n) != nil }

// parsed is the mapping that a text of several lines is; nil if it is none.
func parsed(n *yaml.Node) *yaml.Node {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != yaml.NodeTagString || !strings.Contains(n.Value, "\n") {
		return nil
	}
	document, err := yaml.Parse(n.Value)
	if err != nil || document.YNode().Kind != yaml.MappingNode {
		return nil
	}
	return document.YNode()
}

func ofKind(n *yaml.Node, kind yaml.Kind) *yaml.Node {
	if n == nil || n.Kind != kind {
		return nil
	}
	return n
}

func (g *merger) mapping(path keyed.Path, base, mine, theirs *yaml.Node) *yaml.Node {
	base = ofKind(base, yaml.MappingNode)
	out := commented(mine, base, mine, theirs)
	out.Content = nil
	for _, field := range order(keyed.Fields(base), keyed.Fields(mine), keyed.Fields(theirs)) {
		bk, b := keyed.Entry(base, field)
		mk, m := keyed.Entry(mine, field)
		tk, t := keyed.Entry(theirs, field)
		value := g.merge(path.Field(field), field, b, m, t)
		if value == nil {
			continue
		}
		key := mk
		if key == nil {
			key = tk
		}
		out.Content = append(out.Content, commented(key, bk, mk, tk), value)
	}
	return out
}

func (g *merger) list(path keyed.Path, key keyed.Key, base, mine, theirs *yaml.Node) *yaml.Node {
	base = ofKind(base, yaml.SequenceNode)
	out := commented(mine, base, mine, theirs)
	out.Content = nil
	was, is, becomes := key.IDs(base), key.IDs(mine), key.IDs(theirs)
	element := func(list *yaml.Node, id string) *yaml.Node {
		if i := key.Find(list, id); i >= 0 {
			return list.Content[i]
		}
		return nil
	}
	for _, id := range order(was, is, becomes) {
		if n := g.merge(path.Element(id), "", element(base, id), element(mine, id), element(theirs, id)); n != nil {
			out.Content = append(out.Content, n)
		}
	}
	if !keyed.SameOrder(was, is) && !keyed.SameOrder(was, becomes) && !keyed.SameOrder(is, becomes) {
		g.conflicts = append(g.conflicts, Conflict{
			g.object, string(path) + " (order)", fmt.Sprint(was), fmt.Sprint(is), fmt.Sprint(becomes),
		})
	}
	return out
}

// order merges the orders of three lists of names. The result has all of them: in the order of theirs, unless mine has another order
// than base has; what only the other has stands behind what it stands behind there.
func order(base, mine, theirs []string) []string {
	if keyed.SameOrder(base, mine) {
		return keyed.Union(theirs, mine)
	}
	return keyed.Union(mine, theirs)
}

// commented is a copy of n with the comments of mine, or where those are base's or none, of theirs. It is nil if n is.
func commented(n, base, mine, theirs *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	c := *n
	c.HeadComment = comment(base, mine, theirs, func(n *yaml.Node) string { return n.HeadComment })
	c.LineComment = comment(base, mine, theirs, func(n *yaml.Node) string { return n.LineComment })
	c.FootComment = comment(base, mine, theirs, func(n *yaml.Node) string { return n.FootComment })
	return &c
}

func comment(base, mine, theirs *yaml.Node, of func(*yaml.Node) string) string {
	text := func(n *yaml.Node) string {
		if n == nil {
			return ""
		}
		return of(n)
	}
	if m := text(mine); m != "" && (m != text(base) || theirs == nil) {
		return m
	}
	return text(theirs)
}
