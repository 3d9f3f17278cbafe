// Package validate checks the objects that the generator has made with the code with which a cluster checks them: Tekton's and
// Triggers' own defaulting and validation, and strict decoding into the types of Kubernetes. It also holds a Pipeline against the
// rules of this project, and runs against the Pipeline that they start.
package validate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	triggersv1beta1 "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// fault is one thing that is wrong with one object.
type fault struct{ object, field, text string }

// checker gathers the faults of all objects.
type checker struct {
	faults []fault
	// pipelines are those among the objects, by name.
	pipelines map[string]*pipelinev1.Pipeline
	// runs are the PipelineRuns among the objects and in TriggerTemplates.
	runs []run
	seen map[string]bool
}

// run is a PipelineRun, and where it stands.
type run struct {
	object, field string
	*pipelinev1.PipelineRun
}

// Objects checks objects as a cluster does when they are applied: each is decoded strictly into its type, is given its defaults and is
// validated. The error, of the kind failure.Usage because an overlay or the configuration has made the objects what they are, has all
// faults, a line each: KIND NAME: FIELD: what is wrong.
func Objects(objects []*yaml.RNode) error {
	c := &checker{pipelines: map[string]*pipelinev1.Pipeline{}, seen: map[string]bool{}}
	ctx := admission(context.Background())
	for _, o := range objects {
		c.object(ctx, o)
	}
	for _, r := range c.runs {
		c.run(r)
	}
	return c.err()
}

func (c *checker) add(object, field, format string, args ...any) {
	c.faults = append(c.faults, fault{object: object, field: field, text: strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")})
}

// err is all faults as one error, in the order of the objects.
func (c *checker) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	lines := make([]string, len(c.faults))
	for i, f := range c.faults {
		lines[i] = f.object + ": " + f.text
		if f.field != "" {
			lines[i] = f.object + ": " + f.field + ": " + f.text
		}
	}
	return failure.New(failure.Usage, "%w", errors.New(strings.Join(lines, "\n")))
}

// fields adds what Tekton has found, each field by itself and in their order.
func (c *checker) fields(object, below string, found *apis.FieldError) {
	var faults []fault
	for _, e := range found.WrappedErrors() {
		text := e.Message
		if e.Details != "" {
			text += ": " + e.Details
		}
		for _, path := range e.Paths {
			faults = append(faults, fault{object: object, field: strings.Trim(below+"."+path, "."), text: strings.ReplaceAll(text, "\n", " ")})
		}
		if len(e.Paths) == 0 {
			faults = append(faults, fault{object: object, field: below, text: text})
		}
	}
	slices.SortFunc(faults, func(a, b fault) int { return cmp.Or(cmp.Compare(a.field, b.field), cmp.Compare(a.text, b.text)) })
	c.faults = append(c.faults, faults...)
}

// object checks one object.
func (c *checker) object(ctx context.Context, o *yaml.RNode) {
	name := cmp.Or(o.GetName(), "without name")
	if base, _ := o.Pipe(yaml.Get("metadata"), yaml.Get("generateName")); o.GetName() == "" && base != nil {
		name = yaml.GetValue(base) + "..."
	}
	called := cmp.Or(o.GetKind(), "Object") + " " + name
	k, ok := kinds[o.GetApiVersion()+" "+o.GetKind()]
	if !ok {
		c.add(called, "", "has the kind %q of %q, which nothing here makes", o.GetKind(), o.GetApiVersion())
		return
	}
	if key := called + " " + o.GetNamespace(); c.seen[key] {
		c.add(called, "metadata.name", "is there twice")
	} else {
		c.seen[key] = true
	}
	data, err := o.MarshalJSON()
	if err != nil {
		c.add(called, "", "cannot be written as JSON: %v", err)
		return
	}
	into := k.make()
	if !c.strictly(called, "", data, into) {
		return
	}
	c.decoded(ctx, called, k, into)
	if p, ok := into.(*pipelinev1.Pipeline); ok {
		c.pipelines[p.Name] = p
		c.rules(called, o, p)
	}
}

// decoded checks what an object means.
func (c *checker) decoded(ctx context.Context, called string, k kind, into object) {
	switch o := into.(type) {
	case *pipelinev1.PipelineRun:
		c.pipelineRun(ctx, called, "", o)
		return
	case *triggersv1beta1.TriggerTemplate:
		c.template(ctx, called, o)
	case tekton: // below
	default:
		c.kubernetes(called, k, o)
		return
	}
	if t, ok := into.(tekton); ok {
		t.SetDefaults(ctx)
		c.fields(called, "", t.Validate(ctx))
	}
}
