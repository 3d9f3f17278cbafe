package generator

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/install"
)

// Sample is a PipelineRun that a user can create after putting the values in: every param of the Pipeline that has no default has an
// example.
func (o *Output) Sample() (*yaml.RNode, error) {
	run, err := install.Sample(o.Run, o.Pipeline)
	if err != nil {
		return nil, fmt.Errorf("making a sample PipelineRun: %w", err)
	}
	return run, nil
}
