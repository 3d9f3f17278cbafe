package local

import (
	"context"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// Outlook implements osbs.Instance.
func (i *Instance) Outlook(ctx context.Context) (*osbs.Outlook, error) {
	s, err := i.situation(ctx)
	if err != nil {
		return nil, err
	}
	out := &osbs.Outlook{
		Configs: s.configs, State: s.state, Images: make(map[string]osbs.Image, len(s.stored)),
		Bounds: &osbs.Bounds{Concurrent: i.conf.Parallel}, HomeRegistries: i.homeRegistries(),
	}
	out.State.Budget = i.conf.Parallel
	for name, bc := range s.stored {
		out.Images[name] = osbs.Image{BuildConfig: bc, Took: s.took[name].spent, TookBuild: s.took[name].build}
	}
	return out, nil
}
