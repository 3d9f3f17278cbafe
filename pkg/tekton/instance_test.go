package tekton

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelines "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

const (
	namespace = "builds"
	name      = "app-main-403eb-7f3c21"
	template  = `apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  generateName: osbs-
  labels: {app.kubernetes.io/name: osbs}
spec:
  pipelineRef: {name: osbs}
  taskRunTemplate: {serviceAccountName: osbs-build}
  taskRunSpecs:
  - pipelineTaskName: build
    podTemplate: {hostUsers: false}
`
)

// inMemory is an instance on clients that keep objects in memory.
func inMemory(t *testing.T, objects ...runtime.Object) (*Instance, *pipelines.Clientset) {
	t.Helper()
	pipeline := &v1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: "osbs", Namespace: namespace}}
	for _, p := range []string{"git-url", "git-branch", "user", "build-arg", "registry-uri", "scratch", "lock-policy"} {
		pipeline.Spec.Params = append(pipeline.Spec.Params, v1.ParamSpec{Name: p})
	}
	pipeline.Spec.Tasks = []v1.PipelineTask{{Name: "build", TaskSpec: &v1.EmbeddedTask{TaskSpec: v1.TaskSpec{Steps: []v1.Step{{Name: "build"}}}}}}
	client := pipelines.NewSimpleClientset(append(objects, pipeline)...)
	stored := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: installation.Template("osbs"), Namespace: namespace}, Data: map[string]string{installation.TemplateKey: template},
	}
	return Open(Config{
		Namespace: namespace, Name: "osbs", Kubernetes: fake.NewClientset(stored), Pipelines: client, Params: map[string]string{"registry-uri": "registry.example.com"},
	}), client
}

func request() osbs.Request {
	return osbs.Request{GitURL: "https://git.example.com/images/app.git", GitBranch: "main", User: "kim", BuildArgs: []string{"A=$(context)"}, MemoryLimit: "2Gi"}
}

func TestCreate(t *testing.T) {
	i, client := inMemory(t)
	b, err := i.Create(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	run, err := client.TektonV1().PipelineRuns(namespace).Get(t.Context(), b.Name, metav1.GetOptions{})
	if err != nil || !strings.HasPrefix(run.Name, "app-main-") || run.GenerateName != "" || b.State != osbs.New {
		t.Fatalf("%+v %v", run, err)
	}
	got := map[string]any{}
	for _, p := range run.Spec.Params {
		got[p.Name] = p.Value.StringVal
		if p.Value.Type == v1.ParamTypeArray {
			got[p.Name] = p.Value.ArrayVal
		}
	}
	want := map[string]any{
		"git-url": "https://git.example.com/images/app.git", "git-branch": "main", "user": "kim", "build-arg": []string{"A=$(context)"},
		"registry-uri": "registry.example.com",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	spec := run.Spec.TaskRunSpecs[0]
	if len(run.Spec.TaskRunSpecs) != 1 || *spec.PodTemplate.HostUsers || spec.StepSpecs[0].ComputeResources.Limits.Memory().String() != "2Gi" {
		t.Errorf("%+v", run.Spec.TaskRunSpecs)
	}
	if run.Labels["osbs.dev/build-config"] != b.BuildConfig || b.BuildConfig == "" || run.Labels["app.kubernetes.io/name"] != "osbs" {
		t.Errorf("labels %v", run.Labels)
	}
}

func TestCreateRefuses(t *testing.T) {
	for what, test := range map[string]struct {
		change func(*osbs.Request)
		kind   failure.Kind
	}{
		"a password":      {func(r *osbs.Request) { r.GitURL = "https://kim:secret@git.example.com/app.git" }, failure.Usage},
		"no branch":       {func(r *osbs.Request) { r.GitBranch = "" }, failure.Usage},
		"a flag":          {func(r *osbs.Request) { r.GitBranch = "-x" }, failure.Usage},
		"no user":         {func(r *osbs.Request) { r.User = "" }, failure.Usage},
		"files":           {func(r *osbs.Request) { r.GitURL = "file:///srv/app.git" }, failure.Usage},
		"an odd policy":   {func(r *osbs.Request) { r.LockPolicy = "queue" }, failure.Usage},
		"an odd limit":    {func(r *osbs.Request) { r.MemoryLimit = "lots" }, failure.Usage},
		"no such param":   {func(r *osbs.Request) { r.Target = "x" }, failure.Usage},
		"two sorts":       {func(r *osbs.Request) { r.Scratch, r.Isolated = true, true }, failure.Usage},
		"no rebuild here": {func(r *osbs.Request) { r.NoRebuild = true }, failure.Usage},
	} {
		i, client := inMemory(t)
		r := request()
		test.change(&r)
		_, err := i.Create(t.Context(), r)
		if failure.KindOf(err) != test.kind || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", what, err)
		}
		if list, _ := client.TektonV1().PipelineRuns(namespace).List(t.Context(), metav1.ListOptions{}); len(list.Items) > 0 {
			t.Errorf("%s: a PipelineRun was created", what)
		}
	}
}

func TestNotInstalled(t *testing.T) {
	i, _ := inMemory(t)
	i.conf.Name = "other"
	_, err := i.Create(t.Context(), request())
	if failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), "ConfigMap other-run") || !strings.Contains(err.Error(), "osbs install") {
		t.Error(err)
	}
}

