package tekton

import (
	"context"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// cancelPatch asks Tekton to end the running stages and to run what the Pipeline does at its end.
const cancelPatch = `{"spec":{"status":"` + v1.PipelineRunSpecStatusCancelledRunFinally + `"}}`

// Cancel implements osbs.Instance.
func (i *Instance) Cancel(ctx context.Context, name string) error {
	run, err := i.pipelineRun(ctx, name)
	if err != nil {
		return err
	}
	if c := run.Status.GetCondition(apis.ConditionSucceeded); !c.IsUnknown() {
		return failure.New(failure.Conflict, "build %s has ended already: %s", name, buildOf(run, nil).State)
	}
	if run.Spec.Status != v1.PipelineRunSpecStatusCancelledRunFinally {
		_, err = i.conf.Pipelines.TektonV1().PipelineRuns(i.conf.Namespace).
			Patch(ctx, name, types.MergePatchType, []byte(cancelPatch), metav1.PatchOptions{})
		if err != nil {
			return classify("cancelling PipelineRun "+name, err)
		}
	}
	for event, err := range i.Watch(ctx, name) {
		if err != nil {
			return err
		}
		if event.Build.State.Ended() {
			return nil
		}
	}
	return ctx.Err()
}

// Plan implements osbs.Instance.
func (i *Instance) Plan(context.Context, osbs.Request) (*osbs.Plan, error) {
	return nil, failure.WithHint(failure.New(failure.Usage, "what a build would do cannot be told for a cluster: its repository and registries may be reached from there only"),
		"see what the local instance says: osbs build --instance local --dry-run")
}

// ImportImage implements osbs.Instance.
func (i *Instance) ImportImage(ctx context.Context, imageStream, tag string) (*workspace.Import, error) {
	tags, err := imageimport.ImportImage(ctx, step.Env{Log: i.conf.Log}.WithDefaults(), i.conf.ImageStreams, imageStream, tag)
	return &workspace.Import{ImageStream: imageStream, Tags: tags}, err
}
