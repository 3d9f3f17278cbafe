package resume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

var update = golden.Flag()

// failedBuild is a run of a Pipeline that ended in one of its tasks. Everything before that has succeeded, and left results that say what
// they are.
func failedBuild(t *testing.T, file, failed string, change func(*v1.PipelineSpec)) (*v1.PipelineRun, []v1.TaskRun) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	done := strings.NewReplacer("$(context.pipelineRun.name)", "app-1", "$(context.pipelineRun.uid)", "uid-of-app-1").Replace(string(text))
	var pipeline v1.Pipeline
	for document := range strings.SplitSeq(done, "\n---\n") {
		if strings.Contains(document, "kind: Pipeline\n") {
			if err := yaml.Unmarshal([]byte(document), &pipeline); err != nil {
				t.Fatal(err)
			}
		}
	}
	if strings.HasSuffix(file, "chained.yaml") && change != nil {
		change(&pipeline.Spec)
	}
	run := &v1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: "app-1", Namespace: "images", UID: "uid-of-app-1", Labels: map[string]string{
			"tekton.dev/pipeline": "osbs", "app.kubernetes.io/part-of": "osbs", "osbs.dev/is-autorebuild": "true",
		}, Annotations: map[string]string{"osbs.dev/base-digest": "base:latest=sha256:aa", "chains.tekton.dev/signed": "true"}},
		Spec: v1.PipelineRunSpec{
			PipelineRef: &v1.PipelineRef{Name: "osbs"},
			Params: v1.Params{
				{Name: "git-url", Value: *v1.NewStructuredValues("https://git.example.com/app.git")}, {Name: "git-branch", Value: *v1.NewStructuredValues("main")},
			},
			TaskRunTemplate: v1.PipelineTaskRunTemplate{ServiceAccountName: "osbs-build"},
			TaskRunSpecs:    []v1.PipelineTaskRunSpec{{PipelineTaskName: "build", ServiceAccountName: "x"}, {PipelineTaskName: "import", ServiceAccountName: "osbs"}},
		},
	}
	if len(pipeline.Spec.Workspaces) > 1 {
		run.Spec.Workspaces = []v1.WorkspaceBinding{{Name: "workspace", VolumeClaimTemplate: &corev1.PersistentVolumeClaim{}}}
	}
	run.Status.PipelineSpec = &pipeline.Spec
	h, err := newHistory(run, nil)
	if err != nil {
		t.Fatal(err)
	}
	var tasks []v1.TaskRun
	for _, task := range pipeline.Spec.Tasks {
		if task.Name == failed {
			tasks = append(tasks, taskRun(task, corev1.ConditionFalse))
		} else if h.before(failed)[task.Name] {
			tasks = append(tasks, taskRun(task, corev1.ConditionTrue))
		}
	}
	return run, tasks
}

func taskRun(task v1.PipelineTask, status corev1.ConditionStatus) v1.TaskRun {
	out := v1.TaskRun{ObjectMeta: metav1.ObjectMeta{Name: "app-1-" + task.Name, Labels: map[string]string{labelTask: task.Name}}}
	out.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: status}}
	for _, w := range task.Workspaces {
		out.Spec.Workspaces = append(out.Spec.Workspaces, v1.WorkspaceBinding{
			Name: w.Name, PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim-of-app-1"},
		})
	}
	if status != corev1.ConditionTrue {
		return out
	}
	for _, r := range resultsOf(&task) {
		value := fmt.Sprintf("%s of %s, e.g. [{\"a\":\"b.c/d.git\"}]", r.Name, task.Name)
		if strings.HasSuffix(r.Name, "build-config") {
			value = "app-main"
		}
		out.Status.Results = append(out.Status.Results, v1.TaskRunResult{Name: r.Name, Value: *v1.NewStructuredValues(value)})
	}
	for _, s := range task.TaskSpec.Steps {
		out.Status.Steps = append(out.Status.Steps, v1.StepState{Name: s.Name, ContainerState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}})
	}
	return out
}

// short leaves of the tasks what is of interest: their steps by name, and their results.
func short(run *v1.PipelineRun) *v1.PipelineRun {
	run = run.DeepCopy()
	for n := range run.Spec.PipelineSpec.Tasks {
		task := &run.Spec.PipelineSpec.Tasks[n]
		if task.TaskSpec == nil {
			continue
		}
		left := v1.TaskSpec{Results: task.TaskSpec.Results}
		for _, s := range task.TaskSpec.Steps {
			left.Steps = append(left.Steps, v1.Step{Name: s.Name})
		}
		task.TaskSpec.TaskSpec = left
	}
	run.Spec.PipelineSpec.Params = nil
	return run
}