func TestPause(t *testing.T) {
	i, _ := inMemory(t)
	for range 2 { // which is no error the second time
		if err := i.Pause(t.Context(), "kim"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.Create(t.Context(), request()); failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), "paused") {
		t.Error(err)
	}
	for range 2 {
		if err := i.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.Create(t.Context(), request()); err != nil {
		t.Error(err)
	}
}

// objects are those of fixtures, each PipelineRun under a name of its own.
func objects(t *testing.T, fixtures ...string) []runtime.Object {
	t.Helper()
	var out []runtime.Object
	for n, f := range fixtures {
		run, tasks := fixture(t, f)
		if n > 0 { // a name's TaskRuns belong to one
			run.Name, run.UID, tasks = f, "other", nil
			run.CreationTimestamp = metav1.NewTime(run.CreationTimestamp.Add(-time.Duration(n) * time.Hour))
		}
		out = append(out, run)
		for k := range tasks {
			out = append(out, &tasks[k])
		}
	}
	return out
}

func TestListAndGet(t *testing.T) {
	stranger := &v1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "stranger", Namespace: namespace}}
	i, _ := inMemory(t, append(objects(t, "running-chained", "failed-clone", "complete-chained"), stranger)...)
	names := func(f osbs.Filter) string {
		list, err := i.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, b := range list {
			out = append(out, b.Name)
		}
		return strings.Join(out, " ")
	}
	for want, f := range map[string]osbs.Filter{
		name + " failed-clone complete-chained": {},
		name + " failed-clone":                  {Limit: 2},
		name:                                    {Running: true},
		"":                                      {BuildConfig: "other"},
	} {
		if got := names(f); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
	b, err := i.Get(t.Context(), name)
	if err != nil || len(b.Stages) != 5 || b.State != osbs.Running {
		t.Errorf("%+v %v", b, err)
	}
	for _, missing := range []string{"nothing", "../x", ""} {
		if _, err := i.Get(t.Context(), missing); failure.KindOf(err) != failure.NotFound {
			t.Errorf("%q: %v", missing, err)
		}
	}
}

// finish ends a build as Tekton does.
func finish(ctx context.Context, client *pipelines.Clientset, reason string) error {
	runs := client.TektonV1().PipelineRuns(namespace)
	run, err := runs.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: reason})
	_, err = runs.UpdateStatus(ctx, run, metav1.UpdateOptions{})
	return err
}

func TestCancel(t *testing.T) {
	i, client := inMemory(t, objects(t, "running-chained")...)
	asked := make(chan error, 1)
	client.PrependReactor("patch", "pipelineruns", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if string(a.(clienttesting.PatchAction).GetPatch()) != cancelPatch {
			asked <- errors.New("the patch is another one")
			return false, nil, nil
		}
		go func() { asked <- finish(context.WithoutCancel(t.Context()), client, "Cancelled") }()
		return false, nil, nil
	})
	if err := i.Cancel(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	b, err := i.Get(t.Context(), name)
	if err != nil || b.State != osbs.Cancelled {
		t.Errorf("%+v %v", b, err)
	}
	if err := i.Cancel(t.Context(), name); failure.KindOf(err) != failure.Conflict {
		t.Errorf("a second time: %v", err)
	}
}

func TestWatch(t *testing.T) {
	i, client := inMemory(t, objects(t, "waiting")...)
	var got []string
	for e, err := range i.Watch(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Stage != "" {
			for _, s := range e.Build.Stages {
				if s.Name == e.Stage {
					got = append(got, s.Name+" "+string(s.State))
				}
			}
			continue
		}
		got = append(got, string(e.Build.State))
		if e.Build.State == osbs.Waiting {
			if err := finish(t.Context(), client, "PipelineRunTimeout"); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"clone complete", "detect-base complete", "lock waiting", "waiting", "failed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestForbidden: an API server that refuses is told of, and not asked again for ever.
func TestForbidden(t *testing.T) {
	i, client := inMemory(t, objects(t, "running-chained")...)
	client.PrependReactor("list", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "tekton.dev", Resource: a.GetResource().Resource}, "", errors.New("no"))
	})
	if _, err := i.List(t.Context(), osbs.Filter{}); failure.KindOf(err) != failure.Unauthorized {
		t.Error(err)
	}
	for _, err := range i.Watch(t.Context(), name) {
		if failure.KindOf(err) != failure.Unauthorized {
			t.Error(err)
		}
	}
}
