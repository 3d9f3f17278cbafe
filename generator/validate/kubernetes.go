package validate

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// pathSegment is how objects of RBAC may be called.
func pathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// kubernetes checks an object of Kubernetes itself. Its validation is not code that can be imported, so these are the rules about
// names, labels and references; the rest is the API server's.
func (c *checker) kubernetes(called string, k kind, o object) {
	meta := o.GetObjectMeta().(*metav1.ObjectMeta) //nolint:forcetypeassert // all types of Kubernetes have this one
	found := validation.ValidateObjectMeta(meta, !k.cluster && meta.Namespace != "", k.name, field.NewPath("metadata"))
	switch o := o.(type) {
	case *appsv1.Deployment:
		found = append(found, deployment(o)...)
	case *rbacv1.Role:
		found = append(found, policy(o.Rules)...)
	case *rbacv1.ClusterRole:
		found = append(found, policy(o.Rules)...)
	case *rbacv1.RoleBinding:
		found = append(found, binding(o.RoleRef, o.Subjects)...)
	case *rbacv1.ClusterRoleBinding:
		found = append(found, binding(o.RoleRef, o.Subjects)...)
	}
	for _, e := range found {
		c.add(called, e.Field, "%s", e.ErrorBody())
	}
}

// deployment checks that a Deployment finds its pods, and what its containers cannot be without.
func deployment(d *appsv1.Deployment) field.ErrorList {
	spec := field.NewPath("spec")
	template := spec.Child("template")
	found := metavalidation.ValidateLabels(d.Spec.Template.Labels, template.Child("metadata", "labels"))
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil || selector.Empty() || !selector.Matches(labels.Set(d.Spec.Template.Labels)) {
		found = append(found, field.Invalid(template.Child("metadata", "labels"), d.Spec.Template.Labels, "the selector does not match them"))
	}
	pod := template.Child("spec")
	if len(d.Spec.Template.Spec.Containers) == 0 {
		found = append(found, field.Required(pod.Child("containers"), ""))
	}
	for i, container := range d.Spec.Template.Spec.Containers {
		found = append(found, containerFaults(pod.Child("containers").Index(i), container, d.Spec.Template.Spec.Volumes)...)
	}
	return found
}

func containerFaults(at *field.Path, container corev1.Container, volumes []corev1.Volume) field.ErrorList {
	var found field.ErrorList
	for _, message := range validation.NameIsDNSLabel(container.Name, false) {
		found = append(found, field.Invalid(at.Child("name"), container.Name, message))
	}
	if container.Image == "" {
		found = append(found, field.Required(at.Child("image"), ""))
	}
	for i, m := range container.VolumeMounts {
		if !slices.ContainsFunc(volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			found = append(found, field.NotFound(at.Child("volumeMounts").Index(i).Child("name"), m.Name))
		}
	}
	for name, request := range container.Resources.Requests {
		if limit, ok := container.Resources.Limits[name]; ok && request.Cmp(limit) > 0 {
			found = append(found, field.Invalid(at.Child("resources", "requests").Key(string(name)), request.String(), "is more than the limit"))
		}
	}
	return found
}

// policy checks the rules of a role.
func policy(rules []rbacv1.PolicyRule) field.ErrorList {
	var found field.ErrorList
	for i, r := range rules {
		at := field.NewPath("rules").Index(i)
		if len(r.Verbs) == 0 {
			found = append(found, field.Required(at.Child("verbs"), "a rule without verbs allows nothing"))
		}
		if len(r.NonResourceURLs) == 0 && (len(r.APIGroups) == 0 || len(r.Resources) == 0) {
			found = append(found, field.Required(at, "apiGroups and resources"))
		}
	}
	return found
}

// binding checks what a role binding refers to.
func binding(role rbacv1.RoleRef, subjects []rbacv1.Subject) field.ErrorList {
	var found field.ErrorList
	at := field.NewPath("roleRef")
	if role.APIGroup != "" && role.APIGroup != rbacv1.GroupName { // empty means that one
		found = append(found, field.NotSupported(at.Child("apiGroup"), role.APIGroup, []string{rbacv1.GroupName}))
	}
	if role.Kind != "Role" && role.Kind != "ClusterRole" {
		found = append(found, field.NotSupported(at.Child("kind"), role.Kind, []string{"Role", "ClusterRole"}))
	}
	if role.Name == "" {
		found = append(found, field.Required(at.Child("name"), ""))
	}
	for i, s := range subjects {
		at := field.NewPath("subjects").Index(i)
		if s.Name == "" {
			found = append(found, field.Required(at.Child("name"), ""))
		}
		if !slices.Contains([]string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}, s.Kind) {
			found = append(found, field.Invalid(at.Child("kind"), s.Kind, fmt.Sprintf("accepted are %s, %s and %s", rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)))
		}
	}
	return found
}
