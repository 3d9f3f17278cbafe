package install_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/internal/golden"
)

var update = golden.Flag()

const pipelineText = `apiVersion: tekton.dev/v1
kind: Pipeline
metadata:
  name: osbs
spec:
  params:
  - name: git-url
  - name: git-branch
  - name: git-commit
    default: ""
  - name: dockerfile
    default: Containerfile
  - name: base-digest
    default: ""
  - name: is-autorebuild
    default: "false"
  - name: lock-policy
    default: fail
  - name: build-arg
    type: array
    default: []
  - name: registry-uri
    default: https://registry.example.com
  - name: scanner-level
    description: severity from which the scanner fails
    default: high
  - name: ticket
  tasks: []
`

func parse(t *testing.T, text string) *yaml.RNode {
	t.Helper()
	n, err := yaml.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// testChain has the workspace, and a pod of its own for each of two links.
func testChain(t *testing.T) *chain.Chain {
	t.Helper()
	task := "apiVersion: tekton.dev/v1\nkind: Task\nmetadata:\n  name: x\nspec:\n  workspaces:\n  - name: workspace\n  - name: storage\n    optional: true\n"
	return &chain.Chain{Pod: chain.Pod{ServiceAccount: "osbs-build"}, Links: []*chain.Link{
		{Name: "clone", Stage: "clone", Task: parse(t, task)},
		{Name: "lock", Stage: "lock", Task: parse(t, task), Pod: chain.Pod{ServiceAccount: "osbs"}},
		{Name: "build", Stage: "build", Task: parse(t, task), Pod: chain.Pod{Template: parse(t, "hostUsers: false\n")}},
	}}
}

func write(t *testing.T, objects []*yaml.RNode) string {
	t.Helper()
	var b bytes.Buffer
	if err := manifest.Write(&b, objects); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestObjects(t *testing.T) {
	off := false
	for name, change := range map[string]func(*config.Config){
		"default.yaml": func(*config.Config) {},
		"site.yaml": func(c *config.Config) {
			c.Name, c.Namespace = "images", "team-a"
			c.Labels = map[string]string{"example.com/team": "a"}
			c.Autorebuild.WatchNamespaces = config.List{"openshift", "team-a"}
			c.Autorebuild.ScheduledImports = &off
			c.Autorebuild.Image = "registry.example.com/watch:1"
			c.Autorebuild.Env = map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.observability.svc:4318"}
			c.Autorebuild.Resources = &config.Resources{Limits: map[string]string{"memory": "1Gi"}}
			c.Workspace.StorageClass = "fast"
			c.Storage = &config.Volume{Claim: "layers"}
			c.RegistryInsecure = config.List{"registry.example.com:5000"}
		},
		"no-rebuilds.yaml": func(c *config.Config) { c.Autorebuild.Enabled = &off },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			change(cfg)
			objects, err := install.Objects(cfg, testChain(t), parse(t, pipelineText))
			if err != nil {
				t.Fatal(err)
			}
			install.Label(cfg, "v1.2.3", objects)
			golden.Check(t, *update, filepath.Join("testdata", name), write(t, objects))
		})
	}
}

func TestSplit(t *testing.T) {
	cfg := config.Default()
	cfg.Namespace = "team-a"
	cfg.Autorebuild.WatchNamespaces = config.List{"openshift"}
	objects, err := install.Objects(cfg, testChain(t), parse(t, pipelineText))
	if err != nil {
		t.Fatal(err)
	}
	install.Label(cfg, "", objects)
	g := install.Split(cfg, objects)
	if len(g.Cluster) != 1 || g.Cluster[0].GetKind() != "ClusterRoleBinding" || len(g.Others) != 2 {
		t.Errorf("cluster: %v, others: %v", kinds(g.Cluster), kinds(g.Others))
	}
	for _, o := range g.Namespace {
		if o.GetNamespace() != "team-a" {
			t.Errorf("%s %s is in %q", o.GetKind(), o.GetName(), o.GetNamespace())
		}
	}
}

func kinds(objects []*yaml.RNode) []string {
	var out []string
	for _, o := range objects {
		out = append(out, o.GetKind())
	}
	return out
}

// TestRightsAreFew: nothing is granted by wildcard, no secrets can be read, and nobody can act as somebody else.
func TestRightsAreFew(t *testing.T) {
	objects, err := install.Objects(config.Default(), testChain(t), parse(t, pipelineText))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() != "Role" {
			continue
		}
		text := o.MustString()
		for _, never := range []string{"'*'", `"*"`, "secrets", "impersonate", "pods/", "[bind", " bind", "escalate"} {
			if strings.Contains(text, never) {
				t.Errorf("Role %s has %s:\n%s", o.GetName(), never, text)
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	cfg := config.Default()
	cfg.PulpRegistryName, cfg.Pulp = "prod", map[string]config.Pulp{"prod": {URL: "https://pulp.example.com"}, "other": {URL: "https://other.example.com", Secret: "other"}}
	cfg.BuildSecret = []config.BuildSecret{{ID: "npm", Secret: "npm", Key: "token"}}
	var names []string
	for _, s := range install.Secrets(cfg) {
		names = append(names, s.Name)
	}
	if want := []string{"osbs-git", "osbs-registry", "osbs-pulp", "npm", "osbs-webhook"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestRightsAreDocumented: the service account of lock and import has the rights that docs/cluster-state.md lists, which are those that
// these stages are tested with.
func TestRightsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/cluster-state.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\nrules:")
	documented, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/cluster-state.md has no rules")
	}
	objects, err := install.Objects(config.Default(), testChain(t), parse(t, pipelineText))
	if err != nil {
		t.Fatal(err)
	}
	role := object[rbacv1.Role](t, objects, "Role")
	var want rbacv1.Role
	if err := kubeyaml.UnmarshalStrict([]byte("rules:"+documented), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rights(want), rights(role)); diff != "" {
		t.Errorf("(-documented +rendered):\n%s", diff)
	}
}

// rights are group/resource: verbs.
func rights(r rbacv1.Role) map[string][]string {
	out := map[string][]string{}
	for _, rule := range r.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				out[group+"/"+resource] = rule.Verbs
			}
		}
	}
	return out
}
