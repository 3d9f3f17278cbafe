package validate

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/tasks"
)

const (
	// maxPipeline bounds a Pipeline, in bytes of YAML: each run has a copy of it in its status, and objects beyond 1 MB cannot be stored.
	maxPipeline = 64_000
	// tokenPath is where Kubernetes mounts the token of the API.
	tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a path, not a secret
)

// withToken are the stages that speak to the API.
var withToken = []string{"lock", "import"}

// rules holds a Pipeline against the rules of this project.
func (c *checker) rules(called string, o *yaml.RNode, p *pipelinev1.Pipeline) {
	if text, err := o.String(); err == nil && len(text) >= maxPipeline {
		c.add(called, "", "has %d bytes, and each run has a copy: at most %d are accepted", len(text), maxPipeline)
	}
	results := map[string][]string{}
	for _, t := range slices.Concat(p.Spec.Tasks, p.Spec.Finally) {
		if t.TaskSpec != nil && !t.TaskSpec.IsCustomTask() {
			for _, r := range t.TaskSpec.Results {
				results[t.Name] = append(results[t.Name], r.Name)
			}
		}
	}
	each := func(field string, list []pipelinev1.PipelineTask) {
		for i := range list {
			at := fmt.Sprintf("spec.%s[%d]", field, i)
			if t := &list[i]; t.TaskSpec != nil && !t.TaskSpec.IsCustomTask() {
				c.stages(called, at+".taskSpec", &t.TaskSpec.TaskSpec)
				c.references(called, at+".taskSpec", variable.Steps, t.TaskSpec.TaskSpec, stepResults(&t.TaskSpec.TaskSpec))
			}
			c.references(called, at, variable.Tasks, list[i], results)
		}
	}
	each("tasks", p.Spec.Tasks)
	each("finally", p.Spec.Finally)
	c.references(called, "spec.results", variable.Tasks, p.Spec.Results, results)
}

// stepResults are the results of each step that has a name.
func stepResults(t *pipelinev1.TaskSpec) map[string][]string {
	out := map[string][]string{}
	for _, s := range t.Steps {
		if s.Ref != nil { // nobody knows what that has
			continue
		}
		out[s.Name] = []string{}
		for _, r := range s.Results {
			out[s.Name] = append(out[s.Name], r.Name)
		}
	}
	return out
}

// references finds variables that name a result which the task, or the step, does not have. Of what is not among results nothing is known.
func (c *checker) references(called, field, kind string, in any, results map[string][]string) {
	data, err := json.Marshal(in)
	if err != nil {
		c.add(called, field, "cannot be written as JSON: %v", err)
		return
	}
	said := map[string]bool{}
	for _, v := range variable.In(string(data)) {
		of, result, _, ok := v.Result()
		known, isKnown := results[of]
		if !ok || v.Kind != kind || !isKnown || slices.Contains(known, result) || said[v.String()] {
			continue
		}
		said[v.String()] = true
		c.add(called, field, "%s names a result that %s does not have", v, of)
	}
}

// stages checks the steps of the project's own stages. What a site has inserted, or put in the place of a stage, is the site's business.
func (c *checker) stages(called, field string, t *pipelinev1.TaskSpec) {
	for i, s := range t.Steps {
		if !isStage(s) {
			continue
		}
		at := fmt.Sprintf("%s.steps[%d]", field, i)
		if s.Script != "" {
			c.add(called, at+".script", "step %s has a script: a param in it would be run as a program", s.Name)
		}
		if !slices.Contains(withToken, s.Name) && !hidesToken(t, s) {
			c.add(called, at+".volumeMounts", "step %s can see the token of the API: mount an emptyDir over %s", s.Name, tokenPath)
		}
	}
}

// ownFlag is how the stages get their settings; other programs write two dashes.
var ownFlag = regexp.MustCompile(`^-[a-z][-a-z0-9]*=`)

// isStage says whether a step is one of the project's: it is called like a stage, and has its flags.
func isStage(s pipelinev1.Step) bool {
	return slices.Contains(tasks.Stages(), s.Name) && slices.ContainsFunc(s.Args, ownFlag.MatchString)
}

// hidesToken says whether an empty volume lies over the token, and no other volume shows one.
func hidesToken(t *pipelinev1.TaskSpec, s pipelinev1.Step) bool {
	mounts := slices.Clone(s.VolumeMounts)
	if t.StepTemplate != nil {
		mounts = append(mounts, t.StepTemplate.VolumeMounts...)
	}
	hidden := false
	for _, m := range mounts {
		i := slices.IndexFunc(t.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			continue
		}
		if path.Clean(m.MountPath) == tokenPath && t.Volumes[i].EmptyDir != nil {
			hidden = true
		}
		if p := t.Volumes[i].Projected; p != nil && slices.ContainsFunc(p.Sources, func(s corev1.VolumeProjection) bool { return s.ServiceAccountToken != nil }) {
			return false
		}
	}
	return hidden
}
