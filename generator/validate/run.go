package validate

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	triggersv1beta1 "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pipelineRun checks a PipelineRun. The API server has made a name of generateName before a webhook sees it.
func (c *checker) pipelineRun(ctx context.Context, called, below string, r *pipelinev1.PipelineRun) {
	if r.Name == "" && r.GenerateName != "" {
		r.Name = r.GenerateName + "xxxxx"
	}
	r.SetDefaults(ctx)
	c.fields(called, below, r.Validate(ctx))
	c.runs = append(c.runs, run{object: called, field: below, PipelineRun: r})
}

// template checks the PipelineRuns that a TriggerTemplate creates, with something in the place of its params.
func (c *checker) template(ctx context.Context, called string, t *triggersv1beta1.TriggerTemplate) {
	for i, template := range t.Spec.ResourceTemplates {
		below := fmt.Sprintf("spec.resourcetemplates[%d]", i)
		var content unstructured.Unstructured
		if content.UnmarshalJSON(template.Raw) != nil || content.GetAPIVersion()+" "+content.GetKind() != "tekton.dev/v1 PipelineRun" {
			continue // Triggers says what is wrong
		}
		r := &pipelinev1.PipelineRun{}
		if c.strictly(called, below, fill(template.Raw, t.Spec.Params), r) {
			c.pipelineRun(ctx, called, below, r)
		}
	}
}

var templateParam = regexp.MustCompile(`\$\(tt\.params\.([_a-zA-Z][_a-zA-Z0-9.-]*)\)`)

// fill puts the default of a param, or a letter, in its place.
func fill(raw []byte, params []triggersv1beta1.ParamSpec) []byte {
	return templateParam.ReplaceAllFunc(raw, func(found []byte) []byte {
		name := string(templateParam.FindSubmatch(found)[1])
		i := slices.IndexFunc(params, func(p triggersv1beta1.ParamSpec) bool { return p.Name == name })
		if i >= 0 && params[i].Default != nil && plain.MatchString(*params[i].Default) {
			return []byte(*params[i].Default)
		}
		return []byte("x")
	})
}

// plain is a text that can stand inside a JSON string as it is.
var plain = regexp.MustCompile(`^[-A-Za-z0-9_./:]+$`)

// run compares a run with its Pipeline, if that is among the objects: Tekton does it only when the run has been created.
func (c *checker) run(r run, pipelines map[string]*pipelinev1.Pipeline) {
	if r.Spec.PipelineRef == nil || pipelines[r.Spec.PipelineRef.Name] == nil {
		return
	}
	p := pipelines[r.Spec.PipelineRef.Name]
	c.runParams(r, p)
	for _, w := range p.Spec.Workspaces {
		if !w.Optional && !slices.ContainsFunc(r.Spec.Workspaces, func(b pipelinev1.WorkspaceBinding) bool { return b.Name == w.Name }) {
			c.add(r.object, join(r.field, "spec.workspaces"), "lacks %s, which the Pipeline needs", w.Name)
		}
	}
	for i, w := range r.Spec.Workspaces {
		if !slices.ContainsFunc(p.Spec.Workspaces, func(d pipelinev1.PipelineWorkspaceDeclaration) bool { return d.Name == w.Name }) {
			c.add(r.object, join(r.field, fmt.Sprintf("spec.workspaces[%d].name", i)), "the Pipeline has no workspace %s", w.Name)
		}
	}
	tasks := slices.Concat(p.Spec.Tasks, p.Spec.Finally)
	for i, s := range r.Spec.TaskRunSpecs {
		if !slices.ContainsFunc(tasks, func(t pipelinev1.PipelineTask) bool { return t.Name == s.PipelineTaskName }) {
			c.add(r.object, join(r.field, fmt.Sprintf("spec.taskRunSpecs[%d].pipelineTaskName", i)), "the Pipeline has no task %s", s.PipelineTaskName)
		}
	}
}

func (c *checker) runParams(r run, p *pipelinev1.Pipeline) {
	for i, given := range r.Spec.Params {
		at := join(r.field, fmt.Sprintf("spec.params[%d]", i))
		j := slices.IndexFunc(p.Spec.Params, func(s pipelinev1.ParamSpec) bool { return s.Name == given.Name })
		if j < 0 {
			c.add(r.object, at+".name", "the Pipeline has no param %s", given.Name)
			continue
		}
		if want := p.Spec.Params[j].Type; given.Value.Type != want {
			c.add(r.object, at+".value", "is of the type %s, and param %s of the Pipeline is of the type %s", given.Value.Type, given.Name, want)
		}
	}
	for _, s := range p.Spec.Params {
		if s.Default == nil && !slices.ContainsFunc(r.Spec.Params, func(g pipelinev1.Param) bool { return g.Name == s.Name }) {
			c.add(r.object, join(r.field, "spec.params"), "lacks %s, which the Pipeline needs", s.Name)
		}
	}
}
