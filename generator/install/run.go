package install

import (
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
)

const (
	// workspaceName is the workspace that all stages share, storageName the optional one of the build stage.
	workspaceName = "workspace"
	storageName   = "storage"
	// forFinally is what is kept of a build's time for tasks that run whatever happened.
	forFinally = 10 * time.Minute
)

// RunTemplate is the PipelineRun that has everything that only a PipelineRun can say: service accounts, pod templates of single
// tasks, volumes, timeouts. It has no params, and its name is generated. The TriggerTemplate, the samples for users and `osbs build` start from it.
func RunTemplate(cfg *config.Config, c *chain.Chain) (*yaml.RNode, error) {
	run, err := read("run.yaml", map[string]string{"name": cfg.Name})
	if err != nil {
		return nil, err
	}
	timeouts, err := timeouts(cfg, c)
	if err != nil {
		return nil, err
	}
	workspaces, err := workspaces(cfg, c)
	if err != nil {
		return nil, err
	}
	specs, err := taskRunSpecs(c)
	if err != nil {
		return nil, err
	}
	for _, f := range []field{{"timeouts", timeouts}, {"workspaces", workspaces}, {"taskRunSpecs", specs}} {
		if n := f.value.(*yaml.RNode); !n.IsNilOrEmpty() {
			if err := run[0].PipeE(yaml.Lookup("spec"), yaml.FieldSetter{Name: f.key, Value: n}); err != nil {
				return nil, fmt.Errorf("making the run template: %w", err)
			}
		}
	}
	return run[0], nil
}

// timeouts leaves time for what runs at the end of a build that took all of its own.
func timeouts(cfg *config.Config, c *chain.Chain) (*yaml.RNode, error) {
	if cfg.Timeout == "" {
		return yaml.NewMapRNode(nil), nil
	}
	out, err := ordered(field{"pipeline", cfg.Timeout})
	if err != nil || len(c.Finally) == 0 {
		return out, err
	}
	if whole, err := time.ParseDuration(cfg.Timeout); err != nil || whole < 2*forFinally {
		return out, nil //nolint:nilerr // what is wrong with a timeout is said where the configuration is read
	}
	return ordered(field{"pipeline", cfg.Timeout}, field{"finally", forFinally.String()})
}

// workspaces are the volumes of a run, as far as some link uses them.
func workspaces(cfg *config.Config, c *chain.Chain) (*yaml.RNode, error) {
	out := yaml.NewListRNode()
	uses := func(name string) bool {
		return slices.ContainsFunc(c.Links, func(l *chain.Link) bool { return slices.Contains(workspacesOf(l), name) })
	}
	if uses(workspaceName) {
		claim, err := claim(cfg.Workspace)
		if err != nil {
			return nil, err
		}
		binding, err := ordered(field{"name", workspaceName}, field{"volumeClaimTemplate", claim})
		if err != nil {
			return nil, err
		}
		out.YNode().Content = append(out.YNode().Content, binding.YNode())
	}
	if cfg.Storage != nil && cfg.Storage.Claim != "" && uses(storageName) {
		claim, err := ordered(field{"claimName", cfg.Storage.Claim})
		if err != nil {
			return nil, err
		}
		binding, err := ordered(field{"name", storageName}, field{"persistentVolumeClaim", claim})
		if err != nil {
			return nil, err
		}
		out.YNode().Content = append(out.YNode().Content, binding.YNode())
	}
	return out, nil
}

// workspacesOf are the names of the workspaces that the Task of a link declares.
func workspacesOf(l *chain.Link) []string {
	if l.Task == nil {
		return nil
	}
	declared, err := l.Task.Pipe(yaml.Lookup("spec", "workspaces"))
	if err != nil || declared == nil {
		return nil
	}
	var names []string
	_ = declared.VisitElements(func(w *yaml.RNode) error {
		names = append(names, w.Field("name").Value.YNode().Value)
		return nil
	})
	return names
}

func claim(w config.Workspace) (*yaml.RNode, error) {
	modes, err := node([]string{w.AccessMode})
	if err != nil {
		return nil, err
	}
	resources, err := node(map[string]any{"requests": map[string]string{"storage": w.Size}})
	if err != nil {
		return nil, err
	}
	spec, err := ordered(field{"accessModes", modes}, field{"storageClassName", w.StorageClass}, field{"resources", resources})
	if err != nil {
		return nil, err
	}
	return ordered(field{"spec", spec})
}

// taskRunSpecs say of single links what is not as in the rest of the run.
func taskRunSpecs(c *chain.Chain) (*yaml.RNode, error) {
	out := yaml.NewListRNode()
	for _, l := range slices.Concat(c.Links, c.Finally) {
		template := l.Pod.Template
		if template.IsNilOrEmpty() {
			template = nil
		}
		if l.Pod.ServiceAccount == "" && template == nil {
			continue
		}
		spec, err := ordered(field{"pipelineTaskName", l.Name}, field{"serviceAccountName", l.Pod.ServiceAccount})
		if err != nil {
			return nil, err
		}
		if template != nil {
			if err := spec.PipeE(yaml.FieldSetter{Name: "podTemplate", Value: template.Copy()}); err != nil {
				return nil, fmt.Errorf("pod template of %s: %w", l.Name, err)
			}
		}
		out.YNode().Content = append(out.YNode().Content, spec.YNode())
	}
	return out, nil
}
