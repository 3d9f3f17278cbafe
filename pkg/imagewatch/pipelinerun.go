package imagewatch

import (
	"context"
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// PipelineRun is what the watcher reads of Tekton's: metadata, condition and two results. Tekton's own type would bring its packages,
// and the embedded specs of tens of thousands of old runs.
type PipelineRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Params []param `json:"params"`
	} `json:"spec"`
	Status struct {
		Conditions     []condition  `json:"conditions"`
		Results        []param      `json:"results"`
		CompletionTime *metav1.Time `json:"completionTime"`
	} `json:"status"`

	// facts are set by trim, which empties the rest.
	facts runFacts
}

type param struct {
	Name string `json:"name"`
	// Value is a string, an array or an object.
	Value json.RawMessage `json:"value"`
}

type condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
}

// runFacts are what is kept of a PipelineRun.
type runFacts struct {
	// config is the label's; empty for a run that somebody made by hand.
	config     string
	auto       bool
	baseDigest string
	// throwaway: a scratch or isolated build, which neither triggers nor is triggered.
	throwaway bool
	state     runState
	cancelled bool
	// message says why it did not succeed.
	message string
	ended   time.Time
	// digest of the image, if it succeeded.
	digest string
}

type runState string

const (
	runRunning   runState = "running"
	runSucceeded runState = "succeeded"
	runSkipped   runState = "skipped"
	runFailed    runState = "failed"
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

// facts are found in a PipelineRun as the API serves it.
func (r *PipelineRun) find() runFacts {
	f := runFacts{
		config: r.Labels[event.LabelBuildConfig], auto: r.Labels[event.LabelAutorebuild] == "true",
		baseDigest: r.Annotations[event.AnnotationBaseDigest], state: runRunning,
		throwaway: text(r.Spec.Params, "scratch") == "true" || text(r.Spec.Params, "isolated") == "true",
	}
	if r.Status.CompletionTime != nil {
		f.ended = r.Status.CompletionTime.Time
	}
	for _, c := range r.Status.Conditions {
		if c.Type != conditionSucceeded {
			continue
		}
		switch c.Status {
		case metav1.ConditionTrue:
			f.state, f.digest = runSucceeded, text(r.Status.Results, resultDigest)
			if text(r.Status.Results, resultState) == stateSkipped {
				f.state = runSkipped
			}
		case metav1.ConditionFalse:
			f.state, f.message = runFailed, c.Message[:min(len(c.Message), maxMessage)]
			f.cancelled = c.Reason == "Cancelled" || c.Reason == "CancelledRunningFinally" || c.Reason == "StoppedRunningFinally"
		case metav1.ConditionUnknown:
		}
	}
	return f
}

// text is the value of a param or result that is a string.
func text(params []param, name string) string {
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

// trim keeps the facts of a PipelineRun, and what a cache needs.
func trim(object any) (any, error) {
	r, ok := object.(*PipelineRun)
	if !ok || r.facts.state != "" {
		return object, nil
	}
	out := &PipelineRun{facts: r.find()}
	out.Name, out.Namespace, out.UID = r.Name, r.Namespace, r.UID
	out.ResourceVersion, out.CreationTimestamp = r.ResourceVersion, r.CreationTimestamp
	return out, nil
}

// Runs lists and watches the PipelineRuns of a namespace.
func Runs(config *rest.Config, namespace string) (cache.ListerWatcher, error) {
	gv := schema.GroupVersion{Group: "tekton.dev", Version: "v1"}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(gv, &PipelineRun{}, &PipelineRunList{})
	metav1.AddToGroupVersion(scheme, gv)
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &gv, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, failure.New(failure.Usage, "making a client for PipelineRuns: %w", err)
	}
	return paged(cache.NewListWatchFromClient(client, "pipelineruns", namespace, fields.Everything())), nil
}

// paged lists page by page where the server cannot stream a list: one answer with every old run could be gigabytes.
func paged(lw *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			if options.ResourceVersion == "0" { // the server's cache knows no pages
				options.ResourceVersion = ""
			}
			return lw.ListWithContext(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return lw.WatchWithContext(ctx, options)
		},
	}
}
