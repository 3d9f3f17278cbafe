package tekton

import (
	"strings"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// pushFailed is a build whose image is in claim-1, and which failed in push.
func pushFailed() (*v1.PipelineRun, []v1.TaskRun) {
	step := func(name string) *v1.EmbeddedTask {
		return &v1.EmbeddedTask{TaskSpec: v1.TaskSpec{Steps: []v1.Step{{Name: name, Image: "i"}}, Params: []v1.ParamSpec{{Name: "resumes", Type: v1.ParamTypeString}}}}
	}
	shared := []v1.WorkspacePipelineTaskBinding{{Name: "workspace", Workspace: "workspace"}}
	run := &v1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: "uid-1", Labels: map[string]string{
		"osbs.dev/build-config": "app-main-403eb", "tekton.dev/pipeline": "osbs",
	}}}
	run.Spec.Workspaces = []v1.WorkspaceBinding{{Name: "workspace", VolumeClaimTemplate: &corev1.PersistentVolumeClaim{}}}
	run.Spec.Params = v1.Params{{Name: "git-url", Value: *v1.NewStructuredValues("https://git.example.com/app.git")}, {Name: "git-branch", Value: *v1.NewStructuredValues("main")}}
	run.Status.PipelineSpec = &v1.PipelineSpec{Tasks: []v1.PipelineTask{
		{Name: "lock", TaskSpec: step("lock"), Workspaces: shared, Params: v1.Params{{Name: "resumes", Value: *v1.NewStructuredValues("")}}},
		{Name: "build", TaskSpec: step("build"), Workspaces: shared, RunAfter: []string{"lock"}},
		{Name: "push", TaskSpec: step("push"), Workspaces: shared, RunAfter: []string{"build"}},
	}}
	run.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: "Failed"}}
	var tasks []v1.TaskRun
	for n, task := range run.Status.PipelineSpec.Tasks {
		state := v1.StepState{Name: task.Name, ContainerState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: int32(n / 2 * 7)}}}
		out := v1.TaskRun{ObjectMeta: metav1.ObjectMeta{
			Name: name + "-" + task.Name, Namespace: namespace, Labels: map[string]string{labelRun: name, labelTask: task.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run, v1.SchemeGroupVersion.WithKind("PipelineRun"))},
		}}
		out.Spec.Workspaces = []v1.WorkspaceBinding{{Name: "workspace", PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim-1"}}}
		out.Status.Steps = []v1.StepState{state}
		status := corev1.ConditionTrue
		if n == 2 {
			status = corev1.ConditionFalse
		}
		out.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: status}}
		tasks = append(tasks, out)
	}
	return run, tasks
}

// stored puts the failed build where the instance finds it, and its volume with the owners.
func stored(t *testing.T, owners []metav1.OwnerReference, others ...*v1.PipelineRun) *Instance {
	t.Helper()
	run, tasks := pushFailed()
	i, client := inMemory(t, run)
	for n := range tasks {
		if _, err := client.TektonV1().TaskRuns(namespace).Create(t.Context(), &tasks[n], metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range others {
		if _, err := client.TektonV1().PipelineRuns(namespace).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if owners != nil {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "claim-1", Namespace: namespace, OwnerReferences: owners}}
		if _, err := i.conf.Kubernetes.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func ownedBy(name string, uid types.UID) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "tekton.dev/v1", Kind: "PipelineRun", Name: name, UID: uid}}
}

func TestResumeBuild(t *testing.T) {
	i := stored(t, ownedBy(name, "uid-1"))
	if b, err := i.Get(t.Context(), name); err != nil || !b.Resumable {
		t.Fatalf("%+v %v", b, err)
	}
	b, err := i.ResumeBuild(t.Context(), name, "wait")
	if err != nil {
		t.Fatal(err)
	}
	if b.Resumes != name || b.State != osbs.New || b.BuildConfig != "app-main-403eb" || b.Request.LockPolicy != "wait" {
		t.Errorf("%+v", b)
	}
	claim, err := i.conf.Kubernetes.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "claim-1", metav1.GetOptions{})
	if err != nil || len(claim.OwnerReferences) != 2 || claim.OwnerReferences[1].Name != b.Name {
		t.Errorf("the volume: %+v %v", claim, err)
	}
	if _, err := i.ResumeBuild(t.Context(), name, ""); failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), b.Name+" finishes "+name+" already") {
		t.Errorf("a second time: %v", err)
	}
}

func TestResumeBuildRefuses(t *testing.T) {
	later := func() *v1.PipelineRun {
		run, _ := pushFailed()
		run.Name, run.UID = "app-main-403eb-later", "uid-9"
		run.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue}}
		at := metav1.Now()
		run.Status.CompletionTime = &at
		return run
	}
	for what, test := range map[string]struct {
		i    *Instance
		name string
		kind failure.Kind
		want string
	}{
		"unknown":          {stored(t, nil), "other", failure.NotFound, "there is no build"},
		"no volume":        {stored(t, nil), name, failure.Conflict, "was deleted with its PersistentVolumeClaim claim-1"},
		"has succeeded":    {stored(t, nil, later()), "app-main-403eb-later", failure.Conflict, "has succeeded: there is nothing to finish"},
		"resumed and done": {stored(t, nil, func() *v1.PipelineRun { r := later(); r.Labels["osbs.dev/resumes"] = name; return r }()), name, failure.Conflict, "has finished " + name},
	} {
		if _, err := test.i.ResumeBuild(t.Context(), test.name, ""); failure.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A volume that belongs to no PipelineRun is somebody's own, and must not go away with one.
func TestResumeBuildLeavesAVolumeOfSomebodyAlone(t *testing.T) {
	i := stored(t, []metav1.OwnerReference{})
	if _, err := i.ResumeBuild(t.Context(), name, ""); err != nil {
		t.Fatal(err)
	}
	claim, err := i.conf.Kubernetes.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "claim-1", metav1.GetOptions{})
	if err != nil || len(claim.OwnerReferences) != 0 {
		t.Errorf("the volume: %+v %v", claim, err)
	}
}
