package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// maxPaths is how many changed places of an object its summary names.
const maxPaths = 8

// Diff tells how now differs from old: a line for each object that was added, removed or changed, with the places, then the lines that
// differ. What means the same does not differ: the order of keys, of params or volumes, comments, defaults, and what a cluster adds to
// its objects. It is empty if nothing differs.
func Diff(old, now []*yaml.RNode) (string, error) {
	sides, err := sets(old, now)
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	var summary, lines strings.Builder
	for _, id := range keyed.Union(sides[1].ids, sides[0].ids) {
		was, is := sides[0].node(id), sides[1].node(id)
		if was != nil {
			was = normal(ctx, was)
		}
		if is != nil {
			is = normal(ctx, is)
		}
		if was != nil && is != nil {
			sameNamespace(was, is)
			align(was, is, "")
		}
		line := summarize(id, was, is)
		if line == "" {
			continue
		}
		summary.WriteString(line)
		text, err := unified(id, was, is)
		if err != nil {
			return "", err
		}
		lines.WriteString("\n" + text)
	}
	return summary.String() + lines.String(), nil
}

// sameNamespace drops the namespace that only one of two objects names: a cluster names it always.
func sameNamespace(a, b *yaml.Node) {
	a, b = tree.Get(a, "metadata"), tree.Get(b, "metadata")
	if tree.Text(a, "namespace") == "" || tree.Text(b, "namespace") == "" {
		tree.Delete(a, "namespace")
		tree.Delete(b, "namespace")
	}
}

// unordered are lists in which the order of the elements says nothing.
func unordered() []string {
	return []string{
		"params", "results", "workspaces", "volumes", "volumeMounts", "tasks", "finally", "taskRunSpecs", "subjects", "secrets", "imagePullSecrets",
	}
}

// align puts the elements of such lists in old into the order that they have in now.
func align(old, now *yaml.Node, field string) {
	if old.Kind != now.Kind {
		return
	}
	if old.Kind == yaml.MappingNode {
		for _, f := range keyed.Fields(old) {
			if other := tree.Get(now, f); other != nil {
				align(tree.Get(old, f), other, f)
			}
		}
	}
	key := keyed.KeyOf(field, old, now)
	if old.Kind != yaml.SequenceNode || key == nil {
		return
	}
	for _, element := range old.Content {
		if i := key.Find(now, key.Of(element)); i >= 0 {
			align(element, now.Content[i], "")
		}
	}
	if !slices.Contains(unordered(), field) {
		return
	}
	var content []*yaml.Node
	for _, id := range keyed.Union(key.IDs(now), key.IDs(old)) {
		if i := key.Find(old, id); i >= 0 {
			content = append(content, old.Content[i])
		}
	}
	old.Content = content
}

// summarize says in a line what happens to an object, nothing if nothing does.
func summarize(id string, was, is *yaml.Node) string {
	switch {
	case was == nil:
		return "added    " + id + "\n"
	case is == nil:
		return "removed  " + id + "\n"
	}
	differences := keyed.Compare(was, is)
	if len(differences) == 0 {
		return ""
	}
	var paths []string
	for _, d := range differences {
		switch {
		case d.Moved:
			paths = append(paths, string(d.Path)+" (order)")
		case d.Old == nil:
			paths = append(paths, "+"+string(d.Path))
		case d.New == nil:
			paths = append(paths, "-"+string(d.Path))
		default:
			paths = append(paths, string(d.Path))
		}
	}
	more := ""
	if len(paths) > maxPaths {
		more = fmt.Sprintf(" and %d more", len(paths)-maxPaths)
		paths = paths[:maxPaths]
	}
	return "changed  " + id + ": " + strings.Join(paths, ", ") + more + "\n"
}

// unified is the lines of an object that differ, with some around them.
func unified(id string, was, is *yaml.Node) (string, error) {
	text := func(n *yaml.Node) ([]byte, error) {
		if n == nil {
			return nil, nil
		}
		s, err := yaml.String(n)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", id, err)
		}
		return []byte(s), nil
	}
	a, err := text(was)
	if err != nil {
		return "", err
	}
	b, err := text(is)
	if err != nil {
		return "", err
	}
	out := string(diff.Diff(id+" (in use)", a, id+" (generated)", b))
	_, out, _ = strings.Cut(out, "\n") // the line "diff OLD NEW" says what the next two do
	return out, nil
}
