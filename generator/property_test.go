package generator_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/overlay"
)

// option is something that a site may have decided: keys of the configuration that go together.
type option map[string]any

func options() []option {
	return []option{
		{"namespace": "images"},
		{"registry_uri": "https://registry.example.com"},
		{"proxy": map[string]any{"http": "http://proxy.example.com:3128", "https": "http://proxy.example.com:3128", "no_proxy": ".example.com"}, "pull_secret": "x, y"},
		{"registry_uri": []string{"https://a.example.com", "b.example.com:5000"}, "registry_secret": []string{"a", "b"}},
		{"registry_insecure": []string{"b.example.com:5000"}},
		{"registry_ca": map[string]any{"config_map": "site-ca"}},
		{"git_ca": map[string]any{"secret": "git-ca", "key": "ca.pem"}},
		{"git_secret": "my-git", "submodules": false},
		{"pulp_registry_name": "prod", "pulp": map[string]any{
			"prod": map[string]any{"url": "https://pulp.example.com", "timeout": "1h", "ca": map[string]any{"config_map": "site-ca"}, "retain_versions": 3},
		}},
		{"mirror_registry_uri": "https://mirror.example.com"},
		{"archive_volume": map[string]any{"nfs": map[string]any{"server": "nfs.example.com", "path": "/exports"}}, "archive_format": "docker"},
		{"archive_volume": map[string]any{"claim": "archive"}, "archive_dir": "images"},
		{"lock_policy": "wait", "lock_timeout": "1h"},
		{"build_secret": []any{map[string]any{"id": "npm", "secret": "npm", "key": "token"}}},
		{"storage": map[string]any{"claim": "layers"}},
		{"build_security": "capabilities"},
		{"workspace": map[string]any{"size": "50Gi", "storage_class": "fast", "access_mode": "ReadWriteMany"}},
		{"timeout": "3h"},
		{"labels": map[string]any{"example.com/team": "a"}, "annotations": map[string]any{"example.com/owner": "somebody"}},
		{"name": "builds"},
		{"autorebuild": map[string]any{"enabled": false}},
		{"autorebuild": map[string]any{"watch_namespaces": []string{"openshift"}, "max_concurrent": 2, "image": "registry.example.com/watch:1"}},
		{"source_registry_uri": "https://registry.example.com", "home_registry": []string{"old.example.com"}},
		{"stages": map[string]any{"push": map[string]any{"env": map[string]any{"HTTPS_PROXY": "http://proxy.example.com:3128"},
			"resources": map[string]any{"limits": map[string]any{"memory": "1Gi"}}, "image": "registry.example.com/push:1"}}},
	}
}

// stagesOf are the stages that a configuration has.
func stagesOf(values map[string]any) []string {
	stages := []string{"clone", "detect-base", "lock", "prepare", "build", "push", "sync", "import"}
	if values["pulp"] == nil && values["mirror_registry_uri"] == nil && values["archive_volume"] == nil {
		stages = slices.DeleteFunc(stages, func(s string) bool { return s == "sync" })
	}
	return stages
}

// partition cuts the chain at random places.
func partition(r *rand.Rand, stages []string) [][]string {
	pods := [][]string{{stages[0]}}
	for _, s := range stages[1:] {
		if r.IntN(2) == 0 {
			pods = append(pods, nil)
		}
		pods[len(pods)-1] = append(pods[len(pods)-1], s)
	}
	return pods
}

const inserted = `- param:
    name: depth
    default: full
- insert: look
  %s: %s
  task:
    taskSpec:
      params:
      - name: depth
        type: string
      workspaces:
      - name: workspace
      steps:
      - name: look
        image: registry.example.com/look:1
        args: [$(workspaces.workspace.path), $(params.depth)]
- finally: tell
  task:
    taskSpec:
      steps:
      - name: tell
        image: registry.example.com/tell:1
        args: [$(context.taskRun.name)]
`

