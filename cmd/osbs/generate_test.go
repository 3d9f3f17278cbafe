package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/internal/apitest"
)

// TestDiffWithCluster: a cluster that has what is generated does not differ; one that somebody has changed does.
func TestDiffWithCluster(t *testing.T) {
	resources := map[string]string{
		"Pipeline": "tekton.dev/v1/pipelines", "TriggerBinding": "triggers.tekton.dev/v1beta1/triggerbindings",
		"TriggerTemplate": "triggers.tekton.dev/v1beta1/triggertemplates", "EventListener": "triggers.tekton.dev/v1beta1/eventlisteners",
		"ServiceAccount": "v1/serviceaccounts", "Role": "rbac.authorization.k8s.io/v1/roles", "RoleBinding": "rbac.authorization.k8s.io/v1/rolebindings",
		"NetworkPolicy": "networking.k8s.io/v1/networkpolicies", "Deployment": "apps/v1/deployments", "ConfigMap": "v1/configmaps",
	}
	var served []string
	for _, r := range resources {
		served = append(served, r)
	}
	server := apitest.Start(t, served...)
	file := filepath.Join(t.TempDir(), "osbs.yaml")
	if err := os.WriteFile(file, []byte("namespace: "+apitest.Namespace+"\nregistry_uri: https://registry.example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	osbs := func(args ...string) string {
		p, stdout, stderr := testProgram()
		getenv := p.getenv
		p.getenv = func(name string) string {
			if name == "KUBECONFIG" {
				return apitest.Kubeconfig(t, server.URL)
			}
			return getenv(name)
		}
		if code := p.run(t.Context(), append([]string{"generate", file}, args...)); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		return stdout.String()
	}
	var list struct {
		Items []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(osbs("--output", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if diff := osbs("--diff", "cluster"); !strings.Contains(diff, "added    Pipeline osbs\n") {
		t.Errorf("nothing is there yet, and the difference is:\n%s", diff)
	}
	for _, o := range list.Items {
		if kind := o["kind"].(string); resources[kind] != "" {
			server.Put(t, resources[kind], o)
		}
	}
	if diff := osbs("--diff", "cluster"); diff != "" {
		t.Errorf("all is there, and the difference is:\n%s", diff)
	}
	server.Put(t, resources["ServiceAccount"], map[string]any{"metadata": map[string]any{
		"name": "osbs-old", "labels": map[string]any{
			"app.kubernetes.io/part-of": "osbs", "app.kubernetes.io/name": "osbs", "app.kubernetes.io/managed-by": "osbs",
		},
	}})
	if diff := osbs("--diff", "cluster"); !strings.Contains(diff, "ServiceAccount osbs-old") || strings.Contains(diff, "Pipeline osbs") {
		t.Errorf("the difference is:\n%s", diff)
	}
}
