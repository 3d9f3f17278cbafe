package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// rights asks the API server what the person may do with each kind of object.
func (c *check) rights(ctx context.Context) {
	var missing, kept []string
	for _, kind := range c.kinds() {
		mapping, err := c.Target.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			c.refused[kind] = true // which is an error of its own already
			continue
		}
		// Server-side apply is a patch, and a creation if there is nothing yet.
		applied := slices.ContainsFunc(c.objectKinds(), func(k schema.GroupVersionKind) bool { return k == kind })
		if denied := c.denied(ctx, mapping.Resource, "get", "create", "patch"); applied && len(denied) > 0 {
			missing = append(missing, strings.Join(denied, "/")+" "+mapping.Resource.GroupResource().String())
			c.refused[kind] = true
		}
		if denied := c.denied(ctx, mapping.Resource, "list", "delete"); len(denied) > 0 {
			kept = append(kept, strings.Join(denied, "/")+" "+mapping.Resource.GroupResource().String())
		}
		if ctx.Err() != nil {
			return
		}
	}
	const subject = "your rights"
	switch {
	case len(missing) > 0:
		c.fail(failure.Unauthorized, subject, "you may not "+strings.Join(missing, ", "), "these are what an installation consists of",
			fmt.Sprintf("have somebody with the role admin in namespace %s install, or have it given to you: "+
				"kubectl create rolebinding installer --clusterrole=admin --user=NAME -n %[1]s; the admin role may also lack rights for Tekton's objects", c.namespace))
	case len(kept) > 0:
		c.warn(subject, "you may not "+strings.Join(kept, ", "), "what an older version left is removed", "remove it by hand, or have somebody with these rights install")
	default:
		c.ok(subject, "they are enough for the namespace")
	}
}

// kinds are those of the objects, and those that may have to be removed.
func (c *check) kinds() []schema.GroupVersionKind {
	out := c.objectKinds()
	for _, kind := range c.Kinds {
		if !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out
}

func (c *check) objectKinds() []schema.GroupVersionKind {
	var out []schema.GroupVersionKind
	for _, o := range c.Objects {
		if kind := o.GroupVersionKind(); !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out
}

// denied are those of the verbs that the person may not do. What the API server does not say is left for it to say later.
func (c *check) denied(ctx context.Context, resource schema.GroupVersionResource, verbs ...string) []string {
	var out []string
	for _, verb := range verbs {
		if allowed, err := c.allowed(ctx, verb, resource); err == nil && !allowed {
			out = append(out, verb)
		}
	}
	return out
}

func (c *check) allowed(ctx context.Context, verb string, resource schema.GroupVersionResource) (bool, error) {
	review, err := c.Kubernetes.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: c.namespace, Verb: verb, Group: resource.Group, Version: resource.Version, Resource: resource.Resource,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// Bound says whether a service account may read ClusterInterceptors, as every EventListener must: so whether somebody with cluster rights
// has applied the cluster binding, which a namespace's admin may not read.
func Bound(ctx context.Context, kube kubernetes.Interface, namespace, account string) (bool, error) {
	review, err := kube.AuthorizationV1().LocalSubjectAccessReviews(namespace).Create(ctx, &authorizationv1.LocalSubjectAccessReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace},
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + namespace + ":" + account,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: "list", Group: "triggers.tekton.dev", Version: "v1alpha1", Resource: "clusterinterceptors",
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}
