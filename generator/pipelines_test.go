package generator_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/overlay"
	"github.com/osbs-tekton/osbs/generator/validate"
	"github.com/osbs-tekton/osbs/internal/golden"
)

//go:generate go test -run ^(TestRenderings|TestRuns|TestGenerate)$ -update .

var update = golden.Flag()

const pipelines = "../pipelines"

// generate makes the objects of a configuration file and overlays.
func generate(t *testing.T, file string, overlays ...string) *generator.Output {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := generator.Input{}
	if in.Config, err = config.Load(filepath.Base(file), data); err != nil {
		t.Fatal(err)
	}
	for _, o := range overlays {
		data, err := os.ReadFile(o)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := overlay.Read(o, data)
		if err != nil {
			t.Fatal(err)
		}
		in.Overlays = append(in.Overlays, entries...)
	}
	out, err := generator.Generate(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func written(t *testing.T, objects ...*yaml.RNode) string {
	t.Helper()
	var b bytes.Buffer
	if err := manifest.Write(&b, objects); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const configSuffix = ".config.yaml"

// TestRenderings: what is in pipelines is what is generated, for each configuration there.
func TestRenderings(t *testing.T) {
	configs, err := filepath.Glob(filepath.Join(pipelines, "*"+configSuffix))
	if err != nil || len(configs) < 5 {
		t.Fatalf("%v %v", configs, err)
	}
	for _, file := range configs {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out := generate(t, file)
			golden.Check(t, *update, strings.TrimSuffix(file, configSuffix)+".yaml", written(t, out.Objects()...))
			if size := len(written(t, out.Pipeline)); size > 60_000 {
				t.Errorf("the Pipeline has %d bytes", size)
			}
		})
	}
}

// TestRuns: the samples of PipelineRuns, one for each layout and one for each kind of build.
func TestRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		config, about string
		values        map[string]string
	}{
		"chained":    {"chained", "Builds the head of a branch: kubectl create -f runs/chained.yaml", nil},
		"balanced":   {"balanced", "The same in three pods.", nil},
		"fused":      {"fused", "The same in one pod.", nil},
		"pulp":       {"pulp", "The image goes into Pulp, a mirror registry and an archive too.", nil},
		"multi-arch": {"multi-arch", "One image for two platforms.", nil},
		"commit": {"chained", "Builds a commit, and fails if the branch has moved on.",
			map[string]string{"git-commit": "0123456789012345678901234567890123456789"}},
		"scratch": {"chained", "A scratch build, to try something out: it gets its unique tag only, and nothing is rebuilt because of it.",
			map[string]string{"scratch": "true", "user": "dev"}},
		"isolated": {"chained", "An isolated build, such as for an urgent fix: no floating tag is moved, nothing is rebuilt because of it.",
			map[string]string{"isolated": "true", "release": "1.1", "user": "dev"}},
		"private-base": {"chained", "The base is in a registry that wants credentials: the Secret has them for that host too, of the type\n" +
			"kubernetes.io/dockerconfigjson.", map[string]string{"registry-secret": "osbs-registry-and-bases"}},
		"wait": {"chained", "Waits while another build of the same build config runs, and passes arguments to the Dockerfile.",
			map[string]string{"lock-policy": "wait", "build-arg": "VERSION=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := generate(t, filepath.Join(pipelines, tc.config+configSuffix))
			text, err := out.SampleText(tc.about, tc.values)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, *update, filepath.Join(pipelines, "runs", name+".yaml"), string(text))
			run := out.Sample(tc.values)
			if err := validate.Objects([]*yaml.RNode{run}); err != nil {
				t.Error(err)
			}
			for param, want := range tc.values {
				p := tree.Named(tree.Items(run.YNode(), "spec", "params"), param)
				if got := tree.Get(p, "value"); got == nil || got.Value != want && len(got.Content) == 0 {
					t.Errorf("%s is not %s", param, want)
				}
			}
		})
	}
}

