package manifest

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// fields are names of fields in the order in which people write them.
func fields(names string) []string { return strings.Fields(names) }

// objectOrder is the order at the top of an object.
func objectOrder() []string {
	return fields("apiVersion kind metadata type immutable secrets imagePullSecrets automountServiceAccountToken " +
		"subjects roleRef rules data stringData binaryData spec resources status")
}

// orders are the orders of mappings by the field they stand in, or in whose list they are elements.
func orders() map[string][]string {
	step := fields("name displayName ref image imagePullPolicy onError timeout when workingDir command args script params results env " +
		"envFrom ports computeResources resources securityContext volumeMounts volumeDevices workspaces stdoutConfig stderrConfig " +
		"startupProbe readinessProbe livenessProbe lifecycle")
	pipelineTask := fields("name displayName description taskRef pipelineRef runAfter when retries timeout onError params matrix workspaces " +
		"taskSpec pipelineSpec")
	taskSpec := fields("apiVersion kind metadata displayName description params workspaces results stepTemplate steps sidecars volumes spec")
	pipelineSpec := fields("displayName description params workspaces tasks finally results")
	return map[string][]string{
		"metadata":     fields("name generateName namespace labels annotations"),
		"taskSpec":     taskSpec,
		"pipelineSpec": pipelineSpec,
		"steps":        step, "sidecars": step, "stepTemplate": step, "containers": step, "initContainers": step,
		"tasks": pipelineTask, "finally": pipelineTask,
		"params":          fields("name description type properties enum default value"),
		"results":         fields("name description type properties value"),
		"workspaces":      fields("name description workspace mountPath subPath readOnly optional volumeClaimTemplate persistentVolumeClaim emptyDir"),
		"when":            fields("cel input operator values"),
		"volumes":         fields("name"),
		"volumeMounts":    fields("name mountPath subPath readOnly"),
		"env":             fields("name value valueFrom"),
		"taskRef":         fields("apiVersion kind name resolver params"),
		"resources":       fields("requests limits claims"),
		"taskRunSpecs":    fields("pipelineTaskName metadata serviceAccountName podTemplate timeout computeResources stepSpecs sidecarSpecs"),
		"taskRunTemplate": fields("serviceAccountName podTemplate"),
		"timeouts":        fields("pipeline tasks finally"),
		"rules":           fields("apiGroups resources resourceNames nonResourceURLs verbs"),
		"subjects":        fields("kind apiGroup name namespace"),
		"roleRef":         fields("kind apiGroup name"),
		"securityContext": fields("runAsNonRoot runAsUser runAsGroup fsGroup allowPrivilegeEscalation privileged readOnlyRootFilesystem " +
			"capabilities seccompProfile"),
		"triggers":     fields("name interceptors bindings template"),
		"interceptors": fields("name ref params"),
		"spec:Task":    taskSpec, "spec:Pipeline": pipelineSpec,
		"spec:PipelineRun":     fields("pipelineRef pipelineSpec params workspaces taskRunTemplate taskRunSpecs timeouts status"),
		"spec:Deployment":      fields("replicas revisionHistoryLimit strategy selector template"),
		"spec:EventListener":   fields("serviceAccountName namespaceSelector labelSelector triggers triggerGroups resources"),
		"spec:TriggerTemplate": fields("params resourcetemplates"),
		"template.spec": fields("serviceAccountName automountServiceAccountToken hostUsers priorityClassName nodeSelector tolerations " +
			"affinity securityContext initContainers containers volumes"),
	}
}

// free are fields whose mappings have names that a person gave: their order is kept.
func free(field string) bool {
	return slices.Contains(fields("labels annotations data stringData binaryData matchLabels nodeSelector requests limits properties"), field)
}

// Order puts the keys of an object into the order in which people write them: apiVersion, kind, metadata, and in Tekton's objects that
// of Tekton's documents. What it does not know keeps its order, behind what it knows. Lists are not touched.
func Order(object *yaml.RNode) {
	if object.IsNil() {
		return
	}
	o := orderer{orders()}
	o.object(object.YNode())
}

type orderer struct{ orders map[string][]string }

func (o orderer) object(n *yaml.Node) {
	kind := ""
	if k := tree.Get(n, "kind"); k != nil {
		kind = k.Value
	}
	sortFields(n, objectOrder())
	for i := 0; i+1 < len(n.Content); i += 2 {
		field := n.Content[i].Value
		if field == "spec" {
			o.visit(n.Content[i+1], "spec:"+kind)
			continue
		}
		o.visit(n.Content[i+1], field)
	}
}

// visit orders n, which stands in field.
func (o orderer) visit(n *yaml.Node, field string) {
	switch {
	case n.Kind == yaml.SequenceNode:
		for _, element := range n.Content {
			o.visit(element, field)
		}
		return
	case n.Kind != yaml.MappingNode || free(field):
		return
	case field == "resourcetemplates":
		o.object(n)
		return
	}
	sortFields(n, o.orders[field])
	for i := 0; i+1 < len(n.Content); i += 2 {
		child := n.Content[i].Value
		if field == "template" && child == "spec" {
			child = "template.spec"
		}
		o.visit(n.Content[i+1], child)
	}
}

// sortFields orders the fields of a mapping as order has them; others stay behind them as they are.
func sortFields(mapping *yaml.Node, order []string) {
	if mapping.Kind != yaml.MappingNode || len(order) == 0 {
		return
	}
	type entry struct {
		key, value *yaml.Node
		rank       int
	}
	entries := make([]entry, 0, len(mapping.Content)/2)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		rank := slices.Index(order, mapping.Content[i].Value)
		if rank < 0 {
			rank = len(order)
		}
		entries = append(entries, entry{mapping.Content[i], mapping.Content[i+1], rank})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.rank - b.rank })
	mapping.Content = mapping.Content[:0]
	for _, e := range entries {
		mapping.Content = append(mapping.Content, e.key, e.value)
	}
}
