//go:build e2e

package rebuild

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// streamTime is how long an ImageStream may take to know what the registry has.
const streamTime = 2 * time.Minute

// site is an installation that rebuilds images, and what is expected of it.
type site struct {
	*testsite.Site
	clients  situation.Clients
	expected *expected
	gate     *gatekeeper
}

// expected is how many rebuilds each build config has had when all is over.
type expected struct {
	sync.Mutex
	rebuilds map[string]int
}

// newSite installs everything, with keys of the configuration's autorebuild, and others.
func newSite(t *testing.T, autorebuild, config string) *site {
	t.Helper()
	s := &site{
		Site:     testsite.New(t, testsite.Settings{Config: testsite.SmallRequests + config, Autorebuild: autorebuild}),
		expected: &expected{rebuilds: map[string]int{}},
	}
	var err error
	s.clients, err = situation.Connect(s.Admin, s.Name)
	s.Must(err)
	t.Cleanup(func() {
		if t.Failed() {
			s.explain()
		}
	})
	return s
}

// within is the same site in a subtest.
func (s *site) within(t *testing.T) *site {
	inner := *s
	inner.Site = s.Within(t)
	return &inner
}

// explain logs what the watcher and the EventListener did.
func (s *site) explain() {
	pods, err := s.Kube.CoreV1().Pods(s.Name).List(context.WithoutCancel(s.T.Context()), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=imagewatch"})
	if err != nil {
		s.T.Log(err)
		return
	}
	for _, pod := range pods.Items {
		s.T.Log(s.ContainerLog(pod.Name, pod.Spec.Containers[0].Name))
	}
}

// stream is the ImageStream of an image or a base.
func (s *site) stream(name string) string { return s.Name + "-" + name }

// move gives a base another content, in the registry and then in its ImageStream, and returns the digest.
func (s *site) move(base string, files map[string]string) string {
	s.T.Helper()
	digest := s.PushBase(s.Reference(base+":1"), files)
	s.imports(base)
	if got := s.tag(base, "1"); got.Image != digest {
		s.T.Fatalf("the ImageStream of %s has %s, the registry %s", base, got.Image, digest)
	}
	return digest
}

// imports has an ImageStream read the registry, as oc import-image does.
func (s *site) imports(base string) {
	s.T.Helper()
	request := &imagev1.ImageStreamImport{
		ObjectMeta: metav1.ObjectMeta{Name: s.stream(base)},
		Spec: imagev1.ImageStreamImportSpec{Import: true, Images: []imagev1.ImageImportSpec{{
			From: corev1.ObjectReference{Kind: "DockerImage", Name: s.Reference(base + ":1")}, To: &corev1.LocalObjectReference{Name: "1"},
			ImportPolicy:    imagev1.TagImportPolicy{Scheduled: true, ImportMode: imagev1.ImportModePreserveOriginal},
			ReferencePolicy: imagev1.TagReferencePolicy{Type: imagev1.SourceTagReferencePolicy},
		}}},
	}
	answer, err := s.Image.ImageV1().ImageStreamImports(s.Name).Create(s.T.Context(), request, metav1.CreateOptions{})
	s.Must(err)
	if status := answer.Status.Images[0].Status; status.Status != metav1.StatusSuccess {
		s.T.Fatalf("importing %s: %+v", base, status)
	}
}

// tag is the newest image of a tag; an empty one if there is none.
func (s *site) tag(name, tag string) imagev1.TagEvent {
	s.T.Helper()
	list, err := s.Image.ImageV1().ImageStreams(s.Name).List(s.T.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + s.stream(name)})
	s.Must(err)
	for _, stream := range list.Items {
		for _, known := range stream.Status.Tags {
			if known.Tag == tag && len(known.Items) > 0 {
				return known.Items[0]
			}
		}
	}
	return imagev1.TagEvent{}
}

// watched waits until the watcher has given a base an ImageStream, and that has been imported.
func (s *site) watched(base, digest string) {
	s.T.Helper()
	s.Until("the ImageStream of "+base, streamTime, func(context.Context) (bool, error) { return s.tag(base, "1").Image == digest, nil })
}

