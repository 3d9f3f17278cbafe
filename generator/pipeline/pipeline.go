// Package pipeline renders a chain as a Tekton Pipeline, in the order in which Tekton's documentation writes one. The specs of the
// Tasks are embedded, so that a run keeps the stages that it has started with; what a param, workspace or result is for is said once,
// at the Pipeline.
package pipeline

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// description says what the Pipeline is for.
const description = "Builds the Dockerfile of a branch in git, pushes the image, and records what it is built on: when that changes, it is built again."

// Render makes the Pipeline of the links of c. The errors say what two links do not agree on, or what one of them refers to in vain.
func Render(cfg *config.Config, c *chain.Chain) (*yaml.RNode, error) {
	if err := c.CheckReferences(); err != nil {
		return nil, err
	}
	params, err := params(c)
	if err != nil {
		return nil, err
	}
	spec := tree.Map("displayName", "Build an image", "description", description)
	tree.SetItems(spec, "params", params)
	tree.SetItems(spec, "workspaces", workspaces(c))
	var list []*yaml.Node
	for i, l := range c.Links {
		task, err := task(l, params, c.Before(i))
		if err != nil {
			return nil, err
		}
		limit(task, cfg.Timeout)
		list = append(list, task)
	}
	tree.SetItems(spec, "tasks", list)
	list = nil
	for _, l := range c.Finally {
		task, err := task(l, params, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, task)
	}
	tree.SetItems(spec, "finally", list)
	tree.SetItems(spec, "results", results(c))
	pipeline := yaml.NewRNode(tree.Map("apiVersion", "tekton.dev/v1", "kind", "Pipeline", "metadata", tree.Map("name", cfg.Name), "spec", spec))
	manifest.Order(pipeline)
	return pipeline, nil
}

// task is the PipelineTask of a link.
func task(l *chain.Link, params []*yaml.Node, after []string) (*yaml.Node, error) {
	n := tree.Map("name", l.Name)
	if spec := l.Spec(); spec != nil {
		n = tree.Map("name", l.Name, "displayName", tree.Text(spec, "displayName"), "description", tree.Text(spec, "description"))
	}
	if !l.TaskRef.IsNil() {
		tree.Set(n, "taskRef", tree.Clone(l.TaskRef.YNode()))
	}
	if len(after) > 0 {
		tree.Set(n, "runAfter", tree.Strings(after...))
	}
	for _, w := range l.When {
		tree.Append(n, "when", tree.Clone(w.YNode()))
	}
	if l.Retries > 0 {
		tree.Set(n, "retries", number(l.Retries))
	}
	if l.Timeout != "" {
		tree.Set(n, "timeout", tree.String(l.Timeout))
	}
	values, err := values(l, params)
	if err != nil {
		return nil, err
	}
	tree.SetItems(n, "params", values)
	tree.SetItems(n, "workspaces", bindings(l))
	if l.Spec() != nil {
		tree.Set(n, "taskSpec", embedded(l))
	}
	return n, nil
}

// limit gives a task that has no timeout the one of the whole build: without any, Tekton ends a task after its own default, an hour,
// whatever the run may take.
func limit(task *yaml.Node, whole string) {
	if tree.Text(task, "timeout") == "" && whole != "" {
		tree.Set(task, "timeout", tree.String(whole))
	}
}

// values are what the Pipeline gives to the params of a link: those that it is bound to, and the Pipeline's of the same name.
func values(l *chain.Link, params []*yaml.Node) ([]*yaml.Node, error) {
	var out []*yaml.Node
	for _, p := range tree.Items(l.Spec(), "params") {
		name := tree.Text(p, "name")
		value := tree.Clone(l.Binding(name))
		if value == nil {
			declared := tree.Named(params, name)
			if declared == nil {
				return nil, failure.New(failure.Internal, "the Pipeline has no param %s for %s", name, l)
			}
			value = whole(declared)
		}
		out = append(out, tree.Map("name", name, "value", value))
	}
	for _, p := range l.Params {
		if l.Param(p.Name) == nil {
			out = append(out, tree.Map("name", p.Name, "value", tree.Clone(p.Value.YNode())))
		}
	}
	return out, nil
}

// whole is the value of a param of the Pipeline, whatever its type is.
func whole(declared *yaml.Node) *yaml.Node {
	v := variable.Of(variable.Params, tree.Text(declared, "name"))
	if strings.Contains(v.Name(0), ".") {
		v.Parts[0].Mark = "'"
	}
	switch tree.Text(declared, "type") {
	case "array":
		v.Parts = append(v.Parts, variable.Part{Mark: "[", Text: "*"})
		return tree.Strings(v.String())
	case "object":
		v.Parts = append(v.Parts, variable.Part{Mark: "[", Text: "*"})
	}
	return tree.String(v.String())
}

// bindings are the Pipeline's workspaces for those of a link.
func bindings(l *chain.Link) []*yaml.Node {
	used := l.WorkspaceBindings()
	out := make([]*yaml.Node, 0, len(used))
	for _, w := range used {
		out = append(out, tree.Map("name", w.Name, "workspace", w.Of))
	}
	return out
}

// embedded is the spec of a link's Task, without what the Pipeline says already. Its params have no defaults: the Pipeline gives each a
// value.
func embedded(l *chain.Link) *yaml.Node {
	spec := tree.Clone(l.Spec())
	tree.Delete(spec, "displayName")
	tree.Delete(spec, "description")
	for _, list := range []string{"params", "workspaces", "results"} {
		for _, item := range tree.Items(spec, list) {
			tree.Delete(item, "description")
			if list == "params" {
				tree.Delete(item, "default")
			}
		}
	}
	return spec
}

func results(c *chain.Chain) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(c.Results))
	for _, r := range c.Results {
		value := variable.ResultOf(variable.Tasks, r.Link, r.Of).String()
		out = append(out, tree.Map("name", r.Name, "description", r.Description, "value", value))
	}
	return out
}
