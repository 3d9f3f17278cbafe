package install

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/event"
)

// trigger are the objects that make PipelineRuns of events.
func trigger(cfg *config.Config, c *chain.Chain, pipeline *yaml.RNode, values map[string]string) ([]*yaml.RNode, error) {
	values["event-type"], values["event-filter"] = event.Type, strings.ReplaceAll(event.Filter, " && ", "\n&& ")
	objects, err := read("trigger.yaml", values)
	if err != nil {
		return nil, err
	}
	run, err := RunTemplate(cfg, c)
	if err != nil {
		return nil, err
	}
	Label(&config.Config{Name: cfg.Name, Labels: cfg.Labels, Annotations: cfg.Annotations}, "", []*yaml.RNode{run})
	given, err := carried(pipeline)
	if err != nil {
		return nil, err
	}
	fillRun(run, given, paramsOf(pipeline))
	return objects, fillTrigger(objects, given, run)
}

// fillTrigger puts the params and the PipelineRun into the TriggerBinding and the TriggerTemplate.
func fillTrigger(objects []*yaml.RNode, params []carriedParam, run *yaml.RNode) error {
	binding, err := named(objects, "TriggerBinding")
	if err != nil {
		return err
	}
	template, err := named(objects, "TriggerTemplate")
	if err != nil {
		return err
	}
	var bound, declared []*yaml.Node
	for _, p := range params {
		bound = append(bound, tree.Map("name", p.name, "value", p.from))
		spec := tree.Map("name", p.name, "description", p.description)
		if p.fallback != nil {
			tree.Set(spec, "default", tree.String(*p.fallback))
		}
		declared = append(declared, spec)
	}
	tree.Set(binding.YNode(), "spec", tree.Map("params", tree.List(bound...)))
	tree.Set(template.YNode(), "spec", tree.Map("params", tree.List(declared...), "resourcetemplates", tree.List(run.YNode())))
	return nil
}

// carriedParam is a param of the TriggerTemplate.
type carriedParam struct {
	name, description string
	// from is where in the event it is; fallback is what it is if it is not there, nil if it must be.
	from     string
	fallback *string
	// ofPipeline says that the Pipeline has a param of this name, and list that it takes a list.
	ofPipeline, list bool
}

// carried are the params that an event gives: what package event has a member for, and what the Pipeline has beyond that because an
// overlay declared it, or because nobody gave it a default. Settings of the site are not among them: no event changes them.
func carried(pipeline *yaml.RNode) ([]carriedParam, error) {
	declared := paramsOf(pipeline)
	bindings, err := event.Bindings()
	if err != nil {
		return nil, fmt.Errorf("asking what an event has: %w", err)
	}
	var out []carriedParam
	known := map[string]bool{}
	for _, b := range bindings {
		p := carriedParam{name: b.Param, description: b.Description, from: "$(body." + b.Member + ")"}
		spec, ofPipeline := declared.find(b.Param)
		if !ofPipeline && !inMetadata(b.Param) {
			continue
		}
		known[b.Param] = true
		p.ofPipeline, p.list = ofPipeline, spec.list
		if !b.Required {
			p.fallback = spec.fallback
			if p.fallback == nil {
				p.fallback = new(string)
			}
		}
		out = append(out, p)
	}
	for _, spec := range declared {
		if known[spec.name] || fixed()[spec.name] != "" || spec.site && spec.fallback != nil || spec.list && spec.optional {
			continue
		}
		out = append(out, carriedParam{
			name: spec.name, description: spec.description, from: "$(body.extra." + spec.name + ")", fallback: spec.fallback, ofPipeline: true, list: spec.list,
		})
	}
	return out, nil
}

// fixed are the params that are the same in every run that an event starts.
func fixed() map[string]string {
	return map[string]string{"is-autorebuild": "true", "lock-policy": "wait"}
}

// runAnnotations are the annotations of such a run, each with the param that it has the value of.
func runAnnotations() [][2]string {
	return [][2]string{
		{event.AnnotationBaseDigest, "base-digest"}, {event.AnnotationReason, "reason"}, {event.AnnotationBase, "base"},
		{event.AnnotationBaseOldDigest, "base-old-digest"}, {event.AnnotationBaseNewDigest, "base-new-digest"},
		{event.AnnotationCausedBy, "caused-by"}, {event.AnnotationReasons, "reasons"},
		{event.AnnotationSpanContext, "span-context"},
	}
}

const (
	paramRunName     = "pipeline-run-name"
	paramBuildConfig = "build-config"
)

func inMetadata(param string) bool {
	return param == paramRunName || param == paramBuildConfig ||
		slices.ContainsFunc(runAnnotations(), func(a [2]string) bool { return a[1] == param })
}

func variable(param string) string { return "$(tt.params." + param + ")" }

// fillRun makes the run template the PipelineRun of an event.
func fillRun(run *yaml.RNode, given []carriedParam, declared params) {
	metadata := tree.Get(run.YNode(), "metadata")
	tree.Delete(metadata, "generateName")
	tree.Set(metadata, "name", tree.String(variable(paramRunName)))
	annotate(run, "labels", event.LabelBuildConfig, variable(paramBuildConfig))
	annotate(run, "labels", event.LabelAutorebuild, "true")
	for _, a := range runAnnotations() {
		annotate(run, "annotations", a[0], variable(a[1]))
	}
	var list []*yaml.Node
	for _, p := range given {
		if !p.ofPipeline {
			continue
		}
		value := tree.String(variable(p.name))
		if p.list { // one element that holds a JSON list
			value = tree.Strings(variable(p.name))
		}
		list = append(list, tree.Map("name", p.name, "value", value))
	}
	for _, name := range slices.Sorted(maps.Keys(fixed())) {
		if _, found := declared.find(name); !found {
			continue
		}
		list = append(list, tree.Map("name", name, "value", tree.String(fixed()[name])))
	}
	tree.SetItems(tree.Get(run.YNode(), "spec"), "params", list)
}
