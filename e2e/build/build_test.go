//go:build e2e

package build

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
)

func TestEveryLayoutBuildsPushesAndImports(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"fused", "balanced", "chained"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{Layout: layout})
			base, baseDigest := s.Base("base")
			repository := s.NewRepository("app", map[string]string{
				"Dockerfile": s.Dockerfile(base, "COPY greeting /greeting", `RUN ["sh", "-c", "tr a-z A-Z </greeting >/shouted && id -u >/user"]`,
					"USER 1001", `CMD ["cat", "/shouted"]`),
				"greeting": "hello\n",
			})
			run := s.Start(values{"git-url": repository.URL, "git-branch": "main", "user": "developer"})
			got := s.Succeeded(run)
			s.checkResults(got, repository, baseDigest)
			s.checkState(got, s.Get(run).Name+"/"+string(s.Get(run).UID), baseDigest)
			s.checkStream(got)
			if said := s.runImage(got["IMAGE_URL"] + "@" + got["IMAGE_DIGEST"]); said != "HELLO\n" {
				t.Errorf("the image says %q", said)
			}
		})
	}
}

// checkDigest compares the digest that a build says with what the registry has.
func (s *site) checkDigest(got values) {
	s.T.Helper()
	if want := s.Digest(got["IMAGE_URL"]); got["IMAGE_DIGEST"] != want {
		s.T.Errorf("IMAGE_DIGEST is %q, the registry has %q", got["IMAGE_DIGEST"], want)
	}
}

// checkResults compares the results of a build with what the registry and git say.
func (s *site) checkResults(got values, r *repository, baseDigest string) {
	s.T.Helper()
	s.checkDigest(got)
	if got["CHAINS-GIT_URL"] != r.URL || got["CHAINS-GIT_COMMIT"] != r.Head() {
		s.T.Errorf("the results say %s at %s, git says %s at %s", got["CHAINS-GIT_URL"], got["CHAINS-GIT_COMMIT"], r.URL, r.Head())
	}
	var bases []struct{ Digest, ImageStreamTag string }
	if err := json.Unmarshal([]byte(got["BASE_IMAGES"]), &bases); err != nil || len(bases) != 1 || bases[0].Digest != baseDigest {
		s.T.Errorf("BASE_IMAGES is %s, want %s (%v)", got["BASE_IMAGES"], baseDigest, err)
	}
	tags := s.Tags("app")
	for _, tag := range strings.Split(got["TAGS"], ",") {
		if !slices.Contains(tags, tag) {
			s.T.Errorf("TAGS is %q, the registry has %q", got["TAGS"], tags)
		}
	}
	if got["STATE"] != "build" {
		s.T.Errorf("STATE is %q", got["STATE"])
	}
	if labels := s.Config(got["IMAGE_URL"]).Config.Labels; labels["version"] != "1.0" || labels["release"] != "1" {
		s.T.Errorf("the image has the labels %v", labels)
	}
}

// checkState compares the build config and the lock with what a build's results say.
func (s *site) checkState(got values, holder, baseDigest string) {
	s.T.Helper()
	stored, err := s.Kube.CoreV1().ConfigMaps(s.Name).Get(s.T.Context(), got["BUILD_CONFIG"], metav1.GetOptions{})
	s.Must(err)
	config, err := configmap.From(stored)
	s.Must(err)
	if config.GitURL != got["CHAINS-GIT_URL"] || config.GitCommit != got["CHAINS-GIT_COMMIT"] || config.GitBranch != "main" || config.Parameters.User != "developer" {
		s.T.Errorf("the build config says %s at %s, branch %s, user %s", config.GitURL, config.GitCommit, config.GitBranch, config.Parameters.User)
	}
	if len(config.Triggers) != 1 || !strings.HasSuffix(config.Triggers[0].LastTriggeredImage, baseDigest) || !strings.HasSuffix(config.Triggers[0].LastBuiltImage, baseDigest) {
		s.T.Errorf("the build config has the triggers %+v, want %s", config.Triggers, baseDigest)
	}
	lease, err := s.Kube.CoordinationV1().Leases(s.Name).Get(s.T.Context(), got["BUILD_CONFIG"], metav1.GetOptions{})
	s.Must(err)
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != holder {
		s.T.Errorf("the lock is held by %v, want %s", lease.Spec.HolderIdentity, holder)
	}
}

// checkStream compares the ImageStream of a build with its results.
func (s *site) checkStream(got values) {
	s.T.Helper()
	streams, err := s.Image.ImageV1().ImageStreams(s.Name).List(s.T.Context(), metav1.ListOptions{})
	s.Must(err)
	for _, stream := range streams.Items {
		for _, tag := range stream.Status.Tags {
			if len(tag.Items) > 0 && tag.Items[0].Image == got["IMAGE_DIGEST"] {
				return
			}
		}
	}
	s.T.Errorf("no ImageStream has %s: %+v", got["IMAGE_DIGEST"], streams.Items)
}

// runImage runs an image of the registry as a pod, and returns what it says.
func (s *site) runImage(reference string) string {
	s.T.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "result"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "osbs-registry"}},
			Containers: []corev1.Container{{Name: "image", Image: reference}},
		},
	}
	_, err := s.Kube.CoreV1().Pods(s.Name).Create(s.T.Context(), pod, metav1.CreateOptions{})
	s.Must(err)
	s.Until("the pod of the image", 2*time.Minute, func(ctx context.Context) (bool, error) {
		p, err := s.Kube.CoreV1().Pods(s.Name).Get(ctx, pod.Name, metav1.GetOptions{})
		return err == nil && (p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed), err
	})
	return s.ContainerLog(pod.Name, "image")
}
