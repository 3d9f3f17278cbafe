package overlay

import (
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// set sets the defaults of the Pipeline's params, or gives a stage values of its own.
func (a *applier) set(e Entry) {
	links := a.chain.Links
	if e.target != "" {
		first, end, ok := a.find(e, e.target)
		if !ok {
			return
		}
		links = links[first:end]
	}
	for _, v := range e.values {
		at := e
		at.Line = v.line
		if e.target != "" {
			a.setIn(at, links, v)
		} else {
			a.setDefault(at, v)
		}
	}
}

// setDefault sets the default of a param of the Pipeline, in each Task that has it.
func (a *applier) setDefault(e Entry, v value) {
	var specs []*yaml.Node
	bound := false
	for _, l := range slices.Concat(a.chain.Links, a.chain.Finally) {
		p := l.Param(v.name)
		if p != nil && l.Binding(v.name) == nil {
			specs = append(specs, p)
		}
		bound = bound || p != nil && l.Stage != ""
	}
	for _, p := range a.chain.Params {
		if tree.Text(p.YNode(), "name") == v.name {
			specs = append(specs, p.YNode())
		}
	}
	switch {
	case len(specs) == 0 && bound:
		a.fault(e, "%s is no param of the Pipeline: its stages have a value for it already", v.name)
		return
	case len(specs) == 0 && a.declared[v.name] != nil:
		a.fault(e, "no stage has the param %s any more", v.name)
		return
	case len(specs) == 0:
		a.fault(e, "the Pipeline has no param %q%s", v.name, near(v.name, slices.Collect(maps.Keys(a.pipelineParams()))))
		return
	case !a.fits(e, v, specs[0]):
		return
	}
	what := "default is " + quoted(v.node)
	if old := tree.Get(specs[0], "default"); old != nil {
		what += ", was " + quoted(old)
	}
	for _, p := range append(specs, a.declared[v.name]) {
		if p != nil {
			tree.Set(p, "default", tree.Clone(v.node))
		}
	}
	a.change(e, "Pipeline", "params["+v.name+"]", "%s", what)
}

// setIn gives the param of one stage a value, which is the Pipeline's param no longer.
func (a *applier) setIn(e Entry, links []*chain.Link, v value) {
	for _, l := range links {
		if l.Spec() == nil {
			a.fault(e, "%s refers to a Task of the cluster: give it params where it is brought in", l)
			return
		}
		p := l.Param(v.name)
		if p == nil {
			var names []string
			for _, other := range tree.Items(l.Spec(), "params") {
				names = append(names, tree.Text(other, "name"))
			}
			a.fault(e, "the stage %s has no param %q%s", e.target, v.name, near(v.name, names))
			return
		}
		if !a.fits(e, v, p) {
			return
		}
		bind(l, v.name, v.node)
		a.change(e, "stage "+l.Name, "params["+v.name+"]", "is %s, whatever the Pipeline's param is", quoted(v.node))
	}
}

// fits says whether a value is of the type of the param that spec declares.
func (a *applier) fits(e Entry, v value, spec *yaml.Node) bool {
	want, is := declaredType(spec), typeOf(v.node)
	if want == is || is == "string" && len(variable.In(v.node.Value)) > 0 {
		return true
	}
	a.fault(e, "the param %s is of type %s, and the value of type %s", v.name, want, is)
	return false
}

func declaredType(spec *yaml.Node) string {
	if t := tree.Text(spec, "type"); t != "" {
		return t
	}
	if d := tree.Get(spec, "default"); d != nil {
		return typeOf(d)
	}
	return "string"
}

func quoted(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return fmt.Sprintf("%q", keyed.Show(n))
	}
	return keyed.Show(n)
}

// declare adds a param to the Pipeline.
func (a *applier) declare(e Entry) {
	if _, is := a.pipelineParams()[e.target]; is {
		a.fault(e, "the Pipeline has the param %s already; its default is changed by - set: {params: {%s: VALUE}}", e.target, e.target)
		return
	}
	a.chain.Params = append(a.chain.Params, yaml.NewRNode(tree.Clone(e.param)))
	a.change(e, "Pipeline", "params["+e.target+"]", "added")
}

// pipelineParams are the params that the Pipeline has, by their names.
func (a *applier) pipelineParams() map[string]*yaml.Node {
	params := maps.Clone(a.declared)
	for _, p := range a.chain.Params {
		params[tree.Text(p.YNode(), "name")] = p.YNode()
	}
	return params
}

