package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kjson "sigs.k8s.io/json"

	"github.com/osbs-tekton/osbs/tasks"
)

// The labels by which nodes say what they are.
const (
	nodeArch = "kubernetes.io/arch"
	nodeOS   = "kubernetes.io/os"
)

// checkPlatforms finds platforms that are there twice, and what several of them exclude.
func checkPlatforms(c *Config, f *faults) {
	architectures := map[string]bool{}
	for i, p := range c.Platforms {
		if slices.Contains(c.Platforms[:i], p) {
			f.add(place{key: "platforms"}.element(i).key, fmt.Sprintf("%.60q is there twice", p), "")
		}
		architectures[architecture(p)] = true
	}
	if len(architectures) > 1 && c.Workspace.AccessMode == readWriteOnce && c.Layout.Name != Fused {
		f.add("platforms", "are built on several nodes, which cannot share a claim with the access mode "+readWriteOnce,
			"set workspace.access_mode to "+readWriteMany+", and workspace.storage_class to one that has it", "workspace.access_mode")
	}
	selector := c.Stages[buildStage].NodeSelector
	for label, part := range map[string]int{nodeOS: 0, nodeArch: 1} {
		value, ok := selector[label]
		if !ok || len(c.Platforms) == 0 {
			continue
		}
		for _, p := range c.Platforms {
			if words := strings.Split(p, "/"); len(words) > part && words[part] != value {
				f.add("stages.build.node_selector."+label, fmt.Sprintf("%.60q is not what the platform %.60s runs on", value, p),
					"leave the label out: platforms chooses the nodes", "platforms")
				break
			}
		}
	}
}

// architecture is that of a platform.
func architecture(platform string) string {
	if words := strings.Split(platform, "/"); len(words) > 1 {
		return words[1]
	}
	return platform
}

// checkPartition finds stages that a partition leaves out, repeats or puts in another order, and a build stage that is not alone though
// it runs once for each platform.
func checkPartition(c *Config, f *faults) {
	if len(c.Platforms) > 1 {
		for i, p := range c.pods(tasks.Stages()) {
			if len(p) > 1 && slices.Contains(p, buildStage) {
				key := "layout"
				if c.Layout.Pods != nil {
					key = place{key: key}.element(i).key
				}
				f.add(key, "puts build into a pod with other stages, and with several platforms it runs once for each",
					"put build into a pod of its own, as chained and balanced do", "platforms")
			}
		}
	}
	if c.Layout.Pods == nil {
		return
	}
	order := tasks.Stages()
	last, seen := -1, map[string]bool{}
	for i, p := range c.Layout.Pods {
		at := place{key: "layout"}.element(i)
		if len(p) == 0 {
			f.add(at.key, "is a pod without stages", "")
		}
		for j, stage := range p {
			position := slices.Index(order, stage)
			switch {
			case position < 0: // its rule has said so
				f.ignore("layout")
			case seen[stage]:
				f.add(at.element(j).key, fmt.Sprintf("%s is there twice", stage), "")
			case position < last:
				f.add(at.element(j).key, fmt.Sprintf("%s comes after %s", stage, order[last]), "the order is "+strings.Join(order, ", "))
			}
			seen[stage], last = true, max(last, position)
		}
	}
	missing := slices.DeleteFunc(order, func(stage string) bool { return seen[stage] || !c.Configured(stage) })
	if len(missing) > 0 {
		f.add("layout", "leaves out "+join(missing), "each stage is in one pod")
	}
}

// checkStages finds faults in the settings of each stage.
func checkStages(c *Config, f *faults) {
	for _, name := range sorted(c.Stages) {
		at, s := place{key: "stages"}.field(name).key, c.Stages[name]
		if !slices.Contains(tasks.Stages(), name) {
			continue
		}
		if !c.Configured(name) {
			f.add(at, "is about a stage that is not configured", "sync needs pulp_registry_name, mirror_registry_uri or archive_volume", "pulp", "pulp_registry_name", "pulp_sync_registry_name", "mirror_registry_uri", "archive_volume")
		}
		checkResources(f, at+".resources", s.Resources)
		for i, t := range s.Tolerations {
			checkToleration(f, place{key: at + ".tolerations"}.element(i).key, t)
		}
		checkTemplate(f, at, s)
	}
}

// checkResources finds requests beyond limits.
func checkResources(f *faults, key string, r *Resources) {
	if r == nil {
		return
	}
	for _, name := range sorted(r.Requests) {
		limit, ok := r.Limits[name]
		if !ok || checkQuantity(r.Requests[name]) != nil || checkQuantity(limit) != nil {
			continue
		}
		request, bound := resource.MustParse(r.Requests[name]), resource.MustParse(limit)
		if request.Cmp(bound) > 0 {
			f.add(key+".requests."+name, fmt.Sprintf("%s is more than the limit, %s", r.Requests[name], limit), "")
		}
	}
}

// strictly decodes what a site has written into a type of Kubernetes. What the type does not have is a fault, and so is a value of
// another type; each member is decoded by itself first, so that all faults are found. It is false if there are any.
func strictly(f *faults, key string, from map[string]any, into any, accepted string) bool {
	good := true
	for _, name := range sorted(from) {
		one := reflect.New(reflect.TypeOf(into).Elem()).Interface()
		for _, err := range decode(map[string]any{name: from[name]}, one) {
			explain(f, key, err, accepted)
			good = false
		}
	}
	return good && len(decode(from, into)) == 0
}

func decode(from map[string]any, into any) []error {
	data, err := json.Marshal(from)
	if err != nil {
		return []error{err}
	}
	strict, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		return []error{err}
	}
	return strict
}

