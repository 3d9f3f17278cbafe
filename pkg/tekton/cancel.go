package tekton

import (
	"context"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
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

// refuseWhilePaused is an error while builds are paused.
func (i *Instance) refuseWhilePaused(ctx context.Context) error {
	name := i.conf.Name + pausedSuffix
	paused, err := i.conf.Kubernetes.CoreV1().ConfigMaps(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return classify("reading ConfigMap "+name, err)
	}
	return failure.WithHint(failure.New(failure.Conflict, "builds are paused in namespace %s since %s", i.conf.Namespace, paused.CreationTimestamp.UTC().Format("2006-01-02 15:04 UTC")),
		"osbs resume-builds ends that")
}

// Plan implements osbs.Instance.
func (i *Instance) Plan(context.Context, osbs.Request) (*osbs.Plan, error) {
	return nil, failure.WithHint(failure.New(failure.Usage, "what a build would do cannot be told for a cluster: its repository and registries are reached from there only"),
		"see what the local instance says: osbs build --instance local --dry-run")
}

// ImportImage implements osbs.Instance.
func (i *Instance) ImportImage(ctx context.Context, imageStream, tag string) (*workspace.Import, error) {
	return nil, failure.New(failure.Internal, "import of %s:%s", imageStream, tag)
}
