package tekton

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	kindImageStream = "ImageStream"
	kindConfigMap   = "ConfigMap"
	// maxBackup bounds a backup that is read, in bytes; maxDocument bounds one object of it.
	maxBackup   = 1 << 30
	maxDocument = 4 << 20
)

// Saved is one object of a backup, and what became of it.
type Saved struct {
	// Kind is ConfigMap (a build config) or ImageStream.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Result of Restore: created, unchanged, overwritten, or kept, which is another one that was there.
	Result string `json:"result,omitempty"`
}

// The results of Restore.
const (
	Created     = "created"
	Unchanged   = "unchanged"
	Overwritten = "overwritten"
	Kept        = "kept"
)

// Backup writes the build configs and ImageStreams of the namespace as YAML documents, without what only this cluster knows of them.
// Builds are not in it, and images are in their registry.
func (i *Instance) Backup(ctx context.Context, w io.Writer) ([]Saved, error) {
	configs, err := i.conf.BuildConfigs.List(ctx)
	if err != nil {
		return nil, err
	}
	streams, err := i.conf.ImageStreams.List(ctx)
	if err != nil {
		return nil, err
	}
	var saved []Saved
	write := func(kind, name string, object any) error {
		data, err := yaml.Marshal(object)
		if err != nil {
			return failure.New(failure.Internal, "encoding %s %s: %w", kind, name, err)
		}
		saved = append(saved, Saved{Kind: kind, Name: name})
		if _, err := w.Write(append([]byte("---\n"), data...)); err != nil {
			return failure.New(failure.Storage, "writing the backup: %w", err)
		}
		return nil
	}
	for _, bc := range configs {
		object, err := configmap.To(bc)
		if err != nil {
			return nil, failure.New(failure.Internal, "%w", err)
		}
		object.ObjectMeta = portable(object.ObjectMeta)
		if err := write(kindConfigMap, bc.Name, object); err != nil {
			return nil, err
		}
	}
	for n := range streams {
		object := portableStream(&streams[n])
		if err := write(kindImageStream, object.Name, object); err != nil {
			return nil, err
		}
	}
	return saved, nil
}

// portable is what another cluster can take over.
func portable(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: m.Name, Labels: m.Labels, Annotations: m.Annotations}
}

// portableStream names in its spec every image that a tag has, so that an import brings it back.
func portableStream(s *imagev1.ImageStream) *imagev1.ImageStream {
	out := &imagev1.ImageStream{
		TypeMeta:   metav1.TypeMeta{APIVersion: imagev1.GroupVersion.String(), Kind: kindImageStream},
		ObjectMeta: portable(s.ObjectMeta),
		Spec:       *s.Spec.DeepCopy(),
	}
	delete(out.Annotations, "openshift.io/image.dockerRepositoryCheck")
	for n := range out.Spec.Tags {
		out.Spec.Tags[n].Generation = nil
	}
	for _, tag := range s.Status.Tags {
		known := slices.ContainsFunc(out.Spec.Tags, func(t imagev1.TagReference) bool { return t.Name == tag.Tag })
		if known || len(tag.Items) == 0 {
			continue
		}
		out.Spec.Tags = append(out.Spec.Tags, imagev1.TagReference{
			Name: tag.Tag, From: &corev1.ObjectReference{Kind: "DockerImage", Name: tag.Items[0].DockerImageReference},
			ReferencePolicy: imagev1.TagReferencePolicy{Type: imagev1.SourceTagReferencePolicy},
		})
	}
	return out
}

