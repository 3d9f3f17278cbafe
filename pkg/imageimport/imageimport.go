// Package imageimport makes a built image visible: it moves the image's floating tags in the registries, after everything else has
// succeeded, and imports them into the ImageStream on which the builds of dependent images are triggered.
package imageimport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Store keeps ImageStreams. Its errors have kinds: NotFound, Conflict, InvalidInput, Storage, Unavailable; those worth another try
// are marked by package retry.
type Store interface {
	Get(ctx context.Context, name string) (*imagev1.ImageStream, error)
	// List returns all, by name.
	List(ctx context.Context) ([]imagev1.ImageStream, error)
	// Create stores a new stream; that it exists already is Conflict.
	Create(ctx context.Context, stream *imagev1.ImageStream) (*imagev1.ImageStream, error)
	// Import reads the images that the request names from their registries and tags them in the stream of the request's name, which
	// it creates if it does not exist. As on OpenShift it succeeds even when images fail: each has its own status.
	Import(ctx context.Context, request *imagev1.ImageStreamImport) (*imagev1.ImageStreamImport, error)
}

// Source is an image to import under a tag.
type Source struct {
	Tag string
	// From is a reference, registry/name:tag.
	From string
	// Insecure allows plain HTTP.
	Insecure bool
	// Scheduled asks a cluster to import the tag again and again. Files know no schedule.
	Scheduled bool
}

// Kinds of OpenShift's references.
const (
	kindDockerImage = "DockerImage"
)

// Import imports each source into the stream, which is created if it does not exist, and returns the digests before and after. When
// an image cannot be imported, its tag keeps what it had, the others are imported all the same, and the error names each that failed.
func Import(ctx context.Context, env step.Env, s Store, stream string, sources []Source) ([]workspace.ImportedTag, error) {
	env = env.WithDefaults()
	before, err := ensure(ctx, env, s, stream)
	if err != nil {
		return nil, err
	}
	request := newRequest(before.Namespace, stream, sources)
	var answer *imagev1.ImageStreamImport
	err = retry.Do(ctx, env.Log, env.Retry, "importing into ImageStream "+stream, func(ctx context.Context) error {
		answer, err = s.Import(ctx, request.DeepCopy())
		if failure.KindOf(err) == failure.Conflict {
			return retry.Temporary(err)
		}
		if err == nil && passing(answer) {
			return retry.Temporary(errPassing)
		}
		return err
	})
	if err != nil && !errors.Is(err, errPassing) {
		return nil, err
	}
	return outcomes(before, answer, sources)
}

// errPassing says that an image could not be imported for a reason that may pass; the answer says which.
var errPassing = errors.New("an image could not be imported")

// passing says whether an image of the answer failed for a reason that may pass.
func passing(answer *imagev1.ImageStreamImport) bool {
	return slices.ContainsFunc(answer.Status.Images, func(image imagev1.ImageImportStatus) bool {
		switch code := image.Status.Code; {
		case image.Status.Status != metav1.StatusFailure:
			return false
		default:
			return code == http.StatusConflict || code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
		}
	})
}

