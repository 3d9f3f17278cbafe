package install

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
)

// resource is where the API has the objects of a kind.
type resource struct {
	group  schema.GroupVersion
	plural string
}

// resources are those of the kinds that an installation has in a namespace.
func resources() map[string]resource {
	group := func(g, v string) schema.GroupVersion { return schema.GroupVersion{Group: g, Version: v} }
	return map[string]resource{
		"Pipeline":        {group("tekton.dev", "v1"), "pipelines"},
		"TriggerBinding":  {group("triggers.tekton.dev", "v1beta1"), "triggerbindings"},
		"TriggerTemplate": {group("triggers.tekton.dev", "v1beta1"), "triggertemplates"},
		"EventListener":   {group("triggers.tekton.dev", "v1beta1"), "eventlisteners"},
		"ServiceAccount":  {group("", "v1"), "serviceaccounts"},
		"Role":            {group("rbac.authorization.k8s.io", "v1"), "roles"},
		"RoleBinding":     {group("rbac.authorization.k8s.io", "v1"), "rolebindings"},
		"NetworkPolicy":   {group("networking.k8s.io", "v1"), "networkpolicies"},
		"Deployment":      {group("apps", "v1"), "deployments"},
		"ConfigMap":       {group("", "v1"), "configmaps"},
	}
}

// Kinds are the kinds of the objects that an installation has in its namespace, in an order in which they can be removed.
func Kinds() []schema.GroupVersionKind {
	all := resources()
	var out []schema.GroupVersionKind
	for _, kind := range kindsInOrder() {
		out = append(out, all[kind].group.WithKind(kind))
	}
	return out
}

// InUse asks a cluster for the objects of an installation: those that it has of objects, and those that have its labels though they are
// not among objects any more. open gives a client for a namespace, where an empty one means the user's. What is in no namespace is
// not asked for, because hardly anybody may read it.
func InUse(ctx context.Context, open func(namespace string) (*cluster.Client, error), objects []*yaml.RNode) ([]*yaml.RNode, error) {
	u := inUse{open: open, clients: map[string]*cluster.Client{}}
	for _, o := range objects {
		if err := u.get(ctx, o); err != nil {
			return nil, err
		}
	}
	at := slices.IndexFunc(objects, func(o *yaml.RNode) bool { return o.GetKind() == "Pipeline" })
	if at < 0 {
		return u.found, nil
	}
	pipeline := objects[at]
	for _, kind := range kindsInOrder() {
		if err := u.list(ctx, kind, pipeline); err != nil {
			return nil, err
		}
	}
	return u.found, nil
}

// kindsInOrder has first what starts something, so that nothing new begins while the rest goes.
func kindsInOrder() []string {
	var kinds []string
	for kind := range resources() {
		kinds = append(kinds, kind)
	}
	rank := []string{"Deployment", "EventListener"} // the later, the sooner it goes; other kinds have -1
	slices.SortFunc(kinds, func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Index(rank, b), slices.Index(rank, a)), cmp.Compare(a, b))
	})
	return kinds
}

type inUse struct {
	open    func(namespace string) (*cluster.Client, error)
	clients map[string]*cluster.Client
	found   []*yaml.RNode
}

func (u *inUse) resource(kind, namespace string) (cluster.Resource[map[string]any], error) {
	client, opened := u.clients[namespace]
	if !opened {
		var err error
		if client, err = u.open(namespace); err != nil {
			return cluster.Resource[map[string]any]{}, err
		}
		u.clients[namespace] = client
	}
	r := resources()[kind]
	return cluster.For[map[string]any](client, r.group, r.plural, kind), nil
}

func (u *inUse) get(ctx context.Context, o *yaml.RNode) error {
	if _, known := resources()[o.GetKind()]; !known {
		return nil
	}
	r, err := u.resource(o.GetKind(), o.GetNamespace())
	if err != nil {
		return err
	}
	object, err := r.Get(ctx, o.GetName())
	if failure.KindOf(err) == failure.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return u.add(o.GetKind(), *object)
}

// list adds the objects of a kind that have the labels of the Pipeline's installation.
func (u *inUse) list(ctx context.Context, kind string, pipeline *yaml.RNode) error {
	r, err := u.resource(kind, pipeline.GetNamespace())
	if err != nil {
		return err
	}
	labels := installation.Selector(tree.Text(pipeline.YNode(), "metadata", "labels", installation.LabelName))
	objects, err := r.List(ctx, cluster.Selection{Labels: labels})
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := u.add(kind, object); err != nil {
			return err
		}
	}
	return nil
}

// add keeps an object, unless it is there already. In a list the API leaves out what kind its objects are.
func (u *inUse) add(kind string, object map[string]any) error {
	object["apiVersion"], object["kind"] = resources()[kind].group.String(), kind
	n, err := tree.From(object)
	if err != nil {
		return fmt.Errorf("reading a %s of the cluster: %w", kind, err)
	}
	fresh := yaml.NewRNode(n)
	if !slices.ContainsFunc(u.found, func(o *yaml.RNode) bool {
		return o.GetKind() == kind && o.GetName() == fresh.GetName() && o.GetNamespace() == fresh.GetNamespace()
	}) {
		u.found = append(u.found, fresh)
	}
	return nil
}
