package install

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
)

// Objects are all objects of an installation but the Pipeline. The ClusterRoleBinding and what belongs into other namespaces are
// among them; see Split.
func Objects(cfg *config.Config, c *chain.Chain, pipeline *yaml.RNode) ([]*yaml.RNode, error) {
	_, _, _ = cfg, c, pipeline
	return nil, nil
}

// RunTemplate is the PipelineRun that has everything that only a PipelineRun can say: service accounts, pod templates of single
// tasks, volumes, timeouts. It has no name and no params.
func RunTemplate(cfg *config.Config, c *chain.Chain) (*yaml.RNode, error) {
	_, _ = cfg, c
	return nil, nil
}
