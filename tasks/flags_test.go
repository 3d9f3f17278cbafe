package tasks_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/tasks"
)

// image is what the names of the step images begin with.
const image = "ko://github.com/osbs-tekton/osbs/cmd/"

// bound are the flags that a Task sets itself, each to the value that it has in every Task.
var bound = map[string]string{
	"workspace":           "$(workspaces.workspace.path)",
	"results-dir":         "/tekton/results",
	"namespace":           "$(context.taskRun.namespace)",
	"storage-dir":         "$(workspaces.storage.path)",
	"git-secret-dir":      "/etc/osbs/git-secret",
	"registry-secret-dir": "/etc/osbs/registry-secret",
	"pull-secret-dir":     "/etc/osbs/pull-secret",
	"pulp-secret-dir":     "/etc/osbs/pulp-secret",
}

// unset are the flags that no Task sets, each with the reason.
var unset = map[string]string{
	"results-limit":       "a step that shares its pod with many is told by the layout of the pod",
	"termination-message": "the message of a step is Tekton's own: it carries the results",
	"storage-driver":      "the best that works on the node is found by trying",
	"lock-dir":            "locks are in the cluster",
	"buildconfig-dir":     "build configs are in the cluster",
	"imagestream-dir":     "ImageStreams are in the cluster",
	"holder-pid":          "the holder of the lock is a PipelineRun, not a process",
	"created":             "the PipelineRun says when it was created",
	"kubeconfig":          "the pod's service account is used",
}

// TestTasksMatchBinaries compares each Task with what its step binaries say of themselves: params with flags, results with results.
func TestTasksMatchBinaries(t *testing.T) {
	binaries := describe(t)
	eachTask(t, func(t *testing.T, stage string, task *pipelinev1.Task) {
		seen := map[string]bool{}
		for _, s := range task.Spec.Steps {
			binary, ok := binaries[strings.TrimPrefix(s.Image, image)]
			if !ok {
				t.Fatalf("step %s: image %s is none of a step binary", s.Name, s.Image)
			}
			c := comparison{T: t, task: task, step: s, binary: binary, given: map[string]bool{}, params: seen}
			c.arguments()
			c.variables()
			if s.Name == stage {
				c.complete()
			}
		}
		for _, p := range task.Spec.Params {
			if !seen[p.Name] && !isSecretName(task, p) {
				t.Errorf("param %s goes nowhere", p.Name)
			}
		}
		compareResults(t, task, binaries[stage])
	})
}

// describe builds the step binaries and asks each.
func describe(t *testing.T) map[string]step.Description {
	t.Helper()
	readSources(t)
	dir := t.TempDir()
	args := []string{"build", "-o", dir + "/"}
	for _, stage := range tasks.Stages() {
		args = append(args, "../cmd/"+stage)
	}
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := map[string]step.Description{}
	for _, stage := range tasks.Stages() {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, stage), "-describe")
		cmd.Env = []string{}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", stage, err, out)
		}
		var d step.Description
		if err := json.Unmarshal(out, &d); err != nil {
			t.Fatalf("%s: %v\n%s", stage, err, out)
		}
		all[stage] = d
	}
	return all
}

