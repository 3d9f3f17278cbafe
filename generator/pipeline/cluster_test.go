//go:build e2e

package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/generator/layout"
	"github.com/osbs-tekton/osbs/generator/pipeline"
	"github.com/osbs-tekton/osbs/internal/tektontest"
)

// stub takes the place of every step. It says whether it sees the token of the API, looks for what the steps before it have left in the
// workspace, and writes the results that its first argument names; prepare skips the build if the release is "skip".
const stub = `
names=$1; me=$2; shift 2
results=/tekton/results; workspace=; state=build
for arg in "$@"; do
  case $arg in
  -results-dir=*) results=${arg#*=} ;;
  -workspace=*) workspace=${arg#*=} ;;
  -release=skip) state=skipped ;;
  esac
done
token=no; test -e /var/run/secrets/kubernetes.io/serviceaccount/token && token=yes
echo "STEP $me TOKEN $token SEES $(cat $workspace/steps 2>/dev/null | tr '\n' ' ') ARGS $*"
skipped=; test -e "$workspace/skipped" && case $me in build|push|sync|import) skipped=yes ;; esac
if test -n "$workspace"; then
  echo "$me" >> "$workspace/steps" || exit 1
  chmod 666 "$workspace/steps" 2>/dev/null
fi
for name in $names; do
  value="$me-$name"
  test "$name" = state && value=$state
  test "$name" = message && value=
  test -n "$skipped" && value=
  printf %s "$value" > "$results/$name" || exit 1
done
if test "$me-$state" = prepare-skipped; then touch "$workspace/skipped"; fi
`

// TestLayoutsOnCluster runs the Pipelines of all layouts with stubs for steps on the cluster that KUBECONFIG names.
func TestLayoutsOnCluster(t *testing.T) {
	namespace := fmt.Sprintf("layouts-%d", time.Now().Unix())
	kubectl(t, "", "create", "namespace", namespace)
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", namespace, "--wait=false") })
	for _, account := range []string{"osbs", "osbs-build"} {
		kubectl(t, "", "-n", namespace, "create", "serviceaccount", account)
	}
	for _, name := range []string{"chained", "balanced", "fused", "scan", "any"} {
		for _, state := range []string{"build", "skipped"} {
			t.Run(name+"/"+state, func(t *testing.T) {
				t.Parallel()
				onCluster(t, namespace, name, state)
			})
		}
	}
}

func onCluster(t *testing.T, namespace, name, state string) {
	cfg := config.Default()
	cfg.Name, cfg.RegistryURI, cfg.Workspace.Size = "osbs", config.List{"registry.example.com"}, "10Mi"
	cfg.MirrorRegistryURI = config.List{"mirror.example.com"}
	switch name {
	case "any":
		cfg.Layout = config.Layout{Pods: [][]string{{"clone", "detect-base"}, {"lock", "prepare", "build"}, {"push", "sync"}, {"import"}}}
	case "scan":
		cfg.Layout = config.Layout{Name: config.Fused}
	default:
		cfg.Layout = config.Layout{Name: name}
	}
	c, err := chain.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if name == "scan" {
		insert(t, c, string(read(t, filepath.Join("testdata", "scan", "insert.yaml"))))
	}
	for _, l := range append(append([]*chain.Link{}, c.Links...), c.Finally...) {
		stubSteps(t, l)
	}
	if err := layout.Arrange(c, cfg.Layout); err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.Render(cfg, c)
	if err != nil {
		t.Fatal(err)
	}
	tektontest.Pipeline(t, p.MustString())
	run, err := install.RunTemplate(cfg, c)
	if err != nil {
		t.Fatal(err)
	}
	id := name + "-" + state
	for _, o := range []*yaml.RNode{p, run} {
		if err := o.PipeE(yaml.LookupCreate(yaml.MappingNode, "metadata"), yaml.SetField("name", yaml.NewStringRNode(id))); err != nil {
			t.Fatal(err)
		}
	}
	spec := tree.Get(run.YNode(), "spec")
	tree.Set(spec, "pipelineRef", tree.Map("name", id))
	params := []*yaml.Node{tree.Map("name", "git-url", "value", "https://git.example.com/a.git"), tree.Map("name", "git-branch", "value", "main")}
	if state == "skipped" {
		params = append(params, tree.Map("name", "release", "value", "skip"))
	}
	tree.SetItems(spec, "params", params)
	kubectl(t, p.MustString(), "-n", namespace, "apply", "--server-side", "-f", "-")
	kubectl(t, run.MustString(), "-n", namespace, "create", "-f", "-")
	checkRun(t, namespace, id, state, wait(t, namespace, id))
}

