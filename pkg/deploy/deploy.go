// Package deploy brings generated objects into a namespace, and takes them away again: by server-side apply, so that what others have
// set is kept or named in a conflict, and by removing what an earlier version has left.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// FieldManager is the name under which fields are owned.
const FieldManager = "osbs"

// Target is a namespace of a cluster.
type Target struct {
	Dynamic   dynamic.Interface
	Mapper    meta.RESTMapper
	Namespace string
	Log       *slog.Logger
}

// Options say how objects are applied.
type Options struct {
	// DryRun has the API server check everything, and keep nothing.
	DryRun bool
	// Force takes over fields that somebody else has set to another value.
	Force bool
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
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Result Result `json:"result"`
}

// Apply applies the objects in their order. It goes on after an object that fails, and returns what became of the others together with
// all errors: a person sees all that is missing at once.
func (t *Target) Apply(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Change, error) {
	var changes []Change
	var errs []error
	for _, object := range objects {
		change, err := t.apply(ctx, object, o)
		if err != nil {
			errs = append(errs, err)
		} else {
			changes = append(changes, *change)
		}
		if ctx.Err() != nil {
			return changes, ctx.Err()
		}
	}
	return changes, errors.Join(errs...)
}

func (t *Target) apply(ctx context.Context, object *unstructured.Unstructured, o Options) (*Change, error) {
	doing := fmt.Sprintf("applying %s %s", object.GetKind(), object.GetName())
	client, err := t.client(object.GroupVersionKind(), object.GetNamespace())
	if err != nil {
		return nil, classify(doing, err)
	}
	before, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, classify(doing, err)
	}
	found := err == nil
	options := metav1.ApplyOptions{FieldManager: FieldManager, Force: o.Force}
	if o.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	after, err := client.Apply(ctx, object.GetName(), object, options)
	if apierrors.IsConflict(err) {
		return nil, failure.WithHint(failure.New(failure.Conflict, "%s: somebody else has set what would be changed: %w", doing, err),
			"put the change into the configuration or an overlay, or take the fields over with --force-conflicts")
	}
	if err != nil {
		return nil, classify(doing, err)
	}
	change := &Change{Kind: object.GetKind(), Name: object.GetName(), Result: Created}
	switch {
	case found && same(before, after):
		change.Result = Unchanged
	case found:
		change.Result = Configured
	}
	return change, nil
}

// same says whether nothing but bookkeeping differs.
func same(before, after *unstructured.Unstructured) bool {
	return before.GetResourceVersion() == after.GetResourceVersion() || before.GetGeneration() != 0 && before.GetGeneration() == after.GetGeneration() &&
		mapsEqual(before.GetLabels(), after.GetLabels()) && mapsEqual(before.GetAnnotations(), after.GetAnnotations())
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// client is the one for objects of a kind. An empty namespace means the target's own.
func (t *Target) client(kind schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := t.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return t.Dynamic.Resource(mapping.Resource), nil
	}
	if namespace == "" {
		namespace = t.Namespace
	}
	return t.Dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// Remove removes the objects of the kinds that the selector selects in the namespace, but for those of keep. A kind that the cluster does
// not have has no objects. With dryRun nothing is removed.
func (t *Target) Remove(ctx context.Context, kinds []schema.GroupVersionKind, selector string, keep []*unstructured.Unstructured, dryRun bool) ([]Change, error) {
	var changes []Change
	var errs []error
	for _, kind := range kinds {
		removed, err := t.removeKind(ctx, kind, selector, keep, dryRun)
		changes = append(changes, removed...)
		errs = append(errs, err)
		if ctx.Err() != nil {
			return changes, ctx.Err()
		}
	}
	return changes, errors.Join(errs...)
}

func (t *Target) removeKind(ctx context.Context, kind schema.GroupVersionKind, selector string, keep []*unstructured.Unstructured, dryRun bool) ([]Change, error) {
	client, err := t.client(kind, "")
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, classify("looking for objects of kind "+kind.Kind, err)
	}
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, classify("listing objects of kind "+kind.Kind, err)
	}
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var changes []Change
	var errs []error
	for n := range list.Items {
		item := &list.Items[n]
		if slices.ContainsFunc(keep, func(k *unstructured.Unstructured) bool { return is(k, item) }) {
			continue
		}
		if err := client.Delete(ctx, item.GetName(), options); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, classify(fmt.Sprintf("removing %s %s", kind.Kind, item.GetName()), err))
			continue
		}
		changes = append(changes, Change{Kind: kind.Kind, Name: item.GetName(), Result: Removed})
	}
	return changes, errors.Join(errs...)
}

// is says whether two are one object, whatever the version of its API.
func is(a, b *unstructured.Unstructured) bool {
	return a.GetName() == b.GetName() && a.GroupVersionKind().GroupKind() == b.GroupVersionKind().GroupKind()
}

// classify gives an error of the API server a kind.
func classify(doing string, err error) error {
	kind := failure.Unavailable
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case meta.IsNoMatchError(err):
		return failure.New(failure.NotFound, "%s: the cluster does not have this API: %w", doing, err)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		kind = failure.Unauthorized
	case apierrors.IsNotFound(err):
		kind = failure.NotFound
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), strings.Contains(err.Error(), "admission webhook"):
		kind = failure.InvalidInput
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		kind = failure.Conflict
	}
	return failure.New(kind, "%s: %w", doing, err)
}
