package install_test

import (
	"slices"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/internal/apitest"
	"github.com/osbs-tekton/osbs/pkg/cluster"
)

var served = []string{
	"tekton.dev/v1/pipelines", "triggers.tekton.dev/v1beta1/triggerbindings", "triggers.tekton.dev/v1beta1/triggertemplates",
	"triggers.tekton.dev/v1beta1/eventlisteners", "v1/serviceaccounts", "rbac.authorization.k8s.io/v1/roles",
	"rbac.authorization.k8s.io/v1/rolebindings", "networking.k8s.io/v1/networkpolicies", "apps/v1/deployments", "v1/configmaps", "v1/configmaps",
}

// TestInUse: what the cluster has of the objects, and what it has of an older version besides; nothing of others.
func TestInUse(t *testing.T) {
	server := apitest.Start(t, served...)
	labels := map[string]any{"app.kubernetes.io/part-of": "osbs", "app.kubernetes.io/name": "osbs", "app.kubernetes.io/managed-by": "osbs"}
	put := func(resource, name string, labels map[string]any) {
		server.Put(t, resource, map[string]any{"metadata": map[string]any{"name": name, "labels": labels}})
	}
	put("tekton.dev/v1/pipelines", "osbs", labels)
	put("v1/serviceaccounts", "osbs-build", nil) // somebody has removed the labels
	put("rbac.authorization.k8s.io/v1/roles", "osbs-old", labels)
	put("rbac.authorization.k8s.io/v1/roles", "other", nil)

	cfg := config.Default()
	pipeline := parse(t, pipelineText)
	objects, err := install.Objects(cfg, testChain(t), pipeline)
	if err != nil {
		t.Fatal(err)
	}
	objects = append([]*yaml.RNode{pipeline}, objects...)
	install.Label(cfg, "", objects)
	found, err := install.InUse(t.Context(), func(string) (*cluster.Client, error) { return apitest.Client(t, server.URL), nil }, objects)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range found {
		got = append(got, o.GetApiVersion()+" "+o.GetKind()+" "+o.GetName())
	}
	slices.Sort(got)
	want := []string{"rbac.authorization.k8s.io/v1 Role osbs-old", "tekton.dev/v1 Pipeline osbs", "v1 ServiceAccount osbs-build"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
