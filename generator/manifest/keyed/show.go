package keyed

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// Show is a value in one short line, for messages; empty if there is none.
func Show(n *yaml.Node) string {
	const most = 80
	if n == nil {
		return ""
	}
	text := n.Value
	if n.Kind != yaml.ScalarNode {
		c := tree.Clone(n)
		bare(c)
		c.Style = yaml.FlowStyle
		text, _ = yaml.String(c, yaml.Trim) // what was read can be written
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-3]) + "..."
	}
	return text
}

// bare takes the comments from a tree.
func bare(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, child := range n.Content {
		bare(child)
	}
}
