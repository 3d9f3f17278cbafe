package main

import (
	"context"
	"log/slog"

	"github.com/osbs-tekton/osbs/pkg/instance"
	"github.com/osbs-tekton/osbs/pkg/local"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/progress"
)

// openInstance opens the instance that the settings are for; p may be nil.
func openInstance(ctx context.Context, config *osbsconf.Config, log *slog.Logger, p progress.Reporter) (osbs.Instance, error) {
	options := []instance.Option{instance.WithLog(log), func(c *local.Config) {
		c.Jobs, c.Parallel, c.KeepBuilds, c.Isolation = config.Jobs, config.Parallel, config.KeepBuilds, config.Isolation
	}}
	if p != nil {
		options = append(options, instance.WithProgress(p))
	}
	return instance.Open(ctx, config, config.Instance, options...)
}
