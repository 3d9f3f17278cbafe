//go:build e2e

package build

import (
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testsite"
)

// slow is a site and a repository whose builds take as long as the ARG SECONDS says.
func slow(t *testing.T, layout, config string) (*site, *repository) {
	t.Helper()
	s := newSite(t, settings{Layout: layout, Config: testsite.SmallRequests + config})
	base, _ := s.Base("base")
	return s, s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "ARG SECONDS=0", "RUN echo lasting-$SECONDS; sleep $SECONDS")})
}

// startLasting starts a build that takes a time, under a lock policy.
func (s *site) startLasting(r *repository, policy, seconds, release string) string {
	s.T.Helper()
	run := s.NewRun(values{"git-url": r.URL, "git-branch": "main", "git-commit": r.Committed(), "lock-policy": policy, "release": release})
	run.Spec.Params = append(run.Spec.Params, v1.Param{Name: "build-arg", Value: v1.ParamValue{Type: v1.ParamTypeArray, ArrayVal: []string{"SECONDS=" + seconds}}})
	created, err := s.Runs.TektonV1().PipelineRuns(s.Name).Create(s.T.Context(), run, metav1.CreateOptions{})
	s.Must(err)
	return created.Name
}

func TestALockIsFreeWhenItsHolderIsCancelledOrDeleted(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(s *site, run string){
		"cancelled": func(s *site, run string) {
			s.Cancel(run)
			if reason, message := testsite.Condition(s.Ended(run)); reason != "Cancelled" {
				s.T.Errorf("the cancelled build ends with %s: %s", reason, message)
			}
		},
		"deleted": func(s *site, run string) {
			s.Must(s.Runs.TektonV1().PipelineRuns(s.Name).Delete(s.T.Context(), run, metav1.DeleteOptions{}))
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, repository := slow(t, "fused", "")
			holder := s.startLasting(repository, "fail", "3600", "1")
			s.Reached(holder, "build")
			waiting := s.startLasting(repository, "wait", "0", "2")
			s.Queued(waiting)
			end(s, holder)
			got := s.Succeeded(waiting)
			s.checkDigest(got)
		})
	}
}
