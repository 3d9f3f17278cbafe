package resume

import (
	"slices"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// pipeline is what is left of the Pipeline.
func (h *history) pipeline(o Options) (*v1.PipelineSpec, error) {
	lock, _ := h.of(lockStage)
	spec := h.spec.DeepCopy()
	spec.Tasks = nil
	stays := map[string]bool{}
	for _, task := range h.spec.Tasks {
		if stays[task.Name] = h.stays(task); !stays[task.Name] {
			continue
		}
		task := *task.DeepCopy()
		trim(&task)
		spec.Tasks = append(spec.Tasks, task)
	}
	for n := range spec.Tasks {
		spec.Tasks[n].RunAfter = h.after(spec.Tasks[n].Name, lock.Name, stays)
	}
	spec, err := h.rewrite(spec, lock.Name)
	if err != nil {
		return nil, err
	}
	for n := range spec.Tasks {
		if task := &spec.Tasks[n]; task.Name == lock.Name {
			h.takesTheLock(task, o)
		}
	}
	return spec, nil
}

// takesTheLock has the lock stage take the lock for the resumed run.
func (h *history) takesTheLock(task *v1.PipelineTask, o Options) {
	setParam(&task.Params, "holder", "$(context.pipelineRun.name)")
	setParam(&task.Params, "holder-uid", "$(context.pipelineRun.uid)")
	setParam(&task.Params, paramResumes, h.origin())
	if o.LockPolicy != "" {
		setParam(&task.Params, "lock-policy", o.LockPolicy)
	}
}

// stays says whether a task is in the resumed run: it is not done, or it is one that always runs.
func (h *history) stays(task v1.PipelineTask) bool {
	if !h.done[task.Name] {
		return true
	}
	for _, stage := range []string{lockStage, pushStage, "sync", "import"} {
		if in, found := h.of(stage); found && in.Name == task.Name {
			return true
		}
	}
	return false
}

// trim takes the steps that are done out of a task that has stages of both kinds: all before push, but for lock; and with them the results that
// they made.
func trim(task *v1.PipelineTask) {
	if task.TaskSpec == nil || stepOf(*task, lockStage) < 0 && stepOf(*task, pushStage) < 0 {
		return
	}
	end := stepOf(*task, pushStage)
	if end < 0 {
		end = len(task.TaskSpec.Steps)
	}
	gone := map[string]bool{}
	var left []v1.Step
	for n, step := range task.TaskSpec.Steps {
		if n < end && !always(step.Name) {
			gone[step.Name] = true
			continue
		}
		left = append(left, step)
	}
	task.TaskSpec.Steps = left
	task.TaskSpec.Results = slices.DeleteFunc(task.TaskSpec.Results, func(r v1.TaskResult) bool {
		if r.Value == nil {
			return false
		}
		rest, found := strings.CutPrefix(r.Value.StringVal, "$(steps.")
		step, _, _ := strings.Cut(rest, ".")
		return found && gone[step]
	})
}

// after are the tasks of the resumed run that a task comes after: those that it came after, where they stay, or else what they came after. All
// of them come after the lock.
func (h *history) after(task, lock string, stays map[string]bool) []string {
	var out []string
	seen := map[string]bool{}
	for queue := h.deps[task]; len(queue) > 0; queue = queue[1:] {
		switch name := queue[0]; {
		case seen[name]:
		case stays[name]:
			out = append(out, name)
			seen[name] = true
		default:
			seen[name] = true
			queue = append(queue, h.deps[name]...)
		}
	}
	if len(out) == 0 && task != lock {
		out = []string{lock}
	}
	slices.Sort(out)
	return out
}
