package chain

import (
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// stageLabel marks the Tasks of this project's own stages.
const stageLabel = "osbs.dev/stage"

// Link is the link with a name, nil if there is none.
func (c *Chain) Link(name string) *Link {
	for _, l := range slices.Concat(c.Links, c.Finally) {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// Before are the names of the links after which link i runs: those that it says, or all that stand beside the one before it. Where one
// of these says itself what it runs after, those before it are among them too, so that such a link does not cut the chain in two.
func (c *Chain) Before(i int) []string {
	if len(c.Links[i].After) > 0 {
		return c.Links[i].After
	}
	var names []string
	start, _ := beside(c.Links, i)
	for own := true; own && start > 0; {
		end := start
		start, _ = beside(c.Links, start-1)
		own = false
		var set []string
		for _, l := range c.Links[start:end] {
			set = append(set, l.Name)
			own = own || len(l.After) > 0
		}
		names = append(set, names...)
	}
	return names
}

// beside is the range of the links that run at the same time as link i.
func beside(links []*Link, i int) (first, end int) {
	first, end = i, i+1
	for first > 0 && links[first].Parallel {
		first--
	}
	for end < len(links) && links[end].Parallel {
		end++
	}
	return first, end
}

// Alone reports whether link i has nothing beside it.
func (c *Chain) Alone(i int) bool {
	first, end := beside(c.Links, i)
	return end-first == 1
}

// Spec is the spec of the link's Task, nil if the link refers to a Task of the cluster.
func (l *Link) Spec() *yaml.Node {
	if l.Task.IsNil() {
		return nil
	}
	return tree.Get(l.Task.YNode(), "spec")
}

// OwnStage reports whether the link's Task is that of a stage of this project, whose step binary knows what the others do: it finds
// out by itself that there is nothing to build.
func (l *Link) OwnStage() bool {
	return !l.Task.IsNil() && tree.Text(l.Task.YNode(), "metadata", "labels", stageLabel) != ""
}

// Custom reports whether the link is no Task with steps, but a custom task that a controller of its own runs.
func (l *Link) Custom() bool { return len(tree.Items(l.Spec(), "steps")) == 0 }

// Param is the declaration of a param in the link's Task, nil if there is none.
func (l *Link) Param(name string) *yaml.Node { return tree.Named(tree.Items(l.Spec(), "params"), name) }

// Result is the declaration of a result in the link's Task, nil if there is none.
func (l *Link) Result(name string) *yaml.Node {
	return tree.Named(tree.Items(l.Spec(), "results"), name)
}

// Binding is the value that the Pipeline gives to a param, nil if it is the Pipeline's param of the same name.
func (l *Link) Binding(name string) *yaml.Node {
	for _, p := range l.Params {
		if p.Name == name {
			return p.Value.YNode()
		}
	}
	return nil
}

// bind gives a param a value.
func (l *Link) bind(name, value string) {
	l.Params = append(l.Params, Param{Name: name, Value: yaml.NewRNode(tree.String(value))})
}

// Workspace is the Pipeline's name of a workspace of the Task.
func (l *Link) Workspace(name string) string {
	if of := l.Workspaces[name]; of != "" {
		return of
	}
	return name
}

// WorkspaceBinding is a workspace that a link uses: its name in the Task, and in the Pipeline.
type WorkspaceBinding struct {
	Name, Of, Description string
	Optional              bool
}

// WorkspaceBindings are the workspaces that a link uses, in the order of its Task.
func (l *Link) WorkspaceBindings() []WorkspaceBinding {
	var out []WorkspaceBinding
	for _, w := range tree.Items(l.Spec(), "workspaces") {
		name := tree.Text(w, "name")
		out = append(out, WorkspaceBinding{name, l.Workspace(name), tree.Text(w, "description"), tree.Text(w, "optional") == "true"})
	}
	if l.Spec() == nil {
		for _, name := range slices.Sorted(maps.Keys(l.Workspaces)) {
			out = append(out, WorkspaceBinding{Name: name, Of: l.Workspaces[name]})
		}
	}
	return out
}

// Clone is a copy of the link that shares no tree with it.
func (l *Link) Clone() *Link {
	c := *l
	c.Task, c.TaskRef, c.Pod.Template = cloneNode(l.Task), cloneNode(l.TaskRef), cloneNode(l.Pod.Template)
	c.Params = make([]Param, 0, len(l.Params))
	for _, p := range l.Params {
		c.Params = append(c.Params, Param{p.Name, cloneNode(p.Value)})
	}
	c.When = make([]*yaml.RNode, 0, len(l.When))
	for _, w := range l.When {
		c.When = append(c.When, cloneNode(w))
	}
	c.After, c.Workspaces = slices.Clone(l.After), maps.Clone(l.Workspaces)
	return &c
}

func cloneNode(n *yaml.RNode) *yaml.RNode {
	if n.IsNil() {
		return nil
	}
	return yaml.NewRNode(tree.Clone(n.YNode()))
}