// plan is what the planner says of what the API has, by build config.
func (s *site) plan(ctx context.Context) map[string]rebuild.Item {
	s.T.Helper()
	now, err := situation.List(ctx, s.clients, s.Name)
	s.Must(err)
	items := map[string]rebuild.Item{}
	for _, item := range now.Plan(0, nil, map[string]bool{}).Items {
		items[item.Config] = item
	}
	return items
}

// settled waits until images are built on the newest bases, and nothing of them runs. The lists are not of one moment, so it looks twice.
func (s *site) settled(images ...*image) {
	s.T.Helper()
	seen := 0
	s.Until("everything to be built on the newest bases", testsite.BuildTime, func(ctx context.Context) (bool, error) {
		plan := s.plan(ctx)
		seen++
		for _, i := range images {
			if item, due := plan[i.config]; due {
				seen = 0
				if item.Verdict == rebuild.Failed || item.Verdict == rebuild.ParentFailed {
					s.report(images...)
					return false, fmt.Errorf("%s: %+v", i.name, item)
				}
			}
		}
		return seen > 1, nil
	})
}

// report logs what is known of the newest rebuild of each image.
func (s *site) report(images ...*image) {
	s.T.Helper()
	for _, i := range images {
		if runs := i.rebuilds(); len(runs) > 0 {
			s.Report(runs[len(runs)-1].Name)
		}
	}
}

// judged waits until the planner says something of an image.
func (s *site) judged(i *image, want rebuild.Verdict) {
	s.T.Helper()
	s.Until(i.name+" to be "+string(want), testsite.BuildTime, func(ctx context.Context) (bool, error) { return s.plan(ctx)[i.config].Verdict == want, nil })
}

// told waits for an Event on the build config of an image.
func (s *site) told(i *image, reason string) string {
	s.T.Helper()
	message := ""
	s.Until("the Event "+reason+" of "+i.name, testsite.BuildTime, func(ctx context.Context) (bool, error) {
		events, err := s.Kube.CoreV1().Events(s.Name).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=ConfigMap,involvedObject.name=" + i.config + ",reason=" + reason})
		if err != nil || len(events.Items) == 0 {
			return false, err
		}
		message = events.Items[0].Message
		return true, nil
	})
	return message
}

// expect waits until an image has had n rebuilds, all of which have ended, and notes that it may never have more. The newest comes last.
func (s *site) expect(i *image, n int) []v1.PipelineRun {
	s.T.Helper()
	s.expected.Lock()
	s.expected.rebuilds[i.config] = n
	s.expected.Unlock()
	s.Until(fmt.Sprintf("%d rebuilds of %s", n, i.name), testsite.BuildTime, func(context.Context) (bool, error) { return len(i.rebuilds()) >= n, nil })
	runs := i.rebuilds()
	if len(runs) > n {
		s.T.Fatalf("%s has had %d rebuilds, want %d", i.name, len(runs), n)
	}
	for at := range runs {
		runs[at] = *s.Ended(runs[at].Name)
	}
	return runs
}

// kept fails the test if what must always hold did not, when all is over: each build config has had the rebuilds that were expected and no more,
// and no two of its builds had the lock at once.
func (s *site) kept() {
	s.T.Helper()
	list, err := s.Runs.TektonV1().PipelineRuns(s.Name).List(s.T.Context(), metav1.ListOptions{})
	s.Must(err)
	locked, rebuilds := map[string][]string{}, map[string]int{}
	for _, run := range list.Items {
		results := testsite.Results(&run)
		config := results["BUILD_CONFIG"]
		if config != "" && results["STATE"] != "skipped" && s.Locked(run.Name) != nil {
			locked[config] = append(locked[config], run.Name)
		}
		if run.Labels[event.LabelAutorebuild] == "true" {
			rebuilds[run.Labels[event.LabelBuildConfig]]++
		}
	}
	for _, config := range slices.Sorted(maps.Keys(locked)) {
		s.Alone(locked[config])
	}
	for config, n := range rebuilds {
		if want := s.expected.rebuilds[config]; n != want {
			s.T.Errorf("%s has had %d rebuilds, want %d", config, n, want)
		}
	}
}

// byCreation orders PipelineRuns; the API tells seconds only.
func byCreation(a, b v1.PipelineRun) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}