func TestRun(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]struct {
		file, failed string
		change       func(*v1.PipelineSpec)
	}{
		"chained":           {"chained", "push", nil},
		"chained-import":    {"chained", "import", nil},
		"balanced":          {"balanced", "after-build", nil},
		"several-platforms": {"multi-arch", "push", nil},
		"inserted":          {"chained", "import", insert},
		"inserted-failed":   {"chained", "scan-image", insert},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, tasks := failedBuild(t, "../../../pipelines/"+build.file+".yaml", build.failed, build.change)
			next, err := Run(run, tasks, Options{Name: "app-2"})
			if err != nil {
				t.Fatal(err)
			}
			text, err := yaml.Marshal(short(next))
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, *update, filepath.Join("testdata", name+".yaml"), string(text))
			valid(t, next)
			if claims := Claims(run, tasks); len(claims) != 1 || claims[0] != "claim-of-app-1" {
				t.Errorf("claims %q", claims)
			}
			again(t, next)
		})
	}
}

// insert adds what a site may add: a scan of the sources, with a list that a scan of the image needs, and a task at the end.
func insert(spec *v1.PipelineSpec) {
	step := []v1.Step{{Name: "scan", Image: "scanner"}}
	task := func(name string, params v1.Params, after ...string) v1.PipelineTask {
		out := v1.PipelineTask{Name: name, RunAfter: after, Params: params, TaskSpec: &v1.EmbeddedTask{TaskSpec: v1.TaskSpec{Steps: step}}}
		for _, p := range params {
			out.TaskSpec.Params = append(out.TaskSpec.Params, v1.ParamSpec{Name: p.Name, Type: p.Value.Type})
		}
		return out
	}
	text := func(name, value string) v1.Param {
		return v1.Param{Name: name, Value: v1.ParamValue{Type: v1.ParamTypeString, StringVal: value}}
	}
	source := task("scan-source", nil, "prepare")
	source.TaskSpec.Results = []v1.TaskResult{{Name: "found", Type: v1.ResultsTypeString}}
	image := task("scan-image", v1.Params{text("image", "$(tasks.push.results.image-url)"), text("before", "found: $(tasks.scan-source.results.found)")})
	spec.Finally = append(spec.Finally, task("notify", v1.Params{
		text("run", "app-1"), text("status", "$(tasks.status)"), text("scan", "$(tasks.scan-source.status)"), text("tags", "$(tasks.push.results.tags)"),
	}))
	for n := range spec.Tasks {
		switch task := &spec.Tasks[n]; task.Name {
		case "build":
			task.RunAfter = append(task.RunAfter, "scan-source")
		case "import":
			task.RunAfter = append(task.RunAfter, "scan-image")
		}
	}
	spec.Tasks = append(spec.Tasks, source, image)
}

// valid has Tekton say whether it would take the run.
func valid(t *testing.T, run *v1.PipelineRun) {
	t.Helper()
	run = run.DeepCopy()
	run.SetDefaults(t.Context())
	if err := run.Validate(t.Context()); err != nil {
		t.Errorf("Tekton refuses the run: %v", err)
	}
}

// again resumes a run that resumes another, and has failed before its lock.
func again(t *testing.T, next *v1.PipelineRun) {
	t.Helper()
	next = next.DeepCopy()
	next.UID, next.Status.PipelineSpec = "uid-of-app-2", next.Spec.PipelineSpec
	lock, _ := (&history{spec: next.Spec.PipelineSpec}).of(lockStage)
	third, err := Run(next, []v1.TaskRun{taskRun(lock, corev1.ConditionFalse)}, Options{Name: "app-3"})
	if err != nil {
		t.Errorf("it cannot be resumed again: %v", err)
		return
	}
	if third.Labels["osbs.dev/resumes"] != "app-1" || third.Spec.Workspaces[0].PersistentVolumeClaim.ClaimName != "claim-of-app-1" {
		t.Errorf("the second try is %+v %+v", third.Labels, third.Spec.Workspaces)
	}
	valid(t, third)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, failed string
		change       func(*v1.PipelineRun)
		want         string
	}{
		"not built":   {"chained", "build", nil, "before its image was built"},
		"no lock yet": {"chained", "lock", nil, "before its image was built"},
		"not begun":   {"chained", "push", func(r *v1.PipelineRun) { r.Status.PipelineSpec = nil }, "has not begun"},
		"in one pod":  {"fused", "build-image", nil, "before its image was built"},
		"of before": {"chained", "push", func(r *v1.PipelineRun) {
			for n := range r.Status.PipelineSpec.Tasks {
				task := &r.Status.PipelineSpec.Tasks[n]
				for i, p := range task.Params {
					if p.Name == paramResumes {
						task.Params = append(task.Params[:i:i], task.Params[i+1:]...)
					}
				}
			}
		}, "knows nothing of resumed builds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, tasks := failedBuild(t, "../../../pipelines/"+test.file+".yaml", test.failed, nil)
			if test.change != nil {
				test.change(run)
			}
			err := Check(run, tasks)
			if failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestReplaceWhole(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"app-1": "X", "build app-1!": "build X!", "app-12": "app-12", "my-app-1": "my-app-1", "app-1 app-1": "X X", "": ""} {
		if got := replaceWhole(in, "app-1", "X"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