// readSources lets the test cache know what the binaries are made of: else a changed flag would not make the test run again.
func readSources(t *testing.T) {
	t.Helper()
	for _, root := range []string{"../cmd", "../pkg"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// comparison is one step and its binary.
type comparison struct {
	*testing.T
	task   *pipelinev1.Task
	step   pipelinev1.Step
	binary step.Description
	// given are the flags that the step's arguments set; params are the params that they take.
	given, params map[string]bool
}

func (c comparison) flag(name string) (step.FlagDescription, bool) {
	for _, f := range c.binary.Flags {
		if f.Name == name {
			return f, true
		}
	}
	return step.FlagDescription{}, false
}

// argument is -flag=value.
var argument = regexp.MustCompile(`^-([a-z-]+)=(.+)$`)

func (c comparison) arguments() {
	for i, arg := range c.step.Args {
		if arg == "--" && i+2 == len(c.step.Args) {
			c.positional(c.step.Args[i+1])
			return
		}
		m := argument.FindStringSubmatch(arg)
		if m == nil {
			c.Errorf("step %s: argument %q is not -flag=value", c.step.Name, arg)
			continue
		}
		name, value := m[1], m[2]
		f, ok := c.flag(name)
		if !ok || c.given[name] {
			c.Errorf("step %s: the binary has no flag -%s, or it is given twice", c.step.Name, name)
			continue
		}
		c.given[name] = true
		switch want, isBound := bound[name]; {
		case isBound && value != want:
			c.Errorf("step %s: -%s is %q, in every Task it is %q", c.step.Name, name, value, want)
		case isBound:
		case value == "$(params."+name+")":
			c.param(f)
		default:
			c.Errorf("step %s: -%s is %q, want the param of the same name", c.step.Name, name, value)
		}
	}
}

// positional looks at what follows --.
func (c comparison) positional(value string) {
	for _, f := range c.binary.Flags {
		if f.Positional && value == "$(params."+f.Name+"[*])" {
			c.given[f.Name] = true
			c.param(f)
			return
		}
	}
	c.Errorf("step %s: what follows -- is %q, which is no positional list of the binary", c.step.Name, value)
}

// param compares a flag with the param that it is given.
func (c comparison) param(f step.FlagDescription) {
	c.params[f.Name] = true
	for _, p := range c.task.Spec.Params {
		if p.Name != f.Name {
			continue
		}
		if !strings.HasPrefix(p.Description, f.Description) {
			c.Errorf("param %s is described as\n  %s\nthe flag of %s as\n  %s", p.Name, p.Description, c.binary.Name, f.Description)
		}
		switch {
		case p.Default == nil && !f.Required && f.Name != "holder" && f.Name != "holder-uid":
			c.Errorf("param %s has no default, the flag has %q", p.Name, f.Default)
		case p.Default != nil && f.Required:
			c.Errorf("param %s has a default, but the flag is required", p.Name)
		case p.Default != nil && !sameDefault(f, *p.Default):
			c.Errorf("param %s has the default %v, the flag %q", p.Name, p.Default, f.Default)
		}
		return
	}
	c.Errorf("flag -%s takes a param that is not declared", f.Name)
}

// sameDefault compares the values, not their spelling.
func sameDefault(f step.FlagDescription, value pipelinev1.ParamValue) bool {
	switch f.Type {
	case "list":
		return f.Default == "" && value.StringVal == "" && len(value.ArrayVal) == 0
	case "duration":
		a, errA := time.ParseDuration(f.Default)
		b, errB := time.ParseDuration(value.StringVal)
		return errA == nil && errB == nil && a == b
	case "bool":
		_, err := strconv.ParseBool(value.StringVal)
		return err == nil && f.Default == value.StringVal
	default:
		return f.Default == value.StringVal
	}
}

// variables: an OSBS_ variable of a step is the fall-back of one of its flags.
func (c comparison) variables() {
	known := map[string]bool{}
	for _, f := range c.binary.Flags {
		known[f.Variable] = true
	}
	for _, e := range c.step.Env {
		if strings.HasPrefix(e.Name, "OSBS_") && !known[e.Name] {
			c.Errorf("step %s: no flag falls back to %s", c.step.Name, e.Name)
		}
	}
}

// complete: the Task of a stage gives every flag of its binary.
func (c comparison) complete() {
	for _, f := range c.binary.Flags {
		if _, except := unset[f.Name]; except == c.given[f.Name] {
			c.Errorf("flag -%s is given: %v; it is among those that no Task sets: %v", f.Name, c.given[f.Name], except)
		}
	}
}

// isSecretName: the param names the Secret of a volume.
func isSecretName(task *pipelinev1.Task, p pipelinev1.ParamSpec) bool {
	for _, v := range task.Spec.Volumes {
		if v.Secret != nil && v.Secret.SecretName == "$(params."+p.Name+")" {
			return p.Default != nil && strings.HasPrefix(p.Default.StringVal, "osbs-")
		}
	}
	return false
}

func compareResults(t *testing.T, task *pipelinev1.Task, binary step.Description) {
	t.Helper()
	got := make([]step.Result, 0, len(task.Spec.Results))
	for _, r := range task.Spec.Results {
		got = append(got, step.Result{Name: r.Name, Description: r.Description})
	}
	if diff := cmp.Diff(binary.Results, got); diff != "" {
		t.Errorf("results (-binary +Task):\n%s", diff)
	}
}
