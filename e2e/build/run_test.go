//go:build e2e

package build

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

// buildTime is how long a build may take on a busy machine.
const buildTime = 8 * time.Minute

// values are params by name.
type values map[string]string

// newRun is the sample with values for params.
func (s *site) newRun(params values) *v1.PipelineRun {
	s.t.Helper()
	text, err := os.ReadFile(s.sample())
	s.must(err)
	run := &v1.PipelineRun{}
	s.must(yaml.UnmarshalStrict(text, run))
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

// start creates the sample with values for params, and returns the PipelineRun's name.
func (s *site) start(params values) string {
	s.t.Helper()
	run, err := s.runs.TektonV1().PipelineRuns(s.Name).Create(s.t.Context(), s.newRun(params), metav1.CreateOptions{})
	s.must(err)
	return run.Name
}

func (s *site) get(run string) *v1.PipelineRun {
	s.t.Helper()
	r, err := s.runs.TektonV1().PipelineRuns(s.Name).Get(s.t.Context(), run, metav1.GetOptions{})
	s.must(err)
	return r
}

// ended waits for the end of a PipelineRun.
func (s *site) ended(run string) *v1.PipelineRun {
	s.t.Helper()
	var r *v1.PipelineRun
	ctx, cancel := context.WithTimeout(s.t.Context(), buildTime)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		if r = s.get(run); r.IsDone() {
			return r
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.report(run)
			s.t.Fatalf("%s does not end", run)
		}
	}
}

// reached waits until a step of a PipelineRun runs.
func (s *site) reached(run, step string) {
	s.t.Helper()
	s.until("step "+step+" of "+run, buildTime, func(ctx context.Context) (bool, error) {
		if s.get(run).IsDone() {
			s.report(run)
			s.t.Fatalf("%s has ended before %s", run, step)
		}
		for _, task := range s.taskRuns(run) {
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
func (s *site) before(task v1.TaskRun, step string) bool {
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

// condition is what a PipelineRun says of its end.
func condition(r *v1.PipelineRun) (reason, message string) {
	c := r.Status.GetCondition(apis.ConditionSucceeded)
	if c == nil {
		return "", ""
	}
	return c.Reason, c.Message
}

// succeeded waits for the success of a PipelineRun, and returns its results.
func (s *site) succeeded(run string) values {
	s.t.Helper()
	r := s.ended(run)
	if !r.IsSuccessful() {
		reason, message := condition(r)
		s.report(run)
		s.t.Fatalf("%s ends with %s: %s", run, reason, message)
	}
	return results(r)
}

// failed waits for the end of a PipelineRun, which must be a failure.
func (s *site) failed(run string) *v1.PipelineRun {
	s.t.Helper()
	r := s.ended(run)
	if reason, message := condition(r); reason != v1.PipelineRunReasonFailed.String() {
		s.report(run)
		s.t.Fatalf("%s ends with %s: %s", run, reason, message)
	}
	return r
}

func results(r *v1.PipelineRun) values {
	all := values{}
	for _, result := range r.Status.Results {
		all[result.Name] = result.Value.StringVal
	}
	return all
}

// taskRuns are those of a PipelineRun.
func (s *site) taskRuns(run string) []v1.TaskRun {
	s.t.Helper()
	list, err := s.runs.TektonV1().TaskRuns(s.Name).List(s.t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	s.must(err)
	return list.Items
}

// fault is how a stage failed: the kind that its exit code says, and its message.
type fault struct {
	stage, message string
	kind           failure.Kind
}

// fault is that of the first stage of a PipelineRun that failed.
func (s *site) fault(run string) fault {
	s.t.Helper()
	for _, task := range s.taskRuns(run) {
		for _, step := range task.Status.Steps {
			if step.Terminated == nil || step.Terminated.ExitCode == 0 || step.TerminationReason == "Skipped" {
				continue
			}
			return fault{step.Name, message(&task, step.Name), failure.KindOfExitCode(int(step.Terminated.ExitCode))}
		}
	}
	s.t.Errorf("no stage of %s failed", run)
	return fault{}
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

// logs are those of all steps of a PipelineRun, of the given names if any are given.
func (s *site) logs(run string, steps ...string) string {
	s.t.Helper()
	pods, err := s.Kube.CoreV1().Pods(s.Name).List(s.t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	s.must(err)
	var text strings.Builder
	for _, pod := range pods.Items {
		for _, c := range pod.Spec.Containers {
			if len(steps) == 0 || slices.Contains(steps, strings.TrimPrefix(c.Name, "step-")) {
				fmt.Fprintf(&text, "--- %s %s\n%s", pod.Name, c.Name, s.containerLog(pod.Name, c.Name))
			}
		}
	}
	return text.String()
}

func (s *site) containerLog(pod, container string) string {
	stream, err := s.Kube.CoreV1().Pods(s.Name).GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(s.t.Context())
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

// report logs what is known about a PipelineRun.
func (s *site) report(run string) {
	s.t.Helper()
	reason, message := condition(s.get(run))
	s.t.Logf("%s: %s: %s", run, reason, message)
	for _, task := range s.taskRuns(run) {
		c := task.Status.GetCondition(apis.ConditionSucceeded)
		s.t.Logf("%s: %v", task.Name, c)
	}
	pods, err := s.Kube.CoreV1().Pods(s.Name).List(s.t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	s.must(err)
	for _, pod := range pods.Items {
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			s.t.Logf("%s %s: %+v", pod.Name, c.Name, c.State)
		}
	}
	s.t.Log(s.kubectl("get", "events", "--sort-by=.lastTimestamp", "-o", "custom-columns=R:.reason,O:.involvedObject.name,M:.message"))
	s.t.Log(s.logs(run))
}