// ensure returns the stream, having created it only if it was not found. That somebody else creates it meanwhile is fine.
func ensure(ctx context.Context, env step.Env, s Store, name string) (*imagev1.ImageStream, error) {
	var stream *imagev1.ImageStream
	err := retry.Do(ctx, env.Log, env.Retry, "reading ImageStream "+name, func(ctx context.Context) error {
		var err error
		stream, err = s.Get(ctx, name)
		if failure.KindOf(err) != failure.NotFound {
			return err
		}
		env.Log.Info("creating ImageStream", "imagestream", name)
		stream, err = s.Create(ctx, &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if failure.KindOf(err) == failure.Conflict {
			return retry.Temporary(err)
		}
		return err
	})
	return stream, err
}

func newRequest(namespace, stream string, sources []Source) *imagev1.ImageStreamImport {
	request := &imagev1.ImageStreamImport{
		TypeMeta:   metav1.TypeMeta{APIVersion: imagev1.GroupVersion.String(), Kind: "ImageStreamImport"},
		ObjectMeta: metav1.ObjectMeta{Name: stream, Namespace: namespace},
		Spec:       imagev1.ImageStreamImportSpec{Import: true},
	}
	for _, source := range sources {
		request.Spec.Images = append(request.Spec.Images, imagev1.ImageImportSpec{
			From: corev1.ObjectReference{Kind: kindDockerImage, Name: source.From},
			To:   &corev1.LocalObjectReference{Name: source.Tag},
			ImportPolicy: imagev1.TagImportPolicy{
				Insecure: source.Insecure, Scheduled: source.Scheduled, ImportMode: imagev1.ImportModePreserveOriginal,
			},
			ReferencePolicy: imagev1.TagReferencePolicy{Type: imagev1.SourceTagReferencePolicy},
		})
	}
	return request
}

// outcomes reads the status of every image of an answer.
func outcomes(before *imagev1.ImageStream, answer *imagev1.ImageStreamImport, sources []Source) ([]workspace.ImportedTag, error) {
	if len(answer.Status.Images) != len(sources) {
		return nil, failure.New(failure.Unavailable, "importing into ImageStream %s: asked for %d images, the answer has %d",
			answer.Name, len(sources), len(answer.Status.Images))
	}
	tags := make([]workspace.ImportedTag, 0, len(sources))
	var failed []string
	kind := failure.Kind("")
	for i, image := range answer.Status.Images {
		source := sources[i]
		if image.Status.Status == metav1.StatusFailure || image.Image == nil {
			failed = append(failed, fmt.Sprintf("%s from %s: %s", source.Tag, source.From, image.Status.Message))
			if kind == "" {
				kind = kindOfStatus(image.Status)
			}
			continue
		}
		tags = append(tags, workspace.ImportedTag{Tag: source.Tag, OldDigest: Current(before, source.Tag), Digest: image.Image.Name})
	}
	if len(failed) > 0 {
		return tags, failure.New(kind, "ImageStream %s: %d of %d tags could not be imported: %s",
			answer.Name, len(failed), len(sources), strings.Join(failed, "; "))
	}
	return tags, nil
}

// kindOfStatus is the kind of an image's failed status.
func kindOfStatus(s metav1.Status) failure.Kind {
	switch s.Reason {
	case metav1.StatusReasonNotFound:
		return failure.NotFound
	case metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden:
		return failure.Unauthorized
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest:
		return failure.InvalidInput
	default:
		return failure.Unavailable
	}
}

// ImportImage reads again what the stream's tags are imported from, all of them or the one that is named, and imports what has
// changed. It returns the tags whose digest changed.
func ImportImage(ctx context.Context, env step.Env, s Store, name, tag string) ([]workspace.ImportedTag, error) {
	stream, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	// In one import OpenShift reads all tags of a repository as insecurely as the first of them: those that may be are another import.
	var secure, insecure []Source
	for _, t := range stream.Spec.Tags {
		if (tag == "" || t.Name == tag) && t.From != nil && t.From.Kind == kindDockerImage {
			source := Source{Tag: t.Name, From: t.From.Name, Insecure: t.ImportPolicy.Insecure, Scheduled: t.ImportPolicy.Scheduled}
			if source.Insecure {
				insecure = append(insecure, source)
			} else {
				secure = append(secure, source)
			}
		}
	}
	if len(secure)+len(insecure) == 0 {
		what := "no tag that is imported from a registry"
		if tag != "" {
			what = fmt.Sprintf("no tag %q that is imported from a registry", tag)
		}
		return nil, failure.New(failure.NotFound, "ImageStream %s has %s", name, what)
	}
	var tags []workspace.ImportedTag
	var errs []error
	for _, sources := range [][]Source{secure, insecure} {
		if len(sources) == 0 {
			continue
		}
		imported, err := Import(ctx, env, s, name, sources)
		tags, errs = append(tags, imported...), append(errs, err)
	}
	return slices.DeleteFunc(tags, func(t workspace.ImportedTag) bool { return t.OldDigest == t.Digest }), errors.Join(errs...)
}

// Current is the digest that a tag of the stream names now, empty if none.
func Current(stream *imagev1.ImageStream, tag string) string {
	for _, t := range stream.Status.Tags {
		if t.Tag == tag && len(t.Items) > 0 {
			return t.Items[0].Image
		}
	}
	return ""
}
