package local

import (
	"cmp"
	"context"
	"os"
	"slices"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/clone"
	"github.com/osbs-tekton/osbs/pkg/detectbase"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagestream"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/prepare"
	"github.com/osbs-tekton/osbs/pkg/push"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/tags"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Plan implements osbs.Instance. It clones into a temporary directory and asks registries; it takes no lock, and changes nothing.
func (i *Instance) Plan(ctx context.Context, req osbs.Request) (*osbs.Plan, error) {
	req, gitURL, err := i.checkRequest(req)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(i.dir.temporary(), "plan-")
	if err != nil {
		return nil, failure.New(failure.Storage, "making a workspace: %w", err)
	}
	defer os.RemoveAll(dir)
	r := &run{Instance: i, job: &job{gitURL: gitURL}, request: req, workspace: workspace.Dir(dir), env: i.env()}
	if r.client, err = i.client(ctx, r.env); err != nil {
		return nil, err
	}
	if _, err := clone.Run(ctx, r.cloneOptions()); err != nil {
		return nil, err
	}
	bases, err := detectbase.Run(ctx, r.detectOptions())
	if err != nil {
		return nil, err
	}
	prepared, err := prepare.Run(ctx, r.prepareOptions())
	if err != nil {
		return nil, err
	}
	set, err := r.plannedTags(prepared)
	if err != nil {
		return nil, err
	}
	plan := &osbs.Plan{
		BuildConfig: buildconfig.Name(req.GitURL, req.GitBranch), Bases: nonNil(bases.Bases), Dependents: []osbs.Dependent{},
		Tags: osbs.Tags{Unique: set.Unique, Primary: set.Primary, Floating: nonNil(set.Floating)},
	}
	if len(set.Floating) == 0 || req.NoRebuild {
		return plan, nil
	}
	stream, err := imagestream.NameFor(set.Name)
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "%w", err)
	}
	plan.Dependents, err = i.preview(ctx, plan.BuildConfig, stream, set.Floating)
	return plan, err
}

// env is for what belongs to no build.
func (i *Instance) env() step.Env {
	return step.Env{Log: i.conf.Log, Progress: i.conf.Progress, Retry: i.conf.Retry}.WithDefaults()
}

// plannedTags are the tags that the labels of the Dockerfile lead to.
func (r *run) plannedTags(prepared workspace.Prepare) (tags.Set, error) {
	var additional []string
	if !r.request.Scratch && !r.request.Isolated {
		var warnings []string
		var err error
		additional, warnings, err = tags.ReadAdditional(r.workspace.Source())
		if err != nil {
			return tags.Set{}, err
		}
		for _, w := range warnings {
			r.env.Log.Warn(w)
		}
	}
	o := push.Options{Target: r.request.Target, Scratch: r.request.Scratch, Isolated: r.request.Isolated, Now: r.conf.Now}
	return push.Tags(o, prepared.Labels, additional)
}

// preview says what would be rebuilt if the tags of a stream moved.
func (i *Instance) preview(ctx context.Context, self, stream string, floating []string) ([]osbs.Dependent, error) {
	s, err := i.situation(ctx)
	if err != nil {
		return nil, err
	}
	graph := rebuild.NewGraph(s.configs)
	found := map[string]*osbs.Dependent{}
	for _, tag := range floating {
		for _, item := range graph.Preview(s.state, stream+":"+tag, "").Items {
			if item.Config == self || item.Verdict != rebuild.Ready && item.Verdict != rebuild.Waiting {
				continue
			}
			d := found[item.Config]
			if d == nil {
				d = &osbs.Dependent{BuildConfig: item.Config}
				found[item.Config] = d
			}
			d.Wave = max(d.Wave, item.Wave+1)
			for _, reason := range item.Reasons {
				if !slices.Contains(d.On, reason.Base) {
					d.On = append(d.On, reason.Base)
				}
			}
		}
	}
	out := make([]osbs.Dependent, 0, len(found))
	for _, d := range found {
		slices.Sort(d.On)
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b osbs.Dependent) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.BuildConfig, b.BuildConfig))
	})
	return out, nil
}

// nonNil makes an empty list [] in JSON.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
