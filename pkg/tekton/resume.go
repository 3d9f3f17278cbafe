package tekton

import (
	"context"
	"encoding/json"
	"slices"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/tekton/resume"
)

// ResumeBuild implements osbs.Instance: it creates a PipelineRun of the stages that are left, on the volume of the failed one.
func (i *Instance) ResumeBuild(ctx context.Context, name, lockPolicy string) (*osbs.Build, error) {
	if err := i.refuseWhilePaused(ctx); err != nil {
		return nil, err
	}
	next, claims, err := i.resumed(ctx, name, lockPolicy)
	if err != nil {
		return nil, err
	}
	created, err := i.conf.Pipelines.TektonV1().PipelineRuns(i.conf.Namespace).Create(ctx, next, metav1.CreateOptions{})
	if err != nil {
		return nil, classify("creating PipelineRun "+next.Name+" in namespace "+i.conf.Namespace, err)
	}
	for _, claim := range claims {
		if err := i.own(ctx, claim, created); err != nil {
			return nil, i.withdraw(ctx, created, err)
		}
	}
	i.mu.Lock()
	i.started = append(i.started, created.Name)
	i.mu.Unlock()
	b := buildOf(created, nil)
	return &b, nil
}

// ResumedRun is the PipelineRun that ResumeBuild would create.
func (i *Instance) ResumedRun(ctx context.Context, name, lockPolicy string) (*v1.PipelineRun, error) {
	run, _, err := i.resumed(ctx, name, lockPolicy)
	return run, err
}

// resumed is the PipelineRun that finishes a build, and the claims of the failed one that it needs.
func (i *Instance) resumed(ctx context.Context, name, lockPolicy string) (*v1.PipelineRun, []string, error) {
	if _, err := lock.ParsePolicy(lockPolicy); err != nil {
		return nil, nil, err
	}
	run, tasks, err := i.read(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	b := buildOf(run, tasks)
	if err := i.checkResume(ctx, b, run, tasks); err != nil {
		return nil, nil, err
	}
	next, err := osbs.NewName(b.BuildConfig)
	if err != nil {
		return nil, nil, err
	}
	out, err := resume.Run(run, tasks, resume.Options{Name: next, LockPolicy: lockPolicy})
	if err != nil {
		return nil, nil, err
	}
	claims := resume.Claims(run, tasks)
	for _, claim := range claims {
		if err := i.checkClaim(ctx, claim, b); err != nil {
			return nil, nil, err
		}
	}
	return out, claims, nil
}

// checkResume says why a build cannot be resumed.
func (i *Instance) checkResume(ctx context.Context, b osbs.Build, run *v1.PipelineRun, tasks []v1.TaskRun) error {
	if err := b.CheckResume(); err != nil {
		return err
	}
	if !resume.Built(run, tasks) {
		return osbs.NotBuilt(b)
	}
	others, err := i.List(ctx, osbs.Filter{BuildConfig: b.BuildConfig})
	if err != nil {
		return err
	}
	return b.CheckOvertaken(others)
}

// checkClaim says why a volume of the failed build cannot be used.
func (i *Instance) checkClaim(ctx context.Context, name string, b osbs.Build) error {
	claim, err := i.conf.Kubernetes.CoreV1().PersistentVolumeClaims(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && claim.DeletionTimestamp != nil:
		return failure.WithHint(failure.New(failure.Conflict, "what build %s has built was deleted with its PersistentVolumeClaim %s", b.Name, name), "%s", b.Again())
	case err != nil:
		return classify("reading PersistentVolumeClaim "+name, err)
	}
	return nil
}

// own makes a PipelineRun an owner of a claim beside the failed one, so that the claim stays when that one is deleted. The resourceVersion
// keeps a claim out that is being deleted by then.
func (i *Instance) own(ctx context.Context, name string, run *v1.PipelineRun) error {
	claims := i.conf.Kubernetes.CoreV1().PersistentVolumeClaims(i.conf.Namespace)
	for {
		claim, err := claims.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return classify("reading PersistentVolumeClaim "+name, err)
		}
		if claim.DeletionTimestamp != nil {
			return failure.New(failure.Conflict, "PersistentVolumeClaim %s is being deleted, since the failed build was", name)
		}
		ofARun := func(o metav1.OwnerReference) bool { return o.Kind == "PipelineRun" }
		if !slices.ContainsFunc(claim.OwnerReferences, ofARun) {
			return nil // somebody's own, which no PipelineRun takes away
		}
		owners := append(slices.Clone(claim.OwnerReferences), metav1.OwnerReference{APIVersion: v1.SchemeGroupVersion.String(), Kind: "PipelineRun", Name: run.Name, UID: run.UID})
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": claim.ResourceVersion, "ownerReferences": owners}})
		if err != nil {
			return failure.New(failure.Internal, "encoding owners: %w", err)
		}
		_, err = claims.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		if !apierrors.IsConflict(err) {
			return classify("making "+run.Name+" an owner of PersistentVolumeClaim "+name, err)
		}
	}
}

// withdraw deletes a PipelineRun whose volume might go away while it runs. cause is why.
func (i *Instance) withdraw(ctx context.Context, run *v1.PipelineRun, cause error) error {
	ctx = context.WithoutCancel(ctx)
	err := i.conf.Pipelines.TektonV1().PipelineRuns(i.conf.Namespace).Delete(ctx, run.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return failure.New(failure.KindOf(cause), "%w; and PipelineRun %s cannot be deleted: %v", cause, run.Name, err)
	}
	return cause
}
