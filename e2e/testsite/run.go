//go:build e2e

package testsite

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// BuildTime is how long a build may take on a busy machine.
const BuildTime = 8 * time.Minute

// Values are params by name.
type Values map[string]string

// NewRun is the sample with values for params.
func (s *Site) NewRun(params Values) *v1.PipelineRun {
	s.T.Helper()
	text, err := os.ReadFile(s.Sample())
	s.Must(err)
	run := &v1.PipelineRun{}
	s.Must(yaml.UnmarshalStrict(text, run))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		param := v1.Param{Name: name, Value: *v1.NewStructuredValues(params[name])}
		if n := slices.IndexFunc(run.Spec.Params, func(p v1.Param) bool { return p.Name == name }); n >= 0 {
			run.Spec.Params[n] = param
		} else {
			run.Spec.Params = append(run.Spec.Params, param)
		}
	}
	return run
}

// Start creates the sample with values for params, and returns the PipelineRun's name.
func (s *Site) Start(params Values) string {
	s.T.Helper()
	run, err := s.Runs.TektonV1().PipelineRuns(s.Name).Create(s.T.Context(), s.NewRun(params), metav1.CreateOptions{})
	s.Must(err)
	return run.Name
}

// Get is a PipelineRun as it is now.
func (s *Site) Get(run string) *v1.PipelineRun {
	s.T.Helper()
	r, err := s.Runs.TektonV1().PipelineRuns(s.Name).Get(s.T.Context(), run, metav1.GetOptions{})
	s.Must(err)
	return r
}

// Ended waits for the end of a PipelineRun.
func (s *Site) Ended(run string) *v1.PipelineRun {
	s.T.Helper()
	var r *v1.PipelineRun
	ctx, cancel := context.WithTimeout(s.T.Context(), BuildTime)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		if r = s.Get(run); r.IsDone() {
			return r
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.Report(run)
			s.T.Fatalf("%s does not end", run)
		}
	}
}

// Reached waits until a step of a PipelineRun runs.
func (s *Site) Reached(run, step string) {
	s.T.Helper()
	s.Until("step "+step+" of "+run, BuildTime, func(ctx context.Context) (bool, error) {
		if s.Get(run).IsDone() {
			s.Report(run)
			s.T.Fatalf("%s has ended before %s", run, step)
		}
		for _, task := range s.TaskRuns(run) {
			for _, state := range task.Status.Steps {
				if state.Name == step && (state.Running != nil || state.Terminated != nil) && s.before(task, step) {
					return true, nil
				}
			}
		}
		return false, ctx.Err()
	})
}

// before says whether all steps before one have ended: Tekton starts the containers of a pod together.
func (s *Site) before(task v1.TaskRun, step string) bool {
	for _, state := range task.Status.Steps {
		if state.Name == step {
			return true
		}
		if state.Terminated == nil {
			return false
		}
	}
	return false
}

// Condition is what a PipelineRun says of its end.
func Condition(r *v1.PipelineRun) (reason, message string) {
	c := r.Status.GetCondition(apis.ConditionSucceeded)
	if c == nil {
		return "", ""
	}
	return c.Reason, c.Message
}

// Succeeded waits for the success of a PipelineRun, and returns its results.
func (s *Site) Succeeded(run string) Values {
	s.T.Helper()
	r := s.Ended(run)
	if !r.IsSuccessful() {
		reason, message := Condition(r)
		s.Report(run)
		s.T.Fatalf("%s ends with %s: %s", run, reason, message)
	}
	return Results(r)
}

// Failed waits for the end of a PipelineRun, which must be a failure.
func (s *Site) Failed(run string) *v1.PipelineRun {
	s.T.Helper()
	r := s.Ended(run)
	if reason, message := Condition(r); reason != v1.PipelineRunReasonFailed.String() {
		s.Report(run)
		s.T.Fatalf("%s ends with %s: %s", run, reason, message)
	}
	return r
}

// Results are those of a PipelineRun, by name.
func Results(r *v1.PipelineRun) Values {
	all := Values{}
	for _, result := range r.Status.Results {
		all[result.Name] = result.Value.StringVal
	}
	return all
}

// TaskRuns are those of a PipelineRun.
func (s *Site) TaskRuns(run string) []v1.TaskRun {
	s.T.Helper()
	list, err := s.Runs.TektonV1().TaskRuns(s.Name).List(s.T.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	s.Must(err)
	return list.Items
}

// Fault is how a stage failed: the kind that its exit code says, and its message.
type Fault struct {
	Stage, Message string
	Kind           failure.Kind
}

// Fault is that of the first stage of a PipelineRun that failed.
func (s *Site) Fault(run string) Fault {
	s.T.Helper()
	for _, task := range s.TaskRuns(run) {
		for _, step := range task.Status.Steps {
			if step.Terminated == nil || step.Terminated.ExitCode == 0 || step.TerminationReason == "Skipped" {
				continue
			}
			return Fault{step.Name, message(&task, step.Name), failure.KindOfExitCode(int(step.Terminated.ExitCode))}
		}
	}
	s.T.Errorf("no stage of %s failed", run)
	return Fault{}
}

// message is the result of that name of a step: its own in a pod of several stages, else the task's.
func message(task *v1.TaskRun, step string) string {
	for _, state := range task.Status.Steps {
		for _, result := range state.Results {
			if state.Name == step && result.Name == "message" {
				return result.Value.StringVal
			}
		}
	}
	for _, result := range task.Status.Results {
		if result.Name == "message" {
			return result.Value.StringVal
		}
	}
	return ""
}

// Logs are those of all steps of a PipelineRun, of the given names if any are given.
func (s *Site) Logs(run string, steps ...string) string {
	s.T.Helper()
	pods, err := s.Kube.CoreV1().Pods(s.Name).List(s.T.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	s.Must(err)
	var text strings.Builder
	for _, pod := range pods.Items {
		for _, c := range pod.Spec.Containers {
			if len(steps) == 0 || slices.Contains(steps, strings.TrimPrefix(c.Name, "step-")) {
				fmt.Fprintf(&text, "--- %s %s\n%s", pod.Name, c.Name, s.ContainerLog(pod.Name, c.Name))
			}
		}
	}
	return text.String()
}

// ContainerLog is what a container of a pod says, or why that cannot be told.
func (s *Site) ContainerLog(pod, container string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.T.Context()), time.Minute)
	defer cancel()
	stream, err := s.Kube.CoreV1().Pods(s.Name).GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(ctx)
	if err != nil {
		return err.Error() + "\n"
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, 1<<20))
	if err != nil {
		return err.Error() + "\n"
	}
	return string(text)
}

// Report logs what is known about a PipelineRun.
func (s *Site) Report(run string) {
	s.T.Helper()
	reason, message := Condition(s.Get(run))
	s.T.Logf("%s: %s: %s", run, reason, message)
	for _, task := range s.TaskRuns(run) {
		c := task.Status.GetCondition(apis.ConditionSucceeded)
		s.T.Logf("%s: %v", task.Name, c)
	}
	pods, err := s.Kube.CoreV1().Pods(s.Name).List(s.T.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	s.Must(err)
	for _, pod := range pods.Items {
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			s.T.Logf("%s %s: %+v", pod.Name, c.Name, c.State)
		}
	}
	s.T.Log(s.Kubectl("get", "events", "--sort-by=.lastTimestamp", "-o", "custom-columns=R:.reason,O:.involvedObject.name,M:.message"))
	s.T.Log(s.Logs(run))
}
