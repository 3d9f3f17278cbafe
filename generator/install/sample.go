package install

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// examples are values that a sample shows for params without a default.
func examples() map[string]string {
	return map[string]string{
		"git-url": "https://git.example.com/images/app.git", "git-branch": "main", "registry-uri": "https://registry.example.com",
	}
}

// Sample is a PipelineRun of the run template and the Pipeline that a user can create after putting the values in: those of values, or
// examples for the params that have no default.
func Sample(template, pipeline *yaml.RNode, values map[string]string) *yaml.RNode {
	var list []*yaml.Node
	for _, p := range paramsOf(pipeline) {
		value, given := values[p.name]
		if p.optional && !given {
			continue
		}
		if value == "" {
			value = examples()[p.name]
		}
		if value == "" {
			value = "VALUE"
		}
		n := tree.String(value)
		if p.list {
			n = tree.Strings(value)
		}
		list = append(list, tree.Map("name", p.name, "value", n))
	}
	run := template.Copy()
	tree.SetItems(tree.Get(run.YNode(), "spec"), "params", list)
	return run
}
