package clone

import (
	"context"

	"github.com/osbs-tekton/osbs/pkg/giturl"
)

func (o Options) submodules(ctx context.Context, f *fetch, url giturl.URL, depth int) error { return nil }
