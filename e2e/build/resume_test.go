//go:build e2e

package build

import (
	"context"
	"strings"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The registry goes away while an image is built. When it is back, the image is pushed and imported as it was built, and nothing is built again;
// that the failed PipelineRun is deleted meanwhile does not matter.
func TestABuildIsResumedFromItsImage(t *testing.T) {
	testbed.NeedsDaemons(t)
	for _, layout := range []string{"chained", "balanced"} {
		t.Run(layout, func(t *testing.T) {
			s, repository := slow(t, layout, "")
			s.works(repository, "1")
			failed := s.failsToPush(repository, "2")
			digest := s.builtDigest(failed)
			if _, stderr, code := s.Osbs("watch-build", failed); code == 0 || !strings.Contains(stderr, "osbs build --resume "+failed) {
				t.Errorf("watch-build ends with %d, and does not say how to finish the build: %s", code, stderr)
			}
			stdout, stderr, code := s.Osbs("build", "--resume", failed)
			names := s.RunNames()
			resumed := names[len(names)-1]
			if code != 0 {
				s.Report(resumed)
				t.Fatalf("osbs build --resume ends with %d:\n%s%s", code, stdout, stderr)
			}
			got := s.Succeeded(resumed)
			if got["IMAGE_DIGEST"] != digest {
				t.Errorf("%s was built, and %s pushed", digest, got["IMAGE_DIGEST"])
			}
			if got["CHAINS-GIT_COMMIT"] != repository.Head() || got["CHAINS-GIT_URL"] != repository.URL || got["STATE"] != "build" || !strings.Contains(got["BASE_IMAGES"], "sha256:") {
				t.Errorf("the results are %q", got)
			}
			s.checkDigest(got)
			s.checkStream(got)
			s.doesNotBuild(resumed)
			if shown, _, _ := s.Osbs("get-build", resumed); !strings.Contains(shown, failed) {
				t.Errorf("get-build does not say what is resumed:\n%s", shown)
			}
			if _, stderr, code := s.Osbs("build", "--resume", failed); code != 6 || !strings.Contains(stderr, resumed) {
				t.Errorf("a second time it ends with %d: %s", code, stderr)
			}
			if _, stderr, code := s.Osbs("build", "--resume", resumed); code != 6 || !strings.Contains(stderr, "succeeded") {
				t.Errorf("a build that succeeded is resumed: %d: %s", code, stderr)
			}
			s.outlives(failed, resumed)
		})
	}
}

// failsToPush starts a build, and takes the registry away until it has failed.
func (s *site) failsToPush(r *repository, release string) string {
	s.T.Helper()
	run := s.startLasting(r, "fail", "5", release)
	s.saysInLog(run, "build", "lasting-5")
	testbed.Kill(s.T, testbed.Registry)
	s.Failed(run)
	if f := s.Fault(run); f.Stage != "push" || f.Kind != failure.Unavailable {
		s.T.Errorf("the TaskRun says of the failure: %+v", f)
	}
	testbed.Start(s.T, testbed.Registry)
	return run
}

// builtDigest is that of the layout, as the build stage says.
func (s *site) builtDigest(run string) string {
	s.T.Helper()
	for _, task := range s.TaskRuns(run) {
		for _, result := range task.Status.Results {
			if task.Labels["tekton.dev/pipelineTask"] == "build" && result.Name == "digest" {
				return result.Value.StringVal
			}
		}
	}
	s.T.Fatalf("%s says of no image", run)
	return ""
}

// doesNotBuild checks which steps a resumed build has.
func (s *site) doesNotBuild(run string) {
	s.T.Helper()
	var steps []string
	for _, task := range s.TaskRuns(run) {
		for _, step := range task.Status.Steps {
			steps = append(steps, step.Name)
		}
	}
	if got := strings.Join(steps, " "); len(steps) != 3 || strings.Contains(got, "build") {
		s.T.Errorf("the steps are %s", got)
	}
}

// outlives checks that the volume stays when the failed PipelineRun is deleted.
func (s *site) outlives(failed, resumed string) {
	s.T.Helper()
	uid := s.Get(resumed).UID
	claims, err := s.Kube.CoreV1().PersistentVolumeClaims(s.Name).List(s.T.Context(), metav1.ListOptions{})
	s.Must(err)
	for _, claim := range claims.Items {
		for _, owner := range claim.OwnerReferences {
			if owner.UID != uid {
				continue
			}
			foreground := metav1.DeletePropagationForeground
			s.Must(s.Runs.TektonV1().PipelineRuns(s.Name).Delete(s.T.Context(), failed, metav1.DeleteOptions{PropagationPolicy: &foreground}))
			s.Until("the failed PipelineRun to be deleted", buildTime, func(ctx context.Context) (bool, error) {
				_, err := s.Runs.TektonV1().PipelineRuns(s.Name).Get(ctx, failed, metav1.GetOptions{})
				return err != nil, nil
			})
			now, err := s.Kube.CoreV1().PersistentVolumeClaims(s.Name).Get(s.T.Context(), claim.Name, metav1.GetOptions{})
			if err != nil || now.DeletionTimestamp != nil {
				s.T.Errorf("the volume goes with the failed PipelineRun: %v", err)
			}
			return
		}
	}
	s.T.Errorf("%s owns no claim: %+v", resumed, claims.Items)
}

func TestABuildWhoseImageIsGoneIsNotResumed(t *testing.T) {
	testbed.NeedsDaemons(t)
	s, repository := slow(t, "fused", "")
	failed := s.failsToPush(repository, "1")
	_, stderr, code := s.Osbs("build", "--resume", failed)
	if code != 6 || !strings.Contains(stderr, "went with its pod") || !strings.Contains(stderr, "layout chained or balanced") {
		t.Errorf("osbs build --resume ends with %d: %s", code, stderr)
	}
}

// Tekton tries push again: the first time the registry is away, the second time it is there.
func TestPushIsTriedAgain(t *testing.T) {
	testbed.NeedsDaemons(t)
	s := newSite(t, settings{Layout: "chained", Config: strings.Replace(testsite.SmallRequests, "push: {", "push: {retries: 2, ", 1)})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "ARG SECONDS=0", "RUN echo lasting-$SECONDS; sleep $SECONDS")})
	run := s.startLasting(repository, "fail", "5", "1")
	s.saysInLog(run, "build", "lasting-5")
	testbed.Kill(t, testbed.Registry)
	s.Until("push to be tried again", buildTime, func(context.Context) (bool, error) {
		for _, task := range s.TaskRuns(run) {
			if task.Labels["tekton.dev/pipelineTask"] == "push" && len(task.Status.RetriesStatus) > 0 {
				return true, nil
			}
		}
		return s.Get(run).IsDone(), nil
	})
	testbed.Start(t, testbed.Registry)
	got := s.Succeeded(run)
	if got["IMAGE_DIGEST"] != s.builtDigest(run) {
		t.Errorf("%s was built, and %s pushed", s.builtDigest(run), got["IMAGE_DIGEST"])
	}
	s.checkDigest(got)
	s.checkStream(got)
	if reason, _ := testsite.Condition(s.Get(run)); reason != v1.PipelineRunReasonSuccessful.String() && reason != v1.PipelineRunReasonCompleted.String() {
		t.Errorf("the PipelineRun says %s", reason)
	}
}