// TestAnyCombination: whatever a site decides, what comes of it is valid, has the same params and results in every layout, and gives no
// token of the API to what runs a Dockerfile. (Generate itself has validated all of it with Tekton's code.)
func TestAnyCombination(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 5
	}
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		values := map[string]any{}
		for _, o := range options() {
			if r.IntN(3) > 0 {
				continue
			}
			for key, value := range o {
				values[key] = value
			}
		}
		if _, ok := values["archive_volume"]; !ok {
			delete(values, "archive_dir")
			delete(values, "archive_format")
		}
		stages := stagesOf(values)
		layouts := []any{"chained", "balanced", "fused", partition(r, stages)}
		var entries []overlay.Entry
		if r.IntN(2) == 0 {
			where := []string{"before", "after"}[r.IntN(2)]
			var err error
			text := fmt.Sprintf(inserted, where, stages[r.IntN(len(stages))])
			if entries, err = overlay.Read("overlay.yaml", []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { tryLayouts(t, values, layouts, entries) })
	}
}

func tryLayouts(t *testing.T, values map[string]any, layouts []any, entries []overlay.Entry) {
	var first face
	for _, layout := range layouts {
		values["layout"] = layout
		data, err := kubeyaml.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load("osbs.yaml", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		out, err := generator.Generate(t.Context(), generator.Input{Config: cfg, Overlays: entries})
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		got := interfaceOf(out)
		if first.Params == nil {
			first = got
		} else if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("the Pipeline of layout %v is another one (-%v +%v):\n%s", layout, layouts[0], layout, diff)
		}
		checkNoToken(t, out)
		checkRun(t, out)
	}
}

// face is what others see of a Pipeline.
type face struct{ Params, Results []string }

func interfaceOf(out *generator.Output) face {
	i := face{Results: results(out)}
	for _, p := range tree.Items(out.Pipeline.YNode(), "spec", "params") {
		value := ""
		if d := tree.Get(p, "default"); d != nil {
			value = "=" + tree.Canonical(d)
		}
		i.Params = append(i.Params, tree.Text(p, "name")+value)
	}
	return i
}

// checkNoToken: where a token of the API would be, every step but those of lock and import has an empty directory.
func checkNoToken(t *testing.T, out *generator.Output) {
	t.Helper()
	const at = "/var/run/secrets/kubernetes.io/serviceaccount"
	for _, task := range tree.Items(out.Pipeline.YNode(), "spec", "tasks") {
		for _, s := range tree.Items(task, "taskSpec", "steps") {
			image := tree.Text(s, "image")
			if strings.HasSuffix(image, "/lock") || strings.HasSuffix(image, "/import") || !strings.HasPrefix(image, "ko://") {
				continue
			}
			if !slices.ContainsFunc(tree.Items(s, "volumeMounts"), func(m *yaml.Node) bool { return tree.Text(m, "mountPath") == at }) {
				t.Errorf("the step %s can have a token of the API", image)
			}
		}
	}
}

// checkRun: what the run says of tasks, it says of tasks that there are; and what an event starts is that run.
func checkRun(t *testing.T, out *generator.Output) {
	t.Helper()
	names := taskNames(out)
	for _, f := range tree.Items(out.Pipeline.YNode(), "spec", "finally") {
		names = append(names, tree.Text(f, "name"))
	}
	for _, s := range tree.Items(out.Run.YNode(), "spec", "taskRunSpecs") {
		if name := tree.Text(s, "pipelineTaskName"); !slices.Contains(names, name) {
			t.Errorf("the run speaks of a task %s; there are %v", name, names)
		}
	}
	for _, o := range out.Namespace {
		if o.GetKind() != "TriggerTemplate" {
			continue
		}
		run := tree.Items(o.YNode(), "spec", "resourcetemplates")[0]
		for _, field := range []string{"taskRunSpecs", "taskRunTemplate", "workspaces", "timeouts", "pipelineRef"} {
			if a, b := tree.Get(run, "spec", field), tree.Get(out.Run.YNode(), "spec", field); (a == nil) != (b == nil) || a != nil && !tree.Equal(a, b) {
				t.Errorf("%s of what an event starts is not that of the run template", field)
			}
		}
	}
}