// TestOverlays: each example does what it claims, in each layout in which it can, and what comes of it is valid.
func TestOverlays(t *testing.T) {
	for name, tc := range map[string]struct {
		configs []string
		check   func(t *testing.T, out *generator.Output)
	}{
		"scan": {[]string{"chained", "balanced", "fused", "pulp", "multi-arch"}, checkScan},
		"buildkit": {[]string{"chained", "pulp"}, func(t *testing.T, out *generator.Output) {
			checkReplaced(t, out, "docker.io/moby/buildkit:v0.18.2-rootless", "--opt=filename=Dockerfile.pinned", "--output=type=oci,tar=false,dest=$(workspaces.workspace.path)/image")
		}},
		"kaniko": {[]string{"chained", "pulp"}, func(t *testing.T, out *generator.Output) {
			checkReplaced(t, out, "gcr.io/kaniko-project/executor:v1.23.2", "--dockerfile=$(workspaces.workspace.path)/Dockerfile.pinned", "--oci-layout-path=$(workspaces.workspace.path)/image")
		}},
		"no-sync": {[]string{"pulp"}, func(t *testing.T, out *generator.Output) {
			if names := taskNames(out); slices.Contains(names, "sync") || !slices.Contains(names, "import") {
				t.Errorf("tasks are %v", names)
			}
		}},
		"notify": {[]string{"chained", "balanced", "fused", "multi-arch"}, func(t *testing.T, out *generator.Output) {
			last := tree.Named(tree.Items(out.Pipeline.YNode(), "spec", "finally"), "notify")
			if last == nil || !strings.Contains(tree.Canonical(last), "$(tasks.status)") {
				t.Error("there is no task notify at the end with the state of the build")
			}
			if got := tree.Text(out.Run.YNode(), "spec", "timeouts", "finally"); got == "" {
				t.Error("no time is kept for it")
			}
			checkParam(t, out, "notify-url")
		}},
		"site-ca": {[]string{"chained", "fused"}, func(t *testing.T, out *generator.Output) {
			if text := out.Pipeline.MustString(); !strings.Contains(text, "name: site-ca") || !strings.Contains(text, "/etc/site-ca/ca.crt") {
				t.Error("the certificates are not there")
			}
		}},
	} {
		for _, config := range tc.configs {
			t.Run(name+" on "+config, func(t *testing.T) {
				plain := generate(t, filepath.Join(pipelines, config+configSuffix))
				out := generate(t, filepath.Join(pipelines, config+configSuffix), filepath.Join(pipelines, "overlays", name+".yaml"))
				tc.check(t, out)
				if len(out.Changes) == 0 {
					t.Error("nothing is said of what was changed")
				}
				if diff := cmp.Diff(results(plain), results(out)); diff != "" {
					t.Errorf("results of the Pipeline (-without +with):\n%s", diff)
				}
			})
		}
	}
	files, err := filepath.Glob(filepath.Join(pipelines, "overlays", "*.yaml"))
	if err != nil || len(files) != 6 {
		t.Errorf("an overlay is not tried here: %v %v", files, err)
	}
}

// steps are the steps of the Pipeline in the order in which they run, each with its Task.
func steps(out *generator.Output) (names []string, byName map[string]*yaml.Node) {
	byName = map[string]*yaml.Node{}
	for _, task := range tree.Items(out.Pipeline.YNode(), "spec", "tasks") {
		for _, s := range tree.Items(task, "taskSpec", "steps") {
			name := tree.Text(task, "name") + "/" + tree.Text(s, "name")
			names, byName[name] = append(names, name), s
		}
	}
	return names, byName
}

func checkScan(t *testing.T, out *generator.Output) {
	names, byName := steps(out)
	at := func(image, arg string) int {
		return slices.IndexFunc(names, func(n string) bool {
			s := byName[n]
			return strings.Contains(tree.Text(s, "image"), image) && strings.Contains(tree.Canonical(s), arg)
		})
	}
	source, build, push, image, last := at("trivy", "/source"), at("/cmd/build", ""), at("/cmd/push", ""), at("trivy", "registry-secret"), at("/cmd/import", "")
	if source < 0 || source > build || image < push || image > last {
		t.Errorf("the scans are in the wrong places: %v", names)
	}
	checkParam(t, out, "scan-severity")
}

// checkParam: a param that an overlay declares reaches the builds that events start.
func checkParam(t *testing.T, out *generator.Output, name string) {
	t.Helper()
	if tree.Named(tree.Items(out.Pipeline.YNode(), "spec", "params"), name) == nil {
		t.Errorf("the Pipeline has no param %s", name)
	}
	for _, o := range out.Namespace {
		if o.GetKind() == "TriggerBinding" && tree.Named(tree.Items(o.YNode(), "spec", "params"), name) == nil {
			t.Errorf("no event has the param %s", name)
		}
	}
}

func checkReplaced(t *testing.T, out *generator.Output, image string, args ...string) {
	t.Helper()
	_, byName := steps(out)
	step := byName["build/build"]
	if got := tree.Text(step, "image"); got != image {
		t.Errorf("the image of build is %q", got)
	}
	var have []string
	for _, a := range tree.Items(step, "args") {
		have = append(have, a.Value)
	}
	for _, want := range args {
		if !slices.Contains(have, want) {
			t.Errorf("%q is not among the arguments %q", want, have)
		}
	}
}

func taskNames(out *generator.Output) []string {
	var names []string
	for _, task := range tree.Items(out.Pipeline.YNode(), "spec", "tasks") {
		names = append(names, tree.Text(task, "name"))
	}
	return names
}

func results(out *generator.Output) []string {
	var names []string
	for _, r := range tree.Items(out.Pipeline.YNode(), "spec", "results") {
		names = append(names, tree.Text(r, "name"))
	}
	return names
}
