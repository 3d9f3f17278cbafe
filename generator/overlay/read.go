package overlay

import (
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// maxSize bounds an overlay, and a file that it names, in bytes.
const maxSize = 1 << 20

// Read reads an overlay; file names it in messages, and is where files that it names are looked for: beside it, or in directories below.
// All faults are reported at once, each with its line, as failure.Usage.
func Read(file string, data []byte) ([]Entry, error) {
	r := reader{file: file, dir: filepath.Dir(file)}
	if len(data) > maxSize {
		r.faults.add(file, 1, "the overlay is larger than %d bytes", maxSize)
		return nil, r.faults.err()
	}
	root, wrong := keyed.Parse(strings.ReplaceAll(string(data), "\r\n", "\n"), 1)
	for _, f := range wrong {
		r.faults.add(file, f.Line, "%s", f.Text)
	}
	switch {
	case len(wrong) > 0 || root == nil || isNull(root):
	case root.Kind != yaml.SequenceNode:
		r.fault(root, "an overlay is a list of entries, such as: - disable: sync")
	default:
		var entries []Entry
		for _, n := range root.Content {
			entries = append(entries, r.entry(n))
		}
		if err := r.faults.err(); err != nil {
			return nil, err
		}
		return entries, nil
	}
	return nil, r.faults.err()
}

// reader reads the entries of one file.
type reader struct {
	file, dir string
	faults    faults
}

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	r.faults.add(r.file, n.Line, format, args...)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == yaml.NodeTagNull }

// companions are the keys that may stand beside the one of a verb.
func companions() map[verb][]string {
	return map[verb][]string{
		disable: nil, replace: {"task"}, insert: {"before", "after", "task"}, finally: {"task"}, set: nil, declare: nil,
		patch: {"merge", "add"}, labels: {"on"}, annotations: {"on"},
	}
}

func verbs() []string {
	var names []string
	for v := range companions() {
		names = append(names, string(v))
	}
	slices.Sort(names)
	return names
}

func (r *reader) entry(n *yaml.Node) Entry {
	e := Entry{File: r.file, Line: n.Line}
	if n.Kind != yaml.MappingNode {
		r.fault(n, "an entry is a mapping with one of the keys %s", strings.Join(verbs(), ", "))
		return e
	}
	for _, field := range keyed.Fields(n) {
		if v := verb(field); slices.Contains(verbs(), field) {
			if e.verb != "" {
				r.fault(n, "this is %s and %s in one: write an entry for each", e.verb, v)
				return Entry{File: r.file, Line: n.Line}
			}
			e.verb = v
		}
	}
	if e.verb == "" {
		r.unknown(n, verbs()...)
		if len(n.Content) == 0 {
			r.fault(n, "the entry is empty")
		}
		return e
	}
	r.known(n, append(companions()[e.verb], string(e.verb))...)
	r.fill(&e, n)
	return e
}

// known refuses fields that are none of names.
func (r *reader) known(n *yaml.Node, names ...string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(names, key.Value) {
			r.fault(key, "unknown key %.100q%s", key.Value, near(key.Value, names))
		}
	}
}

// unknown says that none of the fields is one of names.
func (r *reader) unknown(n *yaml.Node, names ...string) { r.known(n, names...) }

func (r *reader) fill(e *Entry, n *yaml.Node) {
	main := tree.Get(n, string(e.verb))
	switch e.verb {
	case disable:
		e.target = r.text(main, "the name of a stage")
	case replace:
		e.target = r.text(main, "the name of a stage")
		e.task = r.task(e, n)
	case insert:
		e.target = r.taskName(main)
		e.task = r.task(e, n)
		r.place(e, n)
	case finally:
		e.target = r.taskName(main)
		e.task = r.task(e, n)
	case set:
		r.set(e, main)
	case declare:
		r.param(e, main)
	case patch:
		r.patch(e, n)
	case labels, annotations:
		e.values = r.strings(main, e.verb)
		if on := tree.Get(n, "on"); on != nil {
			e.on = r.selector(on)
		}
	}
}

// text is a scalar that is not empty.
func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" || isNull(n) {
		r.fault(n, "here must be %s", what)
		return ""
	}
	return n.Value
}

func (r *reader) taskName(n *yaml.Node) string {
	name := r.text(n, "a name for the task")
	if name == "" {
		return ""
	}
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
		r.fault(n, "%.100q cannot be the name of a task: %s", name, brief(wrong[0]))
		return ""
	}
	return name
}

func (r *reader) place(e *Entry, n *yaml.Node) {
	before, after := tree.Get(n, "before"), tree.Get(n, "after")
	switch {
	case before != nil && after != nil, before == nil && after == nil:
		r.fault(n, "insert takes before: STAGE or after: STAGE, one of them")
	case before != nil:
		e.before = r.text(before, "the name of a stage")
	default:
		e.after = r.text(after, "the name of a stage")
	}
}

func (r *reader) set(e *Entry, n *yaml.Node) {
	params := tree.Get(n, "params")
	if params == nil || params.Kind != yaml.MappingNode || len(params.Content) == 0 {
		r.fault(n, "set takes params: {NAME: VALUE}, and stage: STAGE if it is for one stage only")
		return
	}
	r.known(n, "stage", "params")
	if stage := tree.Get(n, "stage"); stage != nil {
		e.target = r.text(stage, "the name of a stage")
	}
	for i := 0; i+1 < len(params.Content); i += 2 {
		key, v := params.Content[i], params.Content[i+1]
		if v = r.paramValue(v); v != nil {
			e.values = append(e.values, value{key.Value, v, key.Line})
		}
	}
}

