package layout_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/layout"
	"github.com/osbs-tekton/osbs/generator/pipeline"
	"github.com/osbs-tekton/osbs/internal/tektontest"
)

const (
	seeds     = 60
	maxSize   = 64_000
	tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// TestAnyPartition arranges chains of random configurations, with random tasks inserted, on random pods, and compares each with the same
// chain in a pod for each link.
func TestAnyPartition(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			want, _ := render(t, seed, func(*rand.Rand, *chain.Chain) config.Layout { return config.Layout{Name: config.Chained} })
			got, links := render(t, seed, anyLayout)
			again, _ := render(t, seed, anyLayout)
			if diff := cmp.Diff(got.text, again.text); diff != "" {
				t.Fatalf("two renderings differ:\n%s", diff)
			}
			if len(got.text) > maxSize {
				t.Errorf("the Pipeline has %d bytes", len(got.text))
			}
			if diff := cmp.Diff(want.Spec.Params, got.Spec.Params); diff != "" {
				t.Errorf("params (-chained +got):\n%s", diff)
			}
			if diff := cmp.Diff(resultNames(want), resultNames(got)); diff != "" {
				t.Errorf("results (-chained +got):\n%s", diff)
			}
			got.resolves(t)
			got.hidesToken(t, links)
			if diff := cmp.Diff(want.meaning(t), got.meaning(t)); diff != "" {
				t.Errorf("what the steps are told (-chained +got):\n%s", diff)
			}
		})
	}
}

// rendered is a Pipeline, and what it was made of.
type rendered struct {
	*v1.Pipeline
	text string
	// links are the names of the links before they were arranged.
	links []string
}

func render(t *testing.T, seed uint64, choose func(*rand.Rand, *chain.Chain) config.Layout) (rendered, []*chain.Link) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	cfg := anyConfig(r)
	c, err := chain.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	insertAny(t, r, c)
	var names []string
	for _, l := range slices.Concat(c.Links, c.Finally) {
		names = append(names, l.Name)
	}
	l := choose(r, c)
	if err := layout.Arrange(c, l); err != nil {
		t.Fatalf("%v: %v", l, err)
	}
	p, err := pipeline.Render(cfg, c)
	if err != nil {
		t.Fatalf("%v: %v", l, err)
	}
	return rendered{tektontest.Pipeline(t, p.MustString()), p.MustString(), names}, c.Links
}

func anyConfig(r *rand.Rand) *config.Config {
	cfg := config.Default()
	cfg.RegistryURI = config.List{"registry.example.com"}
	maybe := func(f func()) {
		if r.IntN(2) == 0 {
			f()
		}
	}
	yes := true
	for _, f := range []func(){
		func() { cfg.Name = "images" },
		func() { cfg.RegistrySecret = config.List{"a", "b", "c"} },
		func() { cfg.RegistryCA = &config.Source{ConfigMap: "ca"} },
		func() { cfg.GitCA = &config.Source{Secret: "ca", Key: "tls.crt"} },
		func() {
			cfg.PulpRegistryName = "prod"
			cfg.Pulp = map[string]config.Pulp{"prod": {URL: "https://pulp.example.com", CA: &config.Source{ConfigMap: "ca"}}}
		},
		func() { cfg.MirrorRegistryURI = config.List{"mirror.example.com"} },
		func() { cfg.ArchiveVolume, cfg.ArchiveDir = &config.Volume{Claim: "images"}, "tar" },
		func() {
			cfg.Storage = &config.Volume{NFS: &config.NFSVolume{Server: "nfs.example.com", Path: "/layers"}}
		},
		func() { cfg.BuildSecret = []config.BuildSecret{{ID: "token", Secret: "npm", Key: "token"}} },
		func() { cfg.BuildSecurity = config.Capabilities },
		func() { cfg.Format, cfg.RepoConfig, cfg.LayerCache, cfg.Jobs = "oci", "osbs.yaml", &yes, 3 },
		func() { cfg.Platforms = config.List{"linux/arm64"} },
		func() { cfg.Platforms = config.List{"linux/amd64", "linux/arm64", "linux/arm/v7"} },
		func() {
			cfg.Stages = map[string]config.Stage{
				"build": {Timeout: "1h", Env: map[string]string{"A": "b"}, Tolerations: []map[string]any{{"key": "x", "operator": "Exists"}}},
				"push":  {Timeout: "30m", Image: "registry.example.com/push:1"},
			}
		},
	} {
		maybe(f)
	}
	return cfg
}

