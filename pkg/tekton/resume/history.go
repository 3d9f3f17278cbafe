package resume

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// history is what a PipelineRun has done.
type history struct {
	run *v1.PipelineRun
	// spec is the Pipeline that it began with, with the values of its params.
	spec *v1.PipelineSpec
	// byTask are the TaskRuns of each task of the Pipeline: several if it has a matrix.
	byTask map[string][]v1.TaskRun
	// claims are the PersistentVolumeClaims that the workspaces of the Pipeline were bound to.
	claims map[string]string
	// deps are the tasks that each task comes after.
	deps map[string][]string
	done map[string]bool
}

func newHistory(run *v1.PipelineRun, tasks []v1.TaskRun) (*history, error) {
	if run.Status.PipelineSpec == nil {
		return nil, conflict("build %s has not begun: there is nothing to finish", run.Name)
	}
	h := &history{
		run: run, spec: run.Status.PipelineSpec, byTask: map[string][]v1.TaskRun{}, claims: map[string]string{}, deps: map[string][]string{}, done: map[string]bool{},
	}
	tasks = slices.Clone(tasks)
	slices.SortFunc(tasks, func(a, b v1.TaskRun) int { return compareNames(a.Name, b.Name) })
	for _, task := range tasks {
		name := task.Labels[labelTask]
		h.byTask[name] = append(h.byTask[name], task)
	}
	for _, w := range run.Spec.Workspaces {
		if w.PersistentVolumeClaim != nil {
			h.claims[w.Name] = w.PersistentVolumeClaim.ClaimName
		}
	}
	for _, task := range h.spec.Tasks {
		h.deps[task.Name] = task.Deps()
		h.bind(task)
	}
	for _, task := range h.spec.Tasks {
		if runs := h.byTask[task.Name]; len(runs) > 0 {
			h.done[task.Name] = h.done[task.Name] || !slices.ContainsFunc(runs, func(r v1.TaskRun) bool { return !succeeded(&r) })
			for name := range h.before(task.Name) { // what has begun comes after what was done, or was not wanted
				h.done[name] = true
			}
		}
	}
	return h, nil
}

