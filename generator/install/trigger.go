package install

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
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
	if err := Label(&config.Config{Name: cfg.Name, Labels: cfg.Labels, Annotations: cfg.Annotations}, "", []*yaml.RNode{run}); err != nil {
		return nil, err
	}
	params, err := carried(pipeline)
	if err != nil {
		return nil, err
	}
	if err := fillRun(run, params); err != nil {
		return nil, fmt.Errorf("making the PipelineRun of an event: %w", err)
	}
	return objects, fillTrigger(objects, params, run)
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
	bound, declared := yaml.NewListRNode(), yaml.NewListRNode()
	for _, p := range params {
		if err := appendFields(bound, field{"name", p.name}, field{"value", p.from}); err != nil {
			return err
		}
		fields := []field{{"name", p.name}, {"description", p.description}}
		if p.fallback != nil {
			fields = append(fields, field{"default", text(*p.fallback)})
		}
		if err := appendFields(declared, fields...); err != nil {
			return err
		}
	}
	if err := binding.PipeE(yaml.Lookup("spec"), yaml.SetField("params", bound)); err != nil {
		return fmt.Errorf("setting the params of the TriggerBinding: %w", err)
	}
	block(binding)
	list := yaml.NewListRNode()
	list.YNode().Content = []*yaml.Node{run.YNode()}
	for _, f := range []field{{"params", declared}, {"resourcetemplates", list}} {
		if err := template.PipeE(yaml.Lookup("spec"), yaml.SetField(f.key, f.value.(*yaml.RNode))); err != nil {
			return fmt.Errorf("setting %s of the TriggerTemplate: %w", f.key, err)
		}
	}
	block(template)
	return nil
}

// block writes the spec of an object in lines: it was written {} in its file.
func block(o *yaml.RNode) { o.Field("spec").Value.YNode().Style = 0 }

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
	declared, err := paramsOf(pipeline)
	if err != nil {
		return nil, err
	}
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

// annotations and labels of such a run, by the param that they have the value of.
func runAnnotations() []field {
	return []field{
		{event.AnnotationBaseDigest, "base-digest"}, {event.AnnotationReason, "reason"}, {event.AnnotationBase, "base"},
		{event.AnnotationBaseOldDigest, "base-old-digest"}, {event.AnnotationBaseNewDigest, "base-new-digest"},
		{event.AnnotationCausedBy, "caused-by"}, {event.AnnotationReasons, "reasons"},
	}
}

const (
	paramRunName     = "pipeline-run-name"
	paramBuildConfig = "build-config"
)

func inMetadata(param string) bool {
	for _, f := range runAnnotations() {
		if f.value == param {
			return true
		}
	}
	return param == paramRunName || param == paramBuildConfig
}

func variable(param string) string { return "$(tt.params." + param + ")" }

// fillRun makes the run template the PipelineRun of an event.
func fillRun(run *yaml.RNode, params []carriedParam) error {
	setters := []yaml.Filter{
		yaml.Tee(yaml.Lookup("metadata"), yaml.Clear("generateName")),
		yaml.Tee(yaml.Lookup("metadata"), yaml.SetField("name", yaml.NewStringRNode(variable(paramRunName)))),
		setMetadata("labels", event.LabelBuildConfig, variable(paramBuildConfig)),
		setMetadata("labels", event.LabelAutorebuild, "true"),
	}
	for _, f := range runAnnotations() {
		setters = append(setters, setMetadata("annotations", f.key, variable(f.value.(string))))
	}
	list := yaml.NewListRNode()
	for _, p := range params {
		if !p.ofPipeline {
			continue
		}
		value := yaml.NewStringRNode(variable(p.name))
		if p.list { // one element that holds a JSON list
			value = yaml.NewListRNode(variable(p.name))
		}
		if err := appendParam(list, p.name, value); err != nil {
			return err
		}
	}
	for _, name := range []string{"is-autorebuild", "lock-policy"} {
		if err := appendParam(list, name, text(fixed()[name])); err != nil {
			return err
		}
	}
	setters = append(setters, yaml.Tee(yaml.Lookup("spec"), yaml.SetField("params", list)))
	for _, s := range setters {
		if err := run.PipeE(s); err != nil {
			return err
		}
	}
	return nil
}

func appendParam(list *yaml.RNode, name string, value *yaml.RNode) error {
	return appendFields(list, field{"name", name}, field{"value", value})
}

func appendFields(list *yaml.RNode, fields ...field) error {
	n, err := ordered(fields...)
	if err != nil {
		return err
	}
	list.YNode().Content = append(list.YNode().Content, n.YNode())
	return nil
}

// text is a scalar that is a string whatever it looks like.
func text(s string) *yaml.RNode {
	n := yaml.NewStringRNode(s)
	if yaml.IsValueNonString(s) || s == "" {
		n.YNode().Style = yaml.DoubleQuotedStyle
	}
	return n
}