// adopt gives the params of a task that an overlay brings the defaults that the Pipeline has for them: a task that needs what the
// Pipeline has a default for must not make users say it.
func (a *applier) adopt(l *chain.Link) {
	for _, p := range tree.Items(l.Spec(), "params") {
		name := tree.Text(p, "name")
		same := a.declared[name]
		if same == nil || l.Binding(name) != nil || declaredType(same) != declaredType(p) {
			continue
		}
		tree.Delete(p, "default")
		if d := tree.Get(same, "default"); d != nil {
			tree.Set(p, "default", tree.Clone(d))
		}
	}
}

// settle gives the params and workspaces of the tasks that overlays have brought their values, when all entries were applied: a param
// may be declared after the task that needs it.
func (a *applier) settle() {
	params := a.pipelineParams()
	for _, l := range slices.Concat(a.chain.Links, a.chain.Finally) {
		e, ok := a.brought[l]
		if !ok {
			continue
		}
		e.Line = e.task.line
		a.references(e, l)
		if l.Spec() == nil {
			continue
		}
		a.given(e, l)
		for _, p := range tree.Items(l.Spec(), "params") {
			a.settleParam(e, l, p, params)
		}
		for _, w := range tree.Items(l.Spec(), "workspaces") {
			a.settleWorkspace(e, l, w)
		}
	}
}

// given refuses values for params and workspaces that the task does not have.
func (a *applier) given(e Entry, l *chain.Link) {
	names := func(field string) []string {
		var all []string
		for _, p := range tree.Items(l.Spec(), field) {
			all = append(all, tree.Text(p, "name"))
		}
		return all
	}
	for _, v := range e.task.params {
		at := e
		at.Line = v.line
		if spec := l.Param(v.name); spec == nil {
			a.fault(at, "the task has no param %q%s", v.name, near(v.name, names("params")))
		} else {
			a.fits(at, v, spec)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.task.workspaces)) {
		if tree.Named(tree.Items(l.Spec(), "workspaces"), name) == nil {
			a.fault(e, "the task has no workspace %q%s", name, near(name, names("workspaces")))
		}
	}
}

// settleParam gives a param that the overlay has no value for the Pipeline's param of the same name, or else its own default.
func (a *applier) settleParam(e Entry, l *chain.Link, spec *yaml.Node, params map[string]*yaml.Node) {
	name := tree.Text(spec, "name")
	if name == "" || l.Binding(name) != nil {
		return
	}
	if same := params[name]; same != nil {
		if want, is := declaredType(spec), declaredType(same); want != is {
			a.fault(e, "the param %s of the task is of type %s, and the Pipeline's of type %s: give the task a value under params", name, want, is)
		}
		return
	}
	if d := tree.Get(spec, "default"); d != nil {
		bind(l, name, d)
		return
	}
	a.fault(e, "the param %s of the task has no value: give it one under params, or declare a param of the Pipeline: - param: {name: %s}", name, name)
}

func (a *applier) settleWorkspace(e Entry, l *chain.Link, w *yaml.Node) {
	name := tree.Text(w, "name")
	of := l.Workspace(name)
	if of == "workspace" || of == "storage" || tree.Text(w, "optional") == "true" {
		return
	}
	a.fault(e, "the workspace %s of the task is bound to nothing: workspaces: [{name: %s, workspace: workspace}]", name, name)
}

// references refuses references to results that there are not, or not yet.
func (a *applier) references(e Entry, l *chain.Link) {
	at := slices.Index(a.chain.Links, l)
	for _, ref := range l.References() {
		of := a.chain.Link(ref.Link)
		switch {
		case a.failed[ref.Link]:
		case of == nil:
			var names []string
			for _, other := range a.chain.Links {
				names = append(names, other.Name)
			}
			a.fault(e, "it uses the result %s of %q, which is no task of the pipeline%s", ref.Result, ref.Link, near(ref.Link, names))
		case slices.Contains(a.chain.Finally, of):
			a.fault(e, "it uses the result %s of %s, which runs at the end only", ref.Result, ref.Link)
		case at >= 0 && slices.Index(a.chain.Links, of) >= at:
			a.fault(e, "it uses the result %s of %s, which runs not before it", ref.Result, ref.Link)
		case of.Spec() != nil && of.Result(ref.Result) == nil:
			var names []string
			for _, r := range tree.Items(of.Spec(), "results") {
				names = append(names, tree.Text(r, "name"))
			}
			a.fault(e, "%s has no result %q%s", ref.Link, ref.Result, near(ref.Result, names))
		}
	}
}
