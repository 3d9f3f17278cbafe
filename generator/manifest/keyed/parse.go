package keyed

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxNodes bounds what the aliases of a document may grow it to.
const maxNodes = 200_000

// TextError is what is wrong with a text, and in which line.
type TextError struct {
	Line int
	Text string
}

func (f TextError) Error() string { return fmt.Sprintf("%d: %s", f.Line, f.Text) }

// Parse reads the one YAML document that text holds, with its aliases put in and each mapping's keys checked. It is nil if the text is
// empty. Lines are counted from first, the number of the text's first line.
func Parse(text string, first int) (*yaml.Node, []TextError) {
	if line, fault := Illegible(text); fault != "" {
		return nil, []TextError{{line + first - 1, "this is no YAML: " + fault}}
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(text))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		line, fault := Syntax(text, err)
		return nil, []TextError{{max(line, 1) + first - 1, "this is no YAML: " + fault}}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, []TextError{{first, "here is more than one document"}}
	}
	c := checker{shift: first - 1, sizes: map[*yaml.Node]int{}}
	c.check(&document)
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	tree := yaml.NewRNode(&document)
	if err := tree.DeAnchor(); err != nil {
		return nil, []TextError{{first, "the document's aliases: " + err.Error()}}
	}
	root := yaml.CopyYNode(tree.YNode()) // a merged mapping (<<) may stand at two places
	if root == nil {
		return nil, nil
	}
	if root.HeadComment == "" {
		root.HeadComment = document.HeadComment
	}
	if root.FootComment == "" {
		root.FootComment = document.FootComment
	}
	return root, nil
}

// Illegible says what a text has that YAML cannot hold, and in which line, counted from 1. The parser would not name the line, and takes
// UTF-16 for something else.
func Illegible(text string) (line int, fault string) {
	line = 1
	for i, r := range text {
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			return line, "a byte is not UTF-8; save the file as UTF-8"
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return line, fmt.Sprintf("the control character %U; leave it out, or write it as \"\\x%02x\"", r, r)
		}
	}
	return 0, ""
}

// Syntax is what the parser says of a text, in which line if it says that, else 0, and what may be meant by it.
func Syntax(text string, err error) (line int, fault string) {
	fault = strings.TrimPrefix(err.Error(), "yaml: ")
	if n, serr := fmt.Sscanf(fault, "line %d:", &line); n == 1 && serr == nil {
		_, fault, _ = strings.Cut(fault, ": ")
	}
	switch {
	case strings.Contains(fault, "cannot start any token") && tabbed(text, line):
		fault = "the line is indented with a tab; YAML is indented with spaces"
	case strings.Contains(fault, "mapping values are not allowed"):
		fault += "; look at the indentation of this line and the one before, and put a text that has ': ' in it into quotes"
	}
	return line, fault
}

// tabbed says whether a line of text has a tab before anything else but spaces.
func tabbed(text string, line int) bool {
	lines := strings.Split(text, "\n")
	return line >= 1 && line <= len(lines) && strings.HasPrefix(strings.TrimLeft(lines[line-1], " "), "\t")
}

// checker counts what a tree has with its aliases put in, and finds keys that are no texts or that stand twice.
type checker struct {
	shift  int
	sizes  map[*yaml.Node]int // of what was counted; -1 while it is being counted
	faults []TextError
}

func (c *checker) fault(n *yaml.Node, format string, args ...any) {
	c.faults = append(c.faults, TextError{n.Line, fmt.Sprintf(format, args...)})
}

func (c *checker) check(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		size, done := c.sizes[n.Alias]
		if !done || size < 0 {
			c.fault(n, "the alias %s is a part of itself", n.Value)
			return 0
		}
		return size
	}
	n.Line += c.shift
	c.sizes[n] = -1
	if n.Kind == yaml.MappingNode {
		c.keys(n)
	}
	size := 1
	for _, child := range n.Content {
		size += c.check(child)
		if size > maxNodes {
			c.fault(n, "this has more than %d parts", maxNodes)
			size = 1
			break
		}
	}
	c.sizes[n] = size
	return size
}

func (c *checker) keys(mapping *yaml.Node) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			c.fault(&yaml.Node{Line: key.Line + c.shift}, "a key must be a text")
		case seen[key.Value]:
			c.fault(&yaml.Node{Line: key.Line + c.shift}, "the key %.100q stands here twice", key.Value)
		}
		seen[key.Value] = true
	}
}