// anyLayout is one with a name, or any partition of the stages.
func anyLayout(r *rand.Rand, c *chain.Chain) config.Layout {
	if r.IntN(4) == 0 {
		return config.Layout{Name: []string{config.Balanced, config.Fused}[r.IntN(2)]}
	}
	var l config.Layout
	last := ""
	for _, link := range c.Links {
		if link.Stage == "" || link.Stage == last {
			continue
		}
		last = link.Stage
		if len(l.Pods) == 0 || r.IntN(3) == 0 {
			l.Pods = append(l.Pods, nil)
		}
		l.Pods[len(l.Pods)-1] = append(l.Pods[len(l.Pods)-1], link.Stage)
	}
	return l
}

// insertAny inserts some of the tasks below, each behind any link that has what it refers to before it.
func insertAny(t *testing.T, r *rand.Rand, c *chain.Chain) {
	t.Helper()
	for i, in := range inserted {
		if r.IntN(2) == 0 {
			continue
		}
		after := slices.IndexFunc(c.Links, func(l *chain.Link) bool { return l.Name == in.after })
		if after < 0 {
			continue
		}
		at := after + 1 + r.IntN(len(c.Links)-after)
		for at < len(c.Links) && c.Links[at].Parallel {
			at++
		}
		l := &chain.Link{Name: fmt.Sprintf("extra-%d", i), Origin: "overlay.yaml:" + fmt.Sprint(i), Workspaces: in.workspaces}
		if in.task != "" {
			l.Task = yaml.MustParse(in.task)
		} else {
			l.TaskRef = yaml.MustParse("name: elsewhere")
		}
		if in.skips {
			l.When = append(l.When, yaml.NewRNode(chain.NotSkipped()))
		}
		if in.when != "" {
			l.When = append(l.When, yaml.MustParse(in.when))
		}
		for _, name := range slices.Sorted(mapsKeys(in.params)) {
			l.Params = append(l.Params, chain.Param{Name: name, Value: yaml.MustParse(in.params[name])})
		}
		c.Links = slices.Insert(c.Links, at, l)
	}
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func resultNames(r rendered) []string {
	var names []string
	for _, res := range r.Spec.Results {
		names = append(names, res.Name+": "+res.Description)
	}
	return names
}

// resolves checks every reference of a Pipeline.
func (p rendered) resolves(t *testing.T) {
	t.Helper()
	before := map[string]*v1.PipelineTask{}
	check := func(place, text string) {
		for _, v := range variable.In(text) {
			if task, result, _, ok := v.Result(); ok && v.Kind == variable.Tasks {
				if of := before[task]; of == nil || of.TaskRef == nil && !slices.ContainsFunc(of.TaskSpec.Results, func(r v1.TaskResult) bool { return r.Name == result }) {
					t.Errorf("%s: %s does not resolve", place, v)
				}
			}
		}
	}
	for i := range p.Spec.Tasks {
		task := &p.Spec.Tasks[i]
		for _, param := range task.Params {
			check(task.Name, fmt.Sprint(param.Value.StringVal, param.Value.ArrayVal))
		}
		for _, w := range task.When {
			check(task.Name, w.Input)
		}
		for _, after := range task.RunAfter {
			if before[after] == nil {
				t.Errorf("%s runs after %s, which is not before it", task.Name, after)
			}
		}
		if i > 0 && len(task.RunAfter) == 0 {
			t.Errorf("%s runs after nothing", task.Name)
		}
		if task.TaskSpec != nil {
			p.insideResolves(t, task, check)
		}
		before[task.Name] = task
	}
	for _, r := range p.Spec.Results {
		check(r.Name, r.Value.StringVal)
	}
}

// insideResolves checks the references inside of a Task: they are those of YAML texts, wherever they stand.
func (p rendered) insideResolves(t *testing.T, task *v1.PipelineTask, check func(place, text string)) {
	t.Helper()
	spec := task.TaskSpec.TaskSpec
	results := map[string][]string{}
	names := func(n int, name func(int) string) (out []string) {
		for i := range n {
			out = append(out, name(i))
		}
		return out
	}
	params := names(len(spec.Params), func(i int) string { return spec.Params[i].Name })
	workspaces := names(len(spec.Workspaces), func(i int) string { return spec.Workspaces[i].Name })
	volumes := names(len(spec.Volumes), func(i int) string { return spec.Volumes[i].Name })
	taskResults := names(len(spec.Results), func(i int) string { return spec.Results[i].Name })
	for _, step := range spec.Steps {
		own := names(len(step.Results), func(i int) string { return step.Results[i].Name })
		data, err := json.Marshal(step)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range variable.In(string(data)) {
			ok := true
			switch of, result, _, isResult := v.Result(); {
			case isResult && v.Kind == variable.Tasks:
				check(task.Name, v.String())
			case isResult:
				ok = slices.Contains(results[of], result)
			case v.Kind == variable.Params:
				name, _ := v.Param(func(n string) bool { return slices.Contains(params, n) })
				ok = name != "" || slices.ContainsFunc(p.Spec.Params, func(p v1.ParamSpec) bool { return p.Name == v.Name(0) })
			case v.Kind == variable.Workspaces:
				ok = slices.Contains(workspaces, v.Name(0))
			case v.Kind == variable.Results:
				ok = slices.Contains(taskResults, v.Name(0))
			case v.Kind == "step":
				ok = slices.Contains(own, v.Name(1))
			}
			if !ok {
				t.Errorf("%s, step %s: %s does not resolve", task.Name, step.Name, v)
			}
		}
		for _, m := range step.VolumeMounts {
			if !slices.Contains(volumes, m.Name) {
				t.Errorf("%s, step %s: there is no volume %s", task.Name, step.Name, m.Name)
			}
		}
		results[step.Name] = own
	}
	for _, r := range spec.Results {
		if r.Value == nil {
			continue
		}
		for _, v := range variable.In(r.Value.StringVal) {
			if of, result, _, ok := v.Result(); !ok || !slices.Contains(results[of], result) {
				t.Errorf("%s, result %s: %s does not resolve", task.Name, r.Name, v)
			}
		}
	}
}

// hidesToken checks that no container but those of lock and import sees a token of the API.
func (p rendered) hidesToken(t *testing.T, links []*chain.Link) {
	t.Helper()
	for i, task := range p.Spec.Tasks {
		if task.TaskSpec == nil {
			continue
		}
		automount := tree.Text(links[i].Pod.Template.YNode(), "automountServiceAccountToken")
		api := false
		for _, step := range task.TaskSpec.Steps {
			mine := step.Name == "lock" || step.Name == "import"
			api = api || mine
			hidden := slices.ContainsFunc(step.VolumeMounts, func(m v1VolumeMount) bool { return m.MountPath == tokenPath })
			if mine && (hidden || automount != "true") {
				t.Errorf("%s: the step %s has no token", task.Name, step.Name)
			}
			if !mine && !hidden && automount != "false" {
				t.Errorf("%s: the step %s sees the token", task.Name, step.Name)
			}
		}
		for _, s := range task.TaskSpec.Sidecars {
			if automount != "false" && !slices.ContainsFunc(s.VolumeMounts, func(m v1VolumeMount) bool { return m.MountPath == tokenPath }) {
				t.Errorf("%s: the sidecar %s sees the token", task.Name, s.Name)
			}
		}
		if account := links[i].Pod.ServiceAccount; api == strings.HasSuffix(account, "-build") {
			t.Errorf("%s has the service account %s", task.Name, account)
		}
	}
}

// meaning is what each step of a Pipeline is told, in the order of the steps, with every reference followed to the link that it is about.
func (p rendered) meaning(t *testing.T) []string {
	t.Helper()
	var out []string
	for i := range p.Spec.Tasks {
		task := &p.Spec.Tasks[i]
		if task.TaskSpec == nil {
			continue
		}
		spec := task.TaskSpec.TaskSpec.DeepCopy()
		steps, err := v1.MergeStepsWithStepTemplate(spec.StepTemplate, spec.Steps)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			out = append(out, p.stepMeaning(task, step))
		}
	}
	return out
}

