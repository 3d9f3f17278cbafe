package imagewatch

import (
	"context"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

const (
	// tardy is how long after a tag has moved on an event of the state before may become a PipelineRun: an EventListener answers before
	// it works.
	tardy = 2 * time.Minute
	// maxAttempts bounds the attempts at one state that a name is compared with.
	maxAttempts = 4
	// maxBases bounds what is asked for one run, maxStates the states of the bases that a name is compared with.
	maxBases, maxStates = 64, 256
)

// expected are the runs that need not be looked at again.
type expected struct {
	// asked are the builds that this leader has asked for, explained the UIDs of runs that another has, both by the run's name.
	asked     map[string]bool
	explained map[string]types.UID
}

// forget drops those that have ended, now and then.
func (e *expected) forget(running int, run func(name string) *situation.PipelineRun) {
	const some = 1000
	ended := func(name string) bool { r := run(name); return r != nil && r.Facts.State != situation.Running }
	if len(e.asked) > 2*running+some {
		maps.DeleteFunc(e.asked, func(name string, _ bool) bool { return ended(name) })
	}
	if len(e.explained) > 2*running+some {
		maps.DeleteFunc(e.explained, func(name string, _ types.UID) bool { return run(name) == nil || ended(name) })
	}
}

// suspect looks at the autorebuilds that run, and tells of those that no leader can have asked for: somebody has made them by hand, has
// the token, or has recorded an event. The planner takes them for what they say they are.
func (l *leader) suspect(ctx context.Context, s *situation.Situation, runs []*situation.PipelineRun, now time.Time) {
	running := 0
	for _, run := range runs {
		if !run.Facts.Autorebuild || run.Facts.State != situation.Running || run.Facts.BuildConfig == "" {
			continue
		}
		running++
		if uid, ok := l.expected.explained[run.Name]; ok && uid == run.UID {
			continue
		}
		k := s.Configs[run.Facts.BuildConfig]
		if digests, why := l.doubt(s, k, run); why != "" {
			l.want(ctx, "expect "+string(run.UID), k, now, func(ctx context.Context) error { return l.tellUnexpected(ctx, k, run, digests, why) })
		} else {
			l.expected.explained[run.Name] = run.UID
		}
	}
	l.expected.forget(running, s.Run)
}

// The doubts about a run.
const (
	repeated  = "it was there before, and somebody has started it again"
	unasked   = "its name does not follow from what it is built from"
	baseless  = "it does not say what it is built from"
	unlimited = "it is said to be built from too many bases"
)

// doubt says what can be said against a run without asking the API; empty if it is expected.
func (l *leader) doubt(s *situation.Situation, k *situation.Config, run *situation.PipelineRun) (digests map[string]string, why string) {
	if k != nil && recordedBefore(k.Object, run) {
		return nil, repeated
	}
	if l.expected.asked[run.Name] {
		return nil, ""
	}
	var tags []string
	if k != nil {
		tags = k.Tags()
	}
	digests = event.ParseDigests(run.Facts.BaseDigest, tags)
	switch {
	case len(digests) == 0:
		return nil, baseless
	case len(digests) > maxBases:
		return nil, unlimited
	case named(run, states(digests, func(tag string) []rebuild.Tag { return []rebuild.Tag{s.State.Tags[tag]} })):
		return nil, ""
	default:
		return digests, unasked
	}
}

// tellUnexpected counts and tells of a run, unless the past of its bases explains it. k is nil if its build config does not exist.
func (l *leader) tellUnexpected(ctx context.Context, k *situation.Config, run *situation.PipelineRun, digests map[string]string, why string) error {
	if why == unasked {
		var err error
		if why, err = l.unexplained(ctx, run, digests); err != nil || why == "" {
			return err
		}
	}
	l.o.Metrics.unexpected.Inc()
	l.o.Log.Warn("a PipelineRun says that it is an autorebuild, and was not asked for", "buildConfig", run.Facts.BuildConfig, "build", run.Name, "why", why)
	if k != nil {
		l.events.Eventf(k.Object, corev1.EventTypeWarning, "RebuildUnexpected", "build %s was not asked for: %s", run.Name, why)
	}
	return nil
}

// recordedBefore says that the build config knows an earlier run of the same name.
func recordedBefore(stored *corev1.ConfigMap, run *situation.PipelineRun) bool {
	at, name, _ := strings.Cut(stored.Annotations[situation.AnnotationLastAutorebuild], " ")
	return name == run.Name && at+" "+name < stamp(run)
}

// states are those of the bases, each with the digest that it is said to have, out of the states that had says of a tag. There are none if
// had has not got a digest.
func states(digests map[string]string, had func(tag string) []rebuild.Tag) []map[string]rebuild.Tag {
	out := []map[string]rebuild.Tag{{}}
	for tag, digest := range digests {
		var longer []map[string]rebuild.Tag
		for _, state := range had(tag) {
			if state.Digest != digest {
				continue
			}
			for _, shorter := range out {
				with := maps.Clone(shorter)
				with[tag] = state
				longer = append(longer, with)
			}
		}
		out = longer[:min(len(longer), maxStates)]
	}
	return out
}

// named says whether the run has the name that is derived from one of the states.
func named(run *situation.PipelineRun, states []map[string]rebuild.Tag) bool {
	for _, state := range states {
		for attempt := range maxAttempts {
			if len(state) > 0 && rebuild.BuildName(run.Facts.BuildConfig, state, attempt) == run.Name {
				return true
			}
		}
	}
	return false
}

// unexplained says why no leader can have asked for a run, after a look at what its bases have been until a moment before it was
// created. It is empty if one can.
func (w *watcher) unexplained(ctx context.Context, run *situation.PipelineRun, digests map[string]string) (string, error) {
	past := map[string][]rebuild.Tag{}
	for tag, digest := range digests {
		all, err := w.history(ctx, tag)
		if err != nil {
			return "", err
		}
		for i, state := range all {
			if i == 0 || run.CreationTimestamp.Before(&metav1.Time{Time: all[i-1].Since.Add(tardy)}) {
				past[tag] = append(past[tag], state)
			}
		}
		if len(states(map[string]string{tag: digest}, func(string) []rebuild.Tag { return past[tag] })) == 0 {
			return tag + " has not been " + digest + " lately", nil
		}
	}
	if named(run, states(digests, func(tag string) []rebuild.Tag { return past[tag] })) {
		return "", nil
	}
	return unasked, nil
}

// history is what a tag has been, the newest first; nothing if there is no such stream.
func (w *watcher) history(ctx context.Context, base string) ([]rebuild.Tag, error) {
	namespace, name, tag := w.locate(base)
	if name == "" || strings.Contains(name, "/") {
		return nil, nil
	}
	stream, err := w.clients.Image.ImageV1().ImageStreams(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.New(failure.Unavailable, "reading ImageStream %s/%s: %w", namespace, name, err)
	}
	var out []rebuild.Tag
	for _, t := range stream.Status.Tags {
		if t.Tag != tag {
			continue
		}
		for _, item := range t.Items {
			out = append(out, rebuild.Tag{Digest: item.Image, Since: item.Created.Time, Generation: item.Generation})
		}
	}
	return out, nil
}
