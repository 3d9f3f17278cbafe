// Package tree reads and changes YAML trees in place, so that their order and comments survive. Whatever is not there reads as
// empty: a Task is validated as a whole by Tekton's own code, not while it is walked through.
package tree

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Get is the value at the path of keys below the mapping n, nil if there is none.
func Get(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		i := index(n, key)
		if i < 0 {
			return nil
		}
		n = n.Content[i+1]
	}
	return n
}

// index is the position of a key in the mapping n, -1 if n does not have it.
func index(n *yaml.Node, key string) int {
	if n == nil || n.Kind != yaml.MappingNode {
		return -1
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// Text is the scalar at the path, empty if there is none.
func Text(n *yaml.Node, path ...string) string {
	if v := Get(n, path...); v != nil && v.Kind == yaml.ScalarNode && v.Tag != yaml.NodeTagNull {
		return v.Value
	}
	return ""
}

// Set gives a key of the mapping n a value: in the place of the one that it has, or at the end.
func Set(n *yaml.Node, key string, value *yaml.Node) {
	if i := index(n, key); i >= 0 {
		n.Content[i+1] = value
		return
	}
	n.Content = append(n.Content, String(key), value)
}

// Delete removes a key of the mapping n.
func Delete(n *yaml.Node, key string) {
	if i := index(n, key); i >= 0 {
		n.Content = slices.Delete(n.Content, i, i+2)
	}
}

// Items are the elements of the list at the path.
func Items(n *yaml.Node, path ...string) []*yaml.Node {
	if v := Get(n, path...); v != nil && v.Kind == yaml.SequenceNode {
		return v.Content
	}
	return nil
}

// SetItems makes items the list of a key of the mapping n; without items, n has no such key.
func SetItems(n *yaml.Node, key string, items []*yaml.Node) {
	if len(items) == 0 {
		Delete(n, key)
		return
	}
	if list := Get(n, key); list != nil && list.Kind == yaml.SequenceNode {
		list.Content, list.Style = items, 0
		return
	}
	Set(n, key, List(items...))
}

// Append adds an item to the list of a key of the mapping n.
func Append(n *yaml.Node, key string, item *yaml.Node) {
	SetItems(n, key, append(slices.Clone(Items(n, key)), item))
}

// Named is the item whose name is name, nil if there is none.
func Named(items []*yaml.Node, name string) *yaml.Node {
	for _, item := range items {
		if Text(item, "name") == name {
			return item
		}
	}
	return nil
}

// Clone is a copy of n, comments included.
func Clone(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Content = make([]*yaml.Node, 0, len(n.Content))
	for _, child := range n.Content {
		c.Content = append(c.Content, Clone(child))
	}
	return &c
}

// String is a scalar; it is quoted where YAML would read something else than a string.
func String(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

// Strings is a list of scalars.
func Strings(values ...string) *yaml.Node {
	list := List()
	for _, v := range values {
		list.Content = append(list.Content, String(v))
	}
	return list
}

// Map is a mapping of the keys and values of pairs, in their order. A value is a string, a bool, a number or a node; a pair whose value is nil
// or an empty string is left out.
func Map(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap}
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := scalarOrNode(pairs[i+1]); value != nil {
			n.Content = append(n.Content, String(fmt.Sprint(pairs[i])), value)
		}
	}
	return n
}

func scalarOrNode(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case string:
		if v == "" {
			return nil
		}
		return String(v)
	case nil:
		return nil
	}
	return Plain(fmt.Sprint(v))
}

// Plain is a scalar that YAML reads as what it looks like: a number, true or false.
func Plain(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// List is a list of items.
func List(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: yaml.NodeTagSeq, Content: items}
}

// From is the tree of a value of Go, as its JSON has it.
func From(v any) (*yaml.Node, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	n, err := yaml.Parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	out := n.YNode()
	plain(out)
	return out, nil
}

// plain takes the style of JSON from a tree.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plain(child)
	}
}

// Rewrite replaces every scalar value, not key, below n by what f makes of it. An item of a list for which f returns another number
// of texts than one is replaced by as many items.
func Rewrite(n *yaml.Node, f func(text string) []string) {
	if n == nil {
		return
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if out := f(n.Value); len(out) == 1 && out[0] != n.Value {
			setText(n, out[0])
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			Rewrite(n.Content[i], f)
		}
	case yaml.SequenceNode:
		n.Content = rewriteItems(n.Content, f)
	case yaml.DocumentNode:
		for _, child := range n.Content {
			Rewrite(child, f)
		}
	}
}

func rewriteItems(items []*yaml.Node, f func(text string) []string) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(items))
	for _, item := range items {
		if item.Kind != yaml.ScalarNode {
			Rewrite(item, f)
			out = append(out, item)
			continue
		}
		texts := f(item.Value)
		if len(texts) == 1 {
			if texts[0] != item.Value {
				setText(item, texts[0])
			}
			out = append(out, item)
			continue
		}
		for _, text := range texts {
			out = append(out, String(text))
		}
	}
	return out
}

// setText changes the value of a scalar, keeping its style where it can say the new value.
func setText(n *yaml.Node, text string) {
	style := n.Style
	n.SetString(text)
	if style != 0 && !strings.Contains(text, "\n") {
		n.Style = style
	}
}

// Texts calls f with every scalar value below n.
func Texts(n *yaml.Node, f func(text string)) {
	Rewrite(n, func(text string) []string {
		f(text)
		return []string{text}
	})
}

// StripComments takes the comments from a tree.
func StripComments(n *yaml.Node) {
	if n == nil {
		return
	}
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, child := range n.Content {
		StripComments(child)
	}
}

// Canonical is a text that is the same for trees that mean the same: without comments and style, with sorted keys.
func Canonical(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	switch n.Kind {
	case yaml.MappingNode:
		var fields []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			fields = append(fields, fmt.Sprintf("%q:%s", n.Content[i].Value, Canonical(n.Content[i+1])))
		}
		slices.Sort(fields)
		return "{" + strings.Join(fields, ",") + "}"
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			items = append(items, Canonical(item))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	return fmt.Sprintf("%q", n.Value)
}

// Equal reports whether two trees mean the same.
func Equal(a, b *yaml.Node) bool { return Canonical(a) == Canonical(b) }
