// Package deploy brings generated objects into a namespace, and takes them away again: by server-side apply, so that what others have
// set is kept or named in a conflict, and by removing what an earlier version has left.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// FieldManager is the name under which fields are owned.
const FieldManager = "osbs"

// Target is a namespace of a cluster.
type Target struct {
	Dynamic   dynamic.Interface
	Mapper    meta.RESTMapper
	Namespace string
	Log       *slog.Logger
	// Retry is for requests that the API server, or a webhook before it, could not answer.
	Retry retry.Policy
}

// Options say how objects are applied or removed.
type Options struct {
	// DryRun has the API server check everything, and keep nothing.
	DryRun bool
	// Force takes over fields that somebody else has set to another value.
	Force bool
	// Progress, if not nil, is told of each object when it is done.
	Progress func(Change)
}

func (o Options) dryRun() []string {
	if o.DryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

func (o Options) tell(c Change) {
	if o.Progress != nil {
		o.Progress(c)
	}
}

// Result says what became of an object.
type Result string

// The results.
const (
	Created    Result = "created"
	Configured Result = "configured"
	Unchanged  Result = "unchanged"
	Removed    Result = "removed"
)

// Change is one object and what became of it.
type Change struct {
	Kind string `json:"kind"`
	// Namespace is empty for what is in none.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Result    Result `json:"result"`
}

// Apply applies the objects in their order. It goes on after an object that fails, and returns what became of the others together with
// all errors: a person sees all that is missing at once.
func (t *Target) Apply(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Change, error) {
	var changes []Change
	var errs []error
	for _, object := range objects {
		var change *Change
		doing := fmt.Sprintf("applying %s %s", object.GetKind(), object.GetName())
		err := t.try(ctx, doing, func(ctx context.Context) (err error) {
			change, err = t.apply(ctx, object, o)
			return err
		})
		if err != nil {
			errs = append(errs, err)
		} else {
			changes = append(changes, *change)
			o.tell(*change)
		}
		if ctx.Err() != nil {
			return changes, context.Cause(ctx)
		}
	}
	return changes, join(errs)
}

// join makes one error of several, with the kind of the first.
func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	return failure.New(failure.KindOf(errs[0]), "%w", errors.Join(errs...))
}

// try makes a request, and makes it again while that is worth it.
func (t *Target) try(ctx context.Context, doing string, request func(context.Context) error) error {
	return retry.Do(ctx, t.Log, t.Retry, doing, func(ctx context.Context) error { return classify(request(ctx)) })
}

func (t *Target) apply(ctx context.Context, object *unstructured.Unstructured, o Options) (*Change, error) {
	client, namespace, err := t.client(object.GroupVersionKind(), object.GetNamespace())
	if err != nil {
		return nil, err
	}
	before, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err): // who may not read may still be allowed to apply
		before = nil
	case err != nil:
		return nil, err
	}
	options := metav1.ApplyOptions{FieldManager: FieldManager, Force: o.Force, DryRun: o.dryRun()}
	after, applyErr := client.Apply(ctx, object.GetName(), object, options)
	if applyErr != nil {
		return nil, applyErr
	}
	change := &Change{Kind: object.GetKind(), Namespace: namespace, Name: object.GetName(), Result: Configured}
	switch {
	case before != nil && same(before, after):
		change.Result = Unchanged
	case before == nil && apierrors.IsNotFound(err):
		change.Result = Created
	}
	return change, nil
}

// same says whether nothing but bookkeeping differs. Resource versions do not tell: a dry run gives none that could be compared.
func same(before, after *unstructured.Unstructured) bool {
	return reflect.DeepEqual(essence(before), essence(after))
}

func essence(u *unstructured.Unstructured) map[string]any {
	out := u.DeepCopy().Object
	delete(out, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
		unstructured.RemoveNestedField(out, "metadata", field)
	}
	return out
}

// client is the one for objects of a kind. An empty namespace means the target's own; that of a kind without namespaces stays empty.
func (t *Target) client(kind schema.GroupVersionKind, namespace string) (client dynamic.ResourceInterface, in string, err error) {
	mapping, err := t.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, "", err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return t.Dynamic.Resource(mapping.Resource), "", nil
	}
	if namespace == "" {
		namespace = t.Namespace
	}
	return t.Dynamic.Resource(mapping.Resource).Namespace(namespace), namespace, nil
}

// Selection is what Remove removes.
type Selection struct {
	Kinds []schema.GroupVersionKind
	// Selector selects by labels.
	Selector string
	// Keep are objects that stay.
	Keep []*unstructured.Unstructured
}

// Remove removes what the selection says from the target's namespace, but what another object owns: its owner sees to that. A kind that
// the cluster does not have has no objects. It goes on after an object that cannot be removed, and returns all errors.
func (t *Target) Remove(ctx context.Context, s Selection, o Options) ([]Change, error) {
	var changes []Change
	var errs []error
	for _, kind := range s.Kinds {
		found, err := t.List(ctx, kind, s.Selector)
		errs = append(errs, err)
		for n := range found {
			item := &found[n]
			if slices.ContainsFunc(s.Keep, func(k *unstructured.Unstructured) bool { return is(k, item) }) {
				continue
			}
			change, err := t.Delete(ctx, item, o)
			errs = append(errs, err)
			if change != nil {
				changes = append(changes, *change)
			}
		}
		if ctx.Err() != nil {
			return changes, context.Cause(ctx)
		}
	}
	return changes, join(errs)
}

// List lists the objects of a kind in the target's namespace, but those that another object controls.
func (t *Target) List(ctx context.Context, kind schema.GroupVersionKind, selector string) ([]unstructured.Unstructured, error) {
	var found []unstructured.Unstructured
	err := t.try(ctx, "listing objects of kind "+kind.Kind, func(ctx context.Context) error {
		client, _, err := t.client(kind, "")
		if meta.IsNoMatchError(err) {
			return nil
		}
		if err != nil {
			return err
		}
		list, err := client.List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		found = list.Items
		return nil
	})
	return slices.DeleteFunc(found, func(u unstructured.Unstructured) bool { return metav1.GetControllerOf(&u) != nil }), err
}

// Delete removes one object. If it is not there, the change is nil.
func (t *Target) Delete(ctx context.Context, object *unstructured.Unstructured, o Options) (*Change, error) {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background, DryRun: o.dryRun()}
	if uid := object.GetUID(); uid != "" { // not another one that has taken its name
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	change := &Change{Kind: object.GetKind(), Name: object.GetName(), Result: Removed}
	err := t.try(ctx, fmt.Sprintf("removing %s %s", object.GetKind(), object.GetName()), func(ctx context.Context) error {
		client, namespace, err := t.client(object.GroupVersionKind(), object.GetNamespace())
		if err != nil {
			return err
		}
		change.Namespace = namespace
		return client.Delete(ctx, object.GetName(), options)
	})
	if failure.KindOf(err) == failure.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o.tell(*change)
	return change, nil
}

// is says whether two are one object, whatever the version of its API.
func is(a, b *unstructured.Unstructured) bool {
	return a.GetName() == b.GetName() && a.GroupVersionKind().GroupKind() == b.GroupVersionKind().GroupKind()
}
