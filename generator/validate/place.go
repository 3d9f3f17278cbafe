package validate

import (
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// place is where something is in an object, as libraries write it: spec.tasks[4].taskSpec.steps[0].
var place = regexp.MustCompile(`\bspec(\.[A-Za-z]+|\[[0-9]+\])+`)

// byName has the names of elements in the place of their numbers, in each place that text mentions: nobody counts tasks, and an overlay
// moves them.
func byName(object *yaml.Node, text string) string {
	return place.ReplaceAllStringFunc(text, func(path string) string {
		var b strings.Builder
		at := object
		for part := range strings.SplitSeq(strings.ReplaceAll(path, "[", ".["), ".") {
			number, isIndex := strings.CutPrefix(part, "[")
			if !isIndex {
				at = valueOf(at, part)
				b.WriteString("." + part)
				continue
			}
			i, err := strconv.Atoi(strings.TrimSuffix(number, "]"))
			if err != nil || at == nil || at.Kind != yaml.SequenceNode || i >= len(at.Content) {
				at = nil
			} else {
				at = at.Content[i]
			}
			if name := tree.Text(at, "name"); name != "" {
				part = "[" + name + "]"
			}
			b.WriteString(part)
		}
		return strings.TrimPrefix(b.String(), ".")
	})
}

// valueOf is the value of a field; Tekton leaves taskSpec out of its places.
func valueOf(n *yaml.Node, name string) *yaml.Node {
	if v := tree.Get(n, name); v != nil {
		return v
	}
	return tree.Get(tree.Get(n, "taskSpec"), name)
}
