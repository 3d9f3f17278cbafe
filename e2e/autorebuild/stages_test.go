//go:build e2e

package autorebuild

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// What the stages would do, done by the test: the PipelineRuns are Pending.

// of are the PipelineRuns of a build config, in the order in which they were created.
func (s *site) of(config string) []unstructured.Unstructured {
	s.t.Helper()
	list, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(s.t.Context(), metav1.ListOptions{LabelSelector: event.LabelBuildConfig + "=" + config})
	s.must(err)
	slices.SortStableFunc(list.Items, func(a, b unstructured.Unstructured) int {
		return a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time)
	})
	return list.Items
}

// pendingRuns are those that can be ended.
func (s *site) pendingRuns() []unstructured.Unstructured {
	s.t.Helper()
	list, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	return slices.DeleteFunc(list.Items, func(run unstructured.Unstructured) bool { return !pending(run) })
}

// next waits until the build config has a PipelineRun that can be ended, and returns it.
func (s *site) next(config string) unstructured.Unstructured {
	s.t.Helper()
	var found unstructured.Unstructured
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the planner says %+v", s.plan().Items)
		}
	}()
	s.until("a PipelineRun of "+config, 2*time.Minute, func() bool {
		runs := s.of(config)
		i := slices.IndexFunc(runs, pending)
		if i >= 0 {
			found = runs[i]
		}
		return i >= 0
	})
	return found
}

// pending says that a PipelineRun has not ended.
func pending(run unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(run.Object, "status", "conditions")
	return !slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == "Succeeded" && m["status"] != "Unknown"
	})
}

// madeFrom are the digests that a PipelineRun is made from, by the base's name.
func madeFrom(run unstructured.Unstructured) map[string]string {
	out := map[string]string{}
	for tag, digest := range event.ParseDigests(run.GetAnnotations()[event.AnnotationBaseDigest], nil) {
		out[strings.TrimSuffix(tag, ":latest")] = digest
	}
	return out
}

// begins does what the lock stage does, and says whether the build goes on. One that is not due any more ends as skipped.
func (s *site) begins(run unstructured.Unstructured) (bool, error) {
	config, digests := run.GetLabels()[event.LabelBuildConfig], event.ParseDigests(run.GetAnnotations()[event.AnnotationBaseDigest], nil)
	tags := map[string]rebuild.Tag{}
	for tag := range digests {
		if current := s.current(strings.TrimSuffix(tag, ":latest")); current != "" {
			tags[tag] = rebuild.Tag{Digest: current}
		}
	}
	outdated := ""
	err := s.change(config, func(bc *buildconfig.BuildConfig) {
		if outdated = rebuild.Outdated(rebuild.FromBuildConfig(bc), tags, digests); outdated != "" {
			return
		}
		for i := range bc.Triggers {
			t := &bc.Triggers[i]
			base := strings.TrimSuffix(t.ImageStreamTag, ":latest")
			t.LastTriggeredImage, t.LastTriggeredManifest, t.LastTriggerTime = image(base, digests[t.ImageStreamTag]), "", time.Time{}
		}
	})
	if err == nil && outdated != "" {
		err = s.ends(run, "True", map[string]string{"STATE": "skipped"})
	}
	return err == nil && outdated == "", err
}

// goesOn checks that the build of a PipelineRun does after the lock stage.
func (s *site) goesOn(run unstructured.Unstructured, want bool) {
	s.t.Helper()
	got, err := s.begins(run)
	s.must(err)
	if got != want {
		s.t.Errorf("%s goes on: %t", run.GetName(), got)
	}
}

// succeeds does what the stages after lock do of a PipelineRun that succeeds: they move the tag of the image to a digest that no other build
// gives, and say so in the build config.
func (s *site) succeeds(run unstructured.Unstructured) error {
	config, digests := run.GetLabels()[event.LabelBuildConfig], madeFrom(run)
	h := fnv.New32a()
	_, _ = h.Write([]byte(run.GetName()))
	made := digest(int(h.Sum32()))
	if err := s.moveTo(config, made); err != nil {
		return err
	}
	err := s.change(config, func(bc *buildconfig.BuildConfig) {
		for i := range bc.Triggers {
			base := strings.TrimSuffix(bc.Triggers[i].ImageStreamTag, ":latest")
			bc.Triggers[i].LastBuiltImage = image(base, digests[base])
		}
		bc.LastBuild = &buildconfig.LastBuild{
			Name: run.GetName(), Outcome: buildconfig.Succeeded, Autorebuild: true, Ended: time.Now().UTC().Truncate(time.Second),
		}
	})
	if err != nil {
		return err
	}
	return s.ends(run, "True", map[string]string{"IMAGE_DIGEST": made})
}

