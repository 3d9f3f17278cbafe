package generator

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/install"
)

// Sample is a PipelineRun that a user can create after putting the values in: params get what values has for them, and those without a
// default an example.
func (o *Output) Sample(values map[string]string) *yaml.RNode { return install.Sample(o.Run, o.Pipeline, values) }
