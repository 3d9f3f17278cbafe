package overlay

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest"
)

// task is a task that an overlay brings, and how the Pipeline calls it.
type task struct {
	// object is a whole Task, ref a reference to one of the cluster: one of them is set.
	object, ref *yaml.RNode
	params      []value
	workspaces  map[string]string
	// results are the task's names for results that others refer to by another name.
	results        map[string]string
	when           []*yaml.RNode
	timeout        string
	retries        int
	serviceAccount string
	podTemplate    *yaml.RNode
	line           int
}

func (r *reader) task(e *Entry, n *yaml.Node) *task {
	body := tree.Get(n, "task")
	if body == nil || body.Kind != yaml.MappingNode {
		r.fault(n, "%s takes task: with taskSpec, taskRef or file", e.verb)
		return nil
	}
	t := &task{line: body.Line}
	names := []string{
		"taskSpec", "taskRef", "file", "params", "when", "workspaces", "timeout", "retries", "results", "serviceAccountName", "podTemplate",
	}
	if tree.Get(body, "runAfter") != nil {
		r.fault(body, "the place of a task comes from before and after, not from runAfter")
		names = append(names, "runAfter")
	}
	r.known(body, names...)
	r.source(e, t, body)
	r.call(t, body)
	if at := tree.Get(body, "results"); at != nil {
		t.results = r.names(at, "results takes a mapping of the names that others use to those of the task")
	}
	if at := tree.Get(body, "serviceAccountName"); at != nil {
		t.serviceAccount = r.text(at, "the name of a service account")
	}
	if at := tree.Get(body, "podTemplate"); at != nil {
		if at.Kind != yaml.MappingNode {
			r.fault(at, "podTemplate is a mapping")
		}
		t.podTemplate = yaml.NewRNode(at)
	}
	return t
}

// source reads what the task is.
func (r *reader) source(e *Entry, t *task, body *yaml.Node) {
	spec, ref, file := tree.Get(body, "taskSpec"), tree.Get(body, "taskRef"), tree.Get(body, "file")
	given := 0
	for _, n := range []*yaml.Node{spec, ref, file} {
		if n != nil {
			given++
		}
	}
	switch {
	case given != 1:
		r.fault(body, "task takes taskSpec, taskRef or file, one of them")
	case spec != nil:
		if spec.Kind != yaml.MappingNode || len(tree.Items(spec, "steps")) == 0 {
			r.fault(spec, "taskSpec is the spec of a Task, with steps")
			return
		}
		object := tree.Map("apiVersion", "tekton.dev/v1", "kind", taskKind, "metadata", tree.Map("name", e.target))
		tree.Set(object, "spec", spec)
		t.object = yaml.NewRNode(object)
	case ref != nil:
		if ref.Kind != yaml.MappingNode || len(ref.Content) == 0 {
			r.fault(ref, "taskRef is {name: NAME}, or a resolver with its params")
			return
		}
		t.ref = yaml.NewRNode(ref)
	default:
		t.object = r.readTask(file)
	}
}

// readTask reads a Task from a file.
func (r *reader) readTask(n *yaml.Node) *yaml.RNode {
	name := r.text(n, "the name of a file with a Task")
	if name == "" {
		return nil
	}
	data, err := r.open(name)
	if err != nil {
		r.fault(n, "file %.200q: %v", name, err)
		return nil
	}
	path := filepath.Join(r.dir, name)
	objects, err := manifest.Read(path, strings.NewReader(data))
	switch {
	case err != nil:
		r.fault(n, "%v", err)
	case len(objects) != 1 || objects[0].GetKind() != taskKind || objects[0].GetApiVersion() != "tekton.dev/v1":
		r.fault(n, "file %.200q must have one object, a Task of tekton.dev/v1", name)
	case len(tree.Items(objects[0].YNode(), "spec", "steps")) == 0:
		r.fault(n, "the Task in file %.200q has no steps", name)
	default:
		return objects[0]
	}
	return nil
}

// open reads a file beside the overlay, or in a directory below it. A link that leads out of there is refused: an overlay is to bring
// all that it needs.
func (r *reader) open(name string) (string, error) {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("there is none in the directory of the overlay")
	case err != nil:
		return "", reason(err)
	case !info.Mode().IsRegular():
		return "", errors.New("this is no file")
	case info.Size() > maxSize:
		return "", errors.New("it is larger than " + strconv.Itoa(maxSize) + " bytes")
	}
	f, err := root.Open(name)
	if err != nil {
		return "", reason(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize))
	return string(data), err
}

