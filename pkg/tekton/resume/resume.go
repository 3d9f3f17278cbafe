// Package resume makes of a PipelineRun that failed after its image was built the PipelineRun that finishes it: the stages that are left,
// on the volume that the first one has filled. It knows objects only, and asks no cluster.
//
// What a run keeps is the Pipeline that it began with, as Tekton has stored it in its status. Tasks that are done are taken out of that, and what
// refers to their results gets the values that their TaskRuns have. The stages lock, push, sync and import stay in any case: the lock is
// free, and the others find what they have done before.
package resume

import (
	"cmp"
	"slices"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
)

const (
	lockStage = "lock"
	pushStage = "push"
	// workspaceName is the workspace that the stages share.
	workspaceName = "workspace"
	// paramResumes is the param of the lock stage that names the build which is finished.
	paramResumes = "resumes"
	// labelPipeline and labelTask are Tekton's: the Pipeline of a PipelineRun, and the task of the Pipeline that a TaskRun is.
	labelPipeline = "tekton.dev/pipeline"
	labelTask     = "tekton.dev/pipelineTask"
)

// always says that a stage runs again whether it is done or not.
func always(stage string) bool {
	return stage == lockStage || stage == pushStage || stage == "sync" || stage == "import"
}

// Options say how a build is resumed.
type Options struct {
	// Name is the new PipelineRun's.
	Name string
	// LockPolicy is fail or wait; empty means that of the failed build.
	LockPolicy string
}

// Check says why a build that has failed cannot be resumed: failure.Conflict, with a hint that says what it is about. tasks are all TaskRuns
// of run.
func Check(run *v1.PipelineRun, tasks []v1.TaskRun) error {
	_, err := look(run, tasks)
	return err
}

// Built says whether the build has come to an image, wherever that is.
func Built(run *v1.PipelineRun, tasks []v1.TaskRun) bool {
	h, err := newHistory(run, tasks)
	return err == nil && h.built() == nil
}

// Run is the PipelineRun that finishes a build. Its errors are those of Check.
func Run(run *v1.PipelineRun, tasks []v1.TaskRun, o Options) (*v1.PipelineRun, error) {
	h, err := look(run, tasks)
	if err != nil {
		return nil, err
	}
	spec, err := h.pipeline(o)
	if err != nil {
		return nil, err
	}
	next := &v1.PipelineRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "PipelineRun"},
		ObjectMeta: h.metadata(o.Name),
		Spec: v1.PipelineRunSpec{
			PipelineSpec: spec, Params: slices.Clone(run.Spec.Params), Workspaces: h.workspaces(), Timeouts: run.Spec.Timeouts.DeepCopy(),
			TaskRunTemplate: *run.Spec.TaskRunTemplate.DeepCopy(), TaskRunSpecs: taskRunSpecs(run.Spec.TaskRunSpecs, spec), ManagedBy: run.Spec.ManagedBy,
		},
	}
	setParam(&next.Spec.Params, paramResumes, h.origin())
	if o.LockPolicy != "" {
		setParam(&next.Spec.Params, "lock-policy", o.LockPolicy)
	}
	return next, nil
}

// Claims are the PersistentVolumeClaims that the resumed run needs and that belong to the failed one: without another owner they go with it.
func Claims(run *v1.PipelineRun, tasks []v1.TaskRun) []string {
	h, err := newHistory(run, tasks)
	if err != nil {
		return nil
	}
	var out []string
	for _, w := range run.Spec.Workspaces {
		if claim := h.claims[w.Name]; claim != "" && (w.VolumeClaimTemplate != nil || h.resumed()) {
			out = append(out, claim)
		}
	}
	return out
}

// look is what is known of the build, if it can be resumed.
func look(run *v1.PipelineRun, tasks []v1.TaskRun) (*history, error) {
	h, err := newHistory(run, tasks)
	if err != nil {
		return nil, err
	}
	if err := h.built(); err != nil {
		return nil, err
	}
	return h, cmp.Or(h.kept(), h.locks())
}

// resumed says that the build is one that finishes another.
func (h *history) resumed() bool { return h.run.Labels[event.LabelResumes] != "" }

// origin is the build that has made the image.
func (h *history) origin() string { return cmp.Or(h.run.Labels[event.LabelResumes], h.run.Name) }

// metadata says of which build config the run is, why it was made, and what it resumes. What Tekton and its companions have written on the
// failed run is that run's own.
func (h *history) metadata(name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name, Namespace: h.run.Namespace, Labels: map[string]string{}, Annotations: map[string]string{}}
	for key, value := range h.run.Labels {
		if !foreign(key) {
			m.Labels[key] = value
		}
	}
	for key, value := range h.run.Annotations {
		if !foreign(key) {
			m.Annotations[key] = value
		}
	}
	m.Labels[event.LabelResumes] = h.origin()
	if m.Labels[event.LabelBuildConfig] == "" {
		m.Labels[event.LabelBuildConfig] = h.stageResult(lockStage, "build-config")
	}
	if m.Labels[event.LabelAutorebuild] == "" {
		m.Labels[event.LabelAutorebuild] = "false"
	}
	if m.Labels[installation.LabelName] == "" { // a run with a Pipeline of its own does not say to which installation it belongs
		m.Labels[installation.LabelName] = h.run.Labels[labelPipeline]
	}
	return m
}

// foreign says that a label or annotation was written by Tekton, or by kubectl for its own use.
func foreign(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	return domain == "tekton.dev" || strings.HasSuffix(domain, ".tekton.dev") || domain == "kubectl.kubernetes.io"
}

// workspaces are those of the run, bound to the claims that there are now.
func (h *history) workspaces() []v1.WorkspaceBinding {
	out := make([]v1.WorkspaceBinding, 0, len(h.run.Spec.Workspaces))
	for _, w := range h.run.Spec.Workspaces {
		w := *w.DeepCopy()
		if claim := h.claims[w.Name]; claim != "" && w.VolumeClaimTemplate != nil {
			w.VolumeClaimTemplate, w.PersistentVolumeClaim = nil, &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}
		}
		out = append(out, w)
	}
	return out
}

// taskRunSpecs are those for the tasks and steps that are left: Tekton refuses others.
func taskRunSpecs(before []v1.PipelineTaskRunSpec, spec *v1.PipelineSpec) []v1.PipelineTaskRunSpec {
	var out []v1.PipelineTaskRunSpec
	for _, s := range before {
		n := slices.IndexFunc(spec.Tasks, func(t v1.PipelineTask) bool { return t.Name == s.PipelineTaskName })
		last := slices.ContainsFunc(spec.Finally, func(t v1.PipelineTask) bool { return t.Name == s.PipelineTaskName })
		if n < 0 && !last {
			continue
		}
		s := *s.DeepCopy()
		if n >= 0 && spec.Tasks[n].TaskSpec != nil {
			s.StepSpecs = slices.DeleteFunc(s.StepSpecs, func(step v1.TaskRunStepSpec) bool {
				return !slices.ContainsFunc(spec.Tasks[n].TaskSpec.Steps, func(left v1.Step) bool { return left.Name == step.Name })
			})
		}
		out = append(out, s)
	}
	return out
}

func setParam(params *v1.Params, name, value string) {
	param := v1.Param{Name: name, Value: *v1.NewStructuredValues(value)}
	if n := slices.IndexFunc(*params, func(p v1.Param) bool { return p.Name == name }); n >= 0 {
		(*params)[n] = param
		return
	}
	*params = append(*params, param)
}

func conflict(format string, args ...any) error {
	return failure.New(failure.Conflict, format, args...)
}
