package upgrade

import (
	"context"
	"slices"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/triggers/pkg/apis/triggers/contexts"
	triggersv1beta1 "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	appsv1 "k8s.io/api/apps/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// normal is an object as a cluster has it, whatever it was written like: with the defaults of Tekton's webhooks, without those of
// Kubernetes, without what only a cluster adds. It has no comments.
func normal(ctx context.Context, object *yaml.Node) *yaml.Node {
	n := typed(ctx, object)
	strip(n)
	bare(n)
	accounts(n)
	withoutDefaults(n)
	manifest.Order(yaml.NewRNode(n))
	return n
}

// types are the kinds whose objects read and write their values in one way only, such as quantities.
func types(kind string) any {
	switch kind {
	case "tekton.dev/v1 Task":
		return &pipelinev1.Task{}
	case "tekton.dev/v1 Pipeline":
		return &pipelinev1.Pipeline{}
	case "tekton.dev/v1 PipelineRun":
		return &pipelinev1.PipelineRun{}
	case "triggers.tekton.dev/v1beta1 EventListener":
		return &triggersv1beta1.EventListener{}
	case "triggers.tekton.dev/v1beta1 TriggerTemplate":
		return &triggersv1beta1.TriggerTemplate{}
	case "triggers.tekton.dev/v1beta1 TriggerBinding":
		return &triggersv1beta1.TriggerBinding{}
	case "apps/v1 Deployment":
		return &appsv1.Deployment{}
	default:
		return nil
	}
}

// typed reads an object as its type, gives it the defaults that it has there, and writes it again. What its type does not know stays
// as it is: that is for package validate to complain about, not to be lost from a diff.
func typed(ctx context.Context, object *yaml.Node) *yaml.Node {
	plain := tree.Clone(object)
	into := types(tree.Text(object, "apiVersion") + " " + tree.Text(object, "kind"))
	text, err := yaml.String(object)
	if err != nil || into == nil || kubeyaml.UnmarshalStrict([]byte(text), into) != nil {
		return plain
	}
	if d, ok := into.(apis.Defaultable); ok {
		d.SetDefaults(contexts.WithUpgradeViaDefaulting(ctx))
	}
	n, err := tree.From(into)
	if err != nil {
		return plain
	}
	return n
}

func bare(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, child := range n.Content {
		bare(child)
	}
}

// accounts removes the secrets that a cluster makes for a service account and adds to it.
func accounts(object *yaml.Node) {
	if tree.Text(object, "kind") != "ServiceAccount" {
		return
	}
	name := tree.Text(object, "metadata", "name")
	for _, field := range []string{"secrets", "imagePullSecrets"} {
		kept := slices.DeleteFunc(slices.Clone(tree.Items(object, field)), func(s *yaml.Node) bool {
			secret := tree.Text(s, "name")
			return strings.HasPrefix(secret, name+"-dockercfg-") || strings.HasPrefix(secret, name+"-token-")
		})
		tree.SetItems(object, field, kept)
	}
}

// defaults are what Kubernetes puts into the objects that are generated where nothing is said, by the field and as
// keyed.Show has it.
func defaults() map[string][]string {
	return map[string][]string{
		"progressDeadlineSeconds":       {"600"},
		"revisionHistoryLimit":          {"10"},
		"strategy":                      {"{type: RollingUpdate, rollingUpdate: {maxUnavailable: 25%, maxSurge: 25%}}"},
		"restartPolicy":                 {"Always"},
		"dnsPolicy":                     {"ClusterFirst"},
		"schedulerName":                 {"default-scheduler"},
		"terminationGracePeriodSeconds": {"30"},
		"terminationMessagePath":        {"/dev/termination-log"},
		"terminationMessagePolicy":      {"File"},
		"imagePullPolicy":               {"IfNotPresent"},
		"protocol":                      {"TCP"},
		"scheme":                        {"HTTP"},
		"defaultMode":                   {"420"},
		"timeoutSeconds":                {"1"},
		"periodSeconds":                 {"10"},
		"successThreshold":              {"1"},
		"failureThreshold":              {"3"},
	}
}

// empties are fields in which an empty mapping, list or text says what its absence does.
func empties() []string {
	return []string{
		"securityContext", "strategy", "resources", "computeResources", "labels", "annotations", "namespaceSelector", "metadata", "spec",
		"taskRunTemplate", "creationTimestamp", "deploymentSpec", "bindings", "description",
	}
}

// withoutDefaults removes what means the same when it is not there.
func withoutDefaults(object *yaml.Node) {
	pod := tree.Get(object, "spec", "template", "spec")
	if tree.Text(pod, "serviceAccount") == tree.Text(pod, "serviceAccountName") {
		tree.Delete(pod, "serviceAccount")
	}
	prune(object, defaults(), empties(), tree.Text(object, "apiVersion") == "apps/v1")
}

func prune(n *yaml.Node, values map[string][]string, empty []string, kubernetes bool) {
	for _, field := range keyed.Fields(n) {
		child := tree.Get(n, field)
		prune(child, values, empty, kubernetes)
		blank := len(child.Content) == 0 && (child.Kind != yaml.ScalarNode || child.Value == "" || child.ShortTag() == yaml.NodeTagNull)
		if blank && slices.Contains(empty, field) || kubernetes && slices.Contains(values[field], keyed.Show(child)) {
			tree.Delete(n, field)
		}
	}
	if n.Kind == yaml.SequenceNode {
		for _, child := range n.Content {
			prune(child, values, empty, kubernetes)
		}
	}
}