func (p rendered) stepMeaning(task *v1.PipelineTask, step v1.Step) string {
	var args []string
	for _, arg := range step.Args {
		if strings.HasPrefix(arg, "-results-") {
			continue
		}
		if list, ok := listParam(task, arg); ok {
			for _, item := range list {
				args = append(args, p.follow(task, item))
			}
			continue
		}
		args = append(args, p.follow(task, arg))
	}
	var env []string
	for _, e := range step.Env {
		env = append(env, e.Name+"="+p.follow(task, e.Value))
	}
	slices.Sort(env)
	return fmt.Sprintf("%s args %q env %q script %q", step.Image, args, env, p.follow(task, step.Script))
}

// listParam is the value of $(params.NAME[*]).
func listParam(task *v1.PipelineTask, arg string) ([]string, bool) {
	name, isList := strings.CutSuffix(strings.TrimPrefix(arg, "$(params."), "[*])")
	for _, param := range task.Params {
		if isList && param.Name == name {
			return param.Value.ArrayVal, true
		}
	}
	return nil, false
}

var stepResults = regexp.MustCompile(`/tekton/steps/[a-z0-9-]+/results`)

// follow replaces the variables of a text inside of a Task by what the Pipeline says, and references to results by LINK.RESULT.
func (p rendered) follow(task *v1.PipelineTask, text string) string {
	text = stepResults.ReplaceAllString(text, "/tekton/results")
	text = variable.Rewrite(text, func(v variable.Variable) (string, bool) {
		switch v.Kind {
		case variable.Params:
			for _, param := range task.Params {
				if param.Name != v.Name(0) {
					continue
				}
				if len(v.Parts) == 2 && v.Parts[1].Mark == "[" && v.Parts[1].Text != "*" {
					i, _ := strconv.Atoi(v.Parts[1].Text)
					return param.Value.ArrayVal[i], true
				}
				if len(v.Parts) == 1 {
					return param.Value.StringVal + strings.Join(param.Value.ArrayVal, ","), true
				}
			}
		case variable.Workspaces:
			if v.Name(1) == "path" {
				return p.workspacePath(task, v.Name(0)), true
			}
		case variable.Results, "step":
			return "(path of the result)", true
		}
		return "", false
	})
	return variable.Rewrite(text, func(v variable.Variable) (string, bool) {
		of, result, _, ok := v.Result()
		if !ok {
			return "", false
		}
		if v.Kind == variable.Steps && slices.Contains(p.links, task.Name) {
			of = task.Name
		}
		if v.Kind == variable.Tasks {
			if step, r := p.written(of, result); step != "" {
				of, result = step, r
			} else {
				result = strings.TrimPrefix(result, p.linkOf(result)+"-")
			}
		}
		return "(" + p.linkOf(of) + "." + result + ")", true
	})
}

func (p rendered) workspacePath(task *v1.PipelineTask, name string) string {
	for _, w := range task.TaskSpec.Workspaces {
		if w.Name == name && w.MountPath != "" {
			return path.Clean(w.MountPath)
		}
	}
	return "/workspace/" + name
}

// written is the step and its result that a result of a Task is.
func (p rendered) written(task, result string) (string, string) {
	for _, t := range p.Spec.Tasks {
		if t.Name != task || t.TaskSpec == nil {
			continue
		}
		for _, r := range t.TaskSpec.Results {
			if r.Name == result && r.Value != nil {
				step, of, _, _ := variable.In(r.Value.StringVal)[0].Result()
				return step, of
			}
		}
	}
	return "", ""
}

// linkOf is the link whose name a step's, or that of a result of a pod, begins with.
func (p rendered) linkOf(name string) string {
	best := ""
	for _, l := range p.links {
		if (name == l || strings.HasPrefix(name, l+"-")) && len(l) > len(best) {
			best = l
		}
	}
	if best == "" {
		return name
	}
	return best
}
