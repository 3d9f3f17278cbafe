package validate

import (
	"context"
	"encoding/json"
	"errors"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/triggers/pkg/apis/triggers/contexts"
	triggersv1beta1 "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// object is any object of the API.
type object interface{ GetObjectMeta() metav1.Object }

// tekton is an object that Tekton's or Triggers' webhook gives its defaults and validates.
type tekton interface {
	object
	apis.Defaultable
	apis.Validatable
}

// kind is what an object can be.
type kind struct {
	make func() object
	// cluster says that the objects are in no namespace.
	cluster bool
	// name is how objects of the kind may be called.
	name validation.ValidateNameFunc
}

// kinds are those that the generator makes, by apiVersion and kind.
var kinds = map[string]kind{
	"tekton.dev/v1 Task":        {make: func() object { return &pipelinev1.Task{} }},
	"tekton.dev/v1 Pipeline":    {make: func() object { return &pipelinev1.Pipeline{} }},
	"tekton.dev/v1 PipelineRun": {make: func() object { return &pipelinev1.PipelineRun{} }},

	"triggers.tekton.dev/v1beta1 EventListener":   {make: func() object { return &triggersv1beta1.EventListener{} }},
	"triggers.tekton.dev/v1beta1 TriggerTemplate": {make: func() object { return &triggersv1beta1.TriggerTemplate{} }},
	"triggers.tekton.dev/v1beta1 TriggerBinding":  {make: func() object { return &triggersv1beta1.TriggerBinding{} }},

	"v1 ServiceAccount":        {make: func() object { return &corev1.ServiceAccount{} }, name: validation.ValidateServiceAccountName},
	"v1 ConfigMap":             {make: func() object { return &corev1.ConfigMap{} }, name: validation.NameIsDNSSubdomain},
	"v1 Secret":                {make: func() object { return &corev1.Secret{} }, name: validation.NameIsDNSSubdomain},
	"v1 Service":               {make: func() object { return &corev1.Service{} }, name: validation.NameIsDNS1035Label},
	"v1 PersistentVolumeClaim": {make: func() object { return &corev1.PersistentVolumeClaim{} }, name: validation.NameIsDNSSubdomain},
	"v1 Namespace":             {make: func() object { return &corev1.Namespace{} }, cluster: true, name: validation.ValidateNamespaceName},
	"apps/v1 Deployment":       {make: func() object { return &appsv1.Deployment{} }, name: validation.NameIsDNSSubdomain},

	"policy/v1 PodDisruptionBudget":      {make: func() object { return &policyv1.PodDisruptionBudget{} }, name: validation.NameIsDNSSubdomain},
	"networking.k8s.io/v1 NetworkPolicy": {make: func() object { return &networkingv1.NetworkPolicy{} }, name: validation.NameIsDNSSubdomain},

	"rbac.authorization.k8s.io/v1 Role":               {make: func() object { return &rbacv1.Role{} }, name: pathSegment},
	"rbac.authorization.k8s.io/v1 RoleBinding":        {make: func() object { return &rbacv1.RoleBinding{} }, name: pathSegment},
	"rbac.authorization.k8s.io/v1 ClusterRole":        {make: func() object { return &rbacv1.ClusterRole{} }, cluster: true, name: pathSegment},
	"rbac.authorization.k8s.io/v1 ClusterRoleBinding": {make: func() object { return &rbacv1.ClusterRoleBinding{} }, cluster: true, name: pathSegment},
}

// admission is the context in which a webhook works when an object is created.
func admission(ctx context.Context) context.Context {
	return contexts.WithUpgradeViaDefaulting(apis.WithinCreate(ctx))
}

// asJSON writes a tree as JSON. RNode.MarshalJSON does so by way of YAML text, which takes longer than all else but Tekton's validation.
func asJSON(o *yaml.RNode) ([]byte, error) {
	var content map[string]any
	if err := o.YNode().Decode(&content); err != nil {
		return nil, err
	}
	return json.Marshal(content)
}

// strictly decodes an object. A field that its type does not have, or that is there twice, is a fault. It is false if the object
// cannot be checked further.
func (c *checker) strictly(called, below string, data []byte, into any) bool {
	strict, err := kjson.UnmarshalStrict(data, into)
	for _, e := range strict {
		c.add(called, below, "%v", e)
	}
	if err == nil {
		return true
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		c.add(called, join(below, wrongType.Field), "is a %s, and must be of the type %s", wrongType.Value, wrongType.Type)
	} else {
		c.add(called, below, "%v", err)
	}
	return false
}

func join(below, field string) string {
	if below == "" || field == "" {
		return below + field
	}
	return below + "." + field
}
