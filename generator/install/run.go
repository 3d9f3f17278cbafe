package install

import (
	"slices"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
)

const (
	// shared is the workspace that all stages share.
	shared = "workspace"
	// forFinally is what is kept of a build's time for tasks that run whatever happened.
	forFinally = 10 * time.Minute
)

// RunTemplate is the PipelineRun that has everything that only a PipelineRun can say: service accounts, pod templates of single
// tasks, volumes, timeouts. It has no params, and its name is generated. The TriggerTemplate, the samples for users and `osbs build`
// start from it.
func RunTemplate(cfg *config.Config, c *chain.Chain) (*yaml.RNode, error) {
	run, err := read("run.yaml", map[string]string{"name": cfg.Name})
	if err != nil {
		return nil, err
	}
	spec := tree.Get(run[0].YNode(), "spec")
	tree.SetItems(spec, "workspaces", workspaces(cfg, c))
	tree.Set(spec, "taskRunTemplate", tree.Map("serviceAccountName", c.Pod.ServiceAccount, "podTemplate", podTemplate(c.Pod)))
	tree.SetItems(spec, "taskRunSpecs", taskRunSpecs(c))
	if t := timeouts(cfg, c); len(t.Content) > 0 {
		tree.Set(spec, "timeouts", t)
	}
	return run[0], nil
}

// timeouts leaves time for what runs at the end of a build that took all of its own.
func timeouts(cfg *config.Config, c *chain.Chain) *yaml.Node {
	whole, err := time.ParseDuration(cfg.Timeout)
	if err != nil || whole < 2*forFinally || len(c.Finally) == 0 {
		return tree.Map("pipeline", cfg.Timeout)
	}
	return tree.Map("pipeline", cfg.Timeout, "finally", forFinally.String())
}

// workspaces are the volumes of a run. A further workspace that an inserted task needs is empty; who wants another volume there says so
// in the run.
func workspaces(cfg *config.Config, c *chain.Chain) []*yaml.Node {
	var out []*yaml.Node
	for _, l := range slices.Concat(c.Links, c.Finally) {
		for _, w := range l.WorkspaceBindings() {
			switch {
			case w.Optional || tree.Named(out, w.Of) != nil:
			case w.Of == shared:
				out = append([]*yaml.Node{tree.Map("name", shared, "volumeClaimTemplate", claim(cfg.Workspace))}, out...)
			default:
				out = append(out, tree.Map("name", w.Of, "emptyDir", tree.Map()))
			}
		}
	}
	return out
}

func claim(w config.Workspace) *yaml.Node {
	return tree.Map("spec", tree.Map(
		"accessModes", tree.Strings(w.AccessMode),
		"storageClassName", w.StorageClass,
		"resources", tree.Map("requests", tree.Map("storage", w.Size)),
	))
}

// taskRunSpecs say of single links what is not as in the rest of the run.
func taskRunSpecs(c *chain.Chain) []*yaml.Node {
	var out []*yaml.Node
	for _, l := range slices.Concat(c.Links, c.Finally) {
		account, template := l.Pod.ServiceAccount, podTemplate(l.Pod)
		if account == c.Pod.ServiceAccount {
			account = ""
		}
		if template != nil && podTemplate(c.Pod) != nil && tree.Equal(template, podTemplate(c.Pod)) {
			template = nil
		}
		if account == "" && template == nil {
			continue
		}
		spec := tree.Map("pipelineTaskName", l.Name, "serviceAccountName", account)
		if template != nil {
			tree.Set(spec, "podTemplate", template)
		}
		out = append(out, spec)
	}
	return out
}

// podTemplate is a copy of the pod's template, nil if it says nothing.
func podTemplate(p chain.Pod) *yaml.Node {
	if p.Template.IsNilOrEmpty() {
		return nil
	}
	return tree.Clone(p.Template.YNode())
}
