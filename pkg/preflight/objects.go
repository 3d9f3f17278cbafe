package preflight

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// objects has the API server, and Tekton's webhooks, check what will be applied.
func (c *check) objects(ctx context.Context) {
	if slices.ContainsFunc(c.findings, func(f Finding) bool {
		return f.Level == Error && f.Kind == failure.NotFound && f.Subject == "namespace "+c.namespace
	}) {
		return // in which nothing can be tried
	}
	good := true
	for _, object := range c.Objects {
		if c.refused[object.GroupVersionKind()] {
			continue
		}
		changes, err := c.Target.Apply(ctx, []*unstructured.Unstructured{object}, deploy.Options{DryRun: true, Force: c.Force})
		if ctx.Err() != nil {
			return
		}
		if err != nil && c.waits(object, err) {
			changes = []deploy.Change{{Kind: object.GetKind(), Namespace: c.namespace, Name: object.GetName(), Result: deploy.Created}}
			err = nil
		}
		c.changes = append(c.changes, changes...)
		if err == nil {
			continue
		}
		good = false
		c.fail(failure.KindOf(err), object.GetKind()+" "+object.GetName(), err.Error(), "it is part of the installation", advice(err))
	}
	if good {
		c.ok("the objects", "the API server accepts them")
	}
}

// waits says that an object is refused only because one that is applied before it is not there yet.
func (c *check) waits(object *unstructured.Unstructured, err error) bool {
	if object.GetKind() != "RoleBinding" || failure.KindOf(err) != failure.NotFound {
		return false
	}
	role, _, _ := unstructured.NestedString(object.Object, "roleRef", "name")
	return slices.ContainsFunc(c.Objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "Role" && o.GetName() == role })
}

func advice(err error) string {
	switch failure.KindOf(err) {
	case failure.Conflict:
		return "put the change into the configuration or an overlay, or take the fields over with --force-conflicts"
	case failure.Unauthorized:
		return "have somebody install who has these rights: nobody can give rights that he does not have himself"
	case failure.Unavailable:
		return "try again when the API server and Tekton's webhooks answer"
	default:
		return "correct what the message names in the configuration or an overlay"
	}
}
