package situation

import (
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// PipelineRun is what is read of Tekton's: metadata, condition, two params and two results. Tekton's own type would bring its packages,
// and the embedded specs of tens of thousands of old runs.
type PipelineRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Params []Param `json:"params"`
	} `json:"spec"`
	Status struct {
		Conditions     []Condition  `json:"conditions"`
		Results        []Param      `json:"results"`
		StartTime      *metav1.Time `json:"startTime"`
		CompletionTime *metav1.Time `json:"completionTime"`
	} `json:"status"`

	// Facts are set by Trim, which empties the rest.
	Facts Facts `json:"-"`
}

// Param is a param or a result of a PipelineRun.
type Param struct {
	Name string `json:"name"`
	// Value is a string, an array or an object.
	Value json.RawMessage `json:"value"`
}

// Condition is one of a PipelineRun's status.
type Condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
}

// Facts are what is kept of a PipelineRun.
type Facts struct {
	// BuildConfig is the label's; empty for a run that somebody made by hand.
	BuildConfig string
	// Autorebuild: a change of its bases started it. BaseDigest is then what it is built from, as package event writes it.
	Autorebuild bool
	BaseDigest  string
	// Resumes is the failed run whose image this one finishes; empty for nearly all.
	Resumes string
	// Requested is when the person asked for whom it was started, zero if nobody has asked.
	Requested time.Time
	// Throwaway: a scratch or isolated build, which neither triggers nor is triggered.
	Throwaway bool
	State     RunState
	Cancelled bool
	// Message says why it did not succeed.
	Message string
	// Started and Ended are zero while it has not.
	Started, Ended time.Time
	// Digest of the image, if it succeeded.
	Digest string
}

// RunState is how a PipelineRun stands.
type RunState string

// The states of PipelineRuns.
const (
	Running   RunState = "running"
	Succeeded RunState = "succeeded"
	// Skipped: it succeeded, and has built nothing, since the repo config file switches autorebuilds off.
	Skipped RunState = "skipped"
	Failed  RunState = "failed"
)

// Results of the Pipeline that are read, and Tekton's words.
const (
	resultState        = "STATE"
	resultDigest       = "IMAGE_DIGEST"
	stateSkipped       = "skipped"
	conditionSucceeded = "Succeeded"
	// maxMessage bounds what is kept of a condition's message, in bytes.
	maxMessage = 512
)

// PipelineRunList is a page of PipelineRuns.
type PipelineRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []PipelineRun `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (r *PipelineRun) DeepCopyObject() runtime.Object {
	out := *r
	r.DeepCopyInto(&out.ObjectMeta)
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *PipelineRunList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = make([]PipelineRun, len(l.Items))
	for i := range l.Items {
		out.Items[i] = l.Items[i]
		l.Items[i].DeepCopyInto(&out.Items[i].ObjectMeta)
	}
	return &out
}

// find finds the facts of a PipelineRun as the API serves it.
func (r *PipelineRun) find() Facts {
	f := Facts{
		BuildConfig: r.Labels[event.LabelBuildConfig], Autorebuild: r.Labels[event.LabelAutorebuild] == "true",
		BaseDigest: r.Annotations[event.AnnotationBaseDigest], State: Running,
		Resumes:   r.Labels[event.LabelResumes],
		Requested: requestedAt(r.Annotations[event.AnnotationReasons]),
		Throwaway: text(r.Spec.Params, "scratch") == "true" || text(r.Spec.Params, "isolated") == "true",
	}
	if r.Status.StartTime != nil {
		f.Started = r.Status.StartTime.Time
	}
	if r.Status.CompletionTime != nil {
		f.Ended = r.Status.CompletionTime.Time
	}
	for _, c := range r.Status.Conditions {
		if c.Type != conditionSucceeded {
			continue
		}
		switch c.Status {
		case metav1.ConditionTrue:
			f.State, f.Digest = Succeeded, text(r.Status.Results, resultDigest)
			if text(r.Status.Results, resultState) == stateSkipped {
				f.State = Skipped
			}
		case metav1.ConditionFalse:
			f.State, f.Message = Failed, c.Message[:min(len(c.Message), maxMessage)]
			f.Cancelled = c.Reason == "Cancelled" || c.Reason == "CancelledRunningFinally" || c.Reason == "StoppedRunningFinally"
		case metav1.ConditionUnknown:
		}
	}
	return f
}

// requestedAt is the time of the request among the reasons of a run. They were written by whoever started it; what is malformed explains
// nothing.
func requestedAt(reasons string) time.Time {
	var list []rebuild.Reason
	if !strings.Contains(reasons, string(rebuild.Requested)) || json.Unmarshal([]byte(reasons), &list) != nil {
		return time.Time{}
	}
	return rebuild.RequestedAt(list)
}

// configIn is the build config of a run: its label says it, or, for a run that somebody made by hand, the lock that it holds.
func (r *PipelineRun) configIn(holders map[string]string) string {
	if r.Facts.BuildConfig != "" {
		return r.Facts.BuildConfig
	}
	return holders[string(r.UID)]
}

// text is the value of a param or result that is a string.
func text(params []Param, name string) string {
	for _, p := range params {
		if p.Name == name {
			var s string
			if json.Unmarshal(p.Value, &s) != nil {
				return ""
			}
			return s
		}
	}
	return ""
}
