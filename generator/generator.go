package generator

import (
	"context"
	"fmt"
	"slices"
	"sort"

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

// blame says which entry of an overlay has made invalid what was made: the first with which it is.
func blame(ctx context.Context, in Input, invalid error) error {
	all := in.Overlays
	n := sort.Search(len(all), func(n int) bool { // entries before which nothing is wrong
		in.Overlays = all[:n+1]
		out, err := generate(ctx, in)
		return err != nil || check(ctx, out) != nil
	})
	in.Overlays = nil
	out, err := generate(ctx, in)
	switch {
	case n == len(all) || err != nil || check(ctx, out) != nil: // it is not an overlay's doing
		return invalid
	default:
		e := all[n]
		return failure.New(failure.Usage, "%s:%d: what this entry makes is not valid: %w", e.File, e.Line, invalid)
	}
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
