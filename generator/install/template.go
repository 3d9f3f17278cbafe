package install

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/installation"
)

// StoredTemplate is the ConfigMap that holds the run template in the namespace, where `osbs build` finds it.
func StoredTemplate(cfg *config.Config, run *yaml.RNode) (*yaml.RNode, error) {
	objects, err := read("template.yaml", map[string]string{"name": installation.Template(cfg.Name)})
	if err != nil {
		return nil, err
	}
	text, err := run.String()
	if err != nil {
		return nil, err
	}
	content := tree.String(strings.TrimSpace(text) + "\n")
	content.Style = yaml.LiteralStyle
	tree.Set(objects[0].YNode(), "data", tree.Map(installation.TemplateKey, content))
	return objects[0], nil
}
