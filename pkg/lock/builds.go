package lock

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// labelRunUID is the label by which Tekton's pods name their PipelineRun.
	labelRunUID = "tekton.dev/pipelineRunUID"
	// unfinished selects pods whose containers have not all ended.
	unfinished = "status.phase!=Succeeded,status.phase!=Failed"
	// lostAfter is how long after the moment by which it had to be gone a pod is given up: its node does not answer.
	lostAfter = time.Minute
)

// builds are the PipelineRuns of a namespace.
type builds struct {
	runs cluster.Resource[pipelineRun]
	pods cluster.Resource[pod]
}

// pipelineRun is what the lock needs of a PipelineRun.
type pipelineRun struct {
	metav1.ObjectMeta `json:"metadata"`
	Status            struct {
		Conditions []struct {
			Type   string                 `json:"type"`
			Status metav1.ConditionStatus `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

// pod is what the lock needs of a pod.
type pod struct {
	metav1.ObjectMeta `json:"metadata"`
}

func newBuilds(c *cluster.Client) builds {
	return builds{
		runs: cluster.For[pipelineRun](c, schema.GroupVersion{Group: "tekton.dev", Version: "v1"}, "pipelineruns", "PipelineRun"),
		pods: cluster.For[pod](c, schema.GroupVersion{Version: "v1"}, "pods", "pod"),
	}
}

// ended says that the PipelineRun starts nothing any more: it is done, or it is being deleted.
func (r *pipelineRun) ended() bool {
	if r.DeletionTimestamp != nil {
		return true
	}
	for _, c := range r.Status.Conditions {
		if c.Type == "Succeeded" {
			return c.Status == metav1.ConditionTrue || c.Status == metav1.ConditionFalse
		}
	}
	return false
}

// find returns the PipelineRun of a build; that there is none of its name and UID is failure.NotFound.
func (b builds) find(ctx context.Context, h Holder) (*pipelineRun, error) {
	if h.Build == "" || h.UID == "" {
		return nil, failure.New(failure.Usage, "the holder of a lock needs a name and a UID")
	}
	run, err := b.runs.Get(ctx, h.Build)
	if err == nil && string(run.UID) == h.UID {
		return run, nil
	}
	if err == nil || failure.KindOf(err) == failure.NotFound {
		return nil, failure.New(failure.NotFound, "there is no PipelineRun %s with the UID %s", h.Build, h.UID)
	}
	return nil, err
}

// alive says whether a build may still do something. One that holds the lock may do so after its PipelineRun has ended or was deleted:
// until its pods have ended. An error means that nobody knows.
func (b builds) alive(ctx context.Context, h Holder, holds bool) (bool, error) {
	run, err := b.find(ctx, h)
	switch {
	case err == nil && !run.ended():
		return true, nil
	case err != nil && failure.KindOf(err) != failure.NotFound:
		return false, err
	case !holds:
		return false, nil
	}
	pods, err := b.pods.List(ctx, cluster.Selection{Labels: labelRunUID + "=" + h.UID, Fields: unfinished})
	for _, p := range pods {
		if p.DeletionTimestamp == nil || time.Since(p.DeletionTimestamp.Time) < lostAfter {
			return true, err
		}
	}
	return false, err
}
