package deploy

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

func configMap(name string, labels map[string]string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	u.SetName(name)
	u.SetNamespace("builds")
	u.SetLabels(labels)
	return u
}

func target(objects ...runtime.Object) (*Target, *fake.FakeDynamicClient) {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{{Version: "v1", Resource: "configmaps"}: "ConfigMapList"}, objects...)
	return &Target{Dynamic: client, Mapper: mapper, Namespace: "builds", Retry: retry.Policy{Attempts: 2, First: 1, Max: 1}}, client
}

// TestRemove: what is selected goes, but what is kept and what another object controls.
func TestRemove(t *testing.T) {
	ours := map[string]string{"part-of": "osbs"}
	owned := configMap("owned", ours)
	owned.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "X", Name: "x", UID: "1", Controller: new(true)}})
	target, client := target(configMap("old", ours), configMap("now", ours), configMap("other", nil), owned)
	unknown := schema.GroupVersionKind{Group: "none.example.com", Version: "v1", Kind: "None"}
	selection := Selection{
		Kinds: []schema.GroupVersionKind{unknown, corev1.SchemeGroupVersion.WithKind("ConfigMap")}, Selector: "part-of=osbs",
		Keep: []*unstructured.Unstructured{configMap("now", nil)},
	}
	var told []Change
	changes, err := target.Remove(t.Context(), selection, Options{Progress: func(c Change) { told = append(told, c) }})
	if err != nil || len(changes) != 1 || changes[0] != (Change{"ConfigMap", "builds", "old", Removed}) || len(told) != 1 {
		t.Errorf("%v %v %v", changes, told, err)
	}
	left, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("builds").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 3 {
		t.Errorf("%v %v", left, err)
	}
}

// TestErrors: every error has a kind, and only those that may pass are tried again.
func TestErrors(t *testing.T) {
	resource := schema.GroupResource{Resource: "configmaps"}
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: "FieldManagerConflict", Message: "conflict with \"somebody\""}}, "Apply failed")
	for name, test := range map[string]struct {
		err   error
		kind  failure.Kind
		tries int
		says  string
	}{
		"conflict":    {conflict, failure.Conflict, 1, "--force-conflicts"},
		"forbidden":   {apierrors.NewForbidden(resource, "x", errors.New("no")), failure.Unauthorized, 1, "applying ConfigMap x"},
		"invalid":     {apierrors.NewBadRequest("admission webhook \"webhook.example.com\" denied the request: no"), failure.InvalidInput, 1, "denied"},
		"unavailable": {apierrors.NewServiceUnavailable("later"), failure.Unavailable, 2, "after 2 tries"},
		"no webhook":  {apierrors.NewInternalError(errors.New("failed calling webhook \"webhook.example.com\"")), failure.Unavailable, 2, "webhook"},
		"nobody":      {errors.New("connection refused"), failure.Unavailable, 2, "connection refused"},
	} {
		target, client := target()
		tries := 0
		client.PrependReactor("patch", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			tries++
			return true, nil, test.err
		})
		changes, err := target.Apply(t.Context(), []*unstructured.Unstructured{configMap("x", nil)}, Options{})
		if failure.KindOf(err) != test.kind || tries != test.tries || !strings.Contains(err.Error(), test.says) || len(changes) > 0 {
			t.Errorf("%s: %d tries, %v", name, tries, err)
		}
	}
}

// TestApplyTellsAll: one object that fails hides neither the others nor their errors.
func TestApplyTellsAll(t *testing.T) {
	target, client := target(configMap("there", nil))
	client.PrependReactor("patch", "configmaps", func(a clienttesting.Action) (bool, runtime.Object, error) {
		name := a.(clienttesting.PatchAction).GetName()
		if strings.HasPrefix(name, "bad") {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, name, errors.New("no"))
		}
		return true, configMap(name, nil), nil
	})
	none := &unstructured.Unstructured{}
	none.SetGroupVersionKind(schema.GroupVersionKind{Group: "none.example.com", Version: "v1", Kind: "None"})
	none.SetName("api")
	objects := []*unstructured.Unstructured{configMap("bad1", nil), configMap("there", nil), configMap("new", nil), none, configMap("bad2", nil)}
	changes, err := target.Apply(t.Context(), objects, Options{})
	if len(changes) != 2 || changes[0].Result != Unchanged || changes[1].Result != Created {
		t.Errorf("%v", changes)
	}
	if failure.KindOf(err) != failure.Unauthorized {
		t.Error(err)
	}
	for _, want := range []string{"bad1", "bad2", "does not have this API"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
}
