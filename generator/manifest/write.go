package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// header is what each written file begins with. Its first line is the mark by which WriteDir knows its own files.
const header = mark + `
# Change it by the configuration and overlays. What is edited here is kept by: osbs generate --upgrade
`

const (
	mark          = "# Written by osbs generate."
	kustomization = "kustomization.yaml"
)

// Write writes objects as the documents of one file, with a comment above them that says where they come from. The same objects give
// the same bytes. Keys are put into order (see Order) in the objects themselves.
func Write(w io.Writer, objects []*yaml.RNode) error {
	data, err := encode(objects)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return failure.New(failure.Storage, "writing objects: %w", err)
	}
	return nil
}

func encode(objects []*yaml.RNode) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(header)
	for _, o := range objects {
		Order(o)
		out.WriteString("---\n")
		encoder := yaml.NewEncoder(&out)
		if err := encoder.Encode(fold(o.YNode())); err != nil {
			return nil, failure.New(failure.Internal, "writing %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		if err := encoder.Close(); err != nil {
			return nil, failure.New(failure.Internal, "writing %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return folded.ReplaceAll(out.Bytes(), []byte(">$1\n")), nil
}

// foldWidth is the length of the lines of a folded text, without their indentation.
const foldWidth = 110

// foldMark is a first line by which a text is found that is to be written in folded style. It is of Unicode's private use.
const foldMark = "\uf05b\uf05d"

var folded = regexp.MustCompile(`\|([-+]?)\n *` + foldMark + `\n`)

// fold is n with the lines of its folded texts (>-) parted by hand: the encoder parts no lines.
func fold(n *yaml.Node) *yaml.Node {
	c := *n
	if n.Kind == yaml.ScalarNode && n.Style == yaml.FoldedStyle {
		if lines, ok := wrap(n.Value); ok {
			c.Style, c.Value = yaml.LiteralStyle, foldMark+"\n"+lines
		}
	}
	c.Content = nil
	for _, child := range n.Content {
		c.Content = append(c.Content, fold(child))
	}
	return &c
}

// wrap parts a text of one line at its spaces. It says false for what would read differently then.
func wrap(text string) (string, bool) {
	line := strings.TrimSuffix(text, "\n")
	if strings.ContainsAny(line, "\n\r\t"+foldMark) || strings.Contains(" "+line+" ", "  ") {
		return "", false
	}
	var out strings.Builder
	length := 0
	for i, word := range strings.Split(line, " ") {
		switch {
		case i > 0 && length+1+len(word) > foldWidth:
			out.WriteByte('\n')
			length = 0
		case i > 0:
			out.WriteByte(' ')
			length++
		}
		out.WriteString(word)
		length += len(word)
	}
	return out.String() + text[len(line):], true
}

// WriteDir writes each object to a file KIND-NAME.yaml in dir, and a kustomization.yaml that lists them. Files that an earlier run has
// written and that are not needed any more are removed. A file that something else has written is failure.Conflict, before anything
// is changed; each file is replaced as a whole.
func WriteDir(dir string, objects []*yaml.RNode) error {
	files, err := layOut(objects)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failure.New(failure.Storage, "making the directory for objects: %w", err)
	}
	ours, err := own(dir, files)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := renameio.WriteFile(filepath.Join(dir, f.name), f.data, 0o644); err != nil {
			return failure.New(failure.Storage, "writing %s: %w", f.name, err)
		}
	}
	for _, name := range ours {
		if slices.ContainsFunc(files, func(f outFile) bool { return f.name == name }) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return failure.New(failure.Storage, "removing what is not generated any more: %w", err)
		}
	}
	return nil
}

type outFile struct {
	name string
	data []byte
}

