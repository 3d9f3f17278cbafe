package lock

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
)

// labelPipeline is the label by which Tekton says on a PipelineRun which Pipeline it runs.
const labelPipeline = "tekton.dev/pipeline"

// mark is the ConfigMap that exists while builds are paused.
type mark struct {
	metav1.ObjectMeta `json:"metadata"`
}

// Admit is failure.Conflict while builds of the Pipeline that a build runs are paused. One that has begun before goes on.
func (l *Lease) Admit(ctx context.Context, h Holder) error {
	run, err := l.builds.find(ctx, h)
	if err != nil {
		return err
	}
	pipeline := run.Labels[labelPipeline]
	if pipeline == run.Name { // a resumed build has a Pipeline of its own, but belongs to one
		pipeline = run.Labels[installation.LabelName]
	}
	if pipeline == "" {
		return nil
	}
	paused, err := l.marks.Get(ctx, installation.Paused(pipeline))
	if failure.KindOf(err) == failure.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return failure.WithHint(failure.New(failure.Conflict, "builds of Pipeline %s are paused since %s", pipeline, paused.CreationTimestamp.UTC().Format(time.RFC3339)),
		"osbs resume-builds ends that; then build again")
}