// paramValue is a value for a param of Tekton: a text, a list or a mapping of texts. A number and a bool become the texts that they are
// written as.
func (r *reader) paramValue(n *yaml.Node) *yaml.Node {
	if isNull(n) {
		r.fault(n, `here must be a value; "" is the empty text`)
		return nil
	}
	if !textual(n) {
		r.fault(n, "a param is a text, a list of texts, or a mapping of texts")
		return nil
	}
	c := tree.Clone(n)
	for _, s := range append([]*yaml.Node{c}, c.Content...) {
		if s.Kind == yaml.ScalarNode && s.ShortTag() != yaml.NodeTagString {
			s.Tag, s.Style = yaml.NodeTagString, yaml.DoubleQuotedStyle
		}
	}
	return c
}

func textual(n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode {
		return true
	}
	return !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Kind != yaml.ScalarNode || isNull(c) })
}

// param reads a ParamSpec.
func (r *reader) param(e *Entry, n *yaml.Node) {
	if n.Kind != yaml.MappingNode || tree.Get(n, "name") == nil {
		r.fault(n, "param takes {name: NAME, type: string, default: VALUE, description: TEXT}")
		return
	}
	r.known(n, "name", "description", "type", "default", "enum", "properties")
	e.target = r.text(tree.Get(n, "name"), "the name of a param")
	if wrong := validation.IsDNS1123Subdomain(strings.ToLower(strings.ReplaceAll(e.target, "_", "-"))); e.target != "" && len(wrong) > 0 {
		r.fault(n, "%.100q cannot be the name of a param: it is letters, digits, -, _ and .", e.target)
	}
	e.param = tree.Clone(n)
	kind := tree.Text(n, "type")
	if !slices.Contains([]string{"", "string", "array", "object"}, kind) {
		r.fault(tree.Get(n, "type"), "type is string, array or object, not %.100q", kind)
		return
	}
	d := tree.Get(n, "default")
	if d == nil {
		return
	}
	if d = r.paramValue(d); d == nil {
		return
	}
	if kind == "" {
		kind = typeOf(d)
		tree.Set(e.param, "type", tree.String(kind))
	}
	if kind != typeOf(d) {
		r.fault(d, "the param is of type %s, and its default of type %s", kind, typeOf(d))
	}
	tree.Set(e.param, "default", d)
}

// typeOf is Tekton's type of a param that has this value.
func typeOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "array"
	case yaml.MappingNode:
		return "object"
	default:
		return "string"
	}
}

func (r *reader) patch(e *Entry, n *yaml.Node) {
	e.on = r.selector(tree.Get(n, string(patch)))
	e.merge = tree.Get(n, "merge")
	if e.merge == nil || e.merge.Kind != yaml.MappingNode || len(e.merge.Content) == 0 {
		r.fault(n, "patch takes merge: with the part of the object that changes, from its top (spec: ...)")
		return
	}
	for _, path := range [][]string{{"apiVersion"}, {"kind"}, {"metadata", "name"}, {"metadata", "namespace"}} {
		if at := tree.Get(e.merge, path...); at != nil {
			r.fault(at, "%s cannot be changed by a patch: others refer to the object by it", strings.Join(path, "."))
		}
	}
	if add := tree.Get(n, "add"); add != nil {
		e.add = add.Value == "true"
		if add.ShortTag() != yaml.NodeTagBool {
			r.fault(add, "add is true or false")
		}
	}
}

func (r *reader) selector(n *yaml.Node) selector {
	if n.Kind != yaml.MappingNode || tree.Get(n, "kind") == nil {
		r.fault(n, "an object is named by {kind: KIND, name: NAME}")
		return selector{}
	}
	r.known(n, "kind", "name")
	s := selector{kind: r.text(tree.Get(n, "kind"), "a kind, such as Task or Pipeline")}
	if name := tree.Get(n, "name"); name != nil {
		s.name = r.text(name, "the name of an object")
	}
	if s.kind == taskKind && s.name == "" {
		r.fault(n, "a Task is named by its stage: {kind: Task, name: push}")
	}
	return s
}

// strings reads labels or annotations.
func (r *reader) strings(n *yaml.Node, v verb) []value {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.fault(n, "%s takes a mapping of names to texts", v)
		return nil
	}
	var values []value
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, text := n.Content[i], n.Content[i+1]
		wrong := validation.IsQualifiedName(strings.ToLower(key.Value))
		switch {
		case text.Kind != yaml.ScalarNode || text.ShortTag() != yaml.NodeTagString:
			r.fault(text, "the value of %.100q must be a text: put it into quotes", key.Value)
			continue
		case strings.HasPrefix(key.Value, "osbs.dev/"):
			r.fault(key, "%.100q is for osbs itself to set", key.Value)
			continue
		case v == labels && len(wrong) == 0:
			wrong = validation.IsValidLabelValue(text.Value)
		}
		if len(wrong) > 0 {
			r.fault(key, "%.100q: %.100q is no entry of %s: %s", key.Value, text.Value, v, brief(wrong[0]))
		}
		values = append(values, value{key.Value, text, key.Line})
	}
	return values
}

// brief leaves out the examples and the expression of what Kubernetes says of a name.
func brief(message string) string {
	message, _, _ = strings.Cut(message, " (e.g.")
	return message
}