// layOut gives each object its file.
func layOut(objects []*yaml.RNode) ([]outFile, error) {
	var files []outFile
	list := yaml.NewListRNode()
	for _, o := range objects {
		data, err := encode([]*yaml.RNode{o})
		if err != nil {
			return nil, err
		}
		name := fileName(o.GetKind(), o.GetName())
		if taken(files, name) {
			name = fileName(o.GetKind(), o.GetNamespace(), o.GetName())
		}
		if taken(files, name) {
			return nil, failure.New(failure.Conflict, "there are two objects %s %s in the same namespace", o.GetKind(), o.GetName())
		}
		files = append(files, outFile{name, data})
		list.YNode().Content = append(list.YNode().Content, yaml.NewStringRNode(name).YNode())
	}
	root := yaml.NewMapRNode(nil)
	tree.Set(root.YNode(), "apiVersion", yaml.NewStringRNode("kustomize.config.k8s.io/v1beta1").YNode())
	tree.Set(root.YNode(), "kind", yaml.NewStringRNode("Kustomization").YNode())
	tree.Set(root.YNode(), "resources", list.YNode())
	data, err := encode([]*yaml.RNode{root})
	return append(files, outFile{kustomization, data}), err
}

func taken(files []outFile, name string) bool {
	return name == kustomization || slices.ContainsFunc(files, func(f outFile) bool { return f.name == name })
}

var notInNames = regexp.MustCompile(`[^a-z0-9.-]+`)

func fileName(parts ...string) string {
	name := strings.ToLower(strings.Join(parts, "-"))
	return strings.TrimLeft(notInNames.ReplaceAllString(name, "-"), ".-") + ".yaml"
}

// own are the files of dir that an earlier run has written. Any other file in the place of one of files is an error.
func own(dir string, files []outFile) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, failure.New(failure.Storage, "reading the directory for objects: %w", err)
	}
	var ours []string
	var foreign []error
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".yaml" {
			continue
		}
		marked, err := isMarked(filepath.Join(dir, e.Name()), e.Type())
		if err != nil {
			return nil, err
		}
		switch {
		case marked:
			ours = append(ours, e.Name())
		case slices.ContainsFunc(files, func(f outFile) bool { return f.name == e.Name() }):
			foreign = append(foreign, fmt.Errorf("%s is in the way: it does not begin with %q", filepath.Join(dir, e.Name()), mark))
		}
	}
	if len(foreign) > 0 {
		err := failure.New(failure.Conflict, "%w", errors.Join(foreign...))
		return nil, failure.WithHint(err, "move it away, or generate into another directory")
	}
	return ours, nil
}

// WriteFile writes objects to a file as Write does, at once and as a whole. A file that is there, and that no earlier run has written, is an
// error: it may be the configuration.
func WriteFile(file string, objects []*yaml.RNode) error {
	if err := Free(file); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := Write(&b, objects); err != nil {
		return err
	}
	if err := renameio.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return failure.New(failure.Storage, "writing %s: %w", file, err)
	}
	return nil
}

// Free says whether WriteFile may write a file: nil if it is not there, or is empty, or an earlier run has written it.
func Free(file string) error {
	info, err := os.Stat(file)
	if err != nil || info.Mode().IsRegular() && info.Size() == 0 {
		return nil //nolint:nilerr // writing says more
	}
	marked, err := isMarked(file, info.Mode())
	if err != nil {
		return err
	}
	if !marked && info.Mode().IsRegular() {
		err := failure.New(failure.Conflict, "%s is in the way: it does not begin with %q", file, mark)
		return failure.WithHint(err, "move it away, or generate into another file")
	}
	return nil
}

// isMarked says whether an earlier run has written the file.
func isMarked(path string, mode os.FileMode) (bool, error) {
	if !mode.IsRegular() {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, failure.New(failure.Storage, "reading %s: %w", path, err)
	}
	defer f.Close()
	begin := make([]byte, len(mark))
	if _, err := io.ReadFull(f, begin); err != nil {
		return false, nil // a file that is shorter is not marked
	}
	return string(begin) == mark, nil
}