// Restore brings back what Backup wrote. What is there already and differs is kept, unless overwrite says otherwise; of ImageStreams it is
// always kept. It goes on after an error with one object, and returns what became of each and all errors.
func (i *Instance) Restore(ctx context.Context, r io.Reader, overwrite bool) ([]Saved, error) {
	var saved []Saved
	var errs []error
	documents := utilyaml.NewYAMLReader(bufio.NewReader(io.LimitReader(r, maxBackup)))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return saved, errors.Join(errs...)
		}
		if err == nil && len(document) > maxDocument {
			err = errors.New("it is too large")
		}
		if err != nil {
			return saved, errors.Join(append(errs, failure.New(failure.InvalidInput, "reading document %d of the backup: %w", n, err))...)
		}
		one, err := i.restore(ctx, document, overwrite)
		if err != nil {
			errs = append(errs, failure.New(failure.KindOf(err), "document %d of the backup: %w", n, err))
		}
		if one != nil {
			saved = append(saved, *one)
		}
		if ctx.Err() != nil {
			return saved, ctx.Err()
		}
	}
}

func (i *Instance) restore(ctx context.Context, document []byte, overwrite bool) (*Saved, error) {
	var object metav1.TypeMeta
	if err := yaml.Unmarshal(document, &object); err != nil {
		return nil, failure.New(failure.InvalidInput, "it is not YAML: %w", err)
	}
	switch object.Kind {
	case "": // an empty document
		return nil, nil
	case kindConfigMap:
		var cm corev1.ConfigMap
		if err := yaml.UnmarshalStrict(document, &cm); err != nil {
			return nil, failure.New(failure.InvalidInput, "it is not a ConfigMap: %w", err)
		}
		cm.ObjectMeta = portable(cm.ObjectMeta)
		return i.restoreConfig(ctx, &cm, overwrite)
	case kindImageStream:
		var stream imagev1.ImageStream
		if err := yaml.UnmarshalStrict(document, &stream); err != nil {
			return nil, failure.New(failure.InvalidInput, "it is not an ImageStream: %w", err)
		}
		return i.restoreStream(ctx, portableStream(&stream))
	}
	return nil, failure.New(failure.InvalidInput, "it is a %s; a backup has ConfigMaps of build configs, and ImageStreams", object.Kind)
}

func (i *Instance) restoreConfig(ctx context.Context, cm *corev1.ConfigMap, overwrite bool) (*Saved, error) {
	bc, err := configmap.From(cm)
	if err != nil {
		return nil, err
	}
	saved := &Saved{Kind: kindConfigMap, Name: bc.Name, Result: Created}
	_, err = i.conf.BuildConfigs.Create(ctx, bc)
	if failure.KindOf(err) != failure.Conflict {
		return saved, err
	}
	saved.Result = Unchanged
	_, err = buildconfig.Change(ctx, i.conf.BuildConfigs, bc.Name, func(there *buildconfig.BuildConfig) error {
		if same(there, bc) {
			return errNothingToDo
		}
		saved.Result = Kept
		if !overwrite {
			return errNothingToDo
		}
		saved.Result = Overwritten
		version, stored := there.ResourceVersion, there.Stored
		*there = *bc.Clone()
		there.ResourceVersion, there.Stored = version, stored
		return nil
	})
	if errors.Is(err, errNothingToDo) {
		err = nil
	}
	return saved, err
}

var errNothingToDo = errors.New("nothing to do")

// same says whether two build configs are one, but for what a store adds.
func same(a, b *buildconfig.BuildConfig) bool {
	x, err := configmap.To(a)
	if err != nil {
		return false
	}
	y, err := configmap.To(b)
	if err != nil {
		return false
	}
	x.ObjectMeta, y.ObjectMeta = portable(x.ObjectMeta), portable(y.ObjectMeta)
	left, err := yaml.Marshal(x)
	if err != nil {
		return false
	}
	right, err := yaml.Marshal(y)
	return err == nil && string(left) == string(right)
}

func (i *Instance) restoreStream(ctx context.Context, stream *imagev1.ImageStream) (*Saved, error) {
	saved := &Saved{Kind: kindImageStream, Name: stream.Name, Result: Created}
	_, err := i.conf.ImageStreams.Create(ctx, stream)
	if failure.KindOf(err) == failure.Conflict {
		saved.Result, err = Kept, nil
	}
	return saved, err
}
