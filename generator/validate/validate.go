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
	"sync"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	triggersv1beta1 "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// fault is one thing that is wrong with one object.
type fault struct{ object, field, text string }

// checker gathers what there is to say about one object.
type checker struct {
	faults []fault
	// pipeline is the object, if it is one.
	pipeline *pipelinev1.Pipeline
	// runs are the PipelineRuns that the object is, or creates.
	runs []run
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
	ctx := admission(context.Background())
	checkers := make([]*checker, len(objects))
	var group sync.WaitGroup // Tekton's validation of the Pipeline takes as long as all else together
	for i, o := range objects {
		checkers[i] = &checker{}
		group.Go(func() { checkers[i].object(ctx, o) })
	}
	group.Wait()
	pipelines, seen := map[string]*pipelinev1.Pipeline{}, map[string]bool{}
	var all checker
	for i, c := range checkers {
		if c.pipeline != nil {
			pipelines[c.pipeline.Name] = c.pipeline
		}
		o := objects[i]
		if key := name(o) + " " + o.GetNamespace(); seen[key] && o.GetName() != "" {
			c.add(name(o), "metadata.name", "is there twice")
		} else {
			seen[key] = true
		}
	}
	for i, c := range checkers {
		for _, r := range c.runs {
			c.run(r, pipelines)
		}
		for _, f := range c.faults {
			node := objects[i].YNode()
			all.faults = append(all.faults, fault{object: f.object, field: byName(node, f.field), text: byName(node, f.text)})
		}
	}
	return all.err()
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

// name is what an object is called in messages.
func name(o *yaml.RNode) string {
	called := o.GetName()
	if base, _ := o.Pipe(yaml.Get("metadata"), yaml.Get("generateName")); called == "" && base != nil {
		called = yaml.GetValue(base) + "..."
	}
	return cmp.Or(o.GetKind(), "Object") + " " + cmp.Or(called, "without name")
}

// object checks one object.
func (c *checker) object(ctx context.Context, o *yaml.RNode) {
	called := name(o)
	k, ok := kinds[o.GetApiVersion()+" "+o.GetKind()]
	if !ok {
		c.add(called, "", "has the kind %q of %q, which nothing here makes", o.GetKind(), o.GetApiVersion())
		return
	}
	data, err := asJSON(o)
	if err != nil {
		c.add(called, "", "cannot be written as JSON: %v", err)
		return
	}
	into := k.make()
	if !c.strictly(called, "", data, into) {
		return
	}
	p, isPipeline := into.(*pipelinev1.Pipeline)
	if !isPipeline {
		c.decoded(ctx, called, k, into)
		return
	}
	p.SetDefaults(ctx)
	c.pipeline = p
	own := &checker{}
	var group sync.WaitGroup
	group.Go(func() { own.rules(called, o, p) })
	c.fields(called, "", p.Validate(ctx))
	group.Wait()
	c.faults = append(c.faults, own.faults...)
}

// decoded checks what an object means.
func (c *checker) decoded(ctx context.Context, called string, k kind, into object) {
	switch o := into.(type) {
	case *pipelinev1.PipelineRun:
		c.pipelineRun(ctx, called, "", o)
		return
	case *triggersv1beta1.TriggerTemplate:
		c.template(ctx, called, o)
	}
	if t, ok := into.(tekton); ok {
		t.SetDefaults(ctx)
		c.fields(called, "", t.Validate(ctx))
		return
	}
	c.kubernetes(called, k, into)
}
