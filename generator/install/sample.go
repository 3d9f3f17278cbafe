package install

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// examples are values that a sample shows for params without a default.
func examples() map[string]string {
	return map[string]string{
		"git-url": "https://git.example.com/images/app.git", "git-branch": "main", "registry-uri": "https://registry.example.com",
	}
}

// Sample is a PipelineRun of the run template and the Pipeline that a user can create after putting the values in.
func Sample(template, pipeline *yaml.RNode) (*yaml.RNode, error) {
	declared, err := paramsOf(pipeline)
	if err != nil {
		return nil, err
	}
	list := yaml.NewListRNode()
	for _, p := range declared {
		if p.optional {
			continue
		}
		value := examples()[p.name]
		if value == "" {
			value = "VALUE"
		}
		n := yaml.NewStringRNode(value)
		if p.list {
			n = yaml.NewListRNode(value)
		}
		if err := appendParam(list, p.name, n); err != nil {
			return nil, err
		}
	}
	run := template.Copy()
	if err := run.PipeE(yaml.Lookup("spec"), yaml.SetField("params", list)); err != nil {
		return nil, fmt.Errorf("filling the run template: %w", err)
	}
	return run, nil
}
