//go:build e2e

package build

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/e2e/testsite"
)

// stages are those in which a build can be stalled.
func stages() []string {
	return []string{"clone", "detect-base", "lock", "prepare", "build", "push", "sync", "import"}
}

// mirror is the configuration of a sync into a registry that can be held while the first one works.
func mirror(t *testing.T) string {
	t.Helper()
	return "mirror_registry_uri: https://" + testbed.Variable(t, "OSBS_E2E_IMAGES") + "\n"
}

// stall starts a build that comes as far as a stage and no further, because what the stage talks to does not answer. goOn lets it answer.
func (s *site) stall(stage string, r *repository, release string) (run string, goOn func()) {
	s.T.Helper()
	hold := map[string]string{
		"clone": testbed.GitServer, "detect-base": testbed.Registry, "prepare": testbed.GitServer, "push": testbed.Registry,
		"sync": testbed.Images, "import": testbed.ImageAPIServer,
	}[stage]
	goOn = func() {
		if hold != "" {
			testbed.GoOn(s.T, hold)
		}
	}
	switch stage {
	case "clone", "detect-base":
		testbed.Hold(s.T, hold)
		run = s.startLasting(r, "fail", "0", release)
	case "lock", "prepare":
		holder := s.startLasting(r, "fail", "3600", release+".holder")
		s.Reached(holder, "build")
		run = s.startLasting(r, "wait", "0", release)
		s.Queued(run)
		if stage == "lock" {
			return run, func() {
				s.Cancel(holder)
				s.podsEnd(holder)
			}
		}
		testbed.Hold(s.T, hold)
		s.Cancel(holder)
	case "build":
		run = s.startLasting(r, "fail", "3600", release)
	default:
		run = s.startLasting(r, "fail", "5", release)
		s.saysInLog(run, "build", "lasting-5")
		testbed.Hold(s.T, hold)
	}
	s.Reached(run, stage)
	return run, goOn
}

// releaseFor is a release for the build that is stalled in a stage.
func releaseFor(stage string) string { return "7." + strings.ReplaceAll(stage, "-", "") }

// visible is what the world sees of the image: digests of floating tags in the registry, and of tags of the ImageStream.
func (s *site) visible() map[string]string {
	s.T.Helper()
	all := map[string]string{}
	for _, tag := range []string{"latest", "1.0"} {
		all["registry "+tag] = s.Digest(testbed.Variable(s.T, "OSBS_E2E_REGISTRY") + "/" + s.Name + "/app:" + tag)
	}
	var streamTags []string
	s.Until("the ImageStream", buildTime, func(ctx context.Context) (bool, error) {
		stream, err := s.Image.ImageV1().ImageStreams(s.Name).Get(ctx, s.Name+"-app", metav1.GetOptions{})
		if apierrors.IsServiceUnavailable(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for _, tag := range stream.Status.Tags {
			streamTags = append(streamTags, tag.Tag)
			if len(tag.Items) > 0 {
				all["stream "+tag.Tag] = tag.Items[0].Image
			}
		}
		return true, nil
	})
	if len(streamTags) == 0 {
		s.T.Error("the ImageStream has no tags")
	}
	return all
}

// unmoved fails the test if the world sees something else than before.
func (s *site) unmoved(before map[string]string) {
	s.T.Helper()
	if diff := cmp.Diff(before, s.visible()); diff != "" {
		s.T.Errorf("a build that did not succeed has moved something (-before +after):\n%s", diff)
	}
}

// podsEnd waits until no pod of a PipelineRun runs.
func (s *site) podsEnd(run string) {
	s.T.Helper()
	s.Until("the end of the pods of "+run, buildTime, func(ctx context.Context) (bool, error) {
		pods, err := s.Kube.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run, FieldSelector: "status.phase=Running"})
		return err == nil && len(pods.Items) == 0, err
	})
}

// works builds the repository, and compares with the registry what the build says of itself.
func (s *site) works(r *repository, release string) {
	s.T.Helper()
	got := s.Succeeded(s.startLasting(r, "fail", "0", release))
	s.checkDigest(got)
	s.checkStream(got)
}

func TestABuildIsCancelledInEachStage(t *testing.T) {
	testbed.NeedsDaemons(t)
	s, repository := slow(t, "fused", mirror(t))
	s.works(repository, "1")
	for _, stage := range stages() {
		t.Run(stage, func(t *testing.T) {
			s := s.within(t)
			before := s.visible()
			run, goOn := s.stall(stage, repository.Within(s.Site), releaseFor(stage))
			out, faults, code := s.Osbs("cancel-build", run)
			if code != 0 {
				t.Errorf("osbs cancel-build ends with %d:\n%s%s", code, out, faults)
			}
			if reason, message := testsite.Condition(s.Ended(run)); reason != v1.PipelineRunReasonCancelled.String() {
				t.Errorf("the cancelled build ends with %s: %s", reason, message)
			}
			s.podsEnd(run)
			goOn()
			s.unmoved(before)
		})
	}
	s.works(repository, "2")
}

func TestABuildWhosePodIsDeletedFailsOrRecoversAndTheNextOneWorks(t *testing.T) {
	testbed.NeedsDaemons(t)
	for _, c := range []struct {
		name, layout string
		grace        int64
		stages       []string
	}{
		{"killed", "fused", 0, stages()},
		{"asked", "chained", 30, []string{"build", "push", "import"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, repository := slow(t, c.layout, mirror(t))
			s.works(repository, "1")
			for _, stage := range c.stages {
				t.Run(stage, func(t *testing.T) { s.within(t).losesPod(stage, repository, c.grace) })
			}
			s.works(repository, "2")
		})
	}
}

// losesPod deletes the pod of a stage. Tekton makes a pod that has vanished again, and fails a TaskRun whose pod has failed.
func (s *site) losesPod(stage string, r *repository, grace int64) {
	s.T.Helper()
	before := s.visible()
	run, goOn := s.stall(stage, r.Within(s.Site), releaseFor(stage))
	s.Must(s.Kube.CoreV1().Pods(s.Name).Delete(s.T.Context(), s.podOf(run, stage), metav1.DeleteOptions{GracePeriodSeconds: &grace}))
	goOn()
	if stage == "build" && grace == 0 {
		// The pod is made again, and its RUN would take an hour again.
		s.Cancel(run)
	}
	if ended := s.Ended(run); ended.IsSuccessful() {
		got := testsite.Results(ended)
		s.checkDigest(got)
		s.checkStream(got)
		return
	}
	if reason, _ := testsite.Condition(s.Get(run)); reason == v1.PipelineRunReasonFailed.String() {
		s.T.Logf("%s failed: %+v", run, s.Fault(run))
	}
	s.podsEnd(run)
	s.unmoved(before)
}

// podOf is the pod in which a stage of a PipelineRun runs.
func (s *site) podOf(run, stage string) string {
	s.T.Helper()
	for _, task := range s.TaskRuns(run) {
		for _, state := range task.Status.Steps {
			if state.Name == stage {
				return task.Status.PodName
			}
		}
	}
	s.T.Fatalf("no pod of %s has the stage %s", run, stage)
	return ""
}
