package imagewatch

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// withRun returns the build config with what its newest run says of it, and whether that is news: which bases an autorebuild is made
// from, from the moment at which its PipelineRun exists, and how a build ended that did not succeed. A build that succeeds says both
// itself. So what was tried is known when the PipelineRun is gone, and is not tried again. A request of a person is taken away when a
// run has begun for it; begun are the times of such requests.
func withRun(stored *corev1.ConfigMap, run *situation.PipelineRun, begun []time.Time) (*corev1.ConfigMap, bool, error) {
	bc, err := configmap.From(stored)
	if err != nil {
		return nil, false, err
	}
	bc = bc.Clone()
	triggered, ended, answered := unrecorded(stored, bc, run, begun)
	if !triggered && !ended && !answered {
		return nil, false, nil
	}
	if answered {
		bc.Requested = nil
	}
	if triggered && run.Facts.State != situation.Succeeded {
		setTriggered(bc, run)
	}
	if ended {
		setEnded(bc, run)
	}
	changed, err := configmap.To(bc)
	if err != nil {
		return nil, false, err
	}
	if triggered {
		changed.Annotations[situation.AnnotationLastAutorebuild] = stamp(run)
	}
	return changed, true, nil
}

// unrecorded says what of a run the build config does not say yet: which bases it is made from, how it ended, and that a request is
// answered. What a later build said of its end stays.
func unrecorded(stored *corev1.ConfigMap, bc *buildconfig.BuildConfig, run *situation.PipelineRun, begun []time.Time) (triggered, ended, answered bool) {
	_, pending := rebuild.Pending(bc.Requested, begun)
	answered = bc.Requested != nil && !pending
	f := run.Facts
	triggered = f.Autorebuild && f.BaseDigest != "" && stored.Annotations[situation.AnnotationLastAutorebuild] < stamp(run)
	ended = (f.State == situation.Failed || f.State == situation.Skipped) && !f.Ended.IsZero()
	if last := bc.LastBuild; last != nil && (last.Name == run.Name || last.Ended.After(f.Ended)) {
		ended = false
	}
	return triggered, ended, answered
}

// stamp orders the runs of a build config as text.
func stamp(run *situation.PipelineRun) string {
	return run.CreationTimestamp.UTC().Format(time.RFC3339) + " " + run.Name
}

// setTriggered writes into each trigger the image that the run is made from, as the lock stage does when the run gets there.
func setTriggered(bc *buildconfig.BuildConfig, run *situation.PipelineRun) {
	keepBuilt(bc)
	digests := event.ParseDigests(run.Facts.BaseDigest, nil)
	for i := range bc.Triggers {
		t := &bc.Triggers[i]
		digest := digests[t.ImageStreamTag]
		if digest == "" || buildconfig.Digest(t.LastTriggeredImage) == digest {
			continue
		}
		repository, _, _ := strings.Cut(t.LastTriggeredImage, "@")
		if repository == "" {
			repository, _, _ = strings.Cut(t.ImageStreamTag, ":")
		}
		t.LastTriggeredImage, t.LastTriggeredManifest, t.LastTriggerTime = repository+"@"+digest, "", time.Time{}
	}
}

// setEnded writes how a run ended that did not succeed.
func setEnded(bc *buildconfig.BuildConfig, run *situation.PipelineRun) {
	f := run.Facts
	last := &buildconfig.LastBuild{Name: run.Name, Outcome: buildconfig.Failed, Autorebuild: f.Autorebuild, Ended: f.Ended.UTC(), Message: f.Message,
		Succeeded: bc.LastBuild.LastSucceeded()}
	switch {
	case f.State == situation.Skipped:
		last.Outcome = buildconfig.Skipped
	case f.Cancelled:
		last.Outcome = buildconfig.Cancelled
	}
	keepBuilt(bc)
	bc.LastBuild = last
}

// keepBuilt writes down what the end of the last build says of the triggers, before that is replaced.
func keepBuilt(bc *buildconfig.BuildConfig) {
	if bc.LastBuild == nil || bc.LastBuild.Outcome != buildconfig.Succeeded && bc.LastBuild.Outcome != buildconfig.Unchanged {
		return
	}
	for i := range bc.Triggers {
		if t := &bc.Triggers[i]; t.LastBuiltImage == "" {
			t.LastBuiltImage = t.LastTriggeredImage
		}
	}
}

// recordRun brings the build config up to date with its newest run. Somebody else's change meanwhile is Conflict: the caller tries
// again when it has seen it.
func (w *watcher) recordRun(ctx context.Context, stored *corev1.ConfigMap, run *situation.PipelineRun, begun []time.Time) error {
	changed, news, err := withRun(stored, run, begun)
	if err != nil || !news {
		return err
	}
	_, err = w.clients.Kube.CoreV1().ConfigMaps(w.o.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return failure.New(failure.Conflict, "writing what %s tried into build config %s: %w", run.Name, stored.Name, err)
	case err != nil:
		return failure.New(failure.Unavailable, "writing what %s tried into build config %s: %w", run.Name, stored.Name, err)
	}
	w.o.Log.Info("recorded", "buildConfig", stored.Name, "build", run.Name, "state", string(run.Facts.State))
	return nil
}
