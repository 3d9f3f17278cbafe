package layout

import (
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// member is a link that becomes a part of a pod.
type member struct {
	*chain.Link
	// api says that its containers may see the token of the API.
	api bool
	// main is the name of the step that writes the results which no other step does.
	main string
	// written are the steps of the pod that write the results of the link. A result that several of its steps write is not in it.
	written map[string]stepResult
}

// stepResult is a result of a step of the pod.
type stepResult struct{ step, result string }

// fusion is a pod that is being made.
type fusion struct {
	*arrangement
	pod     *pod
	members []*member
	out     *chain.Link
	// claims are the params of the pod.
	claims []*claim
	// places are the workspaces of the pod.
	places []place
	// directory is the volume that serves as the shared workspace, if this pod has all links which use it.
	directory string
}

// fuse makes one link of the links of a pod.
func (a *arrangement) fuse(p *pod, settings chain.Pod) (*chain.Link, error) {
	task := tree.Map("apiVersion", "tekton.dev/v1", "kind", "Task", "metadata", tree.Map("name", p.name), "spec", tree.Map())
	f := &fusion{arrangement: a, pod: p, out: &chain.Link{Name: p.name, Task: yaml.NewRNode(task), Pod: settings, Origin: origins(p)}}
	for _, l := range p.links {
		if l.Retries > 0 {
			return nil, failure.New(failure.Usage, "%s is to be tried %d times again, but shares a pod with %s: Tekton runs only a whole pod again",
				l, l.Retries, others(p, l))
		}
		f.members = append(f.members, &member{Link: l.Clone(), api: usesAPI(withDefaults(l.Pod, a.chain.Pod)), written: map[string]stepResult{}})
	}
	if a.inside == p {
		f.directory = f.freeVolume()
	}
	for _, m := range f.members {
		if f.directory != "" {
			mountShared(m.Link, f.directory)
		}
		if err := f.workspaces(m); err != nil {
			return nil, err
		}
		m.steps()
		m.results()
	}
	for _, step := range []func() error{f.params, f.conditions, f.timeouts} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	f.volumes()
	if err := f.references(); err != nil {
		return nil, err
	}
	f.token()
	f.limitResults()
	f.spec()
	a.rewriteOutside(f.out)
	return f.out, nil
}

// others names the links that share a pod with l.
func others(p *pod, l *chain.Link) string {
	var names []string
	for _, other := range p.links {
		if other != l {
			names = append(names, other.Name)
		}
	}
	return strings.Join(names, ", ")
}

func origins(p *pod) string {
	var names []string
	for _, l := range p.links {
		if !slices.Contains(names, l.Origin) {
			names = append(names, l.Origin)
		}
	}
	return strings.Join(names, ", ")
}

// spec writes the parts of the Task that are made of those of its links.
func (f *fusion) spec() {
	spec := f.out.Spec()
	names := make([]string, 0, len(f.members))
	steps := make([]*yaml.Node, 0, len(f.members))
	var sidecars []*yaml.Node
	for _, m := range f.members {
		names = append(names, m.Name)
		steps = append(steps, tree.Items(m.Spec(), "steps")...)
		for _, sidecar := range tree.Items(m.Spec(), "sidecars") {
			sidecars = append(sidecars, sidecar)
			if name := tree.Text(sidecar, "name"); tree.Named(sidecars, name) != sidecar {
				tree.Set(sidecar, "name", tree.String(m.Name+"-"+name))
			}
		}
	}
	last := len(names) - 1
	tree.Set(spec, "description", tree.String("The steps "+strings.Join(names[:last], ", ")+" and "+names[last]+" in one pod."))
	tree.SetItems(spec, "params", f.declarations())
	tree.SetItems(spec, "workspaces", f.declaredWorkspaces())
	tree.SetItems(spec, "results", f.podResults())
	tree.SetItems(spec, "steps", steps)
	tree.SetItems(spec, "sidecars", sidecars)
	tree.SetItems(spec, "volumes", f.unitedVolumes())
}

// steps folds the step template into the steps and gives them names that are unique in the pod: that of the link, or LINK-STEP.
func (m *member) steps() {
	spec := m.Spec()
	template := tree.Get(spec, "stepTemplate")
	steps := tree.Items(spec, "steps")
	names := map[string]string{}
	for i, step := range steps {
		old := tree.Text(step, "name")
		name := m.Name
		if old != m.Name && len(steps) > 1 {
			if name += "-" + old; old == "" {
				name = m.Name + "-" + string(rune('a'+i%26))
			}
		}
		names[old] = name
		fold(template, step)
		tree.Delete(step, "name")
		step.Content = append([]*yaml.Node{tree.String("name"), tree.String(name)}, step.Content...)
		if m.main == "" || old == m.Name || !slices.Contains(stepNames(steps), m.Name) {
			m.main = name
		}
	}
	tree.Delete(spec, "stepTemplate")
	tree.Rewrite(spec, func(text string) []string {
		return []string{variable.Rewrite(text, func(v variable.Variable) (string, bool) {
			if v.Kind != variable.Steps || len(v.Parts) == 0 {
				return "", false
			}
			prefix, old := "", v.Parts[0].Text
			if rest, found := strings.CutPrefix(old, "step-"); found && names[old] == "" {
				prefix, old = "step-", rest
			}
			if names[old] == "" {
				return "", false
			}
			v.Parts[0].Text = prefix + names[old]
			return v.String(), true
		})}
	})
}

func stepNames(steps []*yaml.Node) []string {
	names := make([]string, 0, len(steps))
	for _, s := range steps {
		names = append(names, tree.Text(s, "name"))
	}
	return names
}

// fold gives a step what the step template has and it does not.
func fold(template, step *yaml.Node) {
	if template == nil || template.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(template.Content); i += 2 {
		key, value := template.Content[i].Value, template.Content[i+1]
		own := tree.Get(step, key)
		switch {
		case own == nil:
			tree.Set(step, key, tree.Clone(value))
		case own.Kind == yaml.MappingNode:
			fold(value, own)
		case key == "env":
			tree.SetItems(step, key, foldList(value, own, "name"))
		case key == "volumeMounts":
			tree.SetItems(step, key, foldList(value, own, "mountPath"))
		}
	}
}

// foldList is the items of the template that the step does not have by the same key, and those of the step.
func foldList(template, own *yaml.Node, key string) []*yaml.Node {
	var items []*yaml.Node
	for _, item := range template.Content {
		id := tree.Text(item, key)
		if !slices.ContainsFunc(own.Content, func(o *yaml.Node) bool { return tree.Text(o, key) == id }) {
			items = append(items, tree.Clone(item))
		}
	}
	return append(items, own.Content...)
}

// timeouts gives the steps the timeouts of their links, and the pod their sum if each has one.
func (f *fusion) timeouts() error {
	var sum time.Duration
	all := true
	for _, m := range f.members {
		if m.Timeout == "" {
			all = false
			continue
		}
		d, err := time.ParseDuration(m.Timeout)
		if err != nil {
			return failure.New(failure.Usage, "timeout of %s: %w", m.Link, err)
		}
		sum += d
		for _, step := range tree.Items(m.Spec(), "steps") {
			if tree.Text(step, "timeout") == "" {
				tree.Set(step, "timeout", tree.String(m.Timeout))
			}
		}
	}
	if all {
		f.out.Timeout = sum.String()
	}
	return nil
}
