// Package pipeline renders a chain as a Tekton Pipeline, in the order in which Tekton's documentation writes one.
package pipeline

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Render makes the Pipeline of the links of c, whose Task specs it embeds.
func Render(_ *config.Config, _ *chain.Chain) (*yaml.RNode, error) {
	return nil, failure.New(failure.Internal, "not implemented")
}
