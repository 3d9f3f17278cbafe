package tekton

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/tekton/resume"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

const (
	buildStage = "build"
	lockStage  = "lock"
	// What Tekton says of a step that did not begin because one before it has failed, of one whose time was over, and of one that was
	// ended with its pod because the node lacked something.
	stepSkipped  = "Skipped"
	stepTimedOut = "TimeoutExceeded"
	stepEvicted  = "Evicted"
	stepNoMemory = "OOMKilled"
	// stateSkipped is what the Pipeline's result STATE says of an autorebuild that the repository does not want.
	stateSkipped = workspace.StateSkipped
)

// The results of the Pipeline that are read here; the generator renders them in every layout.
const (
	resultState       = "STATE"
	resultDigest      = "IMAGE_DIGEST"
	resultURL         = "IMAGE_URL"
	resultCommit      = "CHAINS-GIT_COMMIT"
	resultBases       = "BASE_IMAGES"
	resultTags        = "TAGS"
	resultUnchanged   = "UNCHANGED"
	resultBuildConfig = "BUILD_CONFIG"
)

// buildOf is the build that a PipelineRun and its TaskRuns are.
func buildOf(run *v1.PipelineRun, tasks []v1.TaskRun) osbs.Build {
	b := osbs.Build{
		Name: run.Name, BuildConfig: run.Labels[event.LabelBuildConfig], Request: requestOf(run), CausedBy: run.Annotations[event.AnnotationCausedBy],
		Resumes:     run.Labels[event.LabelResumes],
		Autorebuild: paramOf(run, "is-autorebuild") == "true" || run.Labels[event.LabelAutorebuild] == "true",
		Created:     run.CreationTimestamp.UTC(), Started: instant(run.Status.StartTime), Finished: instant(run.Status.CompletionTime),
	}
	// The annotation was written by whoever started the build; one that is malformed explains nothing.
	_ = json.Unmarshal([]byte(run.Annotations[event.AnnotationReasons]), &b.Reasons)
	sortTaskRuns(tasks)
	b.Stages = stagesOf(tasks)
	setResults(&b, run, tasks)
	setState(&b, run, tasks)
	b.Resumable = (b.State == osbs.Failed || b.State == osbs.Cancelled) && resume.Check(run, tasks) == nil
	return b
}

func instant(t *metav1.Time) *time.Time {
	if t == nil {
		return nil
	}
	out := t.UTC()
	return &out
}

