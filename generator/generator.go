package generator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/generator/layout"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/overlay"
	"github.com/osbs-tekton/osbs/generator/pipeline"
	"github.com/osbs-tekton/osbs/generator/validate"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Input is what a site has decided.
type Input struct {
	// Config is complete and valid, as config.Load and config.Default return it.
	Config *config.Config
	// Overlays are applied in this order.
	Overlays []overlay.Entry
	// Images gives references that begin with ko:// the image that was built for them. Registry is where all others are, as
	// HOST/PATH; without it they stay as they are.
	Images   map[string]string
	Registry string
	// Version is of the stages: the label of the objects, and the tag of images in Registry. Empty means none.
	Version string
}

// Output is what Generate has made. All of it is valid for the Tekton, Triggers and Kubernetes whose code is linked.
type Output struct {
	install.Groups
	// Run is the PipelineRun without name and params that all runs start from.
	Run *yaml.RNode
	// Pipeline is the one among the objects of the namespace.
	Pipeline *yaml.RNode
	// Changes are what the overlays have changed, in the order in which they did.
	Changes []overlay.Change
	// Notes say what a person must do beside applying the objects, a sentence each.
	Notes []string
}

// Objects are all objects: those of the namespace, then those that others may have to apply.
func (o *Output) Objects() []*yaml.RNode { return slices.Concat(o.Namespace, o.Cluster, o.Others) }

// Generate makes the objects of in. Its errors have the kind Usage where the configuration or an overlay is wrong, and name file and line.
func Generate(ctx context.Context, in Input) (*Output, error) {
	out, err := generate(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := check(ctx, out); err != nil {
		return nil, blame(ctx, in, err)
	}
	return out, nil
}

// check validates all that was made.
func check(ctx context.Context, out *Output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return validate.Objects(append(out.Objects(), out.Sample(nil))) //nolint:contextcheck // it computes, and asks nobody
}

// maxBlamed bounds how many entries are looked at: each takes what making the objects takes.
const maxBlamed = 100

// blame says which entry of an overlay has made what is not valid, for each fault: the one without which it would not be there.
func blame(ctx context.Context, in Input, invalid error) error {
	if ctx.Err() != nil {
		return invalid
	}
	entries := in.Overlays
	culprits := map[string]overlay.Entry{}
	for i := range entries[:min(len(entries), maxBlamed)] {
		in.Overlays = slices.Concat(entries[:i], entries[i+1:])
		out, err := generate(ctx, in)
		if err != nil { // others need this entry
			continue
		}
		left := faults(check(ctx, out))
		for _, fault := range faults(invalid) {
			if _, known := culprits[fault]; !known && !slices.Contains(left, fault) {
				culprits[fault] = entries[i]
			}
		}
	}
	var all []error
	for _, fault := range faults(invalid) {
		if e, known := culprits[fault]; known {
			fault = fmt.Sprintf("%s:%d: what this entry makes is not valid: %s", e.File, e.Line, fault)
		}
		all = append(all, errors.New(fault))
	}
	return failure.New(failure.KindOf(invalid), "%w", errors.Join(all...))
}

// faults are the lines of what check returns.
func faults(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func generate(ctx context.Context, in Input) (*Output, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg := in.Config
	c, err := chain.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the chain of stages: %w", err)
	}
	out := &Output{}
	if out.Changes, err = overlay.ApplyToChain(c, in.Overlays); err != nil {
		return nil, err
	}
	if err := layout.Arrange(c, cfg.Layout); err != nil {
		return nil, err
	}
	if out.Pipeline, err = pipeline.Render(cfg, c); err != nil {
		return nil, fmt.Errorf("rendering the Pipeline: %w", err)
	}
	if out.Run, err = install.RunTemplate(cfg, c); err != nil {
		return nil, err
	}
	others, err := install.Objects(cfg, c, out.Pipeline)
	if err != nil {
		return nil, err
	}
	return out, finish(in, out, append([]*yaml.RNode{out.Pipeline}, others...))
}

// finish labels the objects, lets overlays change them, and resolves images.
func finish(in Input, out *Output, objects []*yaml.RNode) error {
	cfg := in.Config
	install.Label(cfg, in.Version, []*yaml.RNode{out.Run})
	stored, err := install.StoredTemplate(cfg, out.Run)
	if err != nil {
		return err
	}
	objects = append(objects, stored)
	install.Label(cfg, in.Version, objects)
	changes, err := overlay.ApplyToObjects(objects, in.Overlays)
	if err != nil {
		return err
	}
	out.Changes = append(out.Changes, changes...)
	if len(in.Images) > 0 || in.Registry != "" {
		if err := manifest.Resolve(objects, in.Images, in.Registry, in.Version); err != nil {
			return err
		}
	}
	out.Groups = install.Split(cfg, objects)
	out.Notes = install.Notes(cfg)
	return nil
}
