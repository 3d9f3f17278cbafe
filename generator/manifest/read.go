package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// maxSize bounds what is read, in bytes, and maxObjects how many objects it may have.
	maxSize    = 4 << 20
	maxObjects = 2000
)

// Read reads the objects of r, which file names in messages: several YAML documents, JSON, and the items of a List. Comments are kept.
// All that is malformed is reported at once, each with its line, as failure.InvalidInput.
func Read(file string, r io.Reader) ([]*yaml.RNode, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, failure.New(failure.Storage, "reading %s: %w", file, err)
	}
	if len(data) > maxSize {
		return nil, failure.New(failure.InvalidInput, "%s is larger than %d bytes", file, maxSize)
	}
	var objects []*yaml.RNode
	var faults []error
	for _, d := range split(withoutHeader(strings.ReplaceAll(string(data), "\r\n", "\n"))) {
		root, wrong := keyed.Parse(d.text, d.line)
		if len(wrong) == 0 && root != nil {
			var found []*yaml.RNode
			found, wrong = items(root)
			objects = append(objects, found...)
		}
		for _, f := range wrong {
			faults = append(faults, fmt.Errorf("%s:%w", file, f))
		}
		if len(objects) > maxObjects {
			faults = append(faults, fmt.Errorf("%s:%d: there are more than %d objects", file, d.line, maxObjects))
			break
		}
	}
	if len(faults) > 0 {
		return nil, failure.New(failure.InvalidInput, "%w", errors.Join(faults...))
	}
	return objects, nil
}

// ReadPath reads the objects of a file, or of the *.yaml files of a directory. Of a directory that WriteDir has written, it reads what
// WriteDir wrote and what kustomization.yaml lists, not what else is there.
func ReadPath(path string) ([]*yaml.RNode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, failure.New(failure.NotFound, "reading objects: %w", err)
	}
	if !info.IsDir() {
		return readFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, failure.New(failure.NotFound, "reading objects: %w", err)
	}
	listed, ours := resources(path)
	if ours { // in the order in which they were written, so that writing them again changes nothing
		slices.SortStableFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(position(listed, a), position(listed, b)) })
	}
	var objects []*yaml.RNode
	for _, e := range entries {
		name := e.Name()
		if filepath.Ext(name) != ".yaml" || name == kustomization || e.IsDir() {
			continue
		}
		marked, err := isMarked(filepath.Join(path, name), e.Type())
		if err != nil {
			return nil, err
		}
		if ours && !marked && !slices.Contains(listed, name) {
			continue
		}
		found, err := readFile(filepath.Join(path, name))
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	if len(objects) == 0 {
		return nil, failure.New(failure.NotFound, "there are no objects in the *.yaml files of %s", path)
	}
	return objects, nil
}

// position is where a file stands among listed; one that does not stands behind them.
func position(listed []string, e os.DirEntry) int {
	if i := slices.Index(listed, e.Name()); i >= 0 {
		return i
	}
	return len(listed)
}

// resources are the files that the kustomization.yaml of a directory lists; ours says whether WriteDir has written it.
func resources(dir string) (names []string, ours bool) {
	objects, err := readFile(filepath.Join(dir, kustomization))
	if err != nil || len(objects) != 1 {
		return nil, false
	}
	for _, r := range tree.Items(objects[0].YNode(), "resources") {
		names = append(names, filepath.Clean(r.Value))
	}
	text, err := os.ReadFile(filepath.Join(dir, kustomization))
	return names, err == nil && strings.HasPrefix(string(text), mark)
}

func readFile(path string) ([]*yaml.RNode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, failure.New(failure.NotFound, "reading objects: %w", err)
	}
	defer f.Close()
	return Read(path, f)
}

// document is the text of one, and the line at which it begins.
type document struct {
	text string
	line int
}

// split parts a text at its document separators. The parser could do that too, but takes the comments above a document for those
// below the one before it.
func split(text string) []document {
	var all []document
	start, line, first := 0, 1, 1
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if separator(text[at:end]) {
			all = append(all, document{text[start:at], first})
			start, first = end, line+1
		}
		at, line = end, line+1
	}
	return append(all, document{text[start:], first})
}

func separator(line string) bool {
	rest, ok := strings.CutPrefix(line, "---")
	rest = strings.TrimSpace(rest)
	return ok && (rest == "" || rest[0] == '#')
}

// withoutHeader is text with nothing in the lines that Write has put above its objects.
func withoutHeader(text string) string {
	if rest, ok := strings.CutPrefix(text, header); ok {
		return strings.Repeat("\n", strings.Count(header, "\n")) + rest
	}
	return text
}

// items are the objects of a document: itself, or those of a List.
func items(root *yaml.Node) ([]*yaml.RNode, []keyed.TextError) {
	if root.Kind == yaml.ScalarNode && root.ShortTag() == yaml.NodeTagNull {
		return nil, nil
	}
	if root.Style&yaml.FlowStyle != 0 {
		block(root)
	}
	if fault := object(root); fault != "" {
		return nil, []keyed.TextError{{Line: root.Line, Text: fault}}
	}
	if first := root.Content[0]; root.HeadComment == "" { // a comment above the first key is about the object, wherever that key goes
		root.HeadComment, first.HeadComment = first.HeadComment, ""
	}
	list := tree.Get(root, "items")
	if !strings.HasSuffix(tree.Get(root, "kind").Value, "List") || list == nil {
		return []*yaml.RNode{yaml.NewRNode(root)}, nil
	}
	if list.Kind != yaml.SequenceNode {
		return nil, []keyed.TextError{{Line: list.Line, Text: "items must be a list"}}
	}
	var all []*yaml.RNode
	var faults []keyed.TextError
	for _, item := range list.Content {
		found, wrong := items(item)
		all, faults = append(all, found...), append(faults, wrong...)
	}
	return all, faults
}

// object says what n lacks to be an object.
func object(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return "an object is a mapping with apiVersion, kind and metadata"
	}
	for _, field := range []string{"apiVersion", "kind"} {
		if v := tree.Get(n, field); v == nil || v.Kind != yaml.ScalarNode || v.Value == "" {
			return "the object has no " + field
		}
	}
	metadata := tree.Get(n, "metadata")
	isList := strings.HasSuffix(tree.Get(n, "kind").Value, "List") && tree.Get(n, "items") != nil
	if isList || tree.Get(n, "kind").Value == "Kustomization" {
		return ""
	}
	named := slices.ContainsFunc([]string{"name", "generateName"}, func(field string) bool {
		v := tree.Get(metadata, field)
		return v != nil && v.Kind == yaml.ScalarNode && v.Value != ""
	})
	if !named {
		return "the object has no metadata.name"
	}
	return ""
}

// block has what was read as JSON written as people write YAML.
func block(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		block(child)
	}
}
