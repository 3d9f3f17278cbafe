package imagewatch

import (
	"context"
	"maps"
	"slices"
	"strings"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// missingBase is a base that no ImageStream has: nobody would learn that it moves.
type missingBase struct {
	// stream and tag are to be created, from the reference.
	stream, tag, from string
	insecure          bool
	// config is a build config that is built on it.
	config string
}

// missingBases are the bases of this namespace that neither an ImageStream nor a build config gives, by name and each once.
func (w *watcher) missingBases(o situation.Objects, s *situation.Situation) []missingBase {
	found := map[string]missingBase{}
	for name, k := range s.Configs {
		if k.Err != nil || k.BuildConfig.Disabled {
			continue
		}
		for _, t := range k.BuildConfig.Triggers {
			if _, known := s.State.Tags[t.ImageStreamTag]; known { // nearly all, nearly always
				continue
			}
			if m, ok := w.missing(name, t); ok {
				found[t.ImageStreamTag] = m
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	for _, stream := range o.Streams {
		if stream.Namespace != w.o.Namespace {
			continue
		}
		for _, tag := range stream.Spec.Tags {
			delete(found, stream.Name+":"+tag.Name)
		}
		for _, tag := range stream.Status.Tags {
			delete(found, stream.Name+":"+tag.Tag)
		}
	}
	for _, k := range s.Configs {
		for _, produced := range k.Planned.Produces {
			delete(found, produced)
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b missingBase) int { return strings.Compare(a.stream+":"+a.tag, b.stream+":"+b.tag) })
}

// missing says what would be created for a trigger; the lock stage has written where the base comes from.
func (w *watcher) missing(config string, t buildconfig.Trigger) (missingBase, bool) {
	stream, tag, _ := strings.Cut(t.ImageStreamTag, ":")
	repository, _, found := strings.Cut(t.LastTriggeredImage, "@")
	if !found || tag == "" || t.Namespace != "" && t.Namespace != w.o.Namespace {
		return missingBase{}, false
	}
	host, _, _ := strings.Cut(repository, "/")
	return missingBase{stream: stream, tag: tag, from: repository + ":" + tag, insecure: slices.Contains(w.o.Insecure, host), config: config}, true
}

// createStream gives a base an ImageStreamTag that is imported regularly. That somebody else does so meanwhile is fine.
func (w *watcher) createStream(ctx context.Context, m missingBase) error {
	streams := w.clients.Image.ImageV1().ImageStreams(w.o.Namespace)
	reference := imagev1.TagReference{
		Name: m.tag, From: &corev1.ObjectReference{Kind: "DockerImage", Name: m.from},
		ImportPolicy:    imagev1.TagImportPolicy{Scheduled: true, Insecure: m.insecure, ImportMode: imagev1.ImportModePreserveOriginal},
		ReferencePolicy: imagev1.TagReferencePolicy{Type: imagev1.SourceTagReferencePolicy},
	}
	stored, err := streams.Get(ctx, m.stream, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = streams.Create(ctx, &imagev1.ImageStream{
			ObjectMeta: metav1.ObjectMeta{Name: m.stream, Labels: map[string]string{"app.kubernetes.io/managed-by": "osbs"}},
			Spec:       imagev1.ImageStreamSpec{Tags: []imagev1.TagReference{reference}},
		}, metav1.CreateOptions{})
	case err != nil:
	case slices.ContainsFunc(stored.Spec.Tags, func(t imagev1.TagReference) bool { return t.Name == m.tag }):
		return nil
	default:
		stored.Spec.Tags = append(stored.Spec.Tags, reference)
		_, err = streams.Update(ctx, stored, metav1.UpdateOptions{})
	}
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err): // the next look says what is still missing
		return nil
	case err != nil:
		return failure.New(failure.Unavailable, "creating ImageStreamTag %s:%s for a base of %s: %w", m.stream, m.tag, m.config, err)
	}
	w.o.Log.Info("a base has an ImageStream now, imported regularly", "imageStreamTag", m.stream+":"+m.tag, "from", m.from, "buildConfig", m.config)
	return nil
}
