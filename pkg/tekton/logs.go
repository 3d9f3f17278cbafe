package tekton

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"
)

// skippedStep is what Tekton says of a step that did not run because one before it failed, or because of its when-expressions.
const skippedStep = "Skipped"

// Logs implements osbs.Instance: the log of every step in the order in which they ran, below a header with the step's name. What
// becomes of connections and pods meanwhile loses no line and repeats none; of a pod that is gone it says so.
func (i *Instance) Logs(ctx context.Context, name string, follow bool, w io.Writer) error {
	run, tasks, err := i.read(ctx, name)
	if err != nil {
		return err
	}
	l := &buildLog{instance: i, w: w, done: map[string]bool{}}
	if !follow || run.IsDone() {
		sortTaskRuns(tasks)
		return l.copy(ctx, tasks, false)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	state, err := i.watch(watching, name)
	if err != nil {
		return err
	}
	for {
		event, err := state.next(ctx)
		if err != nil {
			return err
		}
		run, err := state.run(name)
		if err != nil {
			return err
		}
		tasks := state.taskRunsOf(run)
		sortTaskRuns(tasks)
		if err := l.copy(ctx, tasks, true); err != nil {
			return err
		}
		if event.Stage == "" && event.Build.State.Ended() {
			return nil
		}
	}
}

// buildLog copies the logs of a build's steps, each once.
type buildLog struct {
	instance *Instance
	w        io.Writer
	// done are the containers whose logs have been copied whole, by pod and container.
	done map[string]bool
}

// copy copies the logs of all steps that have begun, in order. With follow it stays with a step until it has ended.
func (l *buildLog) copy(ctx context.Context, tasks []v1.TaskRun, follow bool) error {
	for n := range tasks {
		task := &tasks[n]
		for _, s := range task.Status.Steps {
			if s.Terminated == nil && (s.Running == nil || !follow && !stepsBefore(task, s.Name)) {
				break
			}
			if err := l.step(ctx, task, s, follow); err != nil {
				return err
			}
		}
		if task.Status.GetCondition(apis.ConditionSucceeded).IsUnknown() && follow {
			return nil // what comes after it is shown when it has ended
		}
	}
	return nil
}

func (l *buildLog) step(ctx context.Context, task *v1.TaskRun, s v1.StepState, follow bool) error {
	key := task.Status.PodName + "/" + s.Container
	if l.done[key] || s.TerminationReason == skippedStep {
		return nil
	}
	if err := l.header(s); err != nil {
		return err
	}
	c := &containerLog{instance: l.instance, pod: task.Status.PodName, container: s.Container, w: l.w}
	err := c.copy(ctx, follow)
	if errors.Is(err, errGone) {
		_, err = fmt.Fprintf(l.w, "[the rest of this log is gone: pod %s was deleted]\n", task.Status.PodName)
	}
	l.done[key] = err == nil
	return err
}

// header begins a step's part of the log.
func (l *buildLog) header(s v1.StepState) error {
	began := l.instance.conf.Now()
	switch {
	case s.Terminated != nil:
		began = s.Terminated.StartedAt.Time
	case s.Running != nil:
		began = s.Running.StartedAt.Time
	}
	_, err := fmt.Fprintf(l.w, "== %s (%s)\n", s.Name, began.Format(time.TimeOnly))
	return err
}
