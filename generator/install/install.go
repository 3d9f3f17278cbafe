package install

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
)

// Objects are all objects of an installation but the Pipeline, those that Split tells apart included. Without cfg.Namespace there is
// no object that has to name it: neither the cluster binding nor rights in other namespaces.
func Objects(cfg *config.Config, c *chain.Chain, pipeline *yaml.RNode) ([]*yaml.RNode, error) {
	values := map[string]string{"name": cfg.Name, "namespace": cfg.Namespace, "webhook-secret": cfg.Autorebuild.WebhookSecret}
	all, err := read("accounts.yaml", values)
	if err != nil {
		return nil, err
	}
	all[0].YNode().HeadComment += "\n" + secretsComment(cfg)
	if !Rebuilds(cfg) {
		return all, nil
	}
	for _, part := range []func() ([]*yaml.RNode, error){
		func() ([]*yaml.RNode, error) { return trigger(cfg, c, pipeline, values) },
		func() ([]*yaml.RNode, error) { return imagewatch(cfg, values) },
		func() ([]*yaml.RNode, error) { return elsewhere(cfg, values) },
	} {
		objects, err := part()
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// Rebuilds says whether a change of a base starts builds.
func Rebuilds(cfg *config.Config) bool {
	return cfg.Autorebuild.Enabled == nil || *cfg.Autorebuild.Enabled
}

// elsewhere are the objects that are outside of the namespace.
func elsewhere(cfg *config.Config, values map[string]string) ([]*yaml.RNode, error) {
	if cfg.Namespace == "" {
		return nil, nil
	}
	all, err := read("cluster.yaml", values)
	if err != nil {
		return nil, err
	}
	for _, namespace := range cfg.Autorebuild.WatchNamespaces {
		if namespace == cfg.Namespace {
			continue
		}
		values["watched"] = namespace
		objects, err := read("watched.yaml", values)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// Groups are the objects of an installation by who may apply them.
type Groups struct {
	// Namespace can be applied with the rights of the namespace's admin.
	Namespace []*yaml.RNode
	// Cluster is what needs the right to bind cluster roles.
	Cluster []*yaml.RNode
	// Others are in other namespaces, and need the rights of their admins.
	Others []*yaml.RNode
}

// Split tells the objects apart by who may apply them.
func Split(cfg *config.Config, objects []*yaml.RNode) Groups {
	var g Groups
	for _, o := range objects {
		switch namespace := o.GetNamespace(); {
		case strings.HasPrefix(o.GetKind(), "Cluster"):
			g.Cluster = append(g.Cluster, o)
		case namespace != "" && namespace != cfg.Namespace:
			g.Others = append(g.Others, o)
		default:
			g.Namespace = append(g.Namespace, o)
		}
	}
	return g
}
