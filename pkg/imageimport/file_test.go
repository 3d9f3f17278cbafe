package imageimport

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// quick tries again without long pauses.
func quick() step.Env { return step.Env{Retry: retry.Policy{Attempts: 3, First: 1, Max: 1}} }

func newImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func quickClient(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	o.Env = quick()
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if got := failure.KindOf(err); got != want {
		t.Errorf("error %v has the kind %q, want %q", err, got, want)
	}
}

func get(t *testing.T, s Store, name string) *imagev1.ImageStream {
	t.Helper()
	stream, err := s.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func importTag(t *testing.T, s Store, from string) (workspace.ImportedTag, error) {
	t.Helper()
	tags, err := Import(t.Context(), quick(), s, "base", []Source{{Tag: "latest", From: from, Insecure: true}})
	if len(tags) == 1 {
		return tags[0], err
	}
	return workspace.ImportedTag{}, err
}

// items are the images of a tag, the newest first.
func items(stream *imagev1.ImageStream, tag string) []string {
	var out []string
	for _, item := range statusTag(stream.DeepCopy(), tag).Items {
		out = append(out, item.Image)
	}
	return out
}

func TestImportFillsTheStreamAsOpenShiftDoes(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	a := newImage(t)
	digest := digestOf(t, a)
	from := r.Push(t, "team/base:latest", a)
	s := NewFile(filepath.Join(t.TempDir(), "new"), r.Client(t))
	got, err := importTag(t, s, from)
	if err != nil || got != (workspace.ImportedTag{Tag: "latest", Digest: digest}) {
		t.Fatalf("got %+v, %v", got, err)
	}
	stream := get(t, s, "base")
	generation := int64(2)
	want := &imagev1.ImageStream{
		TypeMeta:   metav1.TypeMeta{APIVersion: "image.openshift.io/v1", Kind: "ImageStream"},
		ObjectMeta: metav1.ObjectMeta{Name: "base", Generation: 2},
		Spec: imagev1.ImageStreamSpec{Tags: []imagev1.TagReference{{
			Name: "latest", Generation: &generation,
			From:            &corev1.ObjectReference{Kind: "DockerImage", Name: from},
			ImportPolicy:    imagev1.TagImportPolicy{Insecure: true, ImportMode: imagev1.ImportModePreserveOriginal},
			ReferencePolicy: imagev1.TagReferencePolicy{Type: imagev1.SourceTagReferencePolicy},
		}}},
		Status: imagev1.ImageStreamStatus{
			DockerImageRepository: r.Host + "/team/base",
			Tags: []imagev1.NamedTagEventList{{Tag: "latest", Items: []imagev1.TagEvent{{
				DockerImageReference: r.Host + "/team/base@" + digest, Image: digest, Generation: 2,
			}}}},
		},
	}
	ignore := cmp.Options{
		cmpopts.IgnoreFields(metav1.ObjectMeta{}, "UID", "ResourceVersion", "CreationTimestamp", "Annotations"),
		cmpopts.IgnoreFields(imagev1.TagEvent{}, "Created"),
	}
	if diff := cmp.Diff(want, stream, ignore); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if stream.UID == "" || stream.ResourceVersion == "" || stream.CreationTimestamp.IsZero() || stream.Status.Tags[0].Items[0].Created.IsZero() ||
		stream.Annotations["openshift.io/image.dockerRepositoryCheck"] == "" {
		t.Errorf("not filled in: %+v", stream)
	}
}

func TestImportABA(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	a, b := newImage(t), newImage(t)
	da, db := digestOf(t, a), digestOf(t, b)
	s := NewFile(t.TempDir(), r.Client(t))
	for i, c := range []struct {
		image   v1.Image
		changed bool
		want    []string
	}{
		{a, true, []string{da}}, {a, false, []string{da}}, {b, true, []string{db, da}}, {a, true, []string{da, db, da}}, {a, false, []string{da, db, da}},
	} {
		var before *imagev1.ImageStream
		if i > 0 {
			before = get(t, s, "base")
		}
		if _, err := importTag(t, s, r.Push(t, "base:latest", c.image)); err != nil {
			t.Fatal(err)
		}
		stream := get(t, s, "base")
		if diff := cmp.Diff(c.want, items(stream, "latest")); diff != "" {
			t.Errorf("import %d: -want +got:\n%s", i, diff)
		}
		if before != nil && cmp.Equal(before, stream) == c.changed {
			t.Errorf("import %d: changed is not %v", i, c.changed)
		}
		top := stream.Status.Tags[0].Items[0].Generation
		if top != stream.Generation || *stream.Spec.Tags[0].Generation != top {
			t.Errorf("import %d: generations: item %d, stream %d, spec %d", i, top, stream.Generation, *stream.Spec.Tags[0].Generation)
		}
	}
}

func TestFailedImportKeepsWhatTheTagHad(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	image := newImage(t)
	digest := digestOf(t, image)
	from := r.Push(t, "base:latest", image)
	s := NewFile(t.TempDir(), quickClient(t, r.Options()))
	if _, err := importTag(t, s, from); err != nil {
		t.Fatal(err)
	}
	sources := []Source{{Tag: "latest", From: r.Host + "/base:gone"}, {Tag: "new", From: r.Host + "/nothing:here"}, {Tag: "other", From: from}}
	tags, err := Import(t.Context(), quick(), s, "base", sources)
	wantKind(t, err, failure.NotFound)
	if err == nil || !strings.Contains(err.Error(), "2 of 3 tags") || !strings.Contains(err.Error(), "base:gone") || !strings.Contains(err.Error(), "nothing:here") {
		t.Errorf("the error does not name both: %v", err)
	}
	if diff := cmp.Diff([]workspace.ImportedTag{{Tag: "other", Digest: digest}}, tags); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	stream := get(t, s, "base")
	if got := stream.Spec.Tags[0].From.Name; got != from {
		t.Errorf("the tag is now imported from %s", got)
	}
	if diff := cmp.Diff([]string{digest}, items(stream, "latest")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, tag := range []string{"latest", "new"} {
		conditions := statusTag(stream, tag).Conditions
		if len(conditions) != 1 || conditions[0].Type != imagev1.ImportSuccess || conditions[0].Status != corev1.ConditionFalse ||
			conditions[0].Reason != "NotFound" || conditions[0].Generation != stream.Generation {
			t.Errorf("%s has the conditions %+v", tag, conditions)
		}
	}
	if Current(stream, "new") != "" || specTag(stream, "new").From.Name != r.Host+"/nothing:here" {
		t.Error("the new tag is not remembered as it was asked for")
	}
	// A success takes the condition away, and is no new item when the image is the same.
	if _, err := importTag(t, s, from); err != nil {
		t.Fatal(err)
	}
	stream = get(t, s, "base")
	if diff := cmp.Diff([]string{digest}, items(stream, "latest")); diff != "" || len(statusTag(stream, "latest").Conditions) != 0 {
		t.Errorf("after a success: %s, conditions %+v", diff, statusTag(stream, "latest").Conditions)
	}
}

func TestImportKindsOfFailures(t *testing.T) {
	t.Parallel()
	private := registrytest.Start(t, registrytest.Options{BasicAuth: true})
	from := private.Push(t, "base:latest", newImage(t))
	anonymous := private.Options()
	anonymous.SecretDirs = nil
	proxy := faultproxy.Start(t, registrytest.Start(t, registrytest.Options{}).URL)
	proxy.Add(faultproxy.Rule{Path: "manifests", Fault: faultproxy.Status(http.StatusServiceUnavailable)})
	for name, c := range map[string]struct {
		options registry.Options
		from    string
		want    failure.Kind
	}{
		"credentials missing": {anonymous, from, failure.Unauthorized},
		"malformed":           {private.Options(), "UPPER/Case", failure.InvalidInput},
		"down":                {private.Options(), "127.0.0.1:1/base:latest", failure.Unavailable},
		"failing":             {registry.Options{Insecure: []string{proxy.Host}}, proxy.Host + "/base:latest", failure.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewFile(t.TempDir(), quickClient(t, c.options))
			_, err := importTag(t, s, c.from)
			wantKind(t, err, c.want)
			if got := Current(get(t, s, "base"), "latest"); got != "" {
				t.Errorf("imported %s", got)
			}
		})
	}
}

func TestImportOfAnIndexKeepsTheIndex(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	index, err := random.Index(50, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	got, err := importTag(t, NewFile(t.TempDir(), r.Client(t)), r.Push(t, "base:latest", index))
	if err != nil || got.Digest != digestOf(t, index) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// As on OpenShift, import: false is a dry run.
func TestDryRun(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	from := r.Push(t, "base:latest", newImage(t))
	s := NewFile(t.TempDir(), r.Client(t))
	request := newRequest("", "base", []Source{{Tag: "latest", From: from}})
	request.Spec.Import = false
	answer, err := s.Import(t.Context(), request)
	if err != nil || answer.Status.Images[0].Image == nil || answer.Status.Import != nil {
		t.Errorf("got %+v, %v", answer, err)
	}
	_, err = s.Get(t.Context(), "base")
	wantKind(t, err, failure.NotFound)
}

func TestStreamsAsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, s := t.Context(), NewFile(dir, nil)
	created, err := s.Create(ctx, &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "a_b.c", Labels: map[string]string{"x": "y"}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created, get(t, s, "a_b.c")); diff != "" {
		t.Errorf("-created +got:\n%s", diff)
	}
	_, err = s.Create(ctx, created)
	wantKind(t, err, failure.Conflict)
	if all, err := s.List(ctx); err != nil || len(all) != 1 || all[0].Name != "a_b.c" {
		t.Errorf("List = %v, %v", all, err)
	}
	if err := s.Delete(ctx, "a_b.c"); err != nil {
		t.Error(err)
	}
	_, err = s.Get(ctx, "a_b.c")
	wantKind(t, err, failure.NotFound)
	_, err = s.Get(ctx, "../a")
	wantKind(t, err, failure.Usage)
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("spec: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, "bad")
	wantKind(t, err, failure.InvalidInput)
}

// Imports of different tags into one new stream at once: none is lost.
func TestConcurrentImports(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	from := r.Push(t, "base:latest", newImage(t))
	dir := t.TempDir()
	const imports = 8
	var wg sync.WaitGroup
	for i := range imports {
		s := NewFile(dir, r.Client(t)) // as another process would
		wg.Go(func() {
			if _, err := Import(context.Background(), quick(), s, "base", []Source{{Tag: string(rune('a' + i)), From: from}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stream := get(t, NewFile(dir, nil), "base")
	if len(stream.Status.Tags) != imports || stream.Generation != 1+imports {
		t.Errorf("%d tags, generation %d", len(stream.Status.Tags), stream.Generation)
	}
}

// contested is a store as a busy API server would be: Create and Import meet conflicts first.
type contested struct {
	Store
	creates, imports int
}

func (c *contested) Create(ctx context.Context, stream *imagev1.ImageStream) (*imagev1.ImageStream, error) {
	if c.creates++; c.creates == 1 {
		if _, err := c.Store.Create(ctx, stream); err != nil { // somebody else was faster
			return nil, err
		}
	}
	return c.Store.Create(ctx, stream)
}

func (c *contested) Import(ctx context.Context, request *imagev1.ImageStreamImport) (*imagev1.ImageStreamImport, error) {
	switch c.imports++; c.imports {
	case 1:
		return nil, failure.New(failure.Conflict, "the object has been modified")
	case 2:
		answer := request.DeepCopy()
		status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: "passing"}
		answer.Status.Images = []imagev1.ImageImportStatus{{Status: status}}
		return answer, nil
	default:
		return c.Store.Import(ctx, request)
	}
}

func TestConflictsAreTriedAgain(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	s := &contested{Store: NewFile(t.TempDir(), r.Client(t))}
	if _, err := importTag(t, s, r.Push(t, "base:latest", newImage(t))); err != nil {
		t.Error(err)
	}
	if s.creates != 1 || s.imports != 3 {
		t.Errorf("%d creates, %d imports", s.creates, s.imports)
	}
	s.imports = 1
	env := quick()
	env.Retry.Attempts = 1
	_, err := Import(t.Context(), env, s, "base", []Source{{Tag: "x", From: "r/x:1"}})
	if failure.KindOf(err) != failure.Unavailable || !strings.Contains(err.Error(), "passing") {
		t.Errorf("when it does not pass: %v", err)
	}
}

func TestImportImage(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	a, b := newImage(t), newImage(t)
	one, two := r.Push(t, "base:one", a), r.Push(t, "base:two", a)
	s := NewFile(t.TempDir(), r.Client(t))
	_, err := ImportImage(t.Context(), quick(), s, "base", "")
	wantKind(t, err, failure.NotFound)
	if _, err := Import(t.Context(), quick(), s, "base", []Source{{Tag: "one", From: one}, {Tag: "two", From: two}}); err != nil {
		t.Fatal(err)
	}
	if tags, err := ImportImage(t.Context(), quick(), s, "base", ""); err != nil || len(tags) != 0 {
		t.Errorf("nothing changed, but %v, %v", tags, err)
	}
	r.Push(t, "base:one", b)
	r.Push(t, "base:two", b)
	want := func(tag string) []workspace.ImportedTag {
		return []workspace.ImportedTag{{Tag: tag, OldDigest: digestOf(t, a), Digest: digestOf(t, b)}}
	}
	tags, err := ImportImage(t.Context(), quick(), s, "base", "two")
	if diff := cmp.Diff(want("two"), tags); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	tags, err = ImportImage(t.Context(), quick(), s, "base", "")
	if diff := cmp.Diff(want("one"), tags); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	_, err = ImportImage(t.Context(), quick(), s, "base", "three")
	wantKind(t, err, failure.NotFound)
}