// compareNames orders the TaskRuns of a matrix, whose names end with their number in it.
func compareNames(a, b string) int {
	x, okX := ending(a)
	y, okY := ending(b)
	if okX && okY && strings.TrimSuffix(a, strconv.Itoa(x)) == strings.TrimSuffix(b, strconv.Itoa(y)) {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

func ending(name string) (int, bool) {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	return n, err == nil
}

func succeeded(r *v1.TaskRun) bool {
	return r.Status.GetCondition(apis.ConditionSucceeded).IsTrue()
}

// bind finds the claims of the workspaces that a task has used.
func (h *history) bind(task v1.PipelineTask) {
	for _, run := range h.byTask[task.Name] {
		for _, w := range task.Workspaces {
			for _, bound := range run.Spec.Workspaces {
				if bound.Name == w.Name && bound.PersistentVolumeClaim != nil {
					h.claims[cmp.Or(w.Workspace, w.Name)] = bound.PersistentVolumeClaim.ClaimName
				}
			}
		}
	}
}

// before are all tasks that a task comes after, directly or not.
func (h *history) before(task string) map[string]bool {
	out := map[string]bool{}
	for queue := h.deps[task]; len(queue) > 0; queue = queue[1:] {
		if !out[queue[0]] {
			out[queue[0]] = true
			queue = append(queue, h.deps[queue[0]]...)
		}
	}
	return out
}

// of is the task that a stage is in: it has a step of its name, or is called so where a site has put something else in its place.
func (h *history) of(stage string) (v1.PipelineTask, bool) {
	for _, task := range h.spec.Tasks {
		if stepOf(task, stage) >= 0 {
			return task, true
		}
	}
	n := slices.IndexFunc(h.spec.Tasks, func(t v1.PipelineTask) bool { return t.Name == stage })
	if n < 0 {
		return v1.PipelineTask{}, false
	}
	return h.spec.Tasks[n], true
}

// stepOf is the place of a step in a task, -1 if it has none.
func stepOf(task v1.PipelineTask, name string) int {
	if task.TaskSpec == nil {
		return -1
	}
	return slices.IndexFunc(task.TaskSpec.Steps, func(s v1.Step) bool { return s.Name == name })
}

// built says why there is no image: something that comes before push has not succeeded. A build that resumes another has that one's.
func (h *history) built() error {
	push, found := h.of(pushStage)
	if !found {
		return conflict("the Pipeline of build %s has no push stage", h.run.Name)
	}
	if h.resumed() {
		return nil
	}
	for name := range h.before(push.Name) {
		if !h.done[name] {
			return h.notBuilt(name)
		}
	}
	at := max(stepOf(push, pushStage), 0)
	if at == 0 {
		return nil
	}
	for _, step := range push.TaskSpec.Steps[:at] {
		if state := h.step(push.Name, step.Name); state == nil || state.Terminated == nil || state.Terminated.ExitCode != 0 {
			return h.notBuilt(step.Name)
		}
	}
	return nil
}

func (h *history) notBuilt(what string) error {
	return conflict("build %s failed before its image was built: %s has not succeeded", h.run.Name, what)
}

// step is how a step of a task ended.
func (h *history) step(task, name string) *v1.StepState {
	runs := h.byTask[task]
	if len(runs) == 0 {
		return nil
	}
	steps := runs[len(runs)-1].Status.Steps
	if n := slices.IndexFunc(steps, func(s v1.StepState) bool { return s.Name == name }); n >= 0 {
		return &steps[n]
	}
	return nil
}

// kept says why the image is gone: it was in a directory of the pod.
func (h *history) kept() error {
	push, _ := h.of(pushStage)
	for _, w := range push.Workspaces {
		if w.Name != workspaceName {
			continue
		}
		if h.claims[cmp.Or(w.Workspace, w.Name)] != "" {
			return nil
		}
	}
	return failure.WithHint(conflict("the image that build %s has built went with its pod: push is in one pod with the stages before it, and they share a directory of that", h.run.Name),
		"build it again; with layout chained or balanced the image of a failed build is kept")
}

// locks says why the lock cannot be taken again as it must be.
func (h *history) locks() error {
	task, found := h.of(lockStage)
	if !found {
		return conflict("the Pipeline of build %s has no lock stage", h.run.Name)
	}
	if !slices.ContainsFunc(task.Params, func(p v1.Param) bool { return p.Name == paramResumes }) {
		return failure.WithHint(conflict("build %s began with a Pipeline whose lock stage knows nothing of resumed builds", h.run.Name),
			"it is of an older version, or changed by an overlay: build it again")
	}
	return nil
}

// stageResult is a string result of a stage, wherever the layout has put it.
func (h *history) stageResult(stage, name string) string {
	task, found := h.of(stage)
	if !found {
		return ""
	}
	for _, candidate := range []string{name, stage + "-" + name} {
		if value, known := h.result(task.Name, candidate); known {
			return value.StringVal
		}
	}
	return ""
}

// result is what a task has left under the name of a result, in the way in which Tekton hands it on: of a matrix, a list.
//
// A value that looks like a reference of Tekton's is not known either: in the place where it was used it is text, but in a Pipeline that is
// made anew Tekton would replace it by what it refers to.
func (h *history) result(task, name string) (v1.ResultValue, bool) {
	var values []v1.ResultValue
	for _, run := range h.byTask[task] {
		for _, r := range run.Status.Results {
			if r.Name == name {
				values = append(values, r.Value)
			}
		}
	}
	n := slices.IndexFunc(h.spec.Tasks, func(t v1.PipelineTask) bool { return t.Name == task })
	switch {
	case len(values) == 0, slices.ContainsFunc(values, hasReference):
		return v1.ResultValue{}, false
	case n >= 0 && h.spec.Tasks[n].Matrix != nil:
		list := v1.ResultValue{Type: v1.ParamTypeArray}
		for _, v := range values {
			list.ArrayVal = append(list.ArrayVal, v.StringVal)
		}
		return list, true
	default:
		return values[len(values)-1], true
	}
}

func hasReference(v v1.ResultValue) bool {
	is := func(text string) bool { return strings.Contains(text, "$(") }
	return is(v.StringVal) || slices.ContainsFunc(v.ArrayVal, is) || slices.ContainsFunc(slices.Collect(maps.Values(v.ObjectVal)), is)
}