// explain adds an error of decoding as a fault of the key that it is about.
func explain(f *faults, key string, err error, accepted string) {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		f.add(key+"."+wrongType.Field, "is a "+wrongType.Value, "accepted is Kubernetes' type "+wrongType.Type.String())
		return
	}
	if _, name, ok := strings.Cut(err.Error(), `unknown field "`); ok {
		name, _, _ = strings.Cut(name, `"`)
		f.add(key+"."+name, "unknown field", accepted)
		return
	}
	f.add(key, err.Error(), accepted)
}

func checkToleration(f *faults, key string, from map[string]any) {
	var t corev1.Toleration
	if !strictly(f, key, from, &t, "accepted are key, operator, value, effect and tolerationSeconds") {
		return
	}
	exists := t.Operator == corev1.TolerationOpExists
	if t.Operator != "" && !exists && t.Operator != corev1.TolerationOpEqual {
		f.add(key+".operator", fmt.Sprintf("%.60q is not accepted", t.Operator), "accepted are Equal and Exists")
	}
	if t.Key == "" && !exists {
		f.add(key, "has no key", "only the operator Exists needs none, and then matches every taint")
	}
	if t.Key != "" {
		if err := labelKey.text(t.Key); err != nil {
			f.wrong(key+".key", err, labelKey.accepted)
		}
	}
	if exists && t.Value != "" {
		f.add(key+".value", "has no meaning with the operator Exists", "leave it out, or use Equal")
	}
	if err := labelValue.text(t.Value); err != nil {
		f.wrong(key+".value", err, labelValue.accepted)
	}
	effects := []string{"", string(corev1.TaintEffectNoSchedule), string(corev1.TaintEffectPreferNoSchedule), string(corev1.TaintEffectNoExecute)}
	if !slices.Contains(effects, string(t.Effect)) {
		f.add(key+".effect", fmt.Sprintf("%.60q is not accepted", t.Effect), "accepted are "+join(effects[1:]))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		f.add(key+".tolerationSeconds", "has a meaning for the effect NoExecute only", "")
	}
}

// checkTemplate reads a pod template as Tekton does, and finds where it contradicts other settings.
func checkTemplate(f *faults, stage string, s Stage) {
	if s.PodTemplate == nil {
		return
	}
	key := stage + ".pod_template"
	var t pod.Template
	if !strictly(f, key, s.PodTemplate, &t, "accepted is Tekton's pod template: nodeSelector, tolerations, affinity, securityContext, ...") {
		f.ignore(key)
		return
	}
	for _, label := range sorted(t.NodeSelector) {
		if other, ok := s.NodeSelector[label]; ok && other != t.NodeSelector[label] {
			f.add(key+".nodeSelector."+label, "is another value than in node_selector", "say it once")
		}
	}
	for i := range t.Tolerations {
		from, _ := s.PodTemplate["tolerations"].([]any)
		if one, ok := from[i].(map[string]any); ok {
			checkToleration(f, place{key: key + ".tolerations"}.element(i).key, one)
		}
	}
}

// checkPods finds settings of stages that share a pod and do not agree, or that a shared pod cannot have.
func checkPods(c *Config, f *faults) {
	for _, stages := range c.pods(tasks.Stages()) {
		p := sharing{pod: stages, faults: f, said: map[string]setting{}}
		for _, stage := range stages {
			s, ok := c.Stages[stage]
			if !ok {
				continue
			}
			at := "stages." + stage
			if s.Retries > 0 && len(stages) > 1 {
				f.add(at+".retries", fmt.Sprintf("%s shares a pod with other stages, and Tekton repeats whole pods", stage), "put it into a pod of its own, or leave this key out", "layout")
			}
			p.say(at+".service_account", "service_account", s.ServiceAccount)
			for _, label := range sorted(s.NodeSelector) {
				p.say(at+".node_selector."+label, "node_selector."+label, s.NodeSelector[label])
			}
			for _, name := range sorted(s.PodTemplate) {
				if name != "nodeSelector" && name != "tolerations" { // these are added up
					p.say(at+".pod_template."+name, "pod_template."+name, s.PodTemplate[name])
				}
			}
			checkPrivileges(c, f, at, stages, s)
		}
	}
}

// sharing is what the stages of one pod have said about it.
type sharing struct {
	pod  []string
	said map[string]setting
	*faults
}

type setting struct {
	key   string
	value any
}

// say notes a stage's word about a pod, and finds another stage's that differs.
func (p sharing) say(key, what string, value any) {
	if value == "" {
		return
	}
	if before, ok := p.said[what]; ok {
		if !reflect.DeepEqual(before.value, value) {
			p.add(key, fmt.Sprintf("differs from %s, and %s share a pod", before.key, join(p.pod)), "say the same, or lay them out on several pods", "layout", before.key)
		}
		return
	}
	p.said[what] = setting{key: key, value: value}
}

// checkPrivileges finds pod templates that take away what the stages of a pod need, or undo what protects the node.
func checkPrivileges(c *Config, f *faults, at string, stages []string, s Stage) {
	if s.PodTemplate["hostUsers"] == true && c.BuildSecurity == UserNamespace && slices.Contains(stages, buildStage) {
		f.add(at+".pod_template.hostUsers", "undoes build_security user-namespace", "leave it out, or set build_security to capabilities", "build_security", "layout")
	}
	for _, stage := range []string{lockStage, importStage} {
		if s.PodTemplate["automountServiceAccountToken"] == false && slices.Contains(stages, stage) {
			f.add(at+".pod_template.automountServiceAccountToken", "takes the token of the API from "+stage+", which needs it", "leave it out: the other stages have none anyway", "layout")
		}
	}
}