// reason is an error of a file without the name that it was opened by.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// call reads how the Pipeline calls the task, in the words of a PipelineTask.
func (r *reader) call(t *task, body *yaml.Node) {
	t.params = r.params(tree.Get(body, "params"))
	t.workspaces = r.workspaces(tree.Get(body, "workspaces"))
	if when := tree.Get(body, "when"); when != nil {
		if when.Kind != yaml.SequenceNode {
			r.fault(when, "when is a list of {input: ..., operator: in, values: [...]}")
		}
		for _, w := range tree.Items(when) {
			t.when = append(t.when, yaml.NewRNode(w))
		}
	}
	if at := tree.Get(body, "timeout"); at != nil {
		t.timeout = r.text(at, "a duration, such as 30m")
		if d, err := time.ParseDuration(t.timeout); t.timeout != "" && (err != nil || d < 0) {
			r.fault(at, "%.100q is no duration, such as 30m", t.timeout)
		}
	}
	if at := tree.Get(body, "retries"); at != nil {
		n, err := strconv.Atoi(at.Value)
		if err != nil || n < 0 || n > 100 {
			r.fault(at, "retries is a number from 0 to 100")
		}
		t.retries = n
	}
}

// params reads the params of a PipelineTask: a list of {name, value}.
func (r *reader) params(n *yaml.Node) []value {
	if n == nil {
		return nil
	}
	const form = "params is a list of {name: NAME, value: VALUE}"
	if n.Kind != yaml.SequenceNode {
		r.fault(n, form)
		return nil
	}
	var all []value
	for _, p := range n.Content {
		name, v := tree.Text(p, "name"), tree.Get(p, "value")
		if name == "" || v == nil {
			r.fault(p, form)
			continue
		}
		r.known(p, "name", "value")
		for _, other := range all {
			if other.name == name {
				r.fault(p, "the param %.100q stands here twice", name)
			}
		}
		if v = r.paramValue(v); v != nil {
			all = append(all, value{name, v, p.Line})
		}
	}
	return all
}

// workspaces reads the workspaces of a PipelineTask: the Pipeline's names by the task's.
func (r *reader) workspaces(n *yaml.Node) map[string]string {
	if n == nil {
		return nil
	}
	const form = "workspaces is a list of {name: NAME, workspace: workspace}"
	if n.Kind != yaml.SequenceNode {
		r.fault(n, form)
		return nil
	}
	all := map[string]string{}
	for _, w := range n.Content {
		name, of := tree.Text(w, "name"), tree.Text(w, "workspace")
		if name == "" || of == "" {
			r.fault(w, form)
			continue
		}
		r.known(w, "name", "workspace")
		if of != "workspace" && of != "storage" {
			r.fault(w, "the Pipeline has no workspace %.100q%s", of, near(of, []string{"workspace", "storage"}))
		}
		if all[name] != "" {
			r.fault(w, "the workspace %.100q stands here twice", name)
		}
		all[name] = of
	}
	return all
}

// names reads a mapping of texts.
func (r *reader) names(n *yaml.Node, form string) map[string]string {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "%s", form)
		return nil
	}
	all := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name := r.text(n.Content[i+1], "a name"); name != "" {
			all[n.Content[i].Value] = name
		}
	}
	return all
}

// link is the link that calls the task.
func (t *task) link(e Entry, name string) *chain.Link {
	l := &chain.Link{Name: name, Origin: e.File + ":" + strconv.Itoa(e.Line)}
	t.fill(l)
	return l
}

// fill makes l call the task. What the overlay says nothing about stays as it is in l.
func (t *task) fill(l *chain.Link) {
	l.Task, l.TaskRef = copyOf(t.object), copyOf(t.ref)
	for _, p := range t.params {
		bind(l, p.name, p.node)
	}
	if t.workspaces != nil || l.Workspaces == nil {
		l.Workspaces = map[string]string{}
		for name, of := range t.workspaces {
			l.Workspaces[name] = of
		}
	}
	for _, w := range t.when {
		l.When = append(l.When, w.Copy())
	}
	if t.timeout != "" {
		l.Timeout = t.timeout
	}
	if t.retries > 0 {
		l.Retries = t.retries
	}
	if t.serviceAccount != "" {
		l.Pod.ServiceAccount = t.serviceAccount
	}
	if t.podTemplate != nil {
		l.Pod.Template = t.podTemplate.Copy()
	}
}

func copyOf(n *yaml.RNode) *yaml.RNode {
	if n.IsNil() {
		return nil
	}
	return n.Copy()
}

// bind gives a param of the link's task a value.
func bind(l *chain.Link, name string, v *yaml.Node) {
	p := chain.Param{Name: name, Value: yaml.NewRNode(tree.Clone(v))}
	for i := range l.Params {
		if l.Params[i].Name == name {
			l.Params[i] = p
			return
		}
	}
	l.Params = append(l.Params, p)
}