// fails ends a PipelineRun after its lock stage.
func (s *site) fails(run unstructured.Unstructured) error { return s.ends(run, "False", nil) }

// ends gives a PipelineRun the status of one that has ended. It must have no startTime, since it stays Pending.
func (s *site) ends(run unstructured.Unstructured, succeeded string, results map[string]string) error {
	now := metav1.Now().UTC().Format(time.RFC3339)
	list := []any{}
	for name, value := range results {
		list = append(list, map[string]any{"name": name, "value": value})
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"completionTime": now, "results": list,
		"conditions": []any{map[string]any{"type": "Succeeded", "status": succeeded, "reason": "Ended", "message": "ended by the test", "lastTransitionTime": now}},
	}})
	if err != nil {
		return err
	}
	_, err = s.all.Resource(pipelineRuns).Namespace(s.Name).Patch(s.t.Context(), run.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// change changes a build config, whoever else does.
func (s *site) change(config string, change func(*buildconfig.BuildConfig)) error {
	configs := s.Kube.CoreV1().ConfigMaps(s.Name)
	for {
		cm, err := configs.Get(s.t.Context(), config, metav1.GetOptions{})
		if err != nil {
			return err
		}
		bc, err := configmap.From(cm)
		if err != nil {
			return err
		}
		change(bc)
		if cm, err = configmap.To(bc); err != nil {
			return err
		}
		if _, err = configs.Update(s.t.Context(), cm, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// builtOn are the digests that a build config's image is built on, by the base's name.
func (s *site) builtOn(config string) map[string]string {
	s.t.Helper()
	cm, err := s.Kube.CoreV1().ConfigMaps(s.Name).Get(s.t.Context(), config, metav1.GetOptions{})
	s.must(err)
	bc, err := configmap.From(cm)
	s.must(err)
	out := map[string]string{}
	for _, t := range bc.Triggers {
		out[strings.TrimSuffix(t.ImageStreamTag, ":latest")] = buildconfig.Digest(t.LastBuiltImage)
	}
	return out
}

// pause puts the autorebuilds of a build config off, or resumes them.
func (s *site) pause(config string, paused bool) error {
	return s.change(config, func(bc *buildconfig.BuildConfig) { bc.Paused = paused })
}

// current is the digest that a tag has.
func (s *site) current(stream string) string {
	s.t.Helper()
	stored, err := s.image.ImageV1().ImageStreams(s.Name).Get(s.t.Context(), stream, metav1.GetOptions{})
	s.must(err)
	return imageimport.Current(stored, "latest")
}

// plan is what the planner says of the namespace now.
func (s *site) plan() rebuild.Plan {
	s.t.Helper()
	clients, err := situation.Connect(s.Admin, s.Name)
	s.must(err)
	now, err := situation.List(s.t.Context(), clients, s.Name)
	s.must(err)
	return now.Plan(0, nil, map[string]bool{})
}

// settled waits until the planner wants nothing that is not there: whatever is stale runs, waits for what runs, or was tried.
func (s *site) settled() {
	s.t.Helper()
	var wanted []rebuild.Item
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the planner wants %+v", wanted)
		}
	}()
	s.until("the planner wants nothing", 2*time.Minute, func() bool {
		wanted = s.plan().Start()
		return len(wanted) == 0
	})
}

// retried does something until it is done: the API server may be away. What must not happen twice needs another way.
func (s *site) retried(what string, do func() error) {
	s.t.Helper()
	var err error
	s.until(what, 2*time.Minute, func() bool {
		if err = do(); err != nil && s.t.Context().Err() == nil {
			s.t.Logf("%s: %v", what, err)
		}
		return err == nil
	})
}