// stubSteps replaces the programs of a link's steps.
func stubSteps(t *testing.T, l *chain.Link) {
	t.Helper()
	for _, step := range tree.Items(l.Spec(), "steps") {
		name := tree.Text(step, "name")
		var results []string
		for _, r := range tree.Items(l.Spec(), "results") {
			if l.Stage == "" || name == l.Stage {
				results = append(results, tree.Text(r, "name"))
			}
		}
		args := []string{"-ec", stub, "stub", strings.Join(results, " "), name}
		if l.Stage == "" && len(results) > 0 { // a script has no -results-dir
			args = append(args, "-results-dir=/tekton/results")
		}
		list := tree.Strings(args...)
		list.Content = append(list.Content, tree.Items(step, "args")...)
		tree.Set(step, "args", list)
		tree.Set(step, "command", tree.Strings("/bin/sh"))
		tree.Set(step, "image", tree.String(os.Getenv("OSBS_E2E_BUSYBOX_IMAGE")))
		tree.Delete(step, "script")
		tree.Delete(step, "computeResources")
	}
}

func kubectl(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// wait returns the PipelineRun when it has ended.
func wait(t *testing.T, namespace, name string) *v1.PipelineRun {
	t.Helper()
	for range 600 {
		run := &v1.PipelineRun{}
		if err := json.Unmarshal([]byte(kubectl(t, "", "-n", namespace, "get", "pipelinerun", name, "-o", "json")), run); err != nil {
			t.Fatal(err)
		}
		if run.IsDone() {
			return run
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("%s does not end", name)
	return nil
}

// checkRun checks that the run has succeeded with its results, and which of its steps saw a token.
func checkRun(t *testing.T, namespace, name, state string, run *v1.PipelineRun) {
	t.Helper()
	logs := kubectl(t, "", "-n", namespace, "logs", "-l", "tekton.dev/taskRun,tekton.dev/pipelineRun="+name, "--all-containers", "--tail=-1", "--max-log-requests=60")
	if !run.IsSuccessful() {
		t.Fatalf("%v\n%s", run.Status.Conditions, logs)
	}
	got := map[string]string{}
	for _, r := range run.Status.Results {
		got[r.Name] = r.Value.StringVal
	}
	want := map[string]string{"IMAGE_URL": "push-image-url", "IMAGE_DIGEST": "push-image-digest", "CHAINS-GIT_URL": "clone-url", "CHAINS-GIT_COMMIT": "prepare-commit",
		"BASE_IMAGES": "detect-base-base-images", "BUILD_CONFIG": "lock-build-config", "STATE": state, "TAGS": "push-tags", "UNCHANGED": "push-unchanged"}
	if state == "skipped" {
		for _, result := range []string{"IMAGE_URL", "IMAGE_DIGEST", "TAGS", "UNCHANGED"} { // absent or empty
			want[result] = ""
			got[result] += ""
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(logs) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "STEP" {
			continue
		}
		t.Log(line)
		if sees := words[3] == "yes"; sees != (words[1] == "lock" || words[1] == "import") {
			t.Errorf("token: %s", line)
		}
		if state == "skipped" && words[1] == "scan" {
			t.Errorf("%s was not skipped", words[1])
		}
		if words[1] == "scan" && !strings.Contains(line, "push-image-url@push-image-digest") {
			t.Errorf("scan was told %s", line)
		}
	}
	t.Logf("%s ended %s after %s", name, run.Status.Conditions[0].Reason, run.Status.CompletionTime.Sub(run.Status.StartTime.Time))
}
