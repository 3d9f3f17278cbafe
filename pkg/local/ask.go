package local

import (
	"context"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

// SetPaused implements osbs.Instance. What is due when a pause ends is started by RebuildPending.
func (i *Instance) SetPaused(ctx context.Context, buildConfig string, paused bool) (bool, error) {
	return buildconfig.SetPaused(ctx, i.configs, buildConfig, paused)
}

// RequestRebuild implements osbs.Instance. What is due is started here; what has to wait for that, when it has ended.
func (i *Instance) RequestRebuild(ctx context.Context, user string, buildConfigs []string) (time.Time, error) {
	at := i.now()
	if err := buildconfig.Ask(ctx, i.configs, buildConfigs, buildconfig.Request{Time: at, User: user}); err != nil {
		return time.Time{}, err
	}
	_, err := i.RebuildPending(ctx)
	return at, err
}

// WithdrawRebuild implements osbs.Instance.
func (i *Instance) WithdrawRebuild(ctx context.Context, at time.Time, buildConfigs []string) error {
	return buildconfig.Withdraw(ctx, i.configs, buildConfigs, at)
}