// sortTaskRuns orders the TaskRuns of a build as they began.
func sortTaskRuns(tasks []v1.TaskRun) {
	slices.SortFunc(tasks, func(a, b v1.TaskRun) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

// requestOf is the request that the params of a PipelineRun say.
func requestOf(run *v1.PipelineRun) osbs.Request {
	return osbs.Request{
		GitURL: paramOf(run, "git-url"), GitBranch: paramOf(run, "git-branch"), GitCommit: paramOf(run, "git-commit"),
		User: paramOf(run, "user"), Component: paramOf(run, "component"), Target: paramOf(run, "target"),
		Architecture: paramOf(run, "architecture"), Scratch: paramOf(run, "scratch") == "true", Isolated: paramOf(run, "isolated") == "true",
		Release: paramOf(run, "release"), Dockerfile: paramOf(run, "dockerfile"), DockerfileTarget: paramOf(run, "dockerfile-target"),
		BuildArgs: param(run, "build-arg").ArrayVal, Platform: paramOf(run, "platform"), LockPolicy: paramOf(run, "lock-policy"),
	}
}

func param(run *v1.PipelineRun, name string) v1.ParamValue {
	for _, p := range run.Spec.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return v1.ParamValue{}
}

func paramOf(run *v1.PipelineRun, name string) string { return param(run, name).StringVal }

// stagesOf are the stages that have begun. In every layout a stage is a step of its name, in a pod of its own or shared with others.
func stagesOf(tasks []v1.TaskRun) []osbs.StageStatus {
	var out []osbs.StageStatus
	for _, stage := range osbs.Stages() {
		var status *osbs.StageStatus
		for _, task := range tasks { // that of a retry is later, and that of another platform is joined
			if s := stepOf(&task, stage); s != nil && s.TerminationReason != stepSkipped {
				status = join(status, stageOf(stage, s, &task))
			}
		}
		if status != nil {
			out = append(out, *status)
		}
	}
	return out
}

func stepOf(task *v1.TaskRun, name string) *v1.StepState {
	for n := range task.Status.Steps {
		if task.Status.Steps[n].Name == name {
			return &task.Status.Steps[n]
		}
	}
	return nil
}

func stageOf(name string, s *v1.StepState, task *v1.TaskRun) osbs.StageStatus {
	status := osbs.StageStatus{Name: name, State: osbs.New}
	switch {
	case s.Terminated != nil:
		status.Started, status.Finished = instant(&s.Terminated.StartedAt), instant(&s.Terminated.FinishedAt)
		status.State = endOf(s.Terminated, task)
	case s.Running != nil && ended(task):
		status.State, status.Started, status.Finished = osbs.Failed, instant(&s.Running.StartedAt), instant(task.Status.CompletionTime)
		if cancelled(task) {
			status.State = osbs.Cancelled
		}
	case s.Running != nil && stepsBefore(task, name):
		status.State, status.Started = osbs.Running, instant(&s.Running.StartedAt)
		if name == lockStage {
			status.State = osbs.Waiting
		}
	case cancelled(task):
		status.State = osbs.Cancelled
	case ended(task) && stepsBefore(task, name): // its container has not even been started
		status.State = osbs.Failed
	}
	return status
}

// stepsBefore says whether every step before the one called name has ended: all containers of a pod run from the beginning, and each
// waits in its entrypoint for the one before it.
func stepsBefore(task *v1.TaskRun, name string) bool {
	for _, s := range task.Status.Steps {
		if s.Name == name {
			return true
		}
		if s.Terminated == nil {
			return false
		}
	}
	return true
}

func endOf(t *corev1.ContainerStateTerminated, task *v1.TaskRun) osbs.State {
	switch {
	case t.ExitCode == 0:
		return osbs.Complete
	case cancelled(task), failure.KindOfExitCode(int(t.ExitCode)) == failure.Cancelled:
		return osbs.Cancelled
	}
	return osbs.Failed
}

func ended(task *v1.TaskRun) bool {
	return !task.Status.GetCondition(apis.ConditionSucceeded).IsUnknown()
}

func cancelled(task *v1.TaskRun) bool {
	c := task.Status.GetCondition(apis.ConditionSucceeded)
	return c != nil && c.Reason == v1.TaskRunReasonCancelled.String()
}

// join makes one status of two runs of a stage: those of two platforms, or a failed one and its retry.
func join(before *osbs.StageStatus, s osbs.StageStatus) *osbs.StageStatus {
	if before == nil || before.State == osbs.Failed && before.Finished != nil && s.Started != nil && !s.Started.Before(*before.Finished) {
		return &s
	}
	if before.Started != nil && (s.Started == nil || before.Started.Before(*s.Started)) {
		s.Started = before.Started
	}
	if before.State != osbs.Complete {
		s.State, s.Finished = before.State, before.Finished
	}
	if before.Finished != nil && s.Finished != nil && before.Finished.After(*s.Finished) {
		s.Finished = before.Finished
	}
	return &s
}

// setResults fills in what the results of the PipelineRun say, and while it runs, those of its TaskRuns.
func setResults(b *osbs.Build, run *v1.PipelineRun, tasks []v1.TaskRun) {
	results := map[string]string{}
	for _, r := range run.Status.Results {
		results[r.Name] = r.Value.StringVal
	}
	b.Commit = cmp.Or(results[resultCommit], stageResult(tasks, "prepare", "commit"), stageResult(tasks, "clone", "commit"))
	b.Digest = cmp.Or(results[resultDigest], stageResult(tasks, "push", "image-digest"))
	b.BuildConfig = cmp.Or(b.BuildConfig, results[resultBuildConfig], stageResult(tasks, lockStage, "build-config"))
	_ = json.Unmarshal([]byte(cmp.Or(results[resultBases], stageResult(tasks, "detect-base", "base-images"))), &b.Bases)
	b.Push = pushOf(cmp.Or(results[resultURL], stageResult(tasks, "push", "image-url")), b.Digest, cmp.Or(results[resultTags], stageResult(tasks, "push", "tags")))
	b.Import = importOf(stageResult(tasks, "import", "image-stream"), stageResult(tasks, "import", "tags"), b.Digest)
	if cmp.Or(results[resultUnchanged], stageResult(tasks, "push", "unchanged")) == "true" {
		b.Push = &workspace.Push{Unchanged: true}
		if b.Import != nil {
			b.Import = &workspace.Import{ImageStream: b.Import.ImageStream, Unchanged: true}
		}
	}
}

// stageResult is a result of a stage's step, wherever the layout has put the stage.
func stageResult(tasks []v1.TaskRun, stage, name string) string {
	for n := range slices.Backward(tasks) {
		s := stepOf(&tasks[n], stage)
		if s == nil {
			continue
		}
		for _, r := range s.Results {
			if r.Name == name {
				return r.Value.StringVal
			}
		}
		if len(tasks[n].Spec.Params) == 0 && tasks[n].Spec.TaskSpec == nil && tasks[n].Status.TaskSpec == nil {
			continue
		}
		for _, r := range tasks[n].Status.Results {
			if r.Name == name || r.Name == stage+"-"+name {
				return r.Value.StringVal
			}
		}
	}
	return ""
}

// pushOf is what the results of push say: the image in the first registry, and its tags, the unique one first.
func pushOf(url, digest, tags string) *workspace.Push {
	repository, _, found := cutTag(url)
	if !found || digest == "" {
		return nil
	}
	image := workspace.PushedImage{Repository: repository}
	for n, tag := range strings.Split(tags, ",") {
		switch n {
		case 0:
			image.Unique = tag
		case 1:
			image.Primary = tag
		}
	}
	return &workspace.Push{Digest: digest, Images: []workspace.PushedImage{image}}
}

// cutTag cuts repository:tag at the last colon, which a port cannot be: a tag holds no slash.
func cutTag(url string) (repository, tag string, found bool) {
	n := strings.LastIndexByte(url, ':')
	if n < 0 || strings.Contains(url[n:], "/") {
		return url, "", false
	}
	return url[:n], url[n+1:], true
}

func importOf(stream, tags, digest string) *workspace.Import {
	if stream == "" {
		return nil
	}
	out := &workspace.Import{ImageStream: stream}
	for tag := range strings.SplitSeq(tags, ",") {
		if tag != "" {
			out.Tags = append(out.Tags, workspace.ImportedTag{Tag: tag, Digest: digest})
		}
	}
	return out
}

// setState says where the build is in its life.
func setState(b *osbs.Build, run *v1.PipelineRun, tasks []v1.TaskRun) {
	c := run.Status.GetCondition(apis.ConditionSucceeded)
	switch {
	case c == nil:
		b.State = osbs.New
	case c.IsTrue():
		b.State = osbs.Complete
		if skipped(run, tasks) {
			b.State = osbs.Skipped
			b.Failure = &osbs.Failure{Stage: "prepare", Kind: failure.Skipped, Message: skippedMessage(tasks)}
		}
	case c.IsFalse():
		b.State = osbs.Failed
		b.Failure = failureOf(b, run, tasks)
		if b.Failure.Kind == failure.Cancelled {
			b.State = osbs.Cancelled
		}
	default:
		b.State = osbs.Running
		for _, s := range b.Stages {
			if s.State == osbs.Waiting {
				b.State = osbs.Waiting
			}
		}
	}
}

func skipped(run *v1.PipelineRun, tasks []v1.TaskRun) bool {
	for _, r := range run.Status.Results {
		if r.Name == resultState {
			return r.Value.StringVal == stateSkipped
		}
	}
	return stageResult(tasks, "prepare", "state") == stateSkipped
}

func skippedMessage(tasks []v1.TaskRun) string {
	return cmp.Or(stageResult(tasks, "prepare", step.ResultMessage), "the repository asks for no autorebuild")
}

// failureOf says why a PipelineRun failed: in the words of the stage that failed, if one has said something.
func failureOf(b *osbs.Build, run *v1.PipelineRun, tasks []v1.TaskRun) *osbs.Failure {
	c := run.Status.GetCondition(apis.ConditionSucceeded)
	switch c.Reason {
	case v1.PipelineRunReasonCancelled.String(), v1.PipelineRunReasonCancelledRunningFinally.String():
		return &osbs.Failure{Stage: lastStage(b), Kind: failure.Cancelled, Message: "cancelled"}
	case v1.PipelineRunReasonTimedOut.String():
		return &osbs.Failure{Stage: lastStage(b), Kind: failure.TimedOut, Message: c.Message}
	}
	for _, task := range tasks {
		if tc := task.Status.GetCondition(apis.ConditionSucceeded); tc == nil || !tc.IsFalse() {
			continue
		}
		if f := stageFailure(&task); f != nil {
			return f
		}
	}
	kind := failure.Internal
	if c.Reason == v1.PipelineRunReasonCouldntGetPipeline.String() {
		kind = failure.NotFound
	}
	return &osbs.Failure{Stage: lastStage(b), Kind: kind, Message: cmp.Or(c.Message, c.Reason)}
}

// stageFailure is what the first failed step of a TaskRun says.
func stageFailure(task *v1.TaskRun) *osbs.Failure {
	c := task.Status.GetCondition(apis.ConditionSucceeded)
	for _, s := range task.Status.Steps {
		if s.Terminated == nil || s.Terminated.ExitCode == 0 || s.TerminationReason == stepSkipped {
			continue
		}
		f := &osbs.Failure{Stage: s.Name, Kind: failure.KindOfExitCode(int(s.Terminated.ExitCode))}
		f.Message = cmp.Or(stageResult([]v1.TaskRun{*task}, s.Name, step.ResultMessage), c.Message, s.Terminated.Reason)
		switch {
		case s.TerminationReason == stepTimedOut, c.Reason == v1.TaskRunReasonTimedOut.String():
			f.Kind = failure.TimedOut
		case s.Terminated.Reason == stepEvicted:
			f.Kind = failure.Unavailable
		case s.Terminated.Reason == stepNoMemory:
			f.Message = "the stage " + s.Name + " needed more memory than it may have: " + f.Message
		}
		return f
	}
	f := &osbs.Failure{Kind: failure.Internal, Message: cmp.Or(c.Message, c.Reason)}
	switch c.Reason {
	case v1.TaskRunReasonTimedOut.String():
		f.Kind = failure.TimedOut
	case v1.TaskRunReasonCancelled.String():
		f.Kind = failure.Cancelled
	case stepEvicted, "ExceededNodeResources", v1.TaskRunReasonImagePullFailed.String(), "PodCreationFailed", "CreateContainerConfigError":
		f.Kind = failure.Unavailable
	}
	for _, s := range task.Status.Steps {
		if stepsBefore(task, s.Name) && slices.Contains(osbs.Stages(), s.Name) {
			f.Stage = s.Name
		}
	}
	if f.Stage == "" {
		f.Stage = task.Labels["tekton.dev/pipelineTask"]
	}
	return f
}

// lastStage is the stage that a build had come to.
func lastStage(b *osbs.Build) string {
	for _, s := range slices.Backward(b.Stages) {
		if s.State != osbs.New {
			return s.Name
		}
	}
	return osbs.Stages()[0]
}

// validName is what a PipelineRun may be called.
var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
