//go:build e2e

package build

import (
	"context"
	"strings"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// smallRequests let the pods of ten builds be on one node at once.
const smallRequests = `stages:
  clone: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  detect-base: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  lock: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  prepare: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  build: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  push: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  import: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
`

// slow is a site and a repository whose builds take as long as the ARG SECONDS says.
func slow(t *testing.T, layout, config string) (*site, *repository) {
	t.Helper()
	s := newSite(t, settings{layout: layout, config: smallRequests + config})
	base, _ := s.base("base")
	return s, s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, "ARG SECONDS=0", "RUN echo lasting-$SECONDS; sleep $SECONDS")})
}

// startLasting starts a build that takes a time, under a lock policy.
func (s *site) startLasting(r *repository, policy, seconds, release string) string {
	s.t.Helper()
	run := s.newRun(values{"git-url": r.url, "git-branch": "main", "git-commit": r.committed(), "lock-policy": policy, "release": release})
	run.Spec.Params = append(run.Spec.Params, v1.Param{Name: "build-arg", Value: v1.ParamValue{Type: v1.ParamTypeArray, ArrayVal: []string{"SECONDS=" + seconds}}})
	created, err := s.runs.TektonV1().PipelineRuns(s.Name).Create(s.t.Context(), run, metav1.CreateOptions{})
	s.must(err)
	return created.Name
}

func TestALockIsFreeWhenItsHolderIsCancelledOrDeleted(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(s *site, run string){
		"cancelled": func(s *site, run string) {
			s.cancel(run)
			if reason, message := condition(s.ended(run)); reason != "Cancelled" {
				s.t.Errorf("the cancelled build ends with %s: %s", reason, message)
			}
		},
		"deleted": func(s *site, run string) {
			s.must(s.runs.TektonV1().PipelineRuns(s.Name).Delete(s.t.Context(), run, metav1.DeleteOptions{}))
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, repository := slow(t, "fused", "")
			holder := s.startLasting(repository, "fail", "3600", "1")
			s.reached(holder, "build")
			waiting := s.startLasting(repository, "wait", "0", "2")
			s.queued(waiting)
			end(s, holder)
			got := s.succeeded(waiting)
			s.checkDigest(got)
		})
	}
}

// cancel ends a PipelineRun as tkn does.
func (s *site) cancel(run string) {
	s.t.Helper()
	patch := []byte(`{"spec":{"status":"CancelledRunFinally"}}`)
	_, err := s.runs.TektonV1().PipelineRuns(s.Name).Patch(s.t.Context(), run, types.MergePatchType, patch, metav1.PatchOptions{})
	s.must(err)
}

// queued waits until a build waits for its lock.
func (s *site) queued(run string) {
	s.t.Helper()
	s.until(run+" to wait for the lock", buildTime, func(ctx context.Context) (bool, error) {
		leases, err := s.Kube.CoordinationV1().Leases(s.Name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, lease := range leases.Items {
			if strings.Contains(lease.Annotations["osbs.dev/queue"], run) {
				return true, nil
			}
		}
		return false, nil
	})
}
