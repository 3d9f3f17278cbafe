package imageimport

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/osbs-tekton/osbs/internal/yamldir"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

// File keeps ImageStreams as files, one YAML each, in one directory, with the semantics of OpenShift's image API. It is safe with
// several processes.
type File struct {
	dir    *yamldir.Dir[imagev1.ImageStream, *imagev1.ImageStream]
	client *registry.Client
}

var _ Store = (*File)(nil)

// NewFile returns the Store of a directory, which is created when something is stored. client reads the images that are imported; it
// may be nil for reading streams only.
func NewFile(dir string, client *registry.Client) *File {
	return &File{dir: yamldir.New[imagev1.ImageStream](dir, "ImageStream"), client: client}
}

// Get implements Store.
func (f *File) Get(_ context.Context, name string) (*imagev1.ImageStream, error) {
	return f.dir.Get(name)
}

// List implements Store.
func (f *File) List(ctx context.Context) ([]imagev1.ImageStream, error) {
	stored, err := f.dir.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]imagev1.ImageStream, 0, len(stored))
	for _, stream := range stored {
		out = append(out, *stream)
	}
	return out, nil
}

// Create implements Store. Whatever status stream has is kept, so that a backup can be restored.
func (f *File) Create(ctx context.Context, stream *imagev1.ImageStream) (*imagev1.ImageStream, error) {
	created := newStream(stream.DeepCopy())
	err := f.dir.Change(ctx, stream.Name, func(stored *imagev1.ImageStream) (*imagev1.ImageStream, error) {
		if stored != nil {
			return nil, failure.New(failure.Conflict, "ImageStream %s exists already", stream.Name)
		}
		return created, nil
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// Delete removes a stream; that there is none is failure.NotFound.
func (f *File) Delete(ctx context.Context, name string) error { return f.dir.Delete(ctx, name) }

// newStream fills in what the API server does. The first resource version is a time, so that none comes back after a Delete.
func newStream(stream *imagev1.ImageStream) *imagev1.ImageStream {
	now := metav1.Now().Rfc3339Copy()
	stream.TypeMeta = metav1.TypeMeta{APIVersion: imagev1.GroupVersion.String(), Kind: "ImageStream"}
	stream.UID, stream.CreationTimestamp = uuid.NewUUID(), now
	stream.ResourceVersion = strconv.FormatInt(now.UnixMilli(), 10)
	stream.Generation = max(stream.Generation, 1)
	return stream
}

// image is what a registry has under a reference.
type image struct {
	digest, repository, mediaType string
}

// Import implements Store. The registries are read first, then the stream is changed in one step. When somebody else has imported a tag
// meanwhile, what was read here may be older than what the tag has by now: that is failure.Conflict, as on OpenShift.
func (f *File) Import(ctx context.Context, request *imagev1.ImageStreamImport) (*imagev1.ImageStreamImport, error) {
	answer := request.DeepCopy()
	answer.Status = imagev1.ImageStreamImportStatus{}
	before, err := f.Get(ctx, request.Name)
	if err != nil && failure.KindOf(err) != failure.NotFound {
		return nil, err
	}
	images := make([]*image, len(request.Spec.Images))
	for i, spec := range request.Spec.Images {
		found, err := f.read(ctx, spec.From.Name)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		images[i] = found
		answer.Status.Images = append(answer.Status.Images, imageStatus(spec, found, err))
	}
	if !request.Spec.Import {
		return answer, nil
	}
	err = f.dir.Change(ctx, request.Name, func(stored *imagev1.ImageStream) (*imagev1.ImageStream, error) {
		if tag := overtaken(before, stored, request, images); tag != "" {
			return nil, failure.New(failure.Conflict, "tag %s of ImageStream %s was imported by somebody else meanwhile", tag, request.Name)
		}
		stream := stored
		if stream == nil {
			stream = newStream(&imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: request.Name}})
		}
		changed := tagImages(stream, request, answer, images)
		answer.Status.Import = stream
		if !changed && stored != nil {
			return nil, nil
		}
		version, err := strconv.ParseInt(stream.ResourceVersion, 10, 64)
		if err != nil {
			return nil, failure.New(failure.InvalidInput, "ImageStream %s has the resource version %q", stream.Name, stream.ResourceVersion)
		}
		stream.ResourceVersion = strconv.FormatInt(version+1, 10)
		return stream, nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// overtaken is a tag of the request that was imported between before and stored, unless it has the image that was read; empty if none was.
func overtaken(before, stored *imagev1.ImageStream, request *imagev1.ImageStreamImport, images []*image) string {
	if stored == nil {
		return ""
	}
	for i, spec := range request.Spec.Images {
		tag := tagOf(spec)
		if lastImport(stored, tag) != lastImport(before, tag) && (images[i] == nil || images[i].digest != Current(stored, tag)) {
			return tag
		}
	}
	return ""
}

// lastImport is the generation of the last import of a tag, 0 if there was none.
func lastImport(stream *imagev1.ImageStream, tag string) int64 {
	if stream == nil {
		return 0
	}
	for _, t := range stream.Spec.Tags {
		if t.Name == tag && t.Generation != nil {
			return *t.Generation
		}
	}
	return 0
}

// read looks up a reference in its registry.
func (f *File) read(ctx context.Context, from string) (*image, error) {
	if f.client == nil {
		return nil, failure.New(failure.Internal, "this store cannot read registries")
	}
	ref, err := f.client.ParseReference(from)
	if err != nil {
		return nil, err
	}
	repository, err := transfer.Open(ctx, f.client, step.Env{}, ref.Context(), transfer.Pull)
	if err != nil {
		return nil, err
	}
	manifest, err := repository.Manifest(ctx, ref.Identifier())
	if err != nil {
		return nil, err
	}
	return &image{digest: manifest.Digest.String(), repository: ref.Context().Name(), mediaType: string(manifest.MediaType)}, nil
}

// imageStatus is the status of one image of an import, as OpenShift reports it.
func imageStatus(spec imagev1.ImageImportSpec, found *image, err error) imagev1.ImageImportStatus {
	if err != nil {
		return imagev1.ImageImportStatus{Tag: tagOf(spec), Status: failedStatus(err)}
	}
	return imagev1.ImageImportStatus{
		Tag:    tagOf(spec),
		Status: metav1.Status{Status: metav1.StatusSuccess},
		Image: &imagev1.Image{
			ObjectMeta:                   metav1.ObjectMeta{Name: found.digest},
			DockerImageReference:         found.repository + "@" + found.digest,
			DockerImageManifestMediaType: found.mediaType,
		},
	}
}

// failedStatus has the reasons that OpenShift gives. It has no code for what was tried again already.
func failedStatus(err error) metav1.Status {
	status := metav1.Status{Status: metav1.StatusFailure, Message: err.Error(), Reason: metav1.StatusReasonInternalError}
	switch failure.KindOf(err) {
	case failure.NotFound:
		status.Reason, status.Code = metav1.StatusReasonNotFound, http.StatusNotFound
	case failure.Unauthorized:
		status.Reason, status.Code = metav1.StatusReasonUnauthorized, http.StatusUnauthorized
	case failure.InvalidInput:
		status.Reason, status.Code = metav1.StatusReasonInvalid, http.StatusUnprocessableEntity
	}
	return status
}

// tagOf is the tag to import under: the one asked for, or the reference's own.
func tagOf(spec imagev1.ImageImportSpec) string {
	if spec.To != nil {
		return spec.To.Name
	}
	last := spec.From.Name[strings.LastIndexByte(spec.From.Name, '/')+1:]
	if _, tag, found := strings.Cut(last, ":"); found {
		return tag
	}
	return "latest"
}

const (
	annotationChecked = "openshift.io/image.dockerRepositoryCheck"
)

// tagImages applies the outcome of an import to the stream. It says whether anything changed.
func tagImages(stream *imagev1.ImageStream, request, answer *imagev1.ImageStreamImport, images []*image) bool {
	next := stream.Generation + 1
	now := metav1.Now().Rfc3339Copy()
	changed := false
	for i, spec := range request.Spec.Images {
		tag := tagOf(spec)
		if images[i] == nil {
			changed = failTag(stream, tag, spec, answer.Status.Images[i].Status, next, now) || changed
			continue
		}
		changed = succeedTag(stream, tag, spec, images[i], next, now) || changed
		stream.Status.DockerImageRepository = images[i].repository
	}
	if !changed {
		return false
	}
	stream.Generation = next
	if stream.Annotations == nil {
		stream.Annotations = map[string]string{}
	}
	stream.Annotations[annotationChecked] = now.UTC().Format(time.RFC3339)
	slices.SortFunc(stream.Spec.Tags, func(a, b imagev1.TagReference) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(stream.Status.Tags, func(a, b imagev1.NamedTagEventList) int { return strings.Compare(a.Tag, b.Tag) })
	return true
}

// succeedTag puts an image on top of a tag's items, unless it is there already, and takes the condition of an earlier failure away.
func succeedTag(stream *imagev1.ImageStream, tag string, spec imagev1.ImageImportSpec, found *image, next int64, now metav1.Time) bool {
	reference, events := specTag(stream, tag), statusTag(stream, tag)
	from := spec.From
	wanted := imagev1.TagReference{
		Name: tag, Annotations: reference.Annotations, From: &from, Reference: reference.Reference, Generation: reference.Generation,
		ImportPolicy: spec.ImportPolicy, ReferencePolicy: spec.ReferencePolicy,
	}
	sameSpec := reference.From != nil && *reference.From == from && reference.ImportPolicy == wanted.ImportPolicy &&
		reference.ReferencePolicy == wanted.ReferencePolicy
	sameImage := len(events.Items) > 0 && events.Items[0].Image == found.digest
	pullSpec := found.repository + "@" + found.digest
	if sameSpec && sameImage && len(events.Conditions) == 0 && events.Items[0].DockerImageReference == pullSpec {
		return false
	}
	wanted.Generation = &next
	*reference = wanted
	events.Conditions = nil
	event := imagev1.TagEvent{Created: now, DockerImageReference: pullSpec, Image: found.digest, Generation: next}
	if sameImage { // the same image by another name, or after a failure: no new item, so that nobody rebuilds for it
		event.Created = events.Items[0].Created
		events.Items[0] = event
		return true
	}
	events.Items = append([]imagev1.TagEvent{event}, events.Items...)
	return true
}

// failTag notes on a tag that its import failed. Its items and what it is imported from stay; a tag that was new is remembered, so
// that it can be imported later.
func failTag(stream *imagev1.ImageStream, tag string, spec imagev1.ImageImportSpec, why metav1.Status, next int64, now metav1.Time) bool {
	events := statusTag(stream, tag)
	condition := imagev1.TagEventCondition{
		Type: imagev1.ImportSuccess, Status: "False", LastTransitionTime: now, Reason: string(why.Reason), Message: why.Message, Generation: next,
	}
	if len(events.Conditions) == 1 && events.Conditions[0].Reason == condition.Reason && events.Conditions[0].Message == condition.Message {
		return false
	}
	if len(events.Conditions) == 1 && events.Conditions[0].Status == condition.Status {
		condition.LastTransitionTime = events.Conditions[0].LastTransitionTime
	}
	events.Conditions = []imagev1.TagEventCondition{condition}
	reference := specTag(stream, tag)
	if reference.From == nil {
		from := spec.From
		reference.From, reference.ImportPolicy, reference.ReferencePolicy = &from, spec.ImportPolicy, spec.ReferencePolicy
	}
	reference.Generation = &next
	return true
}

// specTag is the tag in the stream's spec, added if it is not there.
func specTag(stream *imagev1.ImageStream, tag string) *imagev1.TagReference {
	i := slices.IndexFunc(stream.Spec.Tags, func(t imagev1.TagReference) bool { return t.Name == tag })
	if i < 0 {
		stream.Spec.Tags = append(stream.Spec.Tags, imagev1.TagReference{Name: tag})
		i = len(stream.Spec.Tags) - 1
	}
	return &stream.Spec.Tags[i]
}

// statusTag is the tag in the stream's status, added if it is not there.
func statusTag(stream *imagev1.ImageStream, tag string) *imagev1.NamedTagEventList {
	i := slices.IndexFunc(stream.Status.Tags, func(t imagev1.NamedTagEventList) bool { return t.Tag == tag })
	if i < 0 {
		stream.Status.Tags = append(stream.Status.Tags, imagev1.NamedTagEventList{Tag: tag})
		i = len(stream.Status.Tags) - 1
	}
	return &stream.Status.Tags[i]
}
